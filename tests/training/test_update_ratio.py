"""The update-to-data ratio that a history keeps."""

import math

import numpy as np
import pytest
from fastgrad import NPLM, NeuralBigram, load
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


def test_a_run_that_goes_on_may_begin_or_stop_to_keep_them(tmp_path):
    path = tmp_path / "run.safetensors"
    stop = [lambda progress: progress.step == 20]
    for before, asked, expected in (
        (False, True, list(range(20, 60))),
        (True, False, list(range(20))),
        (False, None, []),
    ):
        fitted(60, update_ratio=before, checkpoint=path, evaluate_every=20, callbacks=stop)
        resumed = NPLM.resume(path, FEW, update_ratio=asked)
        assert resumed.history.update_steps.tolist() == expected


SETTINGS = [{}, {"lr": 10.0}, {"lr": 1.0, "momentum": 0.5}, {"lr": 1.0, "batch_size": 2}]


@pytest.mark.parametrize("settings", SETTINGS)
def test_that_of_a_neural_bigram(settings):
    plain = NeuralBigram().fit(FEW, steps=500, **settings)
    model = NeuralBigram().fit(FEW, steps=500, update_ratio=True, **settings)
    assert (model.W == plain.W).all()
    assert (model.history.loss == plain.history.loss).all()
    assert model.history.update_steps.tolist() == list(range(0, 500, 2))
    # The first update is all that the weights are.
    assert model.history.update_ratio["W"][0] == 1.0


@pytest.mark.parametrize("lr", [0.5, 10.0])
def test_that_of_a_neural_bigram_is_update_over_weights(lr):
    model = NeuralBigram().fit(FEW, steps=3, lr=lr, update_ratio=True)
    two, three = (NeuralBigram().fit(FEW, steps=steps, lr=lr).W for steps in (2, 3))
    expected = np.std(three - two) / np.std(three)
    assert model.history.update_ratio["W"][2] == pytest.approx(expected, rel=1e-12)


def test_that_of_a_neural_bigram_is_saved(tmp_path):
    model = NeuralBigram().fit(FEW, steps=50, update_ratio=True)
    model.save(tmp_path / "kept.safetensors")
    kept = load(tmp_path / "kept.safetensors").history
    assert kept.update_steps.tolist() == list(range(50))
    assert (kept.update_ratio["W"] == model.history.update_ratio["W"]).all()
    assert load_plain(tmp_path).history.update_ratio == {}


def load_plain(folder):
    NeuralBigram().fit(FEW, steps=5).save(folder / "plain.safetensors")
    return load(folder / "plain.safetensors")


def test_damaged_ratios_of_a_neural_bigram_are_refused():
    model = NeuralBigram().fit(FEW, steps=5, update_ratio=True)
    tensors, config = model._to_parts()
    for name, array in (
        ("update_steps", tensors["update_steps"][:-1]),
        ("update_steps", tensors["update_steps"].astype(float)),
        ("update_ratio", tensors["update_ratio"].astype(np.float32)),
    ):
        with pytest.raises(ValueError, match=r"update_steps|ratios"):
            NeuralBigram._from_parts(tensors | {name: array}, config)


def test_damaged_ratios_are_refused():
    kept = history_arrays(fitted(update_ratio=True).history)
    for name, array in (
        ("history.update_step", kept["history.update_step"][:-1]),
        ("history.update_step", kept["history.update_step"] + 1),
        ("history.update_ratio.C", -kept["history.update_ratio.C"]),
    ):
        with pytest.raises(ValueError, match="update"):
            read_history(kept | {name: array})
