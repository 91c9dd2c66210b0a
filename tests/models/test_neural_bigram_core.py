"""The neural bigram's loss, gradient and training in the core, on arrays."""

import _thread
import signal
import threading

import numpy as np
import pytest
from fastgrad._core import bigram_loss_and_gradient, normal_numbers, train_bigram
from hypothesis import given
from hypothesis import strategies as st

# Reference ---------------------------------------------------------------------------------------


def slow_loss_and_gradient(w, dense, penalty):
    """By the formula, with a dense array of counts."""
    largest = w.max(axis=1, keepdims=True)
    logs = w - largest - np.log(np.exp(w - largest).sum(axis=1, keepdims=True))
    total = dense.sum()
    data = -(dense * logs).sum() / total
    gradient = (dense.sum(axis=1, keepdims=True) * np.exp(logs) - dense) / total
    gradient += 2 * penalty * w / w.size
    return data + penalty * (w * w).mean(), data, gradient


def entries(dense, order=2):
    """List what a dense array of counts (V**(n - 1), V) holds: ids (K, n) and counts (K,)."""
    dense = np.asarray(dense).reshape((np.shape(dense)[1],) * order)
    return np.argwhere(dense > 0).astype(np.uint32), dense[dense > 0].astype(np.uint64)


def counts_of(names, order=2):
    symbols = [".", *sorted(set("".join(names)))]
    ids = {symbol: i for i, symbol in enumerate(symbols)}
    dense = np.zeros((len(symbols) ** (order - 1), len(symbols)))
    for name in names:
        row = 0
        for symbol in [*(ids[letter] for letter in name), 0]:
            dense[row, symbol] += 1
            row = (row * len(symbols) + symbol) % len(dense)
    return dense


def start(shape, seed=None):
    """Weights, zeros or normal, and a velocity of zeros."""
    w = np.zeros(shape)
    if seed is not None:
        w[:] = normal_numbers(w.size, seed).reshape(shape)
    return w, np.zeros(shape)


SMALL = counts_of(["ada", "dana", "nadia", "ida", "dina", "ana", "nina", "adina", "diana", "ian"])
SMALL_IDS, SMALL_COUNTS = entries(SMALL)


# It finds the counting model ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize(
    ("penalty", "total", "data"), [(0.01, 2.480399, 2.460362), (0.0, 2.454014, 2.454014)]
)
def test_the_optimum_of_names(names, seed, penalty, total, data):
    ids, counts = entries(counts_of(names))
    w, velocity = start((27, 27), seed)
    losses = train_bigram(w, velocity, ids, counts, steps=4000, penalty=penalty)
    found = bigram_loss_and_gradient(w, ids, counts, penalty)
    assert found[:2] == pytest.approx((total, data), abs=1e-6)
    assert losses[0] > losses[10] > losses[100] > found[0]


def test_the_probabilities_are_the_shares(names):
    dense = counts_of(names)
    w, velocity = start(dense.shape)
    train_bigram(w, velocity, *entries(dense), steps=4000)
    softmax = np.exp(w) / np.exp(w).sum(axis=1, keepdims=True)
    shares = dense / dense.sum(axis=1, keepdims=True)
    assert np.abs(softmax - shares).max() < 1e-3


def test_the_lectures_gradient_descent_gets_close(names):
    ids, counts = entries(counts_of(names))
    w, velocity = start((27, 27), 0)
    losses = train_bigram(w, velocity, ids, counts, steps=300, lr=50.0, penalty=0.01)
    assert losses[0] > 3.5
    assert losses[-1] == pytest.approx(2.4815, abs=1e-3)


def test_momentum_finds_the_optimum_too(names):
    ids, counts = entries(counts_of(names))
    w, velocity = start((27, 27), 0)
    train_bigram(w, velocity, ids, counts, steps=1000, lr=50.0, momentum=0.9, penalty=0.01)
    assert bigram_loss_and_gradient(w, ids, counts, 0.01)[0] == pytest.approx(2.480399, abs=1e-6)


