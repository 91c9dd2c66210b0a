"""Mistakes of newcomers: errors name the argument, its value, and what is expected."""

import copy
import math
import pickle
import random
import statistics
import warnings

import numpy as np
import pytest
from fastgrad import SGD, JitError, JitWarning, Value, jit, pick, take


@pytest.fixture
def w():
    return Value(2.0)


@pytest.fixture
def loss(w):
    return jit(lambda inputs, target, *more: w * sum(inputs) - target)


@jit
def at_the_top(x):
    return x * 2.0


class Line:
    def __init__(self):
        self.slope = Value(3.0)

    @jit
    def loss(self, x):
        return self.slope * x


@pytest.mark.parametrize(
    ("batch", "error", "told"),
    [
        (([[1.0]], [1.0, 2.0]), ValueError, "inputs 1, target 2"),
        ((range(3), 2.5), TypeError, r"inputs is range\(0, 3\), target is 2.5"),
        (([[Value(1.0)]], [1.0]), TypeError, r"inputs is Value\(data=1.0"),
        (([[1.0]], [{}]), TypeError, "target is {}"),
        (([[1.0]], [1.0], [{}]), TypeError, r"more\[0\] is {}"),
        (([], []), ValueError, "empty"),
        ((), TypeError, "no argument"),
    ],
)
def test_arguments_of_a_batch_are_called_by_their_names(loss, w, batch, error, told):
    for call in (
        lambda: loss.value_and_grad(*batch),
        lambda: loss.fit(batch, steps=1, optimizer=SGD([w], lr=0.1), progress=False),
    ):
        with pytest.raises(error, match=told):
            call()
    assert (w.data, w.grad, loss.programs) == (2.0, 0.0, [])


def test_arguments_of_a_call_are_called_by_their_names(loss):
    with pytest.raises(TypeError, match=r"target is Value\(data=1.0"):
        loss([1.0], Value(1.0))
    with pytest.raises(TypeError, match=r"^inputs is {}"):
        loss({}, 1.0)


def test_a_batch_that_is_no_tuple_is_refused(loss, w):
    with pytest.raises(TypeError, match=r"batch is \[1.0\]; expected a tuple"):
        loss.fit([1.0], steps=1, optimizer=SGD([w], lr=0.1))


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x, y: y * x.shape[0], r"x is a list of 2 items .*'shape'"),
        (lambda x, y: y * x[1].ndim, r"x\[1\] is a number .*'ndim'"),
        (lambda x, y: y.astype(float), r"y is a number .*'astype'"),
        (lambda x, y: (y * 2.0).shape, "made of the arguments is a number .*'shape'"),
    ],
)
def test_what_arrays_have_and_lists_lack_is_named(function, told):
    with pytest.raises(JitError, match=told) as raised:
        jit(function).value_and_grad(np.ones((3, 2)), np.ones(3))
    assert isinstance(raised.value.__cause__, AttributeError)


def test_other_missing_attributes_stay_what_they_are(w):
    with pytest.raises(AttributeError, match="nothing"):
        jit(lambda x: w.nothing * x)(1.0)
    assert jit(lambda x: w * (x.shape if hasattr(x, "shape") else x))(1.0).data == 2.0


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x, y: x @ x * y, "@: 'list' and 'list'"),
        (lambda x, y: Value(1.0) * y * x, "list"),
        (lambda x, y: x * 2.0, "sequence by non-int"),
        (lambda x, y: x + y, "list"),
        (lambda x, y: x + 1.0, "concatenate list"),
        (lambda x, y: Value(1.0) * statistics.mean(x), "'number'"),
    ],
)
def test_ops_that_lists_lack_are_named_with_their_line(function, told):
    with pytest.raises(JitError, match=rf"test_messages\.py:\d+: .*{told}.*in a jitted") as raised:
        jit(function).value_and_grad(np.ones((3, 2)), np.ones(3))
    assert type(raised.value.__cause__) is TypeError


