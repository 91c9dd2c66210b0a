"""Gradients held against central differences, and the first number that goes wrong."""

import math
import random

import pytest
from fastgrad import AnomalyError, GradcheckError, Value, detect_anomaly, engine, gradcheck
from fastgrad.nn import MLP, mse_loss
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.floats(-3, 3)


def wrong_square(x):
    """Square with half of its derivative."""
    return Value(x.data**2, (x,), "square", local_grads=[x.data])


# gradcheck.


@given(a=NUMBERS, b=NUMBERS, c=NUMBERS)
def test_right_gradients_pass(a, b, c):
    def f(a, b, c):
        return (a * b + c.exp()).tanh() + engine.dot([a, b], [b, c]) / (b**2 + 1.0)

    result = gradcheck(f, [a, b, c])
    assert result
    assert result.count == 3
    assert result.gradient == pytest.approx(result.numerical, rel=1e-3, abs=1e-5)


def test_a_wrong_gradient_is_named_with_both_numbers():
    with pytest.raises(GradcheckError, match=r"1 of 2.*inputs\[1\].*3\.0.*6\.0") as caught:
        gradcheck(lambda a, b: a + wrong_square(b), [1.0, 3.0])
    result = caught.value.result
    assert (result.ok, result.name, result.gradient) == (False, "inputs[1]", 3.0)
    assert result.numerical == pytest.approx(6.0)


def test_the_worst_input_is_named_by_its_label():
    a, b = Value(1.0, label="a"), Value(100.0, label="b")
    result = gradcheck(
        lambda a, b: wrong_square(a) + wrong_square(b), [a, b], raise_exception=False
    )
    assert not result
    assert "b" in result.name
    assert result.gradient == 100.0


def test_a_network_is_checked_by_its_parameters():
    random.seed(1)
    model = MLP(2, [3, 1], activation="tanh")
    rows, wanted = [[0.5, -1.0], [1.0, 2.0]], [1.0, -1.0]
    assert gradcheck(lambda model: mse_loss(model(rows), wanted), model).count == 13
    weight = model.layers[0].neurons[1].w[0]
    with pytest.raises(GradcheckError, match=r"layers\.0\.neurons\.1\.w\.0"):
        gradcheck(lambda model: mse_loss(model(rows), wanted) + wrong_square(weight), model)


def test_lists_of_inputs_and_a_single_one():
    assert gradcheck(engine.dot, [[1.0, 2.0], [3.0, 4.0]]).count == 4
    assert gradcheck(lambda x: x.sin(), 1.0)
    with pytest.raises(GradcheckError, match=r"inputs\[0\]\[1\]"):
        gradcheck(lambda row: row[0] + wrong_square(row[1]), [[1.0, 2.0]])


@pytest.mark.parametrize("fails", [False, True])
def test_inputs_are_as_they_were_whatever_happens(fails):
    x = Value(2.0)
    x.grad = 7.0
    calls = []

    def f(x):
        calls.append(x.data)
        if fails and len(calls) == 3:
            raise RuntimeError("enough")
        return x**3

    if fails:
        with pytest.raises(RuntimeError, match="enough"):
            gradcheck(f, [x])
    else:
        gradcheck(f, [x])
    assert (x.data, x.grad) == (2.0, 7.0)


def test_a_gradient_that_is_not_finite_is_wrong():
    bad = gradcheck(
        lambda x: Value(1.0, (x,), "f", local_grads=[math.nan]), [1.0], raise_exception=False
    )
    assert not bad


@pytest.mark.parametrize(
    ("f", "inputs", "settings", "error", "name"),
    [
        (lambda x: x.data, [1.0], {}, TypeError, "f returned 1.0"),
        (lambda x: x, ["a"], {}, TypeError, r"inputs\[0\]"),
        (lambda: Value(1.0), [], {}, ValueError, "inputs"),
        (lambda x: x, [1.0], {"eps": 0}, ValueError, "eps"),
        (lambda x: x, [1.0], {"atol": -1}, ValueError, "atol"),
        (lambda x: x, [1.0], {"rtol": "a"}, TypeError, "rtol"),
    ],
)
def test_what_cannot_be_checked_is_refused(f, inputs, settings, error, name):
    with pytest.raises(error, match=name):
        gradcheck(f, inputs, **settings)


# detect_anomaly.


def test_the_first_number_that_is_not_finite_is_named_with_its_line():
    a, b = Value(1e300, label="a"), Value(1e300)
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        a * b  # the line
    told = str(caught.value)
    assert "'*' of a = 1e+300, 1e+300 is inf" in told
    assert "test_debug.py" in told
    assert "a * b  # the line" in told
    assert caught.value.value.data == math.inf


def test_the_first_gradient_that_is_not_finite_is_named():
    x = Value(0.0, label="x")
    x.grad = 3.0
    with detect_anomaly():
        root = x.sqrt()  # the line
        loss = root * 2.0
        with pytest.raises(AnomalyError) as caught:
            loss.backward()
    told = str(caught.value)
    assert "gradient of x = 0.0 is inf, through 'sqrt' of x = 0.0" in told
    assert "root = x.sqrt()  # the line" in told
    assert caught.value.value is root
    assert (x.grad, root.grad, loss.grad) == (3.0, 0.0, 0.0)


def test_an_exploding_gradient_is_named():
    x = Value(1.0)
    with detect_anomaly(max_grad=1000.0), pytest.raises(AnomalyError, match=r"2000\.0"):
        (x * 2000.0).backward()
    with detect_anomaly(max_grad=3000.0):
        (x * 2000.0).backward()
    assert x.grad == 2000.0


def test_rules_of_ones_own_are_named_too():
    x = Value(2.0, label="x")
    with detect_anomaly():
        out = Value(4.0, (x,), "mine")

        def rule():
            x.grad += out.grad * math.nan

        out._backward = rule
        with pytest.raises(AnomalyError, match="nan, through 'mine' of x"):
            (out + 1.0).backward()


def program(seed=3):
    random.seed(seed)
    model = MLP(3, [4, 1], activation="tanh")
    loss = mse_loss(model([[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]]), [1.0, 0.0])
    loss.backward()
    loss.backward()
    return loss.data, [p.grad for p in model.parameters()]


def test_a_sound_program_gives_what_it_gives_elsewhere():
    data, gradients = program()
    with detect_anomaly():
        watched_data, watched_gradients = program()
    assert watched_data == data
    assert watched_gradients == pytest.approx(gradients, rel=1e-14)


def test_nothing_is_left_of_it_behind():
    before = Value.__init__, Value.backward
    with pytest.raises(KeyError), detect_anomaly(), detect_anomaly():
        raise KeyError
    assert (Value.__init__, Value.backward) == before
    # A layer makes one node a neuron again.
    out = MLP(3, [2])([1.0, 2.0, 3.0])[0]
    assert len(out._prev) > 2


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), ("a", TypeError)])
def test_a_limit_that_is_none_is_refused(limit, error):
    with pytest.raises(error, match="max_grad"), detect_anomaly(max_grad=limit):
        pass
