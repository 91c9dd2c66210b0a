"""The compiled neural language model: the same bits in every way, and what ends a training."""

import itertools
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import slow_nplm
from fastgrad import _core
from nplm_cases import assert_same, copied, example, zeros_like

STEPS = 40


# The same bits ------------------------------------------------------------------------------------


@pytest.mark.slow
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


@pytest.mark.slow
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
