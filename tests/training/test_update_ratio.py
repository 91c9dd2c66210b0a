"""The update-to-data ratio that a history keeps."""

import math

import numpy as np
import pytest
from fastgrad import NPLM, load
from fastgrad.training.resuming import history_arrays, read_history
from small_nplm import FEW, arrays, same
from toy_run import ToyRun, train

NETWORK = {"context_length": 2, "embedding_dim": 4, "hidden_dim": 12, "seed": 1}
FIT = {"batch_size": 4, "lr": 0.1}


def fitted(steps=30, **settings):
    return NPLM(**NETWORK).fit(FEW, steps=steps, **FIT | settings)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_it_is_that_of_the_steps(optimizer):
    history = fitted(update_ratio=True, optimizer=optimizer).history
    assert history.update_steps.tolist() == list(range(30))
    for step in (1, 7, 29):
        after = arrays(fitted(step + 1, optimizer=optimizer))
        before = arrays(fitted(step, optimizer=optimizer))
        for name, ratios in history.update_ratio.items():
            update = np.std(after[name] - before[name], dtype=float)
            assert ratios[step] == pytest.approx(update / np.std(after[name], dtype=float))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_it_changes_nothing_else(optimizer):
    watched, plain = (fitted(500, update_ratio=on, optimizer=optimizer) for on in (True, False))
    assert same(watched, plain)
    assert (watched.history.loss == plain.history.loss).all()
    assert list(watched.history.update_ratio) == ["C", "H", "d", "U", "b"]
    assert plain.history.update_ratio == {}
    assert len(plain.history.update_steps) == 0


def test_about_200_steps_are_kept():
    history = fitted(1000, update_ratio=True).history
    assert history.update_steps.tolist() == list(range(0, 1000, 5))


def test_a_parameter_without_spread_has_none():
    assert math.isnan(train(ToyRun(), update_ratio=True).update_ratio["x"][0])


def test_steps_that_are_taken_back_leave_no_ratio(tmp_path):
    run = ToyRun(interrupt_at=25)
    with pytest.raises(KeyboardInterrupt):
        train(run, update_ratio=True, checkpoint=tmp_path / "run")
    _, saved, _ = run.saved[-1]
    assert saved["history.update_step"].max() < len(saved["history.loss"])


def test_it_is_saved_with_the_history_and_goes_on(tmp_path):
    path = tmp_path / "run.safetensors"
    straight = fitted(60, update_ratio=True)
    fitted(
        60,
        update_ratio=True,
        checkpoint=path,
        evaluate_every=20,
        callbacks=[lambda progress: progress.step == 20],
    )
    assert load(path).history.update_steps.tolist() == list(range(20))
    resumed = NPLM.resume(path, FEW)
    assert resumed.history.update_steps.tolist() == straight.history.update_steps.tolist()
    for name, ratios in straight.history.update_ratio.items():
        assert resumed.history.update_ratio[name].tobytes() == ratios.tobytes()


def test_damaged_ratios_are_refused():
    kept = history_arrays(fitted(update_ratio=True).history)
    for name, array in (
        ("history.update_step", kept["history.update_step"][:-1]),
        ("history.update_step", kept["history.update_step"] + 1),
        ("history.update_ratio.C", -kept["history.update_ratio.C"]),
    ):
        with pytest.raises(ValueError, match="update"):
            read_history(kept | {name: array})
