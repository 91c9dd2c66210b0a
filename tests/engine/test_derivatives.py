"""Derivatives, those of the moment of the forward op."""

import math

import pytest
from fastgrad import engine, nn
from fastgrad.engine import Value
from hypothesis import given
from hypothesis import strategies as st

INF, NAN = math.inf, math.nan


def slopes(function, *operands):
    """Give d(function)/d(operand) for each operand; of several outputs, the sum's."""
    leaves = [Value(x) for x in operands]
    result = function(*leaves)
    for output in result if isinstance(result, list) else [result]:
        output.backward()
    return [leaf.grad for leaf in leaves]


def close(expected):
    return pytest.approx(expected, rel=1e-14, abs=0.0, nan_ok=True)


TABLE = {
    "x + y": (lambda x, y: x + y, (3.0, 5.0), (1.0, 1.0)),
    "x - y": (lambda x, y: x - y, (3.0, 5.0), (1.0, -1.0)),
    "x * y": (lambda x, y: x * y, (3.0, 5.0), (5.0, 3.0)),
    "x / y": (lambda x, y: x / y, (3.0, 4.0), (1 / 4, -3 / 16)),
    "x ** y": (lambda x, y: x**y, (3.0, 2.0), (6.0, 9 * math.log(3))),
    "x ** 3": (lambda x: x**3, (2.0,), (12.0,)),
    "x ** -1": (lambda x: x**-1, (4.0,), (-1 / 16,)),
    "x ** 0.5": (lambda x: x**0.5, (4.0,), (0.25,)),
    "2 ** x": (lambda x: 2**x, (3.0,), (8 * math.log(2),)),
    "10 - x": (lambda x: 10 - x, (3.0,), (-1.0,)),
    "1 / x": (lambda x: 1 / x, (4.0,), (-1 / 16,)),
    "-x": (lambda x: -x, (3.0,), (-1.0,)),
    "+x": (lambda x: +x, (3.0,), (1.0,)),
    "abs, right": (abs, (3.0,), (1.0,)),
    "abs, left": (abs, (-3.0,), (-1.0,)),
    "exp": (Value.exp, (2.0,), (math.exp(2),)),
    "log": (Value.log, (4.0,), (0.25,)),
    "sqrt": (Value.sqrt, (4.0,), (0.25,)),
    "sin": (Value.sin, (2.0,), (math.cos(2),)),
    "cos": (Value.cos, (2.0,), (-math.sin(2),)),
    "tanh": (Value.tanh, (0.5,), (1 - math.tanh(0.5) ** 2,)),
    "sigmoid": (Value.sigmoid, (0.0,), (0.25,)),
    "relu, right": (Value.relu, (3.0,), (1.0,)),
    "relu, left": (Value.relu, (-3.0,), (0.0,)),
    "max": (lambda x, y: x.max(y), (3.0, 5.0), (0.0, 1.0)),
    "min": (lambda x, y: x.min(y), (3.0, 5.0), (1.0, 0.0)),
    "x * x": (lambda x: x * x, (3.0,), (6.0,)),
    "x / x": (lambda x: x / x, (3.0,), (0.0,)),
    "x - x": (lambda x: x - x, (3.0,), (0.0,)),
    "x ** x": (lambda x: x**x, (2.0,), (4 * (1 + math.log(2)),)),
    "sum": (lambda *xs: engine.sum(xs), (1.0, 2.0, 4.0), (1.0, 1.0, 1.0)),
    "sum of the same": (lambda x: engine.sum([x, x, 1.0, x]), (2.0,), (3.0,)),
    "dot": (lambda a, b, x, y: engine.dot([a, b], [x, y]), (1, 2, 3, 4), (3.0, 4.0, 1.0, 2.0)),
    "dot with itself": (lambda x: engine.dot([x, x], [x, 3.0]), (2.0,), (7.0,)),
    "affine": (lambda w, x, b: engine.affine([w], [x], b), (2, 3, 5), (3.0, 2.0, 1.0)),
    "affine of the same": (lambda w: engine.affine([w], [w], w), (3.0,), (7.0,)),
    "linear": (
        lambda x, w, v, b: engine.linear([x], [[w], [v]], bias=[b, b]),
        (2.0, 3.0, 5.0, 7.0),
        (8.0, 2.0, 2.0, 2.0),
    ),
    "linear of the same": (lambda x: engine.linear([x, x], [[x, 1.0]], bias=[x]), (3.0,), (8.0,)),
    "softmax": (lambda x, y: engine.softmax([x, y])[0], (0.0, 0.0), (0.25, -0.25)),
    "softmax, all": (lambda x, y: engine.softmax([x, y]), (0.0, 0.0), (0.0, 0.0)),
    "log_softmax": (lambda x, y: engine.log_softmax([x, y])[0], (0.0, 0.0), (0.5, -0.5)),
    "cross_entropy": (lambda x, y: engine.cross_entropy([x, y], 1), (0.0, 0.0), (0.5, -0.5)),
    "rms_norm": (lambda x: engine.rms_norm([x, 0.0], eps=0.0)[0], (3.0,), (0.0,)),
}


