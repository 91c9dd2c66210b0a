"""The training loop, with a model of one number whose every step is known."""

import io
import json
import re

import numpy as np
import pytest
import toy_run
from fastgrad.base import TrainingRun
from fastgrad.optim.schedules import cosine, linear
from fastgrad.training import DivergedError
from toy_run import ToyRun, resume, train


def test_the_toy_is_a_training_run():
    assert isinstance(ToyRun(), TrainingRun)


# A run from beginning to end.


def test_a_run_makes_all_steps_at_their_learning_rates():
    run = ToyRun()
    history = train(run, lr=linear(0.1, 0.02, steps=40), evaluate_every=10)
    lrs = [0.1 - 0.08 * k / 40 for k in range(40)]
    values, losses = toy_run.plain_steps(5.0, lrs)
    assert run.x[0] == pytest.approx(values[-1], rel=1e-12)
    assert history.loss == pytest.approx(losses, rel=1e-12)
    assert history.lr == pytest.approx(lrs, rel=1e-12)
    assert history.steps == 40
    assert history.dev_steps.tolist() == [10, 20, 30, 40]
    assert history.dev_loss == pytest.approx([values[k] ** 2 for k in (10, 20, 30, 40)], rel=1e-12)
    assert history.stopped == "finished"


def test_evaluations_are_a_twentieth_apart_and_one_comes_last():
    assert train(ToyRun(), steps=410).dev_steps.tolist() == [*range(20, 401, 20), 410]


def test_without_dev_there_is_no_dev_loss():
    history = train(ToyRun(dev=False))
    assert len(history.loss) == 40
    assert history.dev_loss.shape == history.dev_steps.shape == (0,)


def test_chunks_cover_all_steps_and_end_at_evaluations():
    run = ToyRun()
    train(run, steps=1000, lr=1e-3, evaluate_every=300)
    assert [first for first, _ in run.chunks] == [0, *np.cumsum([n for _, n in run.chunks])][:-1]
    assert {0, 300, 600, 900} <= {first for first, _ in run.chunks}


def test_a_run_longer_than_any_chunk():
    # Chunks grow at most fourfold, so 3,000 steps take several, and the result is that of one.
    run = ToyRun()
    history = train(run, steps=3000, lr=1e-3, evaluate_every=3000)
    values, losses = toy_run.plain_steps(5.0, [1e-3] * 3000)
    assert len(run.chunks) > 4
    assert history.loss == pytest.approx(losses, rel=1e-9)
    assert run.x[0] == pytest.approx(values[-1], rel=1e-9)


# Callbacks, early stopping, log, bar.


def test_callbacks_are_told_after_each_evaluation_and_may_stop():
    seen = []
    history = train(
        ToyRun(), lr=0.02, evaluate_every=10, callbacks=[seen.append, lambda at: at.dev_loss < 5]
    )
    assert [at.step for at in seen] == history.dev_steps.tolist()
    assert seen[0].loss == pytest.approx(history.loss[:10].mean())
    assert seen[0].dev_loss == history.dev_loss[0]
    assert seen[0].lr == 0.02
    assert seen[0].steps == 40
    assert history.stopped == "stopped by a callback"
    assert len(history.loss) < 40
    assert history.dev_loss[-1] < 5 <= history.dev_loss[-2]


@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_what_a_callback_raises_is_passed_on_when_the_run_is_saved(error, tmp_path):
    def fail(progress):
        if progress.step == 20:
            raise error("mine")

    settings = {"lr": cosine(0.3, 0.0, 40), "evaluate_every": 10, "patience": 3}
    run, whole = ToyRun(x=1.0), ToyRun(x=1.0)
    expected = train(whole, **settings)
    with pytest.raises(error, match="mine"):
        train(
            run,
            callbacks=[fail],
            checkpoint=tmp_path / "toy",
            log=tmp_path / "log.jsonl",
            **settings,
        )
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last == {"step": 20, "event": "failed in a callback"}
    history = resume(run, run.saved[-1])
    assert run.x[0] == whole.x[0]
    assert history.dev_loss.tolist() == expected.dev_loss.tolist()


