"""Which ops there are, what may stand beside a Value, and what is refused."""

import operator
import re

import numpy as np
import pytest
from fastgrad import _core, engine
from fastgrad.engine import Value
from hypothesis import given
from hypothesis import strategies as st

BINARY = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}


def outcome(function, *operands):
    """Give the result as a float, or the type of the exception."""
    try:
        result = function(*operands)
    except ArithmeticError as error:
        return type(error)
    return result.data if isinstance(result, Value) else result


SCALARS = [np.float16, np.float32, np.float64, np.longdouble, np.bool_, np.int8, np.uint8]
SCALARS += [np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("op", BINARY.values(), ids=BINARY.keys())
def test_numpy_scalars_on_either_side(scalar, op):
    for number, x in ((scalar(1), 0.75), (scalar(100), 1.5), (scalar(0), 3.0)):
        v = Value(x)
        for left, right in ((number, v), (v, number)):
            operands = [float(o) if o is number else o.data for o in (left, right)]
            expected = outcome(op, *operands)
            assert outcome(op, left, right) == expected
            if isinstance(expected, float):
                result = op(left, right)
                assert type(result) is Value
                assert result._prev == (v,)


@pytest.mark.parametrize("scalar", SCALARS)
def test_numpy_scalars_in_functions_and_lists(scalar):
    v = Value(3.0)
    one = scalar(1)
    assert v.max(one).data == engine.max(one, v).data == 3.0
    assert v.min(one).data == engine.min(one, v).data == 1.0
    assert engine.sum([v, one, one]).data == 5.0
    assert engine.dot([v, one], [one, v]).data == 6.0
    assert sum([one, v]).data == 4.0


def test_an_array_on_the_left_distributes():
    v = Value(2.0)
    for op, expected in ((operator.mul, [2.0, 6.0]), (operator.pow, [1.0, 9.0])):
        result = op(np.array([1, 3]), v)
        assert result.dtype == object
        assert [type(r) for r in result] == [Value, Value]
        assert [r.data for r in result] == expected
    objects = np.array([v, Value(5.0)])
    assert [r.data for r in objects * v] == [4.0, 10.0]
    assert [r.data for r in objects + objects] == [4.0, 10.0]
    assert (objects @ np.array([1.0, 2.0])).data == 12.0
    assert objects.sum().data == 7.0


STRANGERS = ["abc", b"abc", None, 1j, [1.0], (1.0,), {}, object(), len, Value, ..., range(3)]
ARRAYS = [np.array([1.0, 2.0]), np.array(2.0), np.array([]), np.array([Value(1.0)], dtype=object)]
NUMPY_STRANGERS = [np.complex64(1), np.str_("a"), np.datetime64("2020-01-01")]


def stable(stranger):
    """Return an id that is the same in every run."""
    return "object()" if type(stranger) is object else repr(stranger)


@pytest.mark.parametrize("op", BINARY.items(), ids=BINARY.keys())
@pytest.mark.parametrize("stranger", [*STRANGERS, *NUMPY_STRANGERS], ids=stable)
def test_other_operands_are_refused(op, stranger):
    name, function = op
    v = Value(2.0)
    for operands in ((v, stranger), (stranger, v)):
        with pytest.raises(TypeError) as caught:
            function(*operands)
        assert name in str(caught.value)
        assert type(stranger).__name__ in str(caught.value)
    assert (v.data, v.grad, v._prev) == (2.0, 0.0, ())


def numbers(result):
    """Data and operands of every Value in a result, and the shape."""
    values = np.asarray(result, dtype=object)
    assert all(type(value) is Value for value in values.flat)
    return values.shape, [(value.data, value._prev) for value in values.flat]


DISTRIBUTED = [np.array([1.0, 2.0]), np.array([[1, 3]]), np.array(2.0), np.array(2), np.array([])]
DISTRIBUTED += [
    np.array([1.5], dtype=np.float32),
    np.array([True, True]),
    np.array(1e3, np.float16),
]
DISTRIBUTED += [np.arange(1.0, 7.0).reshape(2, 3)[:, ::2]]


@pytest.mark.parametrize("op", BINARY.values(), ids=BINARY.keys())
@pytest.mark.parametrize("array", DISTRIBUTED, ids=stable)
def test_an_array_distributes_the_same_from_either_side(op, array):
    v = Value(2.0)
    for call in (lambda item: op(v, item), lambda item: op(item, v)):
        expected = [(value.data, (v,)) for value in map(call, array.ravel().tolist())]
        assert numbers(call(array)) == (array.shape, expected)


@pytest.mark.parametrize("op", BINARY.values(), ids=BINARY.keys())
def test_an_array_of_values_distributes_too(op):
    v, w = Value(2.0), Value(3.0)
    array = np.array([w, v])
    assert numbers(op(v, array))[1] == [(op(v, w).data, (v, w)), (op(v, v).data, (v,))]
    assert numbers(op(array, v))[1] == [(op(w, v).data, (w, v)), (op(v, v).data, (v,))]
    assert numbers(op(array, array))[0] == (2,)


@pytest.mark.parametrize("op", BINARY.values(), ids=BINARY.keys())
@pytest.mark.parametrize("items", [["a"], [None], [1j], [[1], None]], ids=stable)
def test_an_array_of_other_operands_is_refused(op, items):
    array = np.array(items, dtype=object)
    for operands in ((Value(2.0), array), (array, Value(2.0))):
        with pytest.raises(TypeError, match="unsupported operands for"):
            op(*operands)


def test_a_0d_array_is_its_number():
    v = Value(3.0)
    assert type(v * np.array(2.0)) is type(np.array(2.0) * v) is Value
    assert (v * np.array(2.0)).data == 6.0
    assert np.polyval([Value(3.0), Value(4.0)], 2.0).data == 10.0
    assert np.dot(np.array([v, v]), np.array([1.0, 2.0])).data == 9.0
    assert np.exp(np.array([v]))[0]._op == "exp"


@pytest.mark.parametrize("stranger", [*STRANGERS, *NUMPY_STRANGERS, *ARRAYS], ids=stable)
def test_functions_refuse_other_operands(stranger):
    v = Value(2.0)
    for name, call in {
        "max": lambda: v.max(stranger),
        "min": lambda: engine.min(stranger, v),
        "sum": lambda: engine.sum([v, stranger]),
        "dot": lambda: engine.dot([v], [stranger]),
        "affine": lambda: engine.affine([v], [v], stranger),
        "softmax": lambda: engine.softmax([stranger]),
        "data": lambda: Value(stranger),
    }.items():
        with pytest.raises(TypeError, match=name):
            call()


@pytest.mark.parametrize(
    "symbol", ["//", "%", "@", "<<", ">>", "&", "|", "^", "<", ">", "<=", ">="]
)
def test_other_operators_are_refused(symbol):
    for expression in (f"Value(2.0) {symbol} Value(1.0)", f"Value(2.0) {symbol} 1.0"):
        with pytest.raises(TypeError, match=re.escape(symbol)):
            eval(expression)
    with pytest.raises(TypeError, match="third argument"):
        pow(Value(2.0), 2, 3)


def test_another_type_may_know_how_to_stand_beside_a_value():
    class Money:
        def __rmul__(self, other):
            return ("times", other)

        def __mul__(self, other):
            return NotImplemented

    v = Value(2.0)
    assert v * Money() == ("times", v)
    with pytest.raises(TypeError, match=r"\+.*Money"):
        v + Money()
    with pytest.raises(TypeError, match=r"\*.*Money"):
        Money() * v


def test_powers():
    v = Value(3.0)
    assert (v**2).data == 9.0
    assert (2**v).data == 8.0
    assert (v ** Value(-1)).data == 1 / 3
    assert pow(v, 2).data == 9.0


def test_python_sum_and_augmented_assignment():
    values = [Value(1.0), Value(2.0)]
    assert sum(values).data == 3.0
    total = first = Value(1.0)
    total += 2
    total *= 3
    total -= 1.0
    total /= 4
    total **= 2
    assert (total.data, first.data) == (4.0, 1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize(
    ("function", "nodes"),
    [
        (lambda x, w: engine.sum(x), 1),
        (lambda x, w: engine.dot(w, x), 1),
        (lambda x, w: engine.affine(w, x, x[0]), 1),
        (lambda x, w: engine.cross_entropy(x, 2), 1),
        (lambda x, w: engine.linear(x, [w, w]), 2),
        (lambda x, w: engine.linear(x, [w] * 5, bias=w), 5),
        (lambda x, w: engine.softmax(x), 5),
        (lambda x, w: engine.log_softmax(x), 5),
        (lambda x, w: engine.rms_norm(x), 5),
        (lambda x, w: x[0] - 2, 1),
        (lambda x, w: 1 / x[0], 1),
        (lambda x, w: -x[0] / w[0], 2),
    ],
)
def test_nodes_made(function, nodes):
    x, w = ([Value(i + 1.0) for i in range(5)] for _ in range(2))
    before = _core.live_nodes()
    kept = function(x, w)
    assert _core.live_nodes() - before == nodes
    assert kept is not None


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=12), st.floats())
def test_lists_are_summed_in_the_order_of_the_program(pairs, b):
    total, dot, affine = 0.0, 0.0, b
    for w, x in pairs:
        total += w
        dot += w * x
        affine += w * x
    ws, xs = [Value(w) for w, _ in pairs], [x for _, x in pairs]
    fused = [engine.sum(ws), engine.dot(ws, xs), engine.affine(ws, xs, b)]
    fused += engine.linear(xs, [ws, ws], bias=[b, 0.0])
    assert [y.data.hex() for y in fused] == [y.hex() for y in (total, dot, affine, affine, dot)]


