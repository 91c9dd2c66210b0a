"""Derivatives against mpmath, in units in the last place (ulp) of the true derivative.

The points cover all exponents that a float can have, subnormal numbers and the neighbourhoods of
0 and 1. Bounds are for a libm whose own results are within an ulp, as those of glibc are.
"""

import math
import random

import mpmath
import pytest
from fastgrad import engine, nn
from fastgrad.engine import Value
from mpmath import mpf

POINTS = 20_000
INF = math.inf
EXTREMES = [5e-324, 2.5e-309, 2.2250738585072014e-308, 1e-17, 1.0, 119.6, 709.7, 1.7e308]
EXPONENTS = [
    2,
    3,
    -1,
    -2,
    10,
    100,
    -100,
    0.5,
    -0.5,
    1.5,
    1 / 3,
    2 / 3,
    0.1,
    -2.1,
    1e-300,
    1e9 + 0.3,
]


@pytest.fixture(autouse=True)
def _precision():
    with mpmath.workprec(120):
        yield


def positive(rng):
    kind = rng.randrange(5)
    if kind == 0:
        return 2.0 ** rng.uniform(-1074, 1024)
    if kind == 1:
        return math.ldexp(rng.random(), -1022) or 5e-324
    if kind == 2:
        return abs(1.0 + rng.choice([-1, 1]) * 2.0 ** rng.uniform(-54, 0)) or 1.0
    if kind == 3:
        return rng.choice(EXTREMES)
    return rng.uniform(0.0, 40.0) or 1.0


def number(rng):
    return rng.choice([-1.0, 1.0]) * positive(rng)


def moderate(rng):
    """Give numbers at which exp, tanh and sigmoid change; one in four is any number."""
    width = rng.choice([1.0, 20.0, 750.0, None])
    return number(rng) if width is None else rng.uniform(-width, width)


def one(draw):
    return lambda rng: (draw(rng),)


def quotient(rng):
    """Half of the quotients are near the smallest floats."""
    y = number(rng)
    if rng.random() < 0.5:
        return number(rng), y
    return y * rng.choice([-1.0, 1.0]) * 2.0 ** rng.uniform(-1074, -1000), y


def power(rng):
    """Half of the powers are anywhere between the smallest and the largest float."""
    x = positive(rng)
    if rng.random() < 0.25:
        return x, rng.choice(EXPONENTS)
    if rng.random() < 0.25 or x == 1.0:
        return x, rng.uniform(-5.0, 5.0)
    return x, rng.uniform(-1080.0, 1024.0) / math.log2(x)


def of_power(x, n):
    log = mpmath.log(x)
    return n * mpmath.exp((n - 1) * log), mpmath.exp(n * log) * log


def sech_squared(x):
    e = mpmath.exp(-2 * min(abs(x), 800))
    return 4 * e / (1 + e) ** 2


def of_sigmoid(x):
    return sech_squared(x / 2) / 4


# name: the op, its operands, its true derivatives, the largest error in ulp.
OPS = {
    "x / y": (lambda x, y: x / y, quotient, lambda x, y: (1 / y, -x / y**2), 2.0),
    "x ** y": (lambda x, y: x**y, power, of_power, 4.0),
    "exp": (Value.exp, one(moderate), mpmath.exp, 1.0),
    "log": (Value.log, one(positive), lambda x: 1 / x, 0.5),
    "sqrt": (Value.sqrt, one(positive), lambda x: 1 / (2 * mpmath.sqrt(x)), 1.5),
    "sin": (Value.sin, one(number), mpmath.cos, 1.0),
    "cos": (Value.cos, one(number), lambda x: -mpmath.sin(x), 1.0),
    "tanh": (Value.tanh, one(moderate), sech_squared, 2.0),
    "sigmoid": (Value.sigmoid, one(moderate), of_sigmoid, 2.0),
}


