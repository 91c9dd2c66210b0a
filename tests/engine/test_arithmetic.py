"""Forward is Python's own arithmetic, exceptions included."""

import math
import operator
import re
from fractions import Fraction

import numpy as np
import pytest
from fastgrad import engine
from fastgrad.engine import Value
from hypothesis import example, given
from hypothesis import strategies as st

INF, NAN, TINY, HUGE = math.inf, math.nan, 5e-324, 1.7976931348623157e308
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, 1 / 3, -1 / 3, 1e-17, 709.8, -745.2, 1e4]
SPECIAL += [INF, -INF, NAN, TINY, -TINY, 2.2250738585072014e-308, HUGE, -HUGE, 1e154, 2.0**53]
FLOATS = st.sampled_from(SPECIAL) | st.floats() | st.floats(-50, 50)
INTS = st.integers(-(2**70), 2**70) | st.sampled_from([10**308, 10**400, -(10**400)])


def real_power(x, y):
    """Raise x to a power where Python does so without leaving the real numbers."""
    if isinstance(x, Value) or isinstance(y, Value):
        return x**y
    x, y = float(x), float(y)
    if -INF < x < 0 and math.isfinite(y) and not y.is_integer():
        raise ValueError("Python's answer is complex, or overflows on its way there")
    return x**y


def outcome(function, *operands):
    """Give the bits of a result, or the type of the exception."""
    try:
        result = function(*operands)
    except (ArithmeticError, ValueError) as error:
        return type(error)
    data = result.data if isinstance(result, Value) else result
    assert type(data) is float
    return data.hex()


def same(numbers, expected):
    return [x.hex() for x in numbers] == [float(x).hex() for x in expected]


BINARY = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": real_power,
}
UNARY = {
    "neg": (operator.neg, operator.neg),
    "pos": (operator.pos, operator.pos),
    "abs": (abs, abs),
    "abs method": (Value.abs, abs),
    "exp": (Value.exp, math.exp),
    "log": (Value.log, math.log),
    "sqrt": (Value.sqrt, math.sqrt),
    "sin": (Value.sin, math.sin),
    "cos": (Value.cos, math.cos),
    "tanh": (Value.tanh, math.tanh),
    "relu": (Value.relu, lambda x: 0.0 if x < 0 else x),
}


@pytest.mark.slow
@pytest.mark.parametrize("op", BINARY.values(), ids=BINARY.keys())
def test_forward_of_two_operands_is_pythons_to_the_bit(op):
    @given(FLOATS, FLOATS)
    def check(x, y):
        expected = outcome(op, x, y)
        assert outcome(op, Value(x), Value(y)) == expected
        assert outcome(op, Value(x), y) == expected
        assert outcome(op, x, Value(y)) == expected

    check()


@pytest.mark.parametrize("op", BINARY.values(), ids=BINARY.keys())
def test_forward_of_special_numbers_is_pythons_to_the_bit(op):
    for x in SPECIAL:
        for y in SPECIAL:
            expected = outcome(op, x, y)
            assert outcome(op, Value(x), Value(y)) == expected, (x, y)
            assert outcome(op, Value(x), y) == expected, (x, y)
            assert outcome(op, x, Value(y)) == expected, (x, y)


@pytest.mark.slow
@pytest.mark.parametrize("op", BINARY.values(), ids=BINARY.keys())
def test_forward_with_an_int_is_pythons_to_the_bit(op):
    @given(FLOATS, INTS)
    @example(2.0, 2**53 + 1)
    def check(x, n):
        assert outcome(op, Value(x), n) == outcome(op, x, n)
        assert outcome(op, n, Value(x)) == outcome(op, n, x)

    check()


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "pythons"), UNARY.values(), ids=UNARY.keys())
def test_forward_of_one_operand_is_pythons_to_the_bit(ours, pythons):
    @given(FLOATS)
    def check(x):
        assert outcome(ours, Value(x)) == outcome(pythons, x)

    check()
    for x in SPECIAL:
        assert outcome(ours, Value(x)) == outcome(pythons, x), x


@pytest.mark.parametrize(
    ("method", "function", "pythons"),
    [(Value.max, engine.max, max), (Value.min, engine.min, min)],
    ids=["max", "min"],
)
def test_the_larger_and_the_smaller_are_pythons(method, function, pythons):
    @given(FLOATS, FLOATS)
    def check(x, y):
        expected = outcome(pythons, x, y)
        assert outcome(method, Value(x), Value(y)) == expected
        assert outcome(method, Value(x), y) == expected
        assert outcome(function, Value(x), Value(y)) == expected
        assert outcome(function, x, Value(y)) == expected

    check()