@pytest.mark.slow
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda v: engine.dot([v], [v, v]), ValueError, "dot: x has length 2, expected 1"),
        (lambda v: engine.affine([v, v], [v], v), ValueError, "affine: x has length 1, expected 2"),
        (lambda v: engine.linear([v], [[v], [v, v]]), ValueError, "linear: row.* 2, expected 1"),
        (lambda v: engine.linear([v], [[v]], [v, v]), ValueError, "linear: bias .* 2, expected 1"),
        (lambda v: engine.linear([v], [[v]], []), ValueError, "linear: bias .* 0, expected 1"),
        (lambda v: engine.linear([v], 3), TypeError, "linear: rows"),
        (lambda v: engine.linear([v], [3]), TypeError, "linear: .*row"),
        (lambda v: engine.softmax([]), ValueError, "softmax: logits is empty"),
        (lambda v: engine.log_softmax([]), ValueError, "log_softmax: logits is empty"),
        (lambda v: engine.rms_norm([]), ValueError, "rms_norm: x is empty"),
        (lambda v: engine.cross_entropy([], 0), ValueError, "cross_entropy: logits is empty"),
        (lambda v: engine.cross_entropy([v, v], 2), IndexError, "cross_entropy: target 2 .*0 to 1"),
        (lambda v: engine.cross_entropy([v, v], -1), IndexError, "cross_entropy: target -1"),
        (lambda v: engine.cross_entropy([v, v], 1.0), TypeError, "float"),
        (lambda v: engine.sum(v), TypeError, "sum: values must be an iterable .* got Value"),
        (lambda v: engine.sum(3), TypeError, "sum: values must be an iterable .* got int: 3"),
    ],
)
def test_shapes_are_checked(call, error, words):
    v = Value(2.0)
    nodes = _core.live_nodes()
    with pytest.raises(error, match=words):
        call(v)
    assert (v.data, v.grad, v._prev, _core.live_nodes()) == (2.0, 0.0, (), nodes)