def test_other_type_errors_stay_what_they_are(w):
    for function in (lambda x: len(3), lambda x: w * x * "a", lambda x: round(x, 1.5)):
        with pytest.raises(TypeError) as raised:
            jit(function)(1.0)
        assert type(raised.value) is TypeError


def test_numbers_of_an_example_are_floats_to_isinstance(w):
    def strict(x):
        assert isinstance(x, float)
        assert isinstance((w * x).data, float)
        assert not isinstance(x, int | str | list)
        return w * x

    f = jit(strict)
    assert [f(1.0).data, f(2.0).data] == [2.0, 4.0]
    assert len(f.programs) == 1


@pytest.mark.parametrize("index", ["a", None, [0], Value(0.0), b"a"])
def test_an_index_that_is_no_number_is_named(w, index):
    for choose in (lambda: pick([w, w], index), lambda: take([[w], [w]], index)):
        with pytest.raises(TypeError, match="index is"):
            choose()
    if not isinstance(index, Value | list):
        with pytest.raises(TypeError, match="index is"):
            jit(lambda i: pick([w, w], i))(index)


def test_a_value_is_no_index_of_a_recorded_program(w):
    with pytest.raises(TypeError, match=r"index is Value\(.*\.data"):
        jit(lambda i: pick([w, w], w * i))(0.0)
    f = jit(lambda i: pick([w, 3.0], (w * i).data) * 1.0)
    assert [f(0.0).data, f(0.5).data] == [2.0, 3.0]
    assert len(f.programs) == 1


@pytest.mark.parametrize("index", [-1, 2, 0.5, math.nan, math.inf, 10**400])
def test_an_index_out_of_range_is_named(w, index):
    for choose in (lambda: pick([w, w], index), lambda: take([[w], [w]], index)):
        with pytest.raises(IndexError, match=r"index is .*below 2"):
            choose()


def test_a_table_without_rows_is_named(w):
    for choose in (lambda: take([w, w], 0), lambda: jit(lambda i: take([w, w], i)[0])(0)):
        with pytest.raises(TypeError, match=r"table\[0\] is Value"):
            choose()
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        jit(lambda i: take([[w], [w, w]], i)[0])(0)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda w, x: w * math.exp(x), r"float.*Value\(x\)\.exp\(\)"),
        (lambda w, x: w * math.exp((w * x).data), r"float.*Value\(x\)\.exp\(\)"),
        (lambda w, x: w * (int(x * 100) + x % 2), "take and pick"),
        (lambda w, x: w * {x: 1.0}[x], "key"),
        (lambda w, x: w * sum(x > i / 20 for i in range(20)), "comparison"),
    ],
)
def test_a_warning_of_many_recordings_tells_the_real_reason(w, function, reason):
    f = jit(lambda x: function(w, x))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        f.value_and_grad(np.linspace(0.01, 0.99, 20))
    assert [warning.category for warning in told] == [JitWarning]
    [warning] = told
    assert warning.filename == __file__
    assert __file__ in str(warning.message)
    with pytest.warns(JitWarning, match=reason):
        jit(lambda x: function(w, x)).value_and_grad(np.linspace(0.01, 0.99, 20))


@pytest.mark.parametrize(
    "draw",
    [random.random, lambda: random.gauss(0, 1), np.random.rand, lambda: np.random.randn(1)[0]],
)
def test_random_numbers_that_stay_are_told(w, draw):
    f = jit(lambda x: w * x * draw())
    with pytest.warns(JitWarning, match=r"drew random numbers.*arguments") as told:
        first = f(1.0).data
    assert told[0].filename == __file__
    assert f(1.0).data == first  # and no warning, which would be an error


def test_lines_are_those_of_the_user(w):
    from fastgrad import MLP

    model = MLP(1, [1])

    def f(x):
        model.zero_grad()
        return model([x])

    with pytest.raises(JitError, match=r"test_messages\.py:\d+: grad is set"):
        jit(f)(1.0)