def test_a_run_is_saved_before_its_first_step_unless_a_file_is_there(tmp_path):
    place = tmp_path / "toy.safetensors"
    run, whole = ToyRun(), ToyRun()
    train(run, checkpoint=place)
    train(whole)
    first, _ = run.saved
    assert len(first[1]["history.loss"]) == 0
    resume(again := ToyRun(), first)
    assert again.x[0] == run.x[0] == whole.x[0]
    place.write_text("precious")
    run = ToyRun()
    train(run, checkpoint=place)
    assert len(run.saved) == 1


def test_early_stopping_puts_the_best_parameters_back():
    # From 0.05 the noise drives x away: the first evaluation is the best.
    run = ToyRun(x=0.05)
    history = train(run, lr=[(0, 0.0), (1, 0.3)], evaluate_every=1, patience=5)
    assert history.stopped == "stopped early"
    best = int(np.argmin(history.dev_loss))
    assert len(history.dev_loss) == best + 1 + 5
    assert run.dev_loss() == history.dev_loss[best]


def test_the_best_parameters_are_put_back_at_the_end_too():
    run = ToyRun(x=0.05)
    history = train(run, lr=[(0, 0.0), (1, 0.3)], steps=4, evaluate_every=1, patience=9)
    assert history.stopped == "finished"
    assert run.dev_loss() == history.dev_loss.min() < history.dev_loss[-1]


def test_the_log_has_a_json_object_a_line(tmp_path):
    history = train(ToyRun(), evaluate_every=10, log=tmp_path / "log.jsonl")
    *lines, last = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert [line["dev_loss"] for line in lines] == history.dev_loss.tolist()
    assert [line["loss"] for line in lines] == pytest.approx(
        history.loss.reshape(4, 10).mean(axis=1).tolist()
    )
    assert all(line["lr"] == 0.1 and line["examples_per_second"] > 0 for line in lines)
    assert last == {"step": 40, "event": "finished"}


def test_the_bar_keeps_quiet_where_there_is_no_terminal(capsys):
    train(ToyRun(), progress=True)
    assert capsys.readouterr() == ("", "")


def test_the_bar_tells_losses_and_speed_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    history = train(ToyRun(), progress=True)
    last = terminal.getvalue().rpartition("\r")[2]
    assert "40/40" in last
    assert f"dev {history.dev_loss[-1]:.4f}, " in last
    assert re.search(r"loss \d\.\d{4}, dev .*, [\d,]+ ex/s", last)


# Losses that are not finite.


@pytest.mark.parametrize("nan_at", [0, 1, 5, 10, 11, 39])
def test_a_nan_stops_at_once_and_keeps_the_last_good_parameters(nan_at, tmp_path):
    run = ToyRun(nan_at=nan_at)
    values, _ = toy_run.plain_steps(5.0, [0.1] * 40)
    with pytest.raises(DivergedError, match=f"infinite at step {nan_at}, at lr 0.1") as error:
        train(run, evaluate_every=10, checkpoint="toy.safetensors", log=tmp_path / "log")
    good = max(nan_at - 1, 0)
    assert run.x[0] == pytest.approx(values[good], rel=1e-12)
    assert (error.value.step, error.value.lr) == (nan_at, 0.1)
    _, arrays, config = run.saved[-1]
    assert len(arrays["history.loss"]) == good
    assert arrays["x"][0] == run.x[0]
    assert config["stopped"] == "diverged"
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert last == {"step": good, "event": "diverged"}


def test_parameters_that_the_last_step_has_ruined_are_noticed():
    # After the last step x is finite, and its square is not.
    run = ToyRun()
    with pytest.raises(DivergedError, match="step 3, at lr 1e"), np.errstate(all="ignore"):
        train(run, steps=3, lr=[(0, 0.1), (2, 1e200)], evaluate_every=3)
    assert run.x[0] == toy_run.plain_steps(5.0, [0.1, 0.1])[0][-1]


def test_a_learning_rate_that_is_too_large_names_step_and_lr():
    run = ToyRun()
    with pytest.raises(DivergedError) as error, np.errstate(all="ignore"):
        train(run, steps=500, lr=30.0)
    assert error.value.lr == 30.0
    assert np.isfinite(run.x[0])
