"""Numbers made from `.data`, branches on them, and selection by an index."""

import random
import warnings

import numpy as np
import pytest
from fastgrad import JitError, JitWarning, Value, jit, pick, take


def both(function, params, *example):
    """Return value and gradients of the replay and of the plain program."""
    sides = []
    for call in (function, function.function):
        value = call(*example)
        value.backward()
        sides.append((value.data, [p.grad for p in params]))
        for p in params:
            p.grad = 0.0
    return sides


def test_data_is_followed_as_a_number_without_gradient():
    w = Value(3.0)

    @jit
    def f(x):
        y = w * x
        return y * y.data + (y.data * 2.0 - x) * w

    for x in (2.0, -1.5):
        replayed, plain = both(f, [w], x)
        assert replayed == plain
    assert len(f.programs) == 1


def test_a_value_made_of_data_is_followed_too():
    w = Value(3.0)

    @jit
    def f(x):
        frozen = Value((w * x).data)
        return frozen * w

    for x in (2.0, -1.5):
        replayed, plain = both(f, [w], x)
        assert replayed == plain
    assert len(f.programs) == 1


def test_branches_are_recorded_as_they_come_out():
    w, b = Value(2.0), Value(-1.0)

    @jit
    def f(x):
        y = w * x + b
        if y.data > 0:
            return y * y
        return -y

    for x in (1.0, 3.0, 0.1, -2.0, 5.0):
        replayed, plain = both(f, [w, b], x)
        assert replayed == plain
    assert len(f.programs) == 2

    points = np.array([1.0, 3.0, 0.1, -2.0, 5.0])
    mean = f.value_and_grad(points)
    found = w.grad, b.grad
    w.grad = b.grad = 0.0
    loss = sum(f.function(x) for x in points.tolist()) / 5
    loss.backward()
    assert mean == pytest.approx(loss.data, rel=1e-14)
    assert found == pytest.approx((w.grad, b.grad), rel=1e-14)


def test_branches_on_numbers_of_the_example():
    w = Value(2.0)

    @jit
    def f(x, kind):
        if kind == 1 and x >= 0.5:
            return w * x
        return w * w if 0 < x <= 2 else w * -x

    for x, kind in [(1.0, 1), (0.2, 1), (1.0, 0), (-1.0, 1), (3.0, 0), (0.5, 1), (2.0, 0)]:
        replayed, plain = both(f, [w], x, kind)
        assert replayed == plain


def test_a_branch_that_changes_while_training_is_recorded_anew():
    from fastgrad import SGD

    w = Value(1.0)

    @jit
    def f(x):
        return w * x if w.data > 0.5 else w * x * 0.1 + 1.0

    optimizer = SGD([w], lr=0.1)
    history = f.fit((np.ones(1),), steps=12, optimizer=optimizer, progress=False)
    expected, number = [], 1.0
    for _ in range(12):
        expected.append(number if number > 0.5 else number * 0.1 + 1.0)
        number -= 0.1 if number > 0.5 else 0.1 * 0.1
    assert history.loss.tolist() == pytest.approx(expected, rel=1e-12)
    assert w.data == pytest.approx(number, rel=1e-12)


def test_many_branches_are_told_with_their_line():
    weights = [Value(random.Random(i).gauss(0, 1)) for i in range(6)]

    @jit
    def f(x):
        products = [w * xi for w, xi in zip(weights, x, strict=True)]
        highest = max(p.data for p in products)
        return sum((p - highest).exp() for p in products).log()

    points = np.random.default_rng(0).normal(size=(200, 6))
    with pytest.warns(JitWarning, match=r"test_branches\.py:\d+"):
        f.value_and_grad(points)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_take_and_pick_select_by_a_number_of_the_example(index):
    table = [[Value(1.0 * i + j) for j in range(2)] for i in range(3)]
    params = [p for row in table for p in row]

    @jit
    def f(i, j):
        row = take(table, i)
        return pick(row, j) * 2.0 + row[0]

    for j in (0, 1):
        replayed, plain = both(f, params, index, j)
        assert replayed == plain
    assert len(f.programs) == 1


@pytest.mark.parametrize("index", [-1, 3, 0.5, float("nan")])
def test_a_wrong_index_is_refused_as_in_the_plain_program(index):
    table = [[Value(1.0)] for _ in range(3)]

    @jit
    def f(i):
        return take(table, i)[0]

    f(1)
    with pytest.raises((IndexError, ValueError)):
        f(index)
    with pytest.raises((IndexError, ValueError)):
        f.value_and_grad(np.array([1.0, index]))
    assert [row[0].grad for row in table] == [0.0, 0.0, 0.0]


def test_indexing_a_list_holds_for_one_index_only():
    table = [Value(1.0), Value(2.0)]
    f = jit(lambda i: table[i] * 2.0)
    assert [f(0).data, f(1).data, f(0).data] == [2.0, 4.0, 2.0]
    assert len(f.programs) == 2


