"""Training that is interrupted, saved and resumed, with a model of one number."""

import numpy as np
import pytest
from fastgrad.optim.schedules import cosine
from fastgrad.training import loop
from fastgrad.training.resuming import read_saved
from hypothesis import given
from hypothesis import strategies as st
from toy_run import ToyRun, resume, train


@pytest.mark.slow
@given(st.integers(0, 39), st.sampled_from([None, 3]), st.integers(1, 12))
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(at, patience, every):
    settings = {"lr": cosine(0.3, 0.0, 40), "evaluate_every": every, "patience": patience}
    whole = ToyRun(x=1.0)
    expected = train(whole, **settings)

    run = ToyRun(x=1.0, interrupt_at=at)
    if at >= len(expected.loss):
        return  # It stops before.
    with pytest.raises(KeyboardInterrupt, match=r"of 40 steps; saved in toy\.safetensors"):
        train(run, checkpoint="toy.safetensors", **settings)
    run.interrupt_at = None
    history = resume(run, run.saved[-1])
    assert run.x[0] == whole.x[0]
    for name in ("loss", "lr", "dev_steps", "dev_loss"):
        assert getattr(history, name).tolist() == getattr(expected, name).tolist()
    assert history.stopped == expected.stopped


@given(st.integers(1, 39))
def test_an_interrupt_while_evaluating_loses_nothing(at):
    def interrupt(progress):
        if progress.step == at:
            raise KeyboardInterrupt

    whole, run = ToyRun(), ToyRun()
    expected = train(whole, evaluate_every=1)
    with pytest.raises(KeyboardInterrupt):
        train(run, evaluate_every=1, callbacks=[interrupt], checkpoint="toy.safetensors")
    history = resume(run, run.saved[-1])
    assert run.x[0] == whole.x[0]
    assert history.dev_loss.tolist() == expected.dev_loss.tolist()
    assert history.dev_steps.tolist() == expected.dev_steps.tolist()


@pytest.mark.parametrize("patience", [None, 4])
def test_a_run_can_go_on_from_every_checkpoint_on_its_way(patience, monkeypatch):
    monkeypatch.setattr(loop, "_SAVE_EVERY", -1.0)
    monkeypatch.setattr(loop, "_SAVINGS", 0)
    settings = {"lr": cosine(0.3, 0.0, 40), "evaluate_every": 7, "patience": patience}
    whole = ToyRun(x=1.0)
    expected = train(whole, checkpoint="toy.safetensors", **settings)
    assert len(whole.saved) > 6
    for saved in whole.saved:
        run = ToyRun(x=1.0)
        history = resume(run, saved)
        assert run.x[0] == whole.x[0]
        assert history.loss.tolist() == expected.loss.tolist()
        assert history.dev_loss.tolist() == expected.dev_loss.tolist()


def test_without_a_checkpoint_the_message_says_what_is_left():
    with pytest.raises(KeyboardInterrupt, match="after 0 of 40 steps; the model keeps what"):
        train(ToyRun(interrupt_at=0))


def test_a_run_that_had_stopped_early_stays_stopped():
    settings = {"lr": [(0, 0.0), (1, 0.3)], "evaluate_every": 1, "patience": 5}
    run = ToyRun(x=0.05)
    history = train(run, checkpoint="toy.safetensors", **settings)
    again = ToyRun()
    resumed = resume(again, run.saved[-1])
    assert again.x[0] == run.x[0]
    assert resumed.dev_loss.tolist() == history.dev_loss.tolist()
    assert resumed.stopped == "stopped early"


def test_a_finished_run_has_nothing_left_to_do_unless_told():
    run = ToyRun()
    history = train(run, checkpoint="toy.safetensors")
    again = resume(ToyRun(), run.saved[-1])
    assert again.dev_loss.tolist() == history.dev_loss.tolist()
    with pytest.raises(ValueError, match="steps is 50, but learning rates were saved for 40"):
        resume(ToyRun(), run.saved[-1], steps=50)
    with pytest.raises(ValueError, match="steps is 30, but 40 were made already"):
        resume(ToyRun(), run.saved[-1], steps=30)
    longer = resume(ToyRun(), run.saved[-1], steps=50, lr=0.01)
    assert longer.lr.tolist() == [0.1] * 40 + [0.01] * 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history.loss", None),
        ("history.loss", np.zeros(3)),
        ("history.loss", np.zeros(40, dtype=np.float32)),
        ("history.loss", np.full(40, np.nan)),
        ("history.dev_step", np.zeros(1, dtype=np.int64)),
        ("history.dev_loss", np.array([-1.0, 0.0])),
        ("plan.rate", np.array([])),
        ("plan.rate_step", np.array([1])),
        ("plan.rate_step", np.array([-1])),
    ],
)
def test_damaged_states_are_refused(name, value):
    run = ToyRun()
    train(run, evaluate_every=20, checkpoint="toy.safetensors")
    _, arrays, config = run.saved[-1]
    arrays[name] = value
    with pytest.raises(ValueError, match=name.partition(".")[0]):
        read_saved({key: array for key, array in arrays.items() if array is not None}, config)


@pytest.mark.parametrize("changes", [{"steps": 0}, {"steps": "9"}, {"evaluate_every": None}])
def test_damaged_settings_are_refused(changes):
    run = ToyRun()
    train(run, checkpoint="toy.safetensors")
    _, arrays, config = run.saved[-1]
    with pytest.raises((ValueError, TypeError), match=next(iter(changes))):
        read_saved(arrays, config | changes)
    with pytest.raises(TypeError, match="expected a dictionary"):
        read_saved(arrays, [])
