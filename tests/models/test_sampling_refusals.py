"""What cannot be sampled, by name; and long work, which tells of itself and can be ended."""

import _thread
import signal
import threading

import numpy as np
import pytest
from fastgrad._core import TableSampler, draw_rows
from fastgrad.sampling import sample
from plain_models import FEW, ArrayModel

# Bad input ---------------------------------------------------------------------------------------

WRONG = {
    "n below 0": ({"n": -1}, ValueError, "n is -1;"),
    "n of a float": ({"n": 1.5}, TypeError, r"n is 1\.5;"),
    "seed below 0": ({"seed": -1}, ValueError, "seed is -1;"),
    "seed too large": ({"seed": 2**64}, ValueError, "seed is 18446744073709551616;"),
    "temperature below 0": ({"temperature": -0.1}, ValueError, r"temperature is -0\.1;"),
    "temperature nan": ({"temperature": float("nan")}, ValueError, "temperature is nan;"),
    "temperature of a str": ({"temperature": "hot"}, TypeError, "temperature is 'hot';"),
    "top_k 0": ({"top_k": 0}, ValueError, "top_k is 0;"),
    "top_p 0": ({"top_p": 0}, ValueError, "top_p is 0;"),
    "top_p above 1": ({"top_p": 1.5}, ValueError, r"top_p is 1\.5;"),
    "top_p nan": ({"top_p": float("nan")}, ValueError, "top_p is nan;"),
    "top_p of a str": ({"top_p": "0.9"}, TypeError, "top_p is '0.9';"),
    "temperature with top_p": ({"top_p": 0.5, "temperature": -1}, ValueError, "temperature is -1;"),
    "unknown words": ({"unk": True}, ValueError, "unk is True"),
    "misspelt": ({"temprature": 2}, TypeError, "did you mean temperature"),
    "from elsewhere": ({"num_samples": 2}, TypeError, "did you mean n[?]"),
    "threads 0": ({"threads": 0}, ValueError, "threads is 0;"),
    "max_length 0": ({"max_length": 0}, ValueError, "max_length is 0;"),
    "long prompt": ({"prompt": "dada", "max_length": 3}, ValueError, "prompt has 4 tokens; exp"),
    "prompt of an int": ({"prompt": 5}, TypeError, "prompt is 5;"),
    "strange prompt": ({"prompt": "dax"}, ValueError, "character 'x'"),
    "boundary": ({"prompt": "d.a"}, ValueError, r"character '\.'"),
}