def test_what_fails_raises_as_the_plain_program():
    w = Value(1.0)
    f = jit(lambda x: (w * x).log())
    assert f(1.0).data == 0.0
    for call in (lambda: f(0.0), lambda: f.value_and_grad(np.array([1.0, -1.0, 2.0]))):
        with pytest.raises(ValueError, match="log"):
            call()
    assert w.grad == 0.0


def test_what_a_replay_cannot_repeat_is_refused():
    w = Value(1.0)

    def sets_data(x):
        w.data = 2.0
        return w * x

    def reads_grad(x):
        return w * x * w.grad

    def sets_grad(x):
        w.grad = 0.0
        return w * x

    def goes_backward(x):
        loss = w * x
        loss.backward()
        return loss

    def returns_a_list(x):
        return [w * x]

    for function in (sets_data, reads_grad, sets_grad, goes_backward, returns_a_list):
        with pytest.raises(JitError):
            jit(function)(1.0)
        assert (w.data, w.grad) == (1.0, 0.0)
    # Value is as it was.
    (w * 2.0).backward()
    assert w.grad == 2.0


def test_own_ops_are_refused_by_name():
    w = Value(1.0)

    def leaky(x):
        out = Value(x.data * 0.1, (x,), "leaky")
        out._backward = lambda: None
        return out

    with pytest.raises(TypeError, match="leaky"):
        jit(lambda x: leaky(w * x))(1.0)


def test_a_value_that_is_older_than_the_recording_is_refused_when_stale():
    w = Value(1.0)
    double = w * 2.0
    w.data = 5.0
    with pytest.raises(ValueError, match="before"):
        jit(lambda x: double * x)(1.0)


def test_check_finds_a_function_that_is_not_repeatable():
    w = Value(1.0)
    calls = []

    @jit(check=True)
    def f(x):
        calls.append(x)
        return w * x * len(calls)

    with pytest.raises(JitError):
        f(1.0)
    g = jit(lambda x: w * x, check=True)
    assert g(3.0).data == 3.0
    assert g.value_and_grad(np.array([1.0, 2.0])) == 1.5
    assert w.grad == 1.5


def test_no_warning_without_branches():
    w = Value(1.0)
    f = jit(lambda x: w * sum(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f.value_and_grad([[1.0] * n for n in range(1, 30)]) == 15.0
    assert len(f.programs) == 29


def test_fit_goes_on_where_the_loop_would_and_leaves_what_it_would():
    from fastgrad import Adam

    w = Value(1.0)
    f = jit(lambda x: w * x)
    optimizer = Adam([w], lr=0.1)
    history = f.fit((np.array([np.nan]),), steps=2, optimizer=optimizer, progress=False)
    assert np.isnan(history.loss).all()
    assert np.isnan(w.data)
    assert optimizer.steps == 2


def test_fit_needs_a_parameter_of_the_function():
    from fastgrad import SGD

    w = Value(1.0)
    f = jit(lambda x: w * x)
    with pytest.raises(ValueError, match="optimizer"):
        f.fit((np.ones(2),), steps=1, optimizer=SGD([Value(1.0)], lr=0.1), progress=False)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -0.0, -2.0])
def test_kinks_keep_special_numbers(number):
    w = Value(1.0)
    for function in (lambda x: (w * x).relu(), lambda x: abs(w * x), lambda x: (w * x).max(-1.0)):
        f = jit(function)
        replayed, plain = both(f, [w], number)
        assert repr(replayed) == repr(plain)


def test_a_training_finds_the_programs_of_its_examples():
    from fastgrad import SGD

    def loss_of(w):
        @jit
        def loss(x):
            y = w * x
            return y * y if y.data > 0 else (y * 0.5).exp()

        return loss

    x, orders = np.linspace(-1.0, 1.0, 21), []
    for by_hand in (False, True):
        w = Value(0.5)
        loss, optimizer = loss_of(w), SGD([w], lr=0.3)
        if by_hand:
            for step in range(30):
                rows = np.arange(step * 4, (step + 1) * 4) % 21
                optimizer.zero_grad()
                loss.value_and_grad(x[rows])
                optimizer.step()
        else:
            loss.fit(
                (x,), steps=30, optimizer=optimizer, batch_size=4, shuffle=False, progress=False
            )
        assert len(loss.programs) == 2
        orders.append((w.data, w.grad))
    assert orders[0] == pytest.approx(orders[1], rel=1e-13)


def test_an_example_that_cannot_be_recorded_ends_a_training_at_its_step():
    from fastgrad import SGD, pick

    w = [Value(1.0), Value(2.0)]
    f = jit(lambda i: pick(w, i) * 1.0)
    optimizer = SGD(w, lr=0.5)
    with pytest.raises(IndexError, match="index is 2"):
        f.fit(
            ([0, 1, 1, 2],),
            steps=4,
            optimizer=optimizer,
            batch_size=1,
            shuffle=False,
            progress=False,
        )
    assert ([v.data for v in w], optimizer.steps) == ([0.5, 1.0], 3)