def test_trigrams(names):
    ids, counts = entries(counts_of(names, order=3), order=3)
    w, velocity = start((27 * 27, 27))
    train_bigram(w, velocity, ids, counts, steps=500)
    # Counting gives 2.185743; without a penalty the last digits take thousands of steps.
    assert bigram_loss_and_gradient(w, ids, counts)[0] == pytest.approx(2.185743, abs=2e-4)


# Agreement with the formula ------------------------------------------------------------------


@pytest.mark.slow
@given(st.data())
def test_loss_and_gradient_follow_the_formula(data):
    size, order = data.draw(st.integers(1, 6)), data.draw(st.sampled_from([2, 3]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    shape = (size ** (order - 1), size)
    dense = rng.integers(0, 5, shape) * rng.integers(0, 2, shape)
    dense[-1, -1] += 1
    w = rng.normal(scale=data.draw(st.sampled_from([0.1, 1.0, 30.0])), size=shape)
    penalty = data.draw(st.sampled_from([0.0, 0.01, 2.0]))
    expected = slow_loss_and_gradient(w, dense, penalty)
    found = bigram_loss_and_gradient(w, *entries(dense, order), penalty)
    assert found[:2] == pytest.approx(expected[:2], rel=1e-12, abs=1e-12)
    assert found[2] == pytest.approx(expected[2], rel=1e-11, abs=1e-13)


@pytest.mark.parametrize(("lr", "momentum"), [(5.0, 0.0), (5.0, 0.9), (None, 0.0)])
def test_steps_follow_the_formula(lr, momentum):
    w, velocity = start(SMALL.shape, 3)
    slow_w, slow_v = w.copy(), velocity.copy()
    curvature = 0.5 * SMALL.sum(axis=1, keepdims=True) / SMALL.sum() + 2 * 0.01 / w.size
    expected = []
    for t in range(50):
        loss, _, g = slow_loss_and_gradient(slow_w, SMALL, 0.01)
        expected.append(loss)
        if lr is not None:
            slow_v = momentum * slow_v + g
            slow_w = slow_w - lr * slow_v
            continue
        uphill = (g * slow_v).sum(axis=1, keepdims=True) > 0
        slow_v = np.where(uphill, 0.0, max(t - 1, 0) / (t + 2) * slow_v) - g / curvature
        slow_w = slow_w + t / (t + 3) * slow_v - g / curvature
    settings = {"lr": lr, "momentum": momentum, "penalty": 0.01}
    losses = train_bigram(w, velocity, SMALL_IDS, SMALL_COUNTS, steps=50, **settings)
    assert losses.tolist() == pytest.approx(expected, rel=1e-12)
    assert w == pytest.approx(slow_w, rel=1e-9, abs=1e-11)
    assert velocity == pytest.approx(slow_v, rel=1e-9, abs=1e-11)


def test_large_logits_do_no_harm():
    w = np.array([[1e300, -1e300], [1000.0, 1000.0]])
    ids, counts = np.array([[0, 0], [1, 0]], np.uint32), np.array([1, 1], np.uint64)
    total, data, gradient = bigram_loss_and_gradient(w, ids, counts)
    assert total == data == pytest.approx(np.log(2) / 2)
    assert gradient.tolist() == [[0.0, 0.0], [-0.25, 0.25]]


def test_the_order_of_entries_and_repeats_do_not_matter():
    w, _ = start(SMALL.shape, 3)
    ids = np.concatenate([SMALL_IDS[::-1], SMALL_IDS])
    counts = np.concatenate([SMALL_COUNTS[::-1], SMALL_COUNTS])
    once = bigram_loss_and_gradient(w, SMALL_IDS, SMALL_COUNTS, 0.1)
    twice = bigram_loss_and_gradient(w, ids, counts, 0.1)
    assert once[:2] == pytest.approx(twice[:2], rel=1e-14)
    assert once[2] == pytest.approx(twice[2], rel=1e-12, abs=1e-15)


# Chunks and batches -------------------------------------------------------------------------------

KINDS = [{}, {"lr": 5.0, "momentum": 0.9}, {"lr": 1.0, "batch": 8, "seed": 5}]


@pytest.mark.parametrize("settings", KINDS, ids=["whole", "momentum", "batch"])
@pytest.mark.parametrize("cuts", [[40], [1] * 40, [7, 0, 32, 1]])
def test_any_cut_into_calls_gives_the_same_bits(settings, cuts):
    w, velocity = start(SMALL.shape, 3)
    whole = train_bigram(w, velocity, SMALL_IDS, SMALL_COUNTS, steps=40, penalty=0.01, **settings)
    again, again_velocity = start(SMALL.shape, 3)
    losses, first = [], 0
    for steps in cuts:
        state = (again, again_velocity, SMALL_IDS, SMALL_COUNTS)
        part = train_bigram(*state, steps=steps, first_step=first, penalty=0.01, **settings)
        losses += part.tolist()
        first += steps
    assert losses == whole.tolist()
    assert (again.tobytes(), again_velocity.tobytes()) == (w.tobytes(), velocity.tobytes())


def test_batches_are_drawn_by_their_counts():
    w, velocity = start(SMALL.shape)
    # A single step of rate 1 without a penalty leaves minus the gradient of the batch.
    train_bigram(w, velocity, SMALL_IDS, SMALL_COUNTS, steps=1, lr=1.0, batch=1_000_000)
    whole = bigram_loss_and_gradient(np.zeros_like(w), SMALL_IDS, SMALL_COUNTS)[2]
    assert -w == pytest.approx(whole, abs=2e-3)
    assert not np.array_equal(-w, whole)


def test_a_batch_of_one_example_is_one_example():
    w, velocity = start(SMALL.shape)
    train_bigram(w, velocity, SMALL_IDS, SMALL_COUNTS, steps=1, lr=1.0, batch=1, seed=2)
    context, target = np.argwhere(w > 0)[0]
    expected = np.zeros_like(w)
    expected[context] = -1 / 5
    expected[context, target] += 1
    assert w == pytest.approx(expected)


def test_seed_and_step_decide_the_batch():
    def losses(seed, first):
        w, velocity = start(SMALL.shape, 3)
        settings = {"steps": 3, "lr": 0.0, "batch": 4, "seed": seed, "first_step": first}
        return train_bigram(w, velocity, SMALL_IDS, SMALL_COUNTS, **settings).tolist()

    assert losses(1, 0) == losses(1, 0)
    assert losses(1, 0) != losses(2, 0)
    assert losses(1, 0)[1:] == losses(1, 1)[:2]


# Random numbers -----------------------------------------------------------------------------------


def test_normal_numbers_are_the_same_everywhere():
    expected = [-0.08973071043836606, -1.2423844531114518, 1.51605659840657]
    assert normal_numbers(3, 42, 7).tolist() == expected
    assert normal_numbers(10_000, 42, 7)[:3].tolist() == expected
    assert normal_numbers(0, 0).shape == (0,)


# Bad input ----------------------------------------------------------------------------------------


def given_arguments(**changes):
    w, velocity = start(SMALL.shape, 3)
    arguments = {"w": w, "velocity": velocity, "ids": SMALL_IDS, "counts": SMALL_COUNTS, "steps": 2}
    return {**arguments, **changes}


def read_only(array):
    array.flags.writeable = False
    return array


WRONG = {
    "penalty below 0": ({"penalty": -1.0}, ValueError, r"penalty is -1\.0;"),
    "penalty nan": ({"penalty": np.nan}, ValueError, "penalty is NaN"),
    "lr below 0": ({"lr": -0.5}, ValueError, r"lr is -0\.5"),
    "lr inf": ({"lr": np.inf}, ValueError, "lr is inf"),
    "momentum 1": ({"lr": 1.0, "momentum": 1.0}, ValueError, r"momentum is 1\.0;"),
    "momentum alone": ({"momentum": 0.5}, ValueError, r"momentum is 0\.5 without lr"),
    "batch 0": ({"lr": 1.0, "batch": 0}, ValueError, "batch is 0;"),
    "batch alone": ({"batch": 4}, ValueError, "lr is None with a batch"),
    "list": ({"w": [[0.0]]}, TypeError, "w is of type list;"),
    "float32": ({"w": np.zeros((5, 5), np.float32)}, TypeError, "w has dtype float32"),
    "one dimension": ({"w": np.zeros(25)}, ValueError, "w has 1 dimensions;"),
    "wrong shape": ({"w": np.zeros((5, 4))}, ValueError, r"w has shape \(5, 4\) and ids hold 2-"),
    "Fortran": ({"w": np.zeros((5, 5), order="F")}, ValueError, "w is not C-contiguous"),
    "read-only": ({"w": read_only(np.zeros((5, 5)))}, ValueError, "w is read-only"),
    "velocity": ({"velocity": np.zeros((4, 5))}, ValueError, r"velocity has shape \(4, 5\)"),
    "ids of int64": ({"ids": SMALL_IDS.astype(int)}, TypeError, "ids has dtype int64"),
    "ids too large": ({"ids": SMALL_IDS + 1}, ValueError, r"ids\[3, 1\] is 5;"),
    "unigrams": ({"ids": SMALL_IDS[:, :1]}, ValueError, "ids hold 1-grams"),
    "no counts": ({"counts": SMALL_COUNTS * 0}, ValueError, "counts has no count above 0"),
    "few counts": (
        {"counts": SMALL_COUNTS[:3]},
        ValueError,
        r"counts has length 3;",
    ),
    "huge lr": ({"lr": 1e308}, FloatingPointError, r"the loss is .* at step 1"),
}


@pytest.mark.parametrize(("changes", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_change_nothing(changes, error, message):
    changes = {"penalty": 0.01, "steps": 5, **changes}
    arguments = given_arguments(**changes)
    before = arguments["w"].copy() if isinstance(arguments["w"], np.ndarray) else None
    with pytest.raises(error, match=message):
        train_bigram(**arguments)
    if before is not None:
        assert np.array_equal(arguments["w"], before)


def test_the_same_array_twice_is_refused():
    w, _ = start(SMALL.shape, 3)
    with pytest.raises(ValueError, match="velocity is in use by another call"):
        train_bigram(w, w, SMALL_IDS, SMALL_COUNTS, steps=1)


def test_weights_that_are_not_finite_are_noticed():
    arguments = given_arguments(w=np.full((5, 5), np.nan))
    with pytest.raises(FloatingPointError, match="the loss is NaN at step 0"):
        train_bigram(**arguments)


def test_progress_is_told_and_may_stop_the_work():
    told = []
    train_bigram(**given_arguments(steps=30000, progress=told.append))
    assert told[-1] == 30000
    assert told == sorted(told)
    told.clear()
    train_bigram(**given_arguments(steps=60_000, progress=told.append))
    assert told[-1] == 60_000
    assert told == sorted(told)

    def stop(done):
        raise RuntimeError("enough")

    arguments = given_arguments(steps=10**6, progress=stop)
    before = arguments["w"].copy()
    with pytest.raises(RuntimeError, match="enough"):
        train_bigram(**arguments)
    assert np.array_equal(arguments["w"], before)


def test_interrupts_are_answered_and_change_nothing():
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        pytest.skip("somebody else answers Ctrl-C here")
    arguments = given_arguments(steps=3_000_000)
    before = arguments["w"].copy()
    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        train_bigram(**arguments)
    timer.join()
    assert np.array_equal(arguments["w"], before)
    assert not arguments["velocity"].any()
