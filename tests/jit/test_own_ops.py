"""Ops that a function makes by `Value(data, children, op, local_grads)`, and those it may not."""

import math

import numpy as np
import pytest
from fastgrad import JitError, Value, jit
from fastgrad.engine import dot


def softplus(x):
    """log(1 + exp(x)) in numbers made from .data, all of which can be followed."""
    power = x.data.exp() if hasattr(x.data, "exp") else math.exp(x.data)
    slope = power / (1 + power)
    return Value(
        x.data * slope, (x,), "softplus", local_grads=(slope + x.data * slope / (1 + power),)
    )


def square(x):
    return Value(x.data**2, (x,), "square", local_grads=[2 * x.data])


def product(x, y):
    return Value(x.data * y.data, (x, y), (y.data, x.data))


def both(f, params, x):
    """Return value and gradients of the replay, and of the plain program."""
    sides = []
    for call in (f, f.function):
        value = call(x)
        value.backward()
        sides.append((value.data, [p.grad for p in params]))
        for p in params:
            p.grad = 0.0
    return sides


@pytest.mark.parametrize(
    "program",
    [
        lambda w, b, x: square(w * x + b),
        lambda w, b, x: product(w, b) * x,
        lambda w, b, x: product(square(w), w * x) + square(b) * b,
        lambda w, b, x: product(w, w) - x * b,
        lambda w, b, x: softplus(w * x) * b,
    ],
)
def test_local_grads_are_followed(program):
    w, b = Value(0.7), Value(-1.3)
    f = jit(lambda x: program(w, b, x))
    for x in (2.0, -1.5, 0.0):
        w.data += 0.1
        replayed, plain = both(f, [w, b], x)
        assert replayed[0] == pytest.approx(plain[0], rel=1e-14)
        assert replayed[1] == pytest.approx(plain[1], rel=1e-14)
    assert len(f.programs) == 1


def test_a_batch_and_a_check_know_own_ops():
    w = Value(2.0)
    f = jit(lambda x: square(w * x), check=True)
    assert f.value_and_grad(np.array([1.0, 2.0])) == pytest.approx(10.0)
    assert w.grad == pytest.approx(10.0)


def test_plain_numbers_hold_for_one_number():
    w = Value(1.0)

    def logistic(x):
        power = math.exp(x.data)
        return Value(math.log1p(power), (x,), "softplus", local_grads=(power / (1 + power),))

    f = jit(lambda x: logistic(w * x))
    for x in (1.0, 2.0, 1.0):
        replayed, plain = both(f, [w], x)
        assert replayed == plain
    assert len(f.programs) == 2


def test_an_op_without_derivatives_ends_the_gradient():
    w = Value(2.0)
    f = jit(lambda x: Value((w * x).data * 3, (w,), "stop") + w)
    replayed, plain = both(f, [w], 5.0)
    assert replayed == plain == (32.0, [1.0])


def test_what_is_not_finite_is_refused_by_name():
    w = Value(1.0)

    def root(x):
        slope = 0.5 / x.data**0.5 if x.data > 0 else math.inf
        return Value(x.data**0.5, (x,), "my root", local_grads=(slope,))

    f = jit(lambda x: root(w * x))
    assert f(4.0).data == 2.0
    with pytest.raises(JitError, match="my root"):
        f(0.0)
    with pytest.raises(JitError, match="my root"):
        f.value_and_grad([4.0, math.inf])


def test_a_rule_in_python_is_refused_by_name_with_what_to_do():
    w = Value(1.0)

    def leaky(x):
        out = Value(x.data * 0.1, (x,), "leaky")
        out._backward = lambda: None
        return out

    with pytest.raises(JitError, match=r"'leaky'.*local_grads"):
        jit(lambda x: leaky(w * x))(1.0)


def test_an_op_over_a_list_from_before_is_refused_by_name():
    w = Value(1.0)
    before = dot([w], [2.0])
    with pytest.raises(JitError, match="'dot'"):
        jit(lambda x: before * x)(1.0)
