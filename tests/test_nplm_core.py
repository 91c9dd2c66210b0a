"""The compiled neural language model, held against scalar Values, numpy, and itself."""

import doctest
import itertools
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import slow_nplm
from fastgrad import _core, engine
from hypothesis import given, settings
from hypothesis import strategies as st

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


def example(sizes, count, seed=0, dtype=np.float64):
    """Draw parameters, contexts and targets."""
    rng = np.random.default_rng(seed)
    params = slow_nplm.random_params(rng, sizes, dtype)
    return params, *slow_nplm.random_examples(rng, count, sizes[0], sizes[1])


def zeros_like(params, sets):
    return [{name: np.zeros_like(p) for name, p in params.items()} for _ in range(sets)]


def copied(params):
    return {name: p.copy() for name, p in params.items()}


def assert_close(got, expected, tolerance):
    """Compare on the scale of the largest number of each array."""
    assert got.keys() == expected.keys()
    for name, array in got.items():
        scale = np.abs(expected[name]).max(initial=0)
        assert array.shape == expected[name].shape
        assert np.abs(array - expected[name]).max(initial=0) <= tolerance * scale, name


def assert_same(got, expected):
    for name, array in got.items():
        assert array.tobytes() == expected[name].tobytes(), name


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
    # below 200, the terms' sizes average out, and the largest number of an array is the scale.
    params, inputs, targets = example(sizes, count, seed, np.float32)
    loss, gradients = _core.nplm_gradients(params, inputs, targets)
    doubles = {name: p.astype(float) for name, p in params.items()}
    exact_loss, exact = _core.nplm_gradients(doubles, inputs, targets)
    assert loss == pytest.approx(exact_loss, rel=200 * 2**-24, abs=200 * 2**-24)
    assert all(g.dtype == np.float32 for g in gradients.values())
    assert_close(gradients, exact, 200 * 2**-24)


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


# The same bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "tied", "shares"),
    [
        (np.float32, False, (0.0, 0.0)),
        (np.float64, False, (0.0, 0.0)),
        (np.float32, False, (0.3, 0.0)),
        (np.float32, True, (0.2, 0.5)),
        (np.float64, True, (0.0, 0.4)),
    ],
)
@pytest.mark.parametrize("name", slow_nplm.OPTIMIZERS)
def test_threads_and_calls_do_not_change_a_bit(name, dtype, tied, shares):
    start, inputs, targets = example((70, 3, 7, 61, True, tied), 500, dtype=dtype)
    rates = np.linspace(0.1, 0.01, STEPS)
    results = []
    ways = [(1, []), (2, []), (3, []), (4, [9]), (1, [1, 2, 17]), (2, [20]), (None, [5, 39])]
    for threads, cuts in ways:
        params, state = copied(start), zeros_like(start, slow_nplm.OPTIMIZERS[name][1])
        losses = [
            _core.nplm_train(
                params, state, inputs, targets, batch=150, rates=rates[first:last],
                first_step=first, seed=8, optimizer=name, weight_decay=0.01, dropout=shares,
                threads=threads,
            )
            for first, last in itertools.pairwise([0, *cuts, STEPS])
        ]  # fmt: skip
        sets = {f"{i}{k}": a for i, s in enumerate([params, *state]) for k, a in s.items()}
        results.append({**sets, "losses": np.concatenate(losses)})
    for result in results[1:]:
        assert_same(result, results[0])


@pytest.mark.parametrize("tied", [False, True])
def test_threads_do_not_change_what_a_model_says(tied):
    params, inputs, targets = example((29, 3, 7, 61, True, tied), 3000, dtype=np.float32)
    losses = {_core.nplm_loss(params, inputs, targets, threads=n) for n in (1, 2, 3, None)}
    assert len(losses) == 1
    each = [_core.nplm_losses(params, inputs, targets, threads=n) for n in (1, 2, 3, None)]
    assert len({array.tobytes() for array in each}) == 1
    assert each[0].mean() == pytest.approx(losses.pop(), rel=1e-13)
    p = {_core.nplm_probabilities(params, inputs, threads=n).tobytes() for n in (1, 2, 3)}
    assert len(p) == 1