@pytest.mark.parametrize("tabled", [True, False])
@pytest.mark.parametrize(("settings", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_settings(settings, error, message, tabled):
    if not tabled and "threads" in settings:
        return
    with pytest.raises(error, match=message):
        sample(ArrayModel.of(FEW, tabled=tabled), **settings)


def test_what_is_no_model():
    with pytest.raises(TypeError, match="model is 'emma';"):
        sample("emma")  # pyright: ignore[reportArgumentType]


ROWS = {
    "negative": ([[1.5, -0.5], [1.0, 0.0]], r"probabilities\[0, 1\] is -0\.5;"),
    "nan": ([[1.0, 0.0], [np.nan, 1.0]], r"probabilities\[1, 0\] is NaN"),
    "inf": ([[1.0, 0.0], [np.inf, 0.0]], r"probabilities\[1, 0\] is inf"),
    "counts": ([[1.0, 0.0], [5.0, 3.0]], r"probabilities\[1\] sums to 8\.0;"),
}


@pytest.mark.parametrize(("rows", "message"), ROWS.values(), ids=ROWS)
def test_rows_that_are_no_distributions(rows, message):
    rows = np.array(rows)
    with pytest.raises(ValueError, match=message):
        TableSampler(rows, 1)
    with pytest.raises(ValueError, match=message):
        draw_rows(rows, np.zeros(2, np.uint64), 0, 0)


def test_rows_may_be_off_by_the_rounding_of_f32():
    rows = np.full((3, 3), 1 / 3, dtype=np.float32) * np.float32(1.00001)
    assert draw_rows(rows.astype(np.float64), np.zeros(3, np.uint64), 0, 0).shape == (3,)


def test_arrays_of_the_wrong_kind():
    rows, streams = np.full((2, 2), 0.5), np.zeros(2, np.uint64)
    with pytest.raises(ValueError, match=r"shape \(2, 2\) and context is 2;"):
        TableSampler(rows, 2)
    with pytest.raises(ValueError, match="context of at least 1"):
        TableSampler(rows, 0)
    with pytest.raises(ValueError, match="context of at least 1"):
        TableSampler(np.ones((2, 1)), 1)
    with pytest.raises(ValueError, match=r"shape \(1, 0\);"):
        TableSampler(np.ones((1, 0)), 1)
    with pytest.raises(TypeError, match="probabilities is of type list;"):
        TableSampler([[1.0]], 1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"has dtype float32;.*float64"):
        draw_rows(rows.astype(np.float32), streams, 0, 0)
    with pytest.raises(ValueError, match="probabilities has 1 dimensions;"):
        draw_rows(rows[0], streams, 0, 0)
    with pytest.raises(ValueError, match="streams has length 2;"):
        draw_rows(rows[:1], streams, 0, 0)
    with pytest.raises(TypeError, match=r"streams has dtype int64;.*uint64"):
        draw_rows(rows, streams.astype(np.int64), 0, 0)


def test_the_sampler_of_the_core_checks_too():
    sampler = TableSampler(np.full((3, 3), 1 / 3), 1)
    for prompt, message in [([0], r"prompt\[0\] is 0"), ([1, 3], r"prompt\[1\] is 3;")]:
        with pytest.raises(ValueError, match=message):
            sampler.sample(1, 0, prompt, 5, "ab")
    with pytest.raises(ValueError, match="characters has 3 of them;"):
        sampler.sample(1, 0, [], 5, "abc")
    with pytest.raises(ValueError, match="max_length is 1;"):
        sampler.sample(1, 0, [1, 2], 1, "ab")
    with pytest.raises(ValueError, match="threads is 0"):
        sampler.sample(1, 0, [], 1, "ab", threads=0)
    assert TableSampler(np.ones((1, 1)), 1).sample(2, 0, [], 5, "") == ["", ""]


def test_views_are_read_in_their_order(few):
    columns = np.asfortranarray(few.rows)
    assert sample(ArrayModel("adin", columns), 20) == sample(few, 20)
    streams = np.arange(10, dtype=np.uint64)
    straight = draw_rows(few.rows, np.ascontiguousarray(streams[::2]), 0, 0)
    assert draw_rows(columns, streams[::2], 0, 0).tolist() == straight.tolist()


@pytest.mark.parametrize(("n", "tabled"), [(1, True), (1, False), (50_000, True), (5000, False)])
def test_a_dead_end_is_named(tabled, n):
    # a is followed by b, and nothing by b.
    model = ArrayModel("ab", [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], tabled)
    with pytest.raises(ValueError, match=r"no probability to any (symbol|token) after 'b'"):
        sample(model, n)
    assert sample(model, n, max_length=2) == ["ab"] * n
    nothing = ArrayModel("ab", np.zeros((3, 3)), tabled)
    with pytest.raises(ValueError, match=r"no probability to any first (symbol|token)"):
        sample(nothing, n, temperature=0)


# Long work ---------------------------------------------------------------------------------------


def test_progress_is_told(few):
    told = []
    sampler = TableSampler(few.rows, 1)
    items = sampler.sample(30_000, 0, [], 100, "adin", threads=2, progress=told.append)
    assert len(items) == told[-1] == 30_000
    assert told == sorted(told)
    told.clear()
    sampler.sample(3, 0, [], 100, "adin", progress=told.append)
    assert told == [3]


def test_an_exception_in_progress_ends_the_work(few):
    def stop(done):
        raise RuntimeError("enough")

    sampler = TableSampler(few.rows, 1)
    with pytest.raises(RuntimeError, match="enough"):
        sampler.sample(10**9, 0, [], 100, "adin", progress=stop)


@pytest.mark.parametrize("settings", [{"n": 10**10}, {"n": 1, "max_length": 10**9}])
def test_interrupts_are_answered(settings):
    endless = ArrayModel("ab", np.full((3, 3), [0.0, 0.5, 0.5]))
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        pytest.skip("somebody else answers Ctrl-C here")
    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sample(endless, **settings)
    timer.join()
