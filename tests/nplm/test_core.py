"""The compiled neural language model, held against scalar Values, numpy, and itself."""

import doctest
import itertools

import numpy as np
import pytest
import slow_nplm
from fastgrad import _core, engine
from hypothesis import given, settings
from hypothesis import strategies as st
from nplm_cases import assert_close, assert_same, copied, example, zeros_like

SIZES = st.tuples(
    st.integers(1, 40),  # vocabulary
    st.integers(1, 5),  # context
    st.integers(1, 20),  # features
    st.integers(0, 70),  # hidden
    st.booleans(),  # direct
    st.booleans(),  # tied
).filter(lambda sizes: sizes[3] > 0 or sizes[4])
SHARES = st.tuples(*[st.sampled_from([0.0, 0.1, 0.5, 0.9])] * 2)
STEPS = 40


# Programs -----------------------------------------------------------------------------------------


def windows(text, context, boundary="."):
    """Turn lines into contexts and next symbols."""
    letters = sorted(set("".join(text)))
    ids = {boundary: 0, **{letter: i + 1 for i, letter in enumerate(letters)}}
    inputs, targets = [], []
    for line in text:
        padded = [0] * context + [ids[c] for c in line] + [0]
        for i in range(len(line) + 1):
            inputs.append(padded[i : i + context])
            targets.append(padded[i + context])
    return np.array(inputs, np.uint32), np.array(targets, np.uint32), len(ids)


def test_a_cycle_of_letters_is_learned_by_heart():
    inputs, targets, vocabulary = windows(["abcd" * 5], 2)
    keep = slice(2, -1)  # what follows is certain here
    params, *_ = example((vocabulary, 2, 4, 16, False), 1, dtype=np.float32)
    rates = np.full(400, 0.5)
    losses = _core.nplm_train(params, [], inputs[keep], targets[keep], batch=8, rates=rates)
    assert losses.shape == (400,)
    assert losses[0] > 1
    assert _core.nplm_loss(params, inputs[keep], targets[keep]) < 0.01
    after = _core.nplm_probabilities(params, np.array([[1, 2]], np.uint32))
    assert after.argmax() == 3
    assert after.max() > 0.99


@pytest.mark.slow
def test_names_are_learned_as_in_the_lecture(names_file):
    names = names_file.read_text(encoding="utf-8").split()
    inputs, targets, vocabulary = windows(names, 3)
    rng = np.random.default_rng(1)
    params = slow_nplm.random_params(rng, (vocabulary, 3, 10, 200, False), np.float32, 1.0)
    params["H"] *= 5 / 3 / 30**0.5
    params["U"] *= 0.01
    params["b"] *= 0
    rates = np.repeat([0.1, 0.01], [4000, 1000])
    losses = _core.nplm_train(params, [], inputs, targets, batch=32, rates=rates, seed=3)
    assert losses[0] == pytest.approx(np.log(27), abs=0.1)
    assert _core.nplm_loss(params, inputs, targets) < 2.30


@pytest.mark.parametrize("name", [n for n in _core.__all__ if n.startswith("nplm")])
def test_docstrings_show_what_happens(name):
    function = getattr(_core, name)
    parser = doctest.DocTestParser()
    shown = parser.get_doctest(function.__doc__, {name: function}, name, None, 0)
    failed, attempted = doctest.DocTestRunner().run(shown)
    assert (failed, attempted > 3) == (0, True)