def slopes(function, operands):
    """Give the derivatives, or none where Python's arithmetic refuses the operands."""
    leaves = [Value(x) for x in operands]
    try:
        function(*leaves).backward()
    except (ArithmeticError, ValueError):
        return []
    return [leaf.grad for leaf in leaves]


def ulps(got, true):
    """Give the error of got in ulp; floats end where the next one would be 2 ** 1024."""
    nearest = float(true)
    if got == nearest:
        return 0.5
    end = mpf(2) ** 1024
    got = math.copysign(1.0, got) * end if math.isinf(got) else got
    return float(abs(got - max(-end, min(end, true))) / math.ulp(min(abs(nearest), 1.7e308)))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
def test_derivatives_over_all_floats(name, record_property):
    function, draw, true, bound = OPS[name]
    rng = random.Random(name)
    worst, compared = (0.0, ()), 0
    while compared < POINTS:
        operands = draw(rng)
        got = slopes(function, operands)
        if got:
            expected = true(*map(mpf, operands))
            expected = expected if isinstance(expected, tuple) else (expected,)
            errors = [ulps(g, e) for g, e in zip(got, expected, strict=True)]
            worst = max(worst, (max(errors), operands))
            compared += 1
    record_property("worst error in ulp, and where", worst)
    assert worst[0] <= bound, worst


@pytest.mark.parametrize("n", EXPONENTS)
def test_derivatives_of_powers_with_plain_exponents(n):
    """A plain exponent has the derivative of an exponent that is a node; negative bases mirror."""
    rng = random.Random(str(n))
    for _ in range(500):
        x = positive(rng)
        made = slopes(lambda v: v**n, (x,))
        assert made == slopes(lambda v, m: v**m, (x, n))[:1]
        if made and n == int(n):
            assert slopes(lambda v: v**n, (-x,)) == [made[0] if n % 2 else -made[0]]


def test_derivatives_whose_formulas_leave_the_range_of_floats():
    x = 2.2987330046291042e-206
    assert ulps(slopes(lambda v: v**-0.5, (x,))[0], of_power(mpf(x), mpf(-0.5))[0]) <= 4
    third = mpf(1 / 3)
    assert ulps(slopes(lambda v: v ** (1 / 3), (5e-324,))[0], of_power(mpf(5e-324), third)[0]) <= 4
    assert ulps(slopes(lambda v: v**100, (8e-4,))[0], of_power(mpf(8e-4), 100)[0]) <= 4
    assert ulps(slopes(lambda n: 1e-300**n, (1.07,))[0], of_power(mpf(1e-300), 1.07)[1]) <= 4
    assert ulps(slopes(Value.tanh, (119.6,))[0], sech_squared(mpf(119.6))) <= 2
    assert ulps(slopes(Value.tanh, (372.0,))[0], sech_squared(mpf(372.0))) <= 2
    x, y = 3 * 5e-324, 1.3 * 2.0**-25
    assert ulps(slopes(lambda v: x / v, (y,))[0], -mpf(x) / mpf(y) ** 2) <= 2


def test_derivatives_of_powers_at_the_ends():
    def power(x, n):
        return x**n

    assert slopes(power, (0.5, INF)) == [0.0, 0.0]
    assert slopes(power, (2.0, -INF)) == [0.0, 0.0]
    assert slopes(power, (INF, -1.0)) == [0.0, 0.0]
    assert slopes(power, (INF, 0.5)) == [0.0, INF]
    assert slopes(power, (0.0, 0.5)) == [INF, 0.0]
    assert slopes(power, (-0.0, 1e-300)) == [INF, 0.0]
    assert slopes(power, (0.0, -INF)) == [-INF, -INF]
    assert slopes(power, (0.0, 1e-300)) == [INF, 0.0]
    assert slopes(lambda x: x**4, (-INF,)) == [-INF]
    assert slopes(lambda x: x**3, (-1e200,)) == []
    assert math.isnan(slopes(power, (math.nan, 3.0))[0])