def test_other_seeds_and_steps_draw_other_batches():
    start, inputs, targets = example((29, 3, 7, 20, False), 500)
    rates = np.full(3, 0.1)
    runs = [
        _core.nplm_train(copied(start), [], inputs, targets, batch=9, rates=rates, **draw).tolist()
        for draw in ({}, {"seed": 0, "first_step": 0}, {"seed": 1}, {"first_step": 1})
    ]
    assert runs[0] == runs[1]
    assert len({tuple(run) for run in runs}) == 3


@pytest.mark.parametrize("cpu", ["portable", "avx2", "avx512"])
def test_every_set_of_instructions_computes_the_same(cpu):
    # Whatever differs is rounding, on the scale of the largest number of each array.
    code = """if True:
        import numpy as np, slow_nplm
        from fastgrad import _core
        for dtype, tolerance in [(np.float32, 200 * 2**-24), (np.float64, 1e-12)]:
            for sizes in [(27, 3, 10, 200, False), (3, 1, 1, 1, True), (33, 2, 17, 35, True)]:
                rng = np.random.default_rng(1)
                params = slow_nplm.random_params(rng, sizes, dtype)
                inputs, targets = slow_nplm.random_examples(rng, 70, *sizes[:2])
                loss, gradients = _core.nplm_gradients(params, inputs, targets)
                doubles = {name: p.astype(float) for name, p in params.items()}
                exact_loss, exact = slow_nplm.gradients(doubles, inputs, targets)
                assert abs(loss - exact_loss) <= tolerance * exact_loss
                for name, g in gradients.items():
                    error, scale = np.abs(g - exact[name]).max(), np.abs(exact[name]).max()
                    assert error <= tolerance * scale, (name, sizes, error / scale)
        print("same")
    """
    done = run_on(cpu, code)
    if "expected one of" in done.stderr and cpu != "portable":
        pytest.skip(f"this processor has no {cpu}")
    assert done.stdout == "same\n", done.stderr


