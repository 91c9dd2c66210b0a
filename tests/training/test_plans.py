"""Learning lrs, plans, what was seen of a training run, and the finder of learning lrs."""

import math

import numpy as np
import pytest
import toy_run
from fastgrad.optim.schedules import cosine, warmup
from fastgrad.training import History, LRSweep, lr_find
from fastgrad.training.learning_rates import plan_lrs
from fastgrad.training.plan import make_plan
from hypothesis import given
from hypothesis import strategies as st
from toy_run import ToyRun, train

# Learning lrs.


def planned(lr, steps):
    return plan_lrs(lr, steps).part(0, steps).tolist()


def test_learning_rates_of_every_kind():
    assert planned(0.5, 3) == [0.5, 0.5, 0.5]
    assert planned([(0, 0.1), (2, 0.01)], 4) == [0.1, 0.1, 0.01, 0.01]
    assert planned([(0, 0.1), (9, 0.01)], 2) == [0.1, 0.1]
    assert planned(np.array([1.0, 0.5]), 2) == [1.0, 0.5]
    assert planned(np.array(0.5), 2) == [0.5, 0.5]
    schedule = warmup(cosine(1.0, 0.0, steps=4), warmup_steps=2)
    assert planned(schedule, 6) == [schedule(k) for k in range(6)]


def test_a_trillion_steps_at_one_learning_rate_take_no_room():
    lrs = plan_lrs([(0, 0.1), (10**11, 0.01)], 10**12)
    assert lrs.part(10**11 - 1, 10**11 + 1).tolist() == [0.1, 0.01]
    history = train(ToyRun(), steps=10**12, evaluate_every=50, callbacks=[lambda at: True])
    assert len(history.loss) == 50


@given(st.lists(st.sampled_from([0.1, 0.2]), min_size=1), st.integers(0, 9), st.data())
def test_learning_rates_that_take_over_from_others(lrs, step, data):
    other = data.draw(st.lists(st.sampled_from([0.1, 0.3]), min_size=step + 1))
    both = plan_lrs(np.array(lrs * 10), len(lrs) * 10).then(
        step, plan_lrs(np.array(other), len(other))
    )
    assert both.part(0, len(other)).tolist() == (lrs * 10)[:step] + other[step:]
    assert (np.diff(both.starts) > 0).all()


@pytest.mark.parametrize(
    ("lr", "error", "message"),
    [
        (math.nan, ValueError, "lr is nan;"),
        (-0.1, ValueError, "lr is -0.1;"),
        ("fast", TypeError, "lr is 'fast';"),
        (None, TypeError, "lr is None;"),
        ([], ValueError, "lr is empty"),
        ([0.1], TypeError, r"lr\[0\] is 0.1;"),
        ([(1, 0.1)], ValueError, r"lr\[0\] starts at step 1;"),
        ([(0, 0.1), (0, 0.2)], ValueError, r"lr\[1\] starts at step 0;"),
        ([(0, math.inf)], ValueError, r"lr\[0\] is inf"),
        (lambda step: 0.1 if step < 7 else math.nan, ValueError, r"lr\(7\) is nan"),
        (lambda step: "high", TypeError, r"lr\(0\) is 'high';"),
        (lambda step: None, TypeError, r"lr\(0\) is None;"),
        (lambda step: 10**400, ValueError, r"lr\(0\) is 10.*;"),
        (10**400, ValueError, "lr is 10.*;"),
        ("0.1", TypeError, "lr is '0.1';"),
        (b"0.1", TypeError, "lr is b'0.1';"),
        (np.full(9, 0.1), ValueError, r"array of shape \(9,\);"),
        (np.ones((10, 2)), ValueError, r"array of shape \(10, 2\);"),
        (np.full(10, math.nan), ValueError, r"lr\[0\] is nan;"),
    ],
)
def test_bad_learning_rates_are_named_before_anything_happens(lr, error, message):
    with pytest.raises(error, match=message):
        make_plan(steps=10, lr=lr)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps is 0;"),
        ({"steps": 1.5}, TypeError, "steps is 1.5;"),
        ({"steps": True}, TypeError, "steps is True;"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every is 0"),
        ({"patience": 0}, ValueError, "patience is 0"),
        ({"callbacks": print}, TypeError, "callbacks is .*print.*;"),
        ({"callbacks": None}, TypeError, "callbacks is None;"),
        ({"checkpoint": 3}, TypeError, "checkpoint is 3;"),
        ({"log": b"log"}, TypeError, "log is b'log';"),
        ({"callbacks": [3]}, TypeError, r"callbacks is \(3,\);"),
        ({"log": f"{__file__}/log.jsonl"}, NotADirectoryError, "test_plans.py is no folder"),
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

    def _start(self, train, dev=None, **options):
        self.runs.append(ToyRun(**self.options))
        return self.runs[-1]


def test_the_finder_goes_up_evenly_in_the_exponent():
    sweep = lr_find(ToyModel(), ["a"], min_lr=1e-3, max_lr=1.0, steps=1000)
    assert np.log10(sweep.lrs) == pytest.approx(np.linspace(-3, 0, 1000), abs=1e-12)
    assert sweep.losses == pytest.approx(toy_run.plain_steps(5.0, sweep.lrs)[1])


def test_the_finder_ends_where_the_loss_does():
    model = ToyModel(nan_at=700)
    sweep = lr_find(model, ["a"], steps=1000)
    assert len(sweep.lrs) == len(sweep.losses) == 700
    assert np.isfinite(sweep.losses).all()
    assert model.runs[0].chunks == [(0, 1000)]


def test_the_lowest_learning_rate_is_that_of_the_valley():
    lrs = 10 ** np.linspace(-3, 0, 601)
    sweep = LRSweep(lrs, 2 + np.abs(np.log10(lrs) + 1.0))
    assert sweep.best() == pytest.approx(0.1, rel=0.05)


def test_the_finder_says_what_is_wrong():
    with pytest.raises(TypeError, match="model is 'names';"):
        lr_find("names", ["a"])
    with pytest.raises(TypeError, match="max_lr is '1';"):
        lr_find(ToyModel(), ["a"], max_lr="1")


def test_histories_and_sweeps_print_in_a_line():
    assert repr(History()) == "History(0 steps)"
    history = train(ToyRun(), evaluate_every=10)
    best = int(np.argmin(history.dev_loss))
    assert repr(history) == (
        f"History(40 steps; last loss {history.loss[-1]:.4f}; best dev loss"
        f" {history.dev_loss[best]:.4f} at {10 * (best + 1)}; finished)"
    )
    assert repr(train(ToyRun(dev=False), steps=1)) == "History(1 step; last loss 25.0000; finished)"
    sweep = LRSweep(np.array([0.001, 0.1, 1.0]), np.array([3.0, 2.0, 4.0]))
    assert repr(sweep) == "LRSweep(3 learning rates from 0.001 to 1; lowest loss at 0.1)"
    assert repr(LRSweep(np.ones(0), np.ones(0))) == "LRSweep(0 learning rates)"


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.1), (0.1, math.inf), (math.nan, 1.0)])
def test_the_finder_refuses_ends_that_are_none(ends):
    with pytest.raises(ValueError, match="expected 0 < min_lr < max_lr"):
        lr_find(ToyModel(), ["a"], min_lr=ends[0], max_lr=ends[1])
