"""The training loop, with a model of one number whose every step is known."""

import io
import json
import math
import re

import numpy as np
import pytest
import toy_run
from fastgrad.models.base import TrainingRun
from fastgrad.optim import cosine, linear, warmup
from fastgrad.training import (
    DivergedError,
    History,
    Loop,
    RateSweep,
    find_rate,
    loop,
    make_plan,
    plan_rates,
    read_saved,
)
from hypothesis import given
from hypothesis import strategies as st
from toy_run import ToyRun


def train(run, *, past=None, best=None, **plan):
    return Loop(run, make_plan(**{"steps": 40, "lr": 0.1} | plan), past, best).go()


def test_the_toy_is_a_training_run():
    assert isinstance(ToyRun(), TrainingRun)


# A run from beginning to end.


def test_a_run_makes_all_steps_at_their_rates():
    run = ToyRun()
    history = train(run, lr=linear(0.1, 0.02, steps=40), evaluate_every=10)
    rates = [0.1 - 0.08 * k / 40 for k in range(40)]
    values, losses = toy_run.plain_steps(5.0, rates)
    assert run.x[0] == pytest.approx(values[-1], rel=1e-12)
    assert history.loss == pytest.approx(losses, rel=1e-12)
    assert history.rate == pytest.approx(rates, rel=1e-12)
    assert history.step.tolist() == list(range(40))
    assert history.dev_step.tolist() == [10, 20, 30, 40]
    assert history.dev_loss == pytest.approx([values[k] ** 2 for k in (10, 20, 30, 40)], rel=1e-12)
    assert history.stopped == "finished"


def test_evaluations_are_a_twentieth_apart_and_one_comes_last():
    assert train(ToyRun(), steps=410).dev_step.tolist() == [*range(20, 401, 20), 410]


def test_without_dev_there_is_no_dev_loss():
    history = train(ToyRun(dev=False))
    assert len(history.loss) == 40
    assert history.dev_loss.shape == history.dev_step.shape == (0,)


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
    assert [at.step for at in seen] == history.dev_step.tolist()
    assert seen[0].loss == pytest.approx(history.loss[:10].mean())
    assert seen[0].dev_loss == history.dev_loss[0]
    assert seen[0].rate == 0.02
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
    assert all(line["rate"] == 0.1 and line["examples_per_second"] > 0 for line in lines)
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
    assert re.search(r"loss \d\.\d{4}, dev .*, [\d,]+ examples/s", last)


# Losses that are not finite.


@pytest.mark.parametrize("nan_at", [0, 1, 5, 10, 11, 39])
def test_a_nan_stops_at_once_and_keeps_the_last_good_parameters(nan_at, tmp_path):
    run = ToyRun(nan_at=nan_at)
    values, _ = toy_run.plain_steps(5.0, [0.1] * 40)
    with pytest.raises(DivergedError, match=f"infinite at step {nan_at}, at rate 0.1") as error:
        train(run, evaluate_every=10, checkpoint="toy.safetensors", log=tmp_path / "log")
    good = max(nan_at - 1, 0)
    assert run.x[0] == pytest.approx(values[good], rel=1e-12)
    assert (error.value.step, error.value.rate) == (nan_at, 0.1)
    _, arrays, config = run.saved[-1]
    assert len(arrays["history.loss"]) == good
    assert arrays["x"][0] == run.x[0]
    assert config["stopped"] == "diverged"
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert last == {"step": good, "event": "diverged"}


def test_parameters_that_the_last_step_has_ruined_are_noticed():
    # After the last step x is finite, and its square is not.
    run = ToyRun()
    with pytest.raises(DivergedError, match="step 3, at rate 1e"), np.errstate(all="ignore"):
        train(run, steps=3, lr=[(0, 0.1), (2, 1e200)], evaluate_every=3)
    assert run.x[0] == toy_run.plain_steps(5.0, [0.1, 0.1])[0][-1]


def test_a_rate_that_is_too_large_names_step_and_rate():
    run = ToyRun()
    with pytest.raises(DivergedError) as error, np.errstate(all="ignore"):
        train(run, steps=500, lr=30.0)
    assert error.value.rate == 30.0
    assert np.isfinite(run.x[0])


# Ctrl-C, checkpoints, and going on.


def resume(run, saved, **plan):
    _, arrays, config = saved
    state = read_saved(arrays, config)
    run.x[:] = arrays["x"]
    total, rates = state.planned(plan.pop("steps", None), plan.pop("lr", None))
    fixed = {"evaluate_every": state.evaluate_every, "patience": state.patience}
    return train(run, steps=total, lr=rates, past=state.history, best=state.best, **fixed, **plan)


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
    for name in ("loss", "rate", "dev_step", "dev_loss"):
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
    assert history.dev_step.tolist() == expected.dev_step.tolist()