def run_on(cpu, code):
    reference = pathlib.Path(slow_nplm.__file__).parent
    environment = {**os.environ, "FASTGRAD_CPU": cpu, "PYTHONPATH": str(reference)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_unknown_set_of_instructions_is_an_error_at_first_use():
    code = """if True:
        import numpy as np, slow_nplm
        from fastgrad import _core
        rng = np.random.default_rng(1)
        params = slow_nplm.random_params(rng, (3, 1, 1, 1, True))
        try:
            _core.nplm_probabilities(params, np.zeros((1, 1), np.uint32))
        except ValueError as error:
            print(error)
    """
    assert run_on("mmx", code).stdout.startswith('FASTGRAD_CPU is "mmx"; expected one of portable')


# When training goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("name", slow_nplm.OPTIMIZERS)
@pytest.mark.parametrize("rate", [1e30, 1e38, 1e300])
@pytest.mark.parametrize("bad", [0, 1, 5])
def test_training_that_diverges_ends_at_the_last_good_step(name, rate, bad):
    start, inputs, targets = example((5, 2, 3, 4, True), 60, dtype=np.float32)
    sets = slow_nplm.OPTIMIZERS[name][1]
    options = {"batch": 40, "optimizer": name, "weight_decay": 0.5, "seed": 4}
    rates = np.full(20, 0.01)
    rates[bad:] = rate
    params, state = copied(start), zeros_like(start, sets)
    losses = _core.nplm_train(params, state, inputs, targets, rates=rates, **options)
    assert len(losses) == bad
    assert np.isfinite(losses).all()
    assert _core.nplm_loss(params, inputs, targets) < 10
    # What is left is what that many steps give.
    again, again_state = copied(start), zeros_like(start, sets)
    rates = rates[: len(losses)]
    expected = _core.nplm_train(again, again_state, inputs, targets, rates=rates, **options)
    assert_same({"losses": losses}, {"losses": expected})
    for one, other in zip([params, *state], [again, *again_state], strict=True):
        assert_same(one, other)


def test_a_model_that_is_nan_to_begin_with_is_not_trained():
    params, inputs, targets = example((5, 2, 3, 4, False), 60)
    params["b"][3] = np.nan
    before = copied(params)
    assert len(_core.nplm_train(params, [], inputs, targets, batch=3, rates=np.ones(3))) == 0
    assert_same(params, before)
    assert np.isnan(_core.nplm_loss(params, inputs, targets))


@pytest.mark.parametrize("exception", [KeyboardInterrupt, RuntimeError])
def test_an_exception_while_training_takes_all_of_it_back(exception):
    params, inputs, targets = example((27, 3, 10, 50, False), 100, dtype=np.float32)
    before = copied(params)

    def progress(done):
        seen.append(done)
        raise exception("enough")

    seen = []
    with pytest.raises(exception, match="enough"):
        _core.nplm_train(
            params, [], inputs, targets, batch=50, rates=np.full(10**6, 0.1), progress=progress
        )
    assert len(seen) == 1
    assert_same(params, before)


def test_an_exception_at_the_very_end_takes_all_of_it_back_too():
    params, inputs, targets = example((27, 3, 10, 50, False), 100, dtype=np.float32)
    before = copied(params)

    def progress(done):
        if done == 1000:
            raise RuntimeError("late")

    with pytest.raises(RuntimeError, match="late"):
        _core.nplm_train(
            params, [], inputs, targets, batch=50, rates=np.full(1000, 0.1), progress=progress
        )
    assert_same(params, before)


def test_progress_tells_how_many_steps_are_done():
    params, inputs, targets = example((27, 3, 10, 50, False), 100, dtype=np.float32)
    seen = []
    rates = np.full(3000, 0.1)
    _core.nplm_train(params, [], inputs, targets, batch=50, rates=rates, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 3000


def test_parameters_that_are_being_trained_cannot_be_used():
    params, inputs, targets = example((27, 3, 10, 50, False), 100, dtype=np.float32)
    errors = []

    def look(_done):
        for call in (
            lambda: _core.nplm_loss(params, inputs, targets),
            lambda: _core.nplm_train(params, [], inputs, targets, batch=1, rates=np.ones(1)),
        ):
            with pytest.raises(ValueError, match=r"params\['C'\] is in use by another call"):
                call()
            errors.append(1)

    rates = np.full(2000, 0.1)
    _core.nplm_train(params, [], inputs, targets, batch=50, rates=rates, progress=look)
    assert errors


def test_several_threads_may_train_models_of_their_own():
    start, inputs, targets = example((27, 3, 10, 50, False), 400, dtype=np.float32)
    models = [copied(start) for _ in range(4)]
    options = {"batch": 64, "rates": np.full(200, 0.1), "threads": 2}
    work = [
        threading.Thread(target=_core.nplm_train, args=(m, [], inputs, targets), kwargs=options)
        for m in models
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    for model in models[1:]:
        assert_same(model, models[0])


# Corners ------------------------------------------------------------------------------------------


def test_no_steps_and_no_contexts_are_nothing_to_do():
    params, inputs, targets = example((5, 2, 3, 4, False), 6)
    before = copied(params)
    assert _core.nplm_train(params, [], inputs, targets, batch=1, rates=np.ones(0)).shape == (0,)
    assert_same(params, before)
    assert _core.nplm_probabilities(params, np.zeros((0, 2), np.uint32)).shape == (0, 5)


def test_far_logits_neither_overflow_nor_lose_the_loss():
    params, inputs, targets = example((5, 2, 3, 4, False), 50)
    for dtype in (np.float32, np.float64):
        far = {name: (300 * p).astype(dtype) for name, p in params.items()}
        far["b"] *= 10
        loss, gradients = _core.nplm_gradients(far, inputs, targets)
        doubles = {name: p.astype(float) for name, p in far.items()}
        assert loss == pytest.approx(slow_nplm.mean_loss(doubles, inputs, targets), rel=1e-5)
        assert loss > 100
        assert all(np.isfinite(g).all() for g in gradients.values())


# Bad input ----------------------------------------------------------------------------------------


def broken(change):
    """Build good arguments of nplm_train and spoil them."""
    params, inputs, targets = example((5, 2, 3, 4, True), 6, dtype=np.float32)
    call = {
        "params": params, "state": [], "inputs": inputs, "targets": targets,
        "batch": 2, "rates": np.full(3, 0.1),
    }  # fmt: skip
    change(call)
    return call


def put(name, value):
    return lambda call: call.update({name: value})


def put_param(name, make):
    return lambda call: call["params"].update({name: make(call["params"].get(name), call)})


def no_w(call):
    del call["params"]["W"]
    for name, shape in {"H": (0, 6), "d": (0,), "U": (5, 0)}.items():
        call["params"][name] = np.zeros(shape, np.float32)


def drop_u(call):
    del call["params"]["U"]


def u_and_p(call):
    call["params"]["P"] = np.zeros((3, 4), np.float32)


def tie(shape):
    def change(call):
        u_and_p(call)
        drop_u(call)
        call["params"]["P"] = np.zeros(shape, np.float32)

    return change


def untied_state(call):
    call.update(optimizer="momentum", state=zeros_like(call["params"], 1))
    tie((3, 4))(call)


def one_state(call):
    call.update(optimizer="momentum", state=zeros_like(call["params"], 1))
    del call["state"][0]["W"]


def shared_state(call):
    call.update(optimizer="momentum", state=[call["params"]])


def overlapping(_array, _call):
    return overlap[2:]


def read_only(array, _call):
    array.flags.writeable = False
    return array


overlap = np.zeros(10, np.float32)
IDS = np.zeros((6, 2), np.uint32)


@pytest.mark.parametrize(
    ("change", "exception", "message"),
    [
        (put("params", []), TypeError, r"params is of type .*list.*; expected a dict of arrays"),
        (put("params", {}), ValueError, "params has no 'C'"),
        (drop_u, ValueError, "params has no 'U', nor a 'P' as a tied model has"),
        (u_and_p, ValueError, "params has both 'U' and 'P'; expected U, or P where the model is"),
        (
            tie((4, 3)),
            ValueError,
            r"params\['P'\] has shape \[4, 3\]; expected \(m, h\) = \[3, 4\]",
        ),
        (tie((3,)), ValueError, r"params\['P'\] has shape \[3\]; expected \(m, h\) = \[3, 4\]"),
        (untied_state, ValueError, r"state\[0\] and params differ in whether they have a 'P'"),
        (put_param("X", lambda *_: None), ValueError, "params has the key 'X'; expected C, H"),
        (put_param("C", lambda *_: [1.0]), TypeError, r"params\['C'\] is of type .*list"),
        (put_param("C", lambda c, _: c.astype(np.float16)), TypeError, "float16; expected float32"),
        (put_param("C", lambda c, _: c.astype(">f4")), TypeError, "dtype >f4; expected float32"),
        (put_param("d", lambda d, _: d.astype(float)), TypeError, "float64; expected float32"),
        (put_param("C", lambda c, _: c.astype(float)), TypeError, "float32; expected float64"),
        (
            put_param("C", lambda c, _: c[0]),
            ValueError,
            r"\['C'\] has shape \[3\]; expected \(V, m",
        ),
        (put_param("H", lambda h, _: h[:, 1:].copy()), ValueError, r"\(h, c·m\) = \[4, 6\]"),
        (put_param("U", lambda u, _: u[1:]), ValueError, r"\(V, h\) = \[5, 4\]"),
        (put_param("b", lambda b, _: b[1:]), ValueError, r"\(V,\) = \[5\]"),
        (put_param("W", lambda w, _: w[1:]), ValueError, r"\(V, c·m\) = \[5, 6\]"),
        (put_param("H", lambda h, _: np.asfortranarray(h)), ValueError, "not C-contiguous"),
        (put_param("d", lambda *_: np.zeros(8, np.float32)[::2]), ValueError, "not C-contiguous"),
        (put_param("U", read_only), ValueError, r"params\['U'\] is read-only"),
        (put_param("d", lambda _, call: call["params"]["U"][0]), ValueError, "share memory"),
        (put_param("C", lambda *_: np.zeros((0, 3), np.float32)), ValueError, "expected"),
        (put_param("C", lambda *_: np.zeros((5, 0), np.float32)), ValueError, "expected"),
        (no_w, ValueError, "d has length 0 and there is no W"),
        (put("inputs", IDS.astype(np.int64)), TypeError, "inputs has dtype int64; expected uint32"),
        (put("inputs", IDS.tolist()), TypeError, "inputs is of type .*list"),
        (put("inputs", IDS[:, 0].copy()), ValueError, r"inputs has shape \[6\]; expected \(N, c\)"),
        (put("inputs", IDS[:, :0]), ValueError, "inputs has contexts of length 0"),
        (put("inputs", np.asfortranarray(IDS)), ValueError, "inputs is not C-contiguous"),
        (put("inputs", IDS + np.uint32(7)), ValueError, "inputs: id 7 at position 0; .* 0 to 4"),
        (put("inputs", IDS[1:]), ValueError, r"targets has shape \[6\]; expected \(N,\) = \[5\]"),
        (put("targets", IDS[:, 0] + np.uint32(5)), ValueError, "targets: id 5 at position 0"),
        (put("targets", np.zeros(6)), TypeError, "targets has dtype float64; expected uint32"),
        (put("batch", 0), ValueError, "batch is 0; expected an int from 1 to"),
        (put("batch", -1), ValueError, "batch is -1; expected an int from 1 to"),
        (put("batch", 2.5), TypeError, "batch is 2.5; expected an int"),
        (put("batch", 7), ValueError, "batch is 7; expected at most the number of examples, 6"),
        (put("rates", [0.1]), TypeError, "rates is of type .*list"),
        (put("rates", np.ones(3, np.float32)), TypeError, "float32; expected float64"),
        (put("rates", np.ones((3, 1))), ValueError, "rates has shape"),
        (
            put("rates", np.array([0.1, np.nan])),
            ValueError,
            r"rates\[1\] is NaN; expected a finite",
        ),
        (put("rates", np.array([-0.1])), ValueError, r"rates\[0\] is -0.1; expected a finite"),
        (put("rates", np.array([np.inf])), ValueError, r"rates\[0\] is inf; expected a finite"),
        (put("first_step", -1), ValueError, "first_step is -1; expected an int from 0"),
        (put("first_step", 2**64 - 1), ValueError, "steps have numbers below"),
        (put("seed", 2**64), ValueError, "seed is 18446744073709551616; expected an int from 0"),
        (put("seed", "x"), TypeError, "seed is 'x'; expected an int"),
        (put("optimizer", "adam"), ValueError, 'optimizer is "adam"; expected'),
        (put("momentum", np.nan), ValueError, "momentum is NaN; expected a finite number"),
        (put("betas", (0.9, 1.0)), ValueError, r"betas\[1\] is 1.0; .* below 1"),
        (put("eps", -1e-8), ValueError, "eps is -1e-8; expected"),
        (put("weight_decay", -1.0), ValueError, "weight_decay is -1.0; expected"),
        (put("dropout", (np.nan, 0.0)), ValueError, r"dropout\[0\] is NaN; expected a finite"),
        (put("dropout", (0.0, 1.0)), ValueError, r"dropout\[1\] is 1.0; .* at least 0 and below 1"),
        (put("dropout", (-0.1, 0.0)), ValueError, r"dropout\[0\] is -0.1; .* at least 0"),
        (put("dropout", (0.1,)), ValueError, r"dropout is \(0.1,\); expected a pair of numbers"),
        (put("dropout", (0, 0, 0)), ValueError, r"dropout is \(0, 0, 0\); expected a pair"),
        (put("dropout", 0.5), TypeError, "dropout is 0.5; expected a pair of numbers"),
        (put("dropout", ("a", 0.5)), TypeError, r"dropout is \('a', 0.5\); expected a pair"),
        (put("threads", 0), ValueError, "threads is 0; expected an int from 1"),
        (put("optimizer", "adamw"), ValueError, "state has 0 dicts; expected 2"),
        (one_state, ValueError, "differ in whether they have a 'W'"),
        (shared_state, ValueError, "share memory"),
    ],
)
def test_bad_input_is_named_before_anything_is_changed(change, exception, message):
    call = broken(change)
    sets = [s for s in [call["params"], *call["state"]] if isinstance(s, dict)]
    before = [{k: np.copy(a) for k, a in s.items()} for s in sets]
    with pytest.raises(exception, match=message):
        _core.nplm_train(**call)
    for now, then in zip(sets, before, strict=True):
        assert_same({k: np.asarray(a) for k, a in now.items()}, then)


def test_examples_must_exist():
    params, inputs, targets = example((5, 2, 3, 4, True), 6)
    with pytest.raises(ValueError, match="inputs has no rows; expected at least one example"):
        _core.nplm_loss(params, inputs[:0], targets[:0])
    with pytest.raises(ValueError, match="contexts: id 5 at position 3; expected 0 to 4"):
        _core.nplm_probabilities(params, np.array([[0, 0], [0, 5]], np.uint32))


def test_examples_may_be_read_only():
    params, inputs, targets = example((5, 2, 3, 4, True), 6)
    inputs.flags.writeable = targets.flags.writeable = False
    assert len(_core.nplm_train(params, [], inputs, targets, batch=3, rates=np.ones(2))) == 2