def test_a_failed_check_tells_what_by_how_much_and_why():
    w, scale = Value(2.0), [1.0]
    f = jit(lambda x: w * x * scale[0], check=True)
    f(3.0)
    scale[0] = 1.5
    with pytest.raises(JitError, match=r"x=3.0, the value is 6.0 .* 9.0 .*, 3 apart.*random"):
        f(3.0)
    with pytest.raises(JitError, match=r"x=4.0"):
        f.value_and_grad([4.0])
    assert w.grad == 0.0


def test_a_failed_check_names_the_parameter_and_leaves_gradients():
    v, w, other = Value(2.0), Value(5.0), Value(2.0)
    parts = [v]
    f = jit(lambda x: (w * x + parts[0] * 3.0) - parts[0] * 3.0 + (parts[0] - v), check=True)
    v.grad, w.grad, other.grad = 0.1, 0.25, 0.5
    f(1.0)
    parts[0] = other
    with pytest.raises(JitError, match=r"gradient by parameters\(\)\[\d\], Value\(data=2.0"):
        f(1.0)
    assert (v.grad, w.grad, other.grad) == (0.1, 0.25, 0.5)


def test_functions_are_pickled_by_name():
    at_the_top(1.0)
    assert pickle.loads(pickle.dumps(at_the_top)) is at_the_top
    single = jit(math.fabs, dtype="float32", passes=("fold",))
    again = pickle.loads(pickle.dumps(single))
    assert (again.function, again.dtype, again.passes) == (math.fabs, "float32", ("fold",))
    with pytest.raises(TypeError, match=r"jit\(<lambda>; 0 programs\).*save"):
        pickle.dumps(jit(lambda x: x))


def test_a_pickled_instance_has_methods_of_its_own():
    line = Line()
    line.loss(1.0)
    again = pickle.loads(pickle.dumps(line))
    again.slope.data = 5.0
    assert (again.loss(2.0).data, line.loss(2.0).data) == (10.0, 6.0)


def test_a_copy_is_recorded_anew_with_the_same_parameters(w):
    f = jit(lambda x: w * x, check=True)
    f(1.0)
    for made in (copy.copy(f), copy.deepcopy(f)):
        assert made.programs == []
        assert made.check
        assert made(2.0).data == 4.0
        assert made.parameters() == [w]


def test_the_last_program_is_the_one_recorded_last(w):
    f = jit(lambda x: w * sum(x) if x[0] > 0 else -w)
    for x in ([1.0], [1.0, 2.0], [-1.0]):
        f(x)
    assert f.program.num_inputs == 1
    assert repr(f) == "jit(<lambda>; 3 programs)"


def test_a_repr_looks_at_no_program(w, monkeypatch):
    import fastgrad._jit as package

    f = jit(lambda x: w * x)
    f(1.0)
    monkeypatch.delattr(package, "Program")
    assert repr(f) == "jit(<lambda>; 1 program)"


@pytest.mark.parametrize("left_out", ["fold", "share", "sums", "matrices"])
def test_passes_are_left_out_one_by_one(left_out):
    rows = [[Value(0.1 * i - 0.2 * j) for j in range(4)] for i in range(3)]

    def f(x):
        hidden = [sum(w * xi for w, xi in zip(row, x, strict=True)) for row in rows]
        return sum((h * 1.0 + Value(2.0) * 3.0).tanh() + (h * 1.0).sin() for h in hidden)

    passes = {"fold", "share", "sums", "matrices"} - {left_out}
    every, some = jit(f), jit(f, passes=passes)
    for g in (every, some):
        assert g([1.0, 2.0, -1.0, 0.5]).data == pytest.approx(f([1.0, 2.0, -1.0, 0.5]).data)
    left, right = every.program, some.program
    assert (left.nodes, left.instructions) != (right.nodes, right.instructions)
    assert left.recorded == right.recorded
    assert set(copy.copy(some).passes) == passes


@pytest.mark.parametrize("passes", ["fold", ("folds",), 3, [["fold"]]])
def test_passes_that_do_not_exist_are_refused(passes):
    with pytest.raises((TypeError, ValueError), match="passes is"):
        jit(lambda x: x, passes=passes)