# Activations of layers ---------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_activations_of_layers_have_the_derivatives_of_the_ops(activation):
    layer = nn.Layer(1, 2, activation=activation)
    for neuron in layer.neurons:
        neuron.w = [Value(1.0)]
    rng = random.Random(activation)
    for _ in range(2000):
        x = moderate(rng)
        assert slopes(lambda v: layer([v])[1], (x,)) == slopes(getattr(Value, activation), (x,))


# Ops over lists -----------------------------------------------------------------------------------


def logits(rng):
    n, scale = rng.randint(1, 12), rng.choice([1e-3, 1.0, 30.0, 300.0])
    return [rng.uniform(-scale, scale) for _ in range(n)]


def of_softmax(x, i):
    """Give p[i] * (1 - p[i]) and -p[i] * p[j], with 1 - p[i] as the sum of the others."""
    powers = [mpmath.exp(mpf(v) - max(x)) for v in x]
    p = [v / mpmath.fsum(powers) for v in powers]
    rest = mpmath.fsum(q for j, q in enumerate(p) if j != i)
    return [p[i] * (rest if i == j else -p[j]) for j in range(len(p))], p[i]


def of_log_softmax(x, i):
    slopes, p = of_softmax(x, i)
    return [slope / p for slope in slopes]


# name: an output, its true derivatives.
OUTPUTS = {
    "softmax": (lambda xs, i: engine.softmax(xs)[i], lambda x, i: of_softmax(x, i)[0]),
    "log_softmax": (lambda xs, i: engine.log_softmax(xs)[i], of_log_softmax),
    "cross_entropy": (engine.cross_entropy, lambda x, i: [-d for d in of_log_softmax(x, i)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
def test_each_output_of_softmax_and_its_kin(name, record_property):
    """A logit at a distance d from the largest has its power to d/2 ulp, as d is rounded."""
    function, true = OUTPUTS[name]
    rng = random.Random(name)
    worst = 0.0
    for _ in range(1000):
        x = logits(rng)
        i = rng.randrange(len(x))
        allowed = 2.0**-53 * (2 * len(x) + 8 + 2 * (max(x) - min(x)))
        made = slopes(lambda *xs, i=i: function(xs, i), x)
        for got, expected in zip(made, true(x, i), strict=True):
            worst = max(worst, float(abs(got - expected) / (allowed * abs(expected) + 5e-324)))
    record_property("worst error, of what is allowed", worst)
    assert worst <= 1.0


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_rms_norm_to_rounding_of_its_terms(eps):
    rng = random.Random(eps)
    for _ in range(500):
        n = rng.randint(1, 12)
        scale = 10.0 ** rng.uniform(-153, 153)
        x = [rng.uniform(-scale, scale) for _ in range(n)]
        g = [rng.uniform(-1.0, 1.0) for _ in range(n)]
        made = slopes(lambda *xs, g=g: engine.dot(engine.rms_norm(xs, eps), g), x)
        root = 1 / mpmath.sqrt(mpmath.fsum(mpf(v) ** 2 for v in x) / n + mpf(eps))
        terms = [root * v * w for v, w in zip(x, g, strict=True)]
        mean, size = mpmath.fsum(terms) / n, mpmath.fsum(map(abs, terms)) / n
        for got, v, w in zip(made, x, g, strict=True):
            reach = root * (abs(w) + abs(root * v) * size)
            assert abs(got - root * (w - root * v * mean)) <= 2.0**-53 * (2 * n + 8) * reach


def test_dot_and_affine_hand_on_the_factors_themselves():
    rng = random.Random(0)
    for _ in range(200):
        w, x, b = number(rng), number(rng), number(rng)
        assert slopes(lambda w, x: engine.dot([w, 1.0], [x, 1.0]), (w, x)) == [x, w]
        assert slopes(lambda w, x, b: engine.affine([w], [x], b), (w, x, b)) == [x, w, 1.0]
        assert slopes(lambda x, b, w=w: engine.linear([x], [[w]], [b])[0], (x, b)) == [w, 1.0]