@pytest.mark.parametrize("patience", [None, 4])
def test_a_run_can_go_on_from_every_checkpoint_on_its_way(patience, monkeypatch):
    monkeypatch.setattr(loop, "_SAVE_EVERY", -1.0)
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
    with pytest.raises(ValueError, match="steps is 50, but rates were saved for 40"):
        resume(ToyRun(), run.saved[-1], steps=50)
    with pytest.raises(ValueError, match="steps is 30, but 40 were made already"):
        resume(ToyRun(), run.saved[-1], steps=30)
    longer = resume(ToyRun(), run.saved[-1], steps=50, lr=0.01)
    assert longer.rate.tolist() == [0.1] * 40 + [0.01] * 10


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


# Rates.


def planned(lr, steps):
    return plan_rates(lr, steps).part(0, steps).tolist()


def test_rates_of_every_kind():
    assert planned(0.5, 3) == [0.5, 0.5, 0.5]
    assert planned([(0, 0.1), (2, 0.01)], 4) == [0.1, 0.1, 0.01, 0.01]
    assert planned([(0, 0.1), (9, 0.01)], 2) == [0.1, 0.1]
    assert planned(np.array([1.0, 0.5]), 2) == [1.0, 0.5]
    assert planned(np.array(0.5), 2) == [0.5, 0.5]
    schedule = warmup(cosine(1.0, 0.0, steps=4), steps=2)
    assert planned(schedule, 6) == [schedule(k) for k in range(6)]


def test_a_trillion_steps_at_one_rate_take_no_room():
    rates = plan_rates([(0, 0.1), (10**11, 0.01)], 10**12)
    assert rates.part(10**11 - 1, 10**11 + 1).tolist() == [0.1, 0.01]
    history = train(ToyRun(), steps=10**12, evaluate_every=50, callbacks=[lambda at: True])
    assert len(history.loss) == 50


@given(st.lists(st.sampled_from([0.1, 0.2]), min_size=1), st.integers(0, 9), st.data())
def test_rates_that_take_over_from_others(rates, step, data):
    other = data.draw(st.lists(st.sampled_from([0.1, 0.3]), min_size=step + 1))
    both = plan_rates(np.array(rates * 10), len(rates) * 10).then(
        step, plan_rates(np.array(other), len(other))
    )
    assert both.part(0, len(other)).tolist() == (rates * 10)[:step] + other[step:]
    assert (np.diff(both.starts) > 0).all()


@pytest.mark.parametrize(
    ("lr", "error", "message"),
    [
        (math.nan, ValueError, "lr is nan; expected a finite number of at least 0"),
        (-0.1, ValueError, "lr is -0.1; expected"),
        ("fast", TypeError, "lr is 'fast'; expected a number, a list of"),
        (None, TypeError, "lr is None; expected a number, a list of"),
        ([], ValueError, "lr is empty"),
        ([0.1], TypeError, r"lr\[0\] is 0.1; expected a step and a rate"),
        ([(1, 0.1)], ValueError, r"lr\[0\] starts at step 1; expected 0"),
        ([(0, 0.1), (0, 0.2)], ValueError, r"lr\[1\] starts at step 0; expected"),
        ([(0, math.inf)], ValueError, r"lr\[0\] is inf"),
        (lambda step: 0.1 if step < 7 else math.nan, ValueError, r"lr\(7\) is nan"),
        (lambda step: "high", TypeError, r"lr\(0\) is 'high'; expected a number$"),
        (lambda step: None, TypeError, r"lr\(0\) is None; expected a number$"),
        (lambda step: 10**400, ValueError, r"lr\(0\) is 10.*; expected a finite"),
        (10**400, ValueError, "lr is 10.*; expected a finite"),
        ("0.1", TypeError, "lr is '0.1'; expected a number, a list"),
        (b"0.1", TypeError, "lr is b'0.1'; expected a number, a list"),
        (np.full(9, 0.1), ValueError, r"array of shape \(9,\); expected a rate a step, \(10,\)"),
        (np.ones((10, 2)), ValueError, r"array of shape \(10, 2\); expected"),
        (np.full(10, math.nan), ValueError, r"lr\[0\] is nan; expected a finite"),
    ],
)
def test_bad_rates_are_named_before_anything_happens(lr, error, message):
    with pytest.raises(error, match=message):
        make_plan(steps=10, lr=lr)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps is 0; expected at least 1"),
        ({"steps": 1.5}, TypeError, "steps is 1.5; expected an int"),
        ({"steps": True}, ValueError, "steps is True"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every is 0"),
        ({"patience": 0}, ValueError, "patience is 0"),
        ({"callbacks": print}, TypeError, "callbacks is .*print.*; expected a list of functions"),
        ({"callbacks": None}, TypeError, "callbacks is None; expected a list of functions"),
        ({"checkpoint": 3}, TypeError, "checkpoint is 3; expected the path of a file"),
        ({"log": b"log"}, TypeError, "log is b'log'; expected the path of a file"),
        ({"callbacks": [3]}, TypeError, r"callbacks is \(3,\); expected a list of functions"),
        ({"log": "no/such/folder/log.jsonl"}, FileNotFoundError, "there is no folder no/such"),
        ({"checkpoint": "."}, IsADirectoryError, "checkpoint is '.', a folder"),
    ],
)
def test_bad_plans_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        make_plan(**{"steps": 10, "lr": 0.1} | settings)


