"""Vocabularies that the model goes over in tiles, held against numpy and against itself."""

import numpy as np
import pytest
import slow_nplm
from fastgrad import _core
from nplm_cases import assert_close, example

TILE = 192  # as in rust/core/src/nplm/batch.rs
VOCABULARIES = [1, TILE - 1, TILE, TILE + 1, 3 * TILE + 5]
THREE_TILES = (3 * TILE + 5, 2, 5, 9, True)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_tiles_leave_no_trace(vocabulary, direct, tied):
    params, inputs, targets = example((vocabulary, 3, 4, 13, direct, tied), 70)
    targets[:2] = 0, vocabulary - 1
    loss, gradients = _core.nplm_gradients(params, inputs, targets, threads=2)
    slow_loss, slow_gradients = slow_nplm.gradients(params, inputs, targets)
    assert loss == pytest.approx(slow_loss, rel=1e-12, abs=1e-13)
    assert _core.nplm_loss(params, inputs, targets) == pytest.approx(loss, rel=1e-13, abs=1e-14)
    if vocabulary > 1:
        assert_close(gradients, slow_gradients, 1e-12)
    p = _core.nplm_probabilities(params, inputs)
    np.testing.assert_allclose(p, slow_nplm.probabilities(params, inputs), rtol=1e-12)


@pytest.mark.parametrize("vocabulary", [TILE + 1, 3 * TILE + 5])
def test_gradients_are_the_slopes_of_the_loss(vocabulary):
    params, inputs, targets = example((vocabulary, 2, 3, 5, True), 40)
    _, gradients = _core.nplm_gradients(params, inputs, targets)
    step = 1e-5  # rounding costs 1e-16/step, the cubic term step²: 1e-11 and 1e-10
    for name, p in params.items():
        flat, slopes = p.reshape(-1), gradients[name].reshape(-1)
        for place in {0, p.size // 2, p.size - 1, int(np.abs(slopes).argmax())}:
            start = flat[place]
            flat[place] = start + step
            up = _core.nplm_loss(params, inputs, targets)
            flat[place] = start - step
            down = _core.nplm_loss(params, inputs, targets)
            flat[place] = start
            assert slopes[place] == pytest.approx((up - down) / (2 * step), abs=2e-10), name


def test_single_precision_is_double_precision_rounded():
    params, inputs, targets = example((5000, 2, 8, 30, True), 100, dtype=np.float32)
    loss, gradients = _core.nplm_gradients(params, inputs, targets)
    doubles = {name: p.astype(float) for name, p in params.items()}
    exact_loss, exact = _core.nplm_gradients(doubles, inputs, targets)
    assert loss == pytest.approx(exact_loss, rel=200 * 2**-24)
    assert_close(gradients, exact, 200 * 2**-24)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits_are_as_good_as_others(dtype, order):
    # The largest logit is in the last tile, or in the first.
    params, inputs, targets = example(THREE_TILES, 70, dtype=dtype)
    params["b"] = np.linspace(-1e4, 1e4, len(params["b"]), dtype=dtype)[::order].copy()
    loss, gradients = _core.nplm_gradients(params, inputs, targets)
    doubles = {name: p.astype(float) for name, p in params.items()}
    slow_loss, slow_gradients = slow_nplm.gradients(doubles, inputs, targets)
    assert np.isfinite(loss)
    rounding = 2000 * float(np.finfo(dtype).eps)  # of logits of 1e4, whose differences count
    assert loss == pytest.approx(slow_loss, rel=rounding)
    assert all(np.isfinite(g).all() for g in gradients.values())
    assert_close({"b": gradients["b"]}, {"b": slow_gradients["b"]}, 10 * rounding)
    p = _core.nplm_probabilities(params, inputs)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, TILE, -1])
def test_what_is_not_finite_is_noticed_in_every_tile(bad, place):
    params, inputs, targets = example(THREE_TILES, 40, dtype=np.float32)
    params["b"][place] = bad
    losses = _core.nplm_train(params, [], inputs, targets, batch=40, rates=np.full(3, 0.1))
    assert len(losses) == 0


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", slow_nplm.OPTIMIZERS)
def test_training_is_what_numpy_does(name, tied):
    params, inputs, targets = example((*THREE_TILES, tied), 90)
    rule, sets = slow_nplm.OPTIMIZERS[name]
    state, slow_state = (
        [{k: np.zeros_like(p) for k, p in params.items()} for _ in range(sets)] for _ in range(2)
    )
    slow = {k: p.copy() for k, p in params.items()}
    rates = np.linspace(0.2, 0.01, 10)
    constants = {"momentum": 0.8, "betas": (0.8, 0.95), "eps": 1e-3}
    losses = _core.nplm_train(
        params, state, inputs, targets, batch=33, rates=rates, seed=5,
        optimizer=name, weight_decay=0.1, threads=2, **constants,
    )  # fmt: skip
    for step, (rate, loss) in enumerate(zip(rates, losses, strict=True)):
        rows = slow_nplm.batch_of(5, step, 33, len(targets))
        slow_loss, grads = slow_nplm.gradients(slow, inputs[rows], targets[rows])
        assert loss == pytest.approx(slow_loss, rel=1e-10)
        how = (step, rate, 0.1, constants)
        slow_nplm.update(rule, slow, slow_state, grads, inputs[rows], *how)
    assert_close(params, slow, 1e-9)


def test_a_large_mini_batch_is_made_in_parts():
    params, inputs, targets = example(THREE_TILES, 3000)
    slow = {k: p.copy() for k, p in params.items()}
    rows = slow_nplm.batch_of(7, 0, 2100, len(targets))
    rates = np.full(1, 0.5)
    [loss] = _core.nplm_train(params, [], inputs, targets, batch=2100, rates=rates, seed=7)
    slow_loss, grads = slow_nplm.gradients(slow, inputs[rows], targets[rows])
    assert loss == pytest.approx(slow_loss, rel=1e-12)
    assert_close(params, {k: p - 0.5 * grads[k] for k, p in slow.items()}, 1e-12)


@pytest.mark.parametrize("kind", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("name", slow_nplm.OPTIMIZERS)
def test_threads_change_nothing(name, kind):
    start, inputs, targets = example((5000, 2, 8, 30, *kind), 500, dtype=np.float32)
    results = []
    for threads in (1, 2, 3, 4):
        params = {k: p.copy() for k, p in start.items()}
        sets = slow_nplm.OPTIMIZERS[name][1]
        state = [{k: np.zeros_like(p) for k, p in params.items()} for _ in range(sets)]
        losses = _core.nplm_train(
            params, state, inputs, targets, batch=300, rates=np.full(3, 0.01), optimizer=name,
            threads=threads,
        )  # fmt: skip
        arrays = [p for numbers in [params, *state] for p in numbers.values()]
        results.append([losses.tobytes(), *(p.tobytes() for p in arrays)])
    assert results[1:] == results[:-1]
