"""Names of ops, the repr, and what an expression makes nodes of."""

import inspect
import math

import numpy as np
import pytest
from fastgrad import engine
from fastgrad.engine import Value


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda v: v, ""),
        (lambda v: v + v, "+"),
        (lambda v: v + 1, "+"),
        (lambda v: 1 + v, "+"),
        (lambda v: v - v, "-"),
        (lambda v: 1 - v, "-"),
        (lambda v: v * v, "*"),
        (lambda v: v / v, "/"),
        (lambda v: 1 / v, "/"),
        (lambda v: v**2, "**2"),
        (lambda v: v**-1, "**-1"),
        (lambda v: v**2.0, "**2.0"),
        (lambda v: v**0.5, "**0.5"),
        (lambda v: v ** np.int64(3), "**3"),
        (lambda v: v ** np.float64(0.1), "**0.1"),
        (lambda v: v**v, "**"),
        (lambda v: -v, "neg"),
        (lambda v: +v, "pos"),
        (lambda v: abs(v), "abs"),
        (lambda v: v.relu(), "ReLU"),
        (lambda v: v.max(1), "max"),
        (lambda v: engine.min(v, v), "min"),
        (lambda v: engine.sum([v]), "sum"),
        (lambda v: engine.dot([v], [v]), "dot"),
        (lambda v: engine.affine([v], [v], v), "affine"),
        (lambda v: engine.linear([v], [[v]])[0], "linear"),
        (lambda v: engine.softmax([v])[0], "softmax"),
        (lambda v: engine.log_softmax([v])[0], "log_softmax"),
        (lambda v: engine.cross_entropy([v], 0), "cross_entropy"),
        (lambda v: engine.rms_norm([v])[0], "rms_norm"),
        (lambda v: Value(1.0, (v,), "straße 🙂"), "straße 🙂"),
        *[
            (lambda v, n=n: getattr(v, n)(), n)
            for n in ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid"]
        ],
    ],
)
def test_the_name_of_an_op(make, name):
    assert make(Value(0.5))._op == name


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid"])
def test_a_functions_name_is_its_own(name):
    assert getattr(Value(0.5), name)()._op == name


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (-4.0, "Value(data=-4.0, grad=0.0)"),
        (2, "Value(data=2.0, grad=0.0)"),
        (0.1 + 0.2, "Value(data=0.30000000000000004, grad=0.0)"),
        (-0.0, "Value(data=-0.0, grad=0.0)"),
        (1e16, "Value(data=1e+16, grad=0.0)"),
        (1e-5, "Value(data=1e-05, grad=0.0)"),
        (math.inf, "Value(data=inf, grad=0.0)"),
        (math.nan, "Value(data=nan, grad=0.0)"),
    ],
)
def test_repr_is_micrograds(data, text):
    value = Value(data)
    assert repr(value) == str(value) == f"{value}" == text
    value.grad = -1.5
    assert repr(value) == text.replace("grad=0.0", "grad=-1.5")


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
@pytest.mark.parametrize("number", ["2", "2.0", "True", "np.float64(2)", "np.int8(2)"])
def test_a_number_makes_no_node(symbol, number):
    v = Value(1.0)
    for expression in (f"v {symbol} {number}", f"{number} {symbol} v"):
        made = eval(expression, {"v": v, "np": np})
        assert made._prev == (v,)


def test_the_class_introduces_itself():
    assert (Value.__name__, Value.__module__) == ("Value", "fastgrad.engine")
    assert Value.__doc__.startswith("A float that remembers how it was computed.")
    assert list(inspect.signature(Value).parameters)[:4] == ["data", "_children", "_op", "label"]
    for name in ("exp", "relu", "backward", "zero_grad"):
        assert inspect.getdoc(getattr(Value, name))
        assert next(iter(inspect.signature(getattr(Value, name)).parameters)) == "self"