def test_patience_needs_something_to_measure():
    with pytest.raises(ValueError, match="patience is 2, but there is no dev"):
        train(ToyRun(dev=False), patience=2)


# What was seen, and the finder.


def test_smoothing_is_the_mean_of_stretches():
    history = History(loss=np.arange(10.0))
    steps, means = history.smooth(4)
    assert steps.tolist() == [4, 8, 10]
    assert means.tolist() == [1.5, 5.5, 8.5]
    assert history.smooth()[1].tolist() == list(range(10))
    assert [len(part) for part in History().smooth()] == [0, 0]
    with pytest.raises(ValueError, match="every is 0"):
        history.smooth(0)


class ToyModel:
    """A model whose training is the toy's."""

    def __init__(self, **run):
        self.runs = []
        self.options = run

    def copy(self):
        return self

    def start(self, train, dev=None, **options):
        self.runs.append(ToyRun(**self.options))
        return self.runs[-1]


def test_the_finder_goes_up_evenly_in_the_exponent():
    sweep = find_rate(ToyModel(), ["a"], low=1e-3, high=1.0, steps=1000)
    assert np.log10(sweep.rates) == pytest.approx(np.linspace(-3, 0, 1000), abs=1e-12)
    assert sweep.losses == pytest.approx(toy_run.plain_steps(5.0, sweep.rates)[1])


def test_the_finder_ends_where_the_loss_does():
    model = ToyModel(nan_at=700)
    sweep = find_rate(model, ["a"], steps=1000)
    assert len(sweep.rates) == len(sweep.losses) == 700
    assert np.isfinite(sweep.losses).all()
    assert model.runs[0].chunks == [(0, 1000)]


def test_the_lowest_rate_is_that_of_the_valley():
    rates = 10 ** np.linspace(-3, 0, 601)
    sweep = RateSweep(rates, 2 + np.abs(np.log10(rates) + 1.0))
    assert sweep.lowest() == pytest.approx(0.1, rel=0.05)


def test_the_finder_says_what_is_wrong():
    with pytest.raises(TypeError, match="model is 'names'; expected one that can be trained"):
        find_rate("names", ["a"])
    with pytest.raises(TypeError, match="high is '1'; expected a number"):
        find_rate(ToyModel(), ["a"], high="1")


def test_histories_and_sweeps_print_in_a_line():
    assert repr(History()) == "History(0 steps)"
    history = train(ToyRun(), evaluate_every=10)
    best = int(np.argmin(history.dev_loss))
    assert repr(history) == (
        f"History(40 steps; last loss {history.loss[-1]:.4f}; best dev loss"
        f" {history.dev_loss[best]:.4f} at {10 * (best + 1)}; finished)"
    )
    assert repr(train(ToyRun(dev=False), steps=1)) == "History(1 step; last loss 25.0000; finished)"
    sweep = RateSweep(np.array([0.001, 0.1, 1.0]), np.array([3.0, 2.0, 4.0]))
    assert repr(sweep) == "RateSweep(3 rates from 0.001 to 1; lowest loss at 0.1)"
    assert repr(RateSweep(np.ones(0), np.ones(0))) == "RateSweep(0 rates)"


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.1), (0.1, math.inf), (math.nan, 1.0)])
def test_the_finder_refuses_ends_that_are_none(ends):
    with pytest.raises(ValueError, match="expected 0 < low < high"):
        find_rate(ToyModel(), ["a"], low=ends[0], high=ends[1])