@given(st.floats())
def test_sigmoid_is_the_textbook_formula(x):
    if math.isnan(x):
        assert math.isnan(Value(x).sigmoid().data)
    elif x > -700:
        assert Value(x).sigmoid().data == pytest.approx(1 / (1 + math.exp(-x)), rel=1e-15)
    else:
        assert Value(x).sigmoid().data == pytest.approx(math.exp(x), rel=1e-15)


@given(FLOATS)
def test_data_is_the_float_that_was_given(x):
    assert Value(x).data.hex() == x.hex()
    assert (+Value(x)).data.hex() == x.hex()


@pytest.mark.parametrize(
    ("number", "data"),
    [(3, 3.0), (True, 1.0), (2**53 + 1, 2.0**53), (Fraction(1, 4), 0.25), (np.float32(0.5), 0.5)],
)
def test_data_is_always_a_float(number, data):
    value = Value(number)
    assert (type(value.data), value.data) == (float, data)
    value.data = number
    assert (type(value.data), value.data) == (float, data)


def test_division_by_zero():
    for quotient in (lambda: 1 / Value(0), lambda: Value(1) / 0, lambda: Value(1.0) / Value(0.0)):
        with pytest.raises(ZeroDivisionError, match=re.escape("1.0 / 0.0: division by zero")):
            quotient()


def test_zero_to_a_negative_power():
    for power in (lambda: Value(0) ** -1, lambda: 0 ** Value(-1), lambda: Value(0) ** Value(-1)):
        with pytest.raises(ZeroDivisionError, match=re.escape("0.0 ** -1.0")):
            power()


def test_power_overflows():
    for power in (lambda: 10.0 ** Value(400), lambda: Value(10) ** 400, lambda: 10 ** Value(400)):
        with pytest.raises(OverflowError, match=re.escape("10.0 ** 400.0")):
            power()


def test_exp_overflows():
    with pytest.raises(OverflowError, match=re.escape("exp(1000.0)")):
        Value(1000).exp()
    assert Value(-1000).exp().data == 0.0
    assert Value(INF).exp().data == INF


def test_an_int_too_large_for_a_float():
    v = Value(2.0)
    with pytest.raises(OverflowError, match="data: int"):
        Value(10**400)
    with pytest.raises(OverflowError, match=re.escape("+: int")):
        v + 10**400
    with pytest.raises(OverflowError, match=re.escape("*: int")):
        10**400 * v
    with pytest.raises(OverflowError, match=re.escape("**: int")):
        v**10**400
    with pytest.raises(OverflowError, match="data: int"):
        v.data = -(10**400)
    with pytest.raises(OverflowError, match=r"sum: .*int"):
        engine.sum([v, 10**400])
    assert (v.data, v.grad) == (2.0, 0.0)


def test_outside_the_domain():
    with pytest.raises(ValueError, match=re.escape("log(0.0)")):
        Value(0).log()
    with pytest.raises(ValueError, match=re.escape("log(-1.5)")):
        Value(-1.5).log()
    with pytest.raises(ValueError, match=re.escape("sqrt(-1.0)")):
        Value(-1).sqrt()
    with pytest.raises(ValueError, match=re.escape("sin(inf)")):
        Value(INF).sin()
    with pytest.raises(ValueError, match=re.escape("cos(-inf)")):
        Value(-INF).cos()


def test_a_root_of_a_negative_number_is_not_complex():
    for power in (
        lambda: Value(-8) ** (1 / 3),
        lambda: (-8) ** Value(1 / 3),
        lambda: Value(-8) ** Value(1 / 3),
    ):
        with pytest.raises(ValueError, match=r"-8\.0.* \*\* 0\.3333333333333333"):
            power()


def test_infinities_without_exceptions():
    assert math.isnan((Value(INF) * 0).data)
    assert math.isnan((Value(INF) - INF).data)
    assert (Value(1e308) * 10).data == INF
    assert (Value(HUGE) + HUGE).data == INF
    assert (Value(-HUGE) * 2).data == -INF
    assert (Value(1.0) / INF).data == 0.0
    assert (Value(0.0) ** -INF).data == INF