@pytest.mark.parametrize(("function", "operands", "expected"), TABLE.values(), ids=TABLE.keys())
def test_derivative_of(function, operands, expected):
    assert slopes(function, *operands) == pytest.approx(expected, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_relu_at_zero_has_derivative_0(zero):
    assert slopes(Value.relu, zero) == [0.0]
    assert slopes(lambda w: nn_neuron(w, "relu")([1.0]), zero) == [0.0]


def nn_neuron(w, activation):
    neuron = nn.Neuron(1, activation=activation)
    neuron.w = [w]
    return neuron


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_abs_at_zero_has_derivative_0(zero):
    assert slopes(abs, zero) == [0.0]
    assert slopes(Value.abs, zero) == [0.0]


@pytest.mark.parametrize("x", [2.0, 0.0, -0.0, -3.0, INF, -INF, NAN, 1e308, 5e-324])
@pytest.mark.parametrize("zero", [0, 0.0, -0.0, False])
def test_power_0_has_derivative_0_everywhere(x, zero):
    assert (Value(x) ** zero).data == 1.0
    assert slopes(lambda v: v**zero, x) == [0.0]
    assert slopes(lambda v, n: v**n, x, zero)[0] == 0.0


@pytest.mark.parametrize("x", [-2.0, -1e-100, -INF])
@pytest.mark.parametrize("n", [0.0, 3.0, -2.0])
def test_exponent_over_a_negative_number_has_derivative_nan(x, n):
    assert math.isnan(slopes(lambda v, n: v**n, x, n)[1])
    assert math.isnan(slopes(lambda n: x**n, n)[0])
    assert slopes(lambda v, n: v**n, x, 3.0)[0] == 3 * x**2


@pytest.mark.parametrize("zero", [0, 0.0, -0.0])
@pytest.mark.parametrize("n", [0.0, -0.0, 5e-324, 0.5, 1.0, 3.0, 1e300, INF])
def test_exponent_over_zero_has_derivative_0(zero, n):
    assert slopes(lambda v, n: v**n, zero, n)[1] == 0.0
    assert slopes(lambda n: zero**n, n) == [0.0]


@pytest.mark.parametrize("x", [0.0, -2.0])
def test_a_plain_exponent_has_no_derivative_to_spoil(x):
    assert slopes(lambda v: v**3, x) == [3 * x**2]
    assert slopes(lambda v: v**3 * 2 + v**1, x) == [6 * x**2 + 1]


def test_exponent_of_a_positive_base():
    assert slopes(lambda v, n: v**n, 1.0, 5.0) == [5.0, 0.0]
    assert slopes(lambda n: math.e**n, 1.0) == close([math.e])


@pytest.mark.parametrize("x", [0.0, 3.0, -2.0, INF])
def test_equal_operands_of_max_and_min_favour_the_first(x):
    assert slopes(lambda a, b: a.max(b), x, x) == [1.0, 0.0]
    assert slopes(lambda a, b: engine.min(a, b), x, x) == [1.0, 0.0]
    assert slopes(lambda a: a.max(a), x) == [1.0]


def test_infinite_slopes():
    assert slopes(Value.sqrt, 0.0) == [INF]
    assert slopes(lambda x: x**0.5, 0.0) == [INF]
    assert slopes(lambda x: 1 / x, 5e-324 * 2**60) == [-INF]


@pytest.mark.parametrize("x", [1e-17, -1e-17, 5e-324, 0.0, -0.0])
def test_tanh_of_a_tiny_number_is_that_number(x):
    assert Value(x).tanh().data.hex() == x.hex()
    assert slopes(Value.tanh, x) == [1.0]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_tanh_and_sigmoid_are_stable_at_any_finite_input(x):
    assert -1.0 <= Value(x).tanh().data <= 1.0
    assert 0.0 <= slopes(Value.tanh, x)[0] <= 1.0
    assert 0.0 <= Value(x).sigmoid().data <= 1.0
    assert 0.0 <= slopes(Value.sigmoid, x)[0] <= math.nextafter(0.25, 1.0)
    assert slopes(Value.sigmoid, x) == slopes(Value.sigmoid, -x)


def test_tails_of_the_sigmoid():
    assert Value(1e4).sigmoid().data == 1.0
    assert Value(-1e4).sigmoid().data == 0.0
    assert Value(-700.0).sigmoid().data == close(math.exp(-700))
    assert slopes(Value.sigmoid, -700.0) == close([math.exp(-700)])
    assert slopes(Value.sigmoid, 40.0) == close([math.exp(-40)])


@pytest.mark.parametrize("largest", [1e4, 1e300, 1.7e308])
def test_softmax_is_stable_at_any_finite_input(largest):
    logits = [largest, 0.0, -largest, largest]
    assert [p.data for p in engine.softmax([Value(x) for x in logits])] == [0.5, 0.0, 0.0, 0.5]
    assert slopes(lambda *xs: engine.softmax(xs)[0], *logits) == [0.25, 0.0, 0.0, -0.25]
    assert engine.log_softmax(logits)[3].data == -math.log(2)
    assert slopes(lambda *xs: engine.log_softmax(xs)[0], *logits) == [0.5, 0.0, 0.0, -0.5]


def test_cross_entropy_of_large_logits_is_finite():
    logits = [1e4, -1e4, 0.0]
    assert engine.cross_entropy([Value(x) for x in logits], 0).data == 0.0
    assert engine.cross_entropy([Value(x) for x in logits], 1).data == 2e4
    assert slopes(lambda *xs: engine.cross_entropy(xs, 1), *logits) == [1.0, -1.0, 0.0]
    assert engine.cross_entropy([1e300, 0.0], 1).data == 1e300


@given(st.lists(st.floats(-1e306, 1e306), min_size=1, max_size=8), st.data())
def test_gradients_of_cross_entropy_add_up_to_nothing(logits, data):
    target = data.draw(st.integers(0, len(logits) - 1))
    assert math.isfinite(engine.cross_entropy(logits, target).data)
    gradients = slopes(lambda *xs: engine.cross_entropy(xs, target), *logits)
    assert math.fsum(gradients) == pytest.approx(0.0, abs=1e-15)
    assert -1.0 - 1e-15 <= gradients[target] <= 0.0


def test_small_losses_keep_their_gradient():
    gradients = slopes(lambda *xs: engine.cross_entropy(xs, 0), 40.0, 0.0)
    assert gradients == close([-math.exp(-40), math.exp(-40)])


# The moment of the forward op -------------------------------------------------------------------

LISTS = {
    "sum": lambda x, y: engine.sum([x, y, x]),
    "dot": lambda x, y: engine.dot([x, y], [y, x]),
    "affine": lambda x, y: engine.affine([x, y], [y, y], x),
    "linear": lambda x, y: engine.linear([x, y], [[y, x], [x, 2.0]], bias=[x, y]),
    "softmax": lambda x, y: engine.softmax([x, y])[0],
    "log_softmax": lambda x, y: engine.log_softmax([x, y])[1],
    "cross_entropy": lambda x, y: engine.cross_entropy([x, y], 1),
    "rms_norm": lambda x, y: engine.rms_norm([x, y])[0],
    "own op": lambda x, y: Value(1.0, (x, y), "own", local_grads=(x.data, y.data)),
}
FUNCTIONS = {name: f for name, (f, xs, _) in TABLE.items() if len(xs) == 2}
FUNCTIONS |= {name: lambda x, y, f=f: f(x) for name, (f, xs, _) in TABLE.items() if len(xs) == 1}
FUNCTIONS |= {f"{name}, shared": function for name, function in LISTS.items()}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_derivatives_are_those_of_forward_time(function):
    expected = slopes(function, 3.0, 5.0)
    x, y = Value(3.0), Value(5.0)
    result = function(x, y)
    outputs = result if isinstance(result, list) else [result]
    x.data, y.data = -100.0, 0.0
    for output in outputs:
        output.data = 7.0
        output.backward()
    assert [x.grad, y.grad] == expected
    assert [x.data, y.data] == [-100.0, 0.0]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
def test_derivatives_of_a_network_are_those_of_forward_time(activation):
    gradients = []
    for changed in (False, True):
        model = nn.MLP(2, [2, 1], activation=activation)
        for i, p in enumerate(model.parameters()):
            p.data = 0.5 - 0.25 * i
        x = [Value(1.0), Value(-0.5)]
        out = model(x)
        other = model([2.0, 3.0])
        for p in [*model.parameters(), *x] if changed else ():
            p.data = p.data * 2 + 1
        out.backward()
        other.backward()
        gradients.append([p.grad for p in [*model.parameters(), *x]])
    assert gradients[0] == gradients[1]


def test_weights_changed_between_two_calls_of_a_layer():
    layer = nn.Layer(1, 2, activation="linear")
    (w,) = layer.neurons[0].w
    w.data = 2.0
    x = Value(5.0)
    first = layer([x])
    w.data = 3.0
    second = layer([x])
    assert [first[0].data, second[0].data] == [10.0, 15.0]
    first[0].backward()
    assert (x.grad, w.grad) == (2.0, 5.0)
    second[0].backward()
    assert (x.grad, w.grad) == (2.0 + 3.0, 10.0)