# Against oracles ----------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=200)
@given(
    sizes=st.tuples(
        *[st.integers(1, 5)] * 3, st.integers(0, 6), st.booleans(), st.booleans()
    ).filter(lambda sizes: sizes[3] > 0 or sizes[4]),
    count=st.integers(1, 4),
    shares=SHARES,
    seed=st.integers(0, 2**32),
)
def test_gradients_are_those_of_the_network_of_values(sizes, count, shares, seed):
    params, inputs, targets = example(sizes, count, seed)
    draw = {"dropout": shares, "seed": seed, "step": seed // 3}
    loss, gradients = _core.nplm_gradients(params, inputs, targets, **draw)
    factors = slow_nplm.dropout_factors(shares, seed, seed // 3, count, params["H"].shape[::-1])
    slow_loss, slow_gradients = slow_nplm.value_gradients(engine, params, inputs, targets, factors)
    assert loss == pytest.approx(slow_loss, rel=1e-12, abs=1e-13)
    assert_close(gradients, slow_gradients, 1e-12)


@settings(max_examples=50)
@given(sizes=SIZES, count=st.integers(1, 100), shares=SHARES, seed=st.integers(0, 2**64 - 1))
def test_gradients_under_dropout_are_those_of_numpy(sizes, count, shares, seed):
    params, inputs, targets = example(sizes, count, seed)
    step, threads = seed // 3, seed % 3 + 1
    loss, gradients = _core.nplm_gradients(
        params, inputs, targets, dropout=shares, seed=seed, step=step, threads=threads
    )
    factors = slow_nplm.dropout_factors(shares, seed, step, count, params["H"].shape[::-1])
    slow_loss, slow_gradients = slow_nplm.gradients(params, inputs, targets, factors)
    assert loss == pytest.approx(slow_loss, rel=1e-12, abs=1e-13)
    assert_close(gradients, slow_gradients, 1e-12)


@settings(max_examples=50)
@given(sizes=SIZES, count=st.integers(1, 100), seed=st.integers(0, 2**32))
def test_loss_gradients_and_probabilities_are_those_of_numpy(sizes, count, seed):
    params, inputs, targets = example(sizes, count, seed)
    loss, gradients = _core.nplm_gradients(params, inputs, targets, threads=seed % 3 + 1)
    slow_loss, slow_gradients = slow_nplm.gradients(params, inputs, targets)
    assert loss == pytest.approx(slow_loss, rel=1e-12, abs=1e-13)
    assert_close(gradients, slow_gradients, 1e-12)
    assert _core.nplm_loss(params, inputs, targets) == pytest.approx(loss, rel=1e-13, abs=1e-14)
    losses = _core.nplm_losses(params, inputs, targets)
    slow_losses = slow_nplm.losses(params, inputs, targets)
    np.testing.assert_allclose(losses, slow_losses, rtol=1e-12, atol=1e-13)
    p = _core.nplm_probabilities(params, inputs)
    np.testing.assert_allclose(p, slow_nplm.probabilities(params, inputs), rtol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-13)


@settings(max_examples=50)
@given(sizes=SIZES, count=st.integers(0, 100), seed=st.integers(0, 2**32))
def test_activations_are_those_of_numpy(sizes, count, seed):
    params, inputs, _ = example(sizes, count, seed)
    made = _core.nplm_forward(params, inputs, threads=seed % 3 + 1)
    for got, slow in zip(made, slow_nplm.activations(params, inputs), strict=True):
        assert got.shape == slow.shape
        np.testing.assert_allclose(got, slow, rtol=1e-12, atol=1e-13)


def test_activations_have_the_dtype_of_the_parameters():
    params, inputs, _ = example((300, 2, 3, 5, True), 70, dtype=np.float32)
    made = _core.nplm_forward(params, inputs)
    assert [part.dtype for part in made] == [np.float32] * 3
    for got, slow in zip(made, slow_nplm.activations(params, inputs), strict=True):
        np.testing.assert_allclose(got, slow, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_gradients_of_many_examples_are_made_in_parts(tied):
    params, inputs, targets = example((27, 2, 4, 20, True, tied), 2500)
    shares = (0.5, 0.25)
    factors = slow_nplm.dropout_factors(shares, 7, 0, 2500, params["H"].shape[::-1])
    slow_loss, slow_gradients = slow_nplm.gradients(params, inputs, targets, factors)
    results = [
        _core.nplm_gradients(params, inputs, targets, dropout=shares, seed=7, threads=n)
        for n in (1, 2, 3)
    ]
    assert results[0][0] == pytest.approx(slow_loss, rel=1e-12)
    assert_close(results[0][1], slow_gradients, 1e-12)
    for loss, gradients in results[1:]:
        assert loss == results[0][0]
        assert_same(gradients, results[0][1])


@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.3, 0.5)])
@pytest.mark.parametrize("tied", [False, True])
def test_gradients_are_the_slopes_of_the_loss(tied, shares):
    params, inputs, targets = example((7, 3, 4, 9, True, tied), 40)
    draw = {"dropout": shares, "seed": 3, "step": 2**63}
    _, gradients = _core.nplm_gradients(params, inputs, targets, **draw)
    step = 1e-5  # rounding costs 1e-16/step, the cubic term step²: 1e-11 and 1e-10
    for name, p in params.items():
        for place in itertools.islice(np.ndindex(p.shape), 30):
            start = p[place]
            p[place] = start + step
            up, _ = _core.nplm_gradients(params, inputs, targets, **draw)
            p[place] = start - step
            down, _ = _core.nplm_gradients(params, inputs, targets, **draw)
            p[place] = start
            assert gradients[name][place] == pytest.approx((up - down) / (2 * step), abs=2e-10)


@settings(max_examples=50)
@given(sizes=SIZES, count=st.integers(1, 100), seed=st.integers(0, 2**32))
def test_single_precision_is_double_precision_rounded(sizes, count, seed):
    # A sum of n terms is off by at most n units of 2^-24 of the sum of their sizes. Here all n are
    # below 200 and the terms' sizes average out. The scale is the largest gradient of all: those of
    # one array may be sums that cancel, as with a single hidden unit.
    params, inputs, targets = example(sizes, count, seed, np.float32)
    loss, gradients = _core.nplm_gradients(params, inputs, targets)
    doubles = {name: p.astype(float) for name, p in params.items()}
    exact_loss, exact = _core.nplm_gradients(doubles, inputs, targets)
    assert loss == pytest.approx(exact_loss, rel=200 * 2**-24, abs=200 * 2**-24)
    assert all(g.dtype == np.float32 for g in gradients.values())
    largest = max(np.abs(g).max(initial=0) for g in exact.values())
    for name, gradient in gradients.items():
        assert np.abs(gradient - exact[name]).max(initial=0) <= 200 * 2**-24 * largest, name


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", slow_nplm.OPTIMIZERS)
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.3, 0.4)])
@pytest.mark.parametrize(
    "sizes",
    [
        (27, 3, 10, 50, False),
        (11, 2, 5, 0, True),
        (70, 1, 3, 7, True),
        (33, 2, 5, 20, False, True),
        (70, 1, 3, 7, True, True),
    ],
)
def test_training_is_what_numpy_does(name, sizes, decay, shares):
    params, inputs, targets = example(sizes, 90)
    rule, sets = slow_nplm.OPTIMIZERS[name]
    state = zeros_like(params, sets)
    slow, slow_state = copied(params), zeros_like(params, sets)
    rates = np.linspace(0.2, 0.01, STEPS)
    constants = {"momentum": 0.8, "betas": (0.8, 0.95), "eps": 1e-3}
    losses = _core.nplm_train(
        params, state, inputs, targets, batch=33, rates=rates, first_step=2, seed=5,
        optimizer=name, weight_decay=decay, dropout=shares, **constants,
    )  # fmt: skip
    for step, (rate, loss) in enumerate(zip(rates, losses, strict=True), start=2):
        rows = slow_nplm.batch_of(5, step, 33, len(targets))
        factors = slow_nplm.dropout_factors(shares, 5, step, 33, slow["H"].shape[::-1])
        slow_loss, gradients = slow_nplm.gradients(slow, inputs[rows], targets[rows], factors)
        assert loss == pytest.approx(slow_loss, rel=1e-10)
        how = (step, rate, decay, constants)
        slow_nplm.update(rule, slow, slow_state, gradients, inputs[rows], *how)
    assert_close(params, slow, 1e-10)
    for fast, expected in zip(state, slow_state, strict=True):
        assert_close(fast, expected, 1e-9)


@pytest.mark.parametrize("name", slow_nplm.OPTIMIZERS)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_training_touches_only_the_embeddings_of_the_batch(name, decay):
    params, inputs, targets = example((50, 2, 3, 4, True), 20, dtype=np.float32)
    inputs %= 25
    state = [{k: a + 7 for k, a in s.items()} for s in zeros_like(params, 2)]
    state = state[: slow_nplm.OPTIMIZERS[name][1]]
    before, before_state = copied(params), [copied(s) for s in state]
    options = {"batch": 20, "rates": np.full(9, 0.1), "optimizer": name, "weight_decay": decay}
    _core.nplm_train(params, state, inputs, targets, **options)
    for now, then in zip([params, *state], [before, *before_state], strict=True):
        assert_same({"C": now["C"][25:]}, {"C": then["C"][25:]})
        assert (now["C"][:25] != then["C"][:25]).any(axis=1).sum() > 15


def test_every_embedding_of_a_tied_model_is_trained():
    params, inputs, targets = example((50, 2, 3, 4, True, True), 20, dtype=np.float32)
    before = copied(params)
    _core.nplm_train(params, [], inputs % 25, targets, batch=20, rates=np.full(9, 0.1))
    assert (params["C"] != before["C"]).any(axis=1).all()
