"""Jitted functions from outside: methods, copies, and what messages and programs show."""

import copy
import warnings

import numpy as np
import pytest
from fastgrad import Jit, JitWarning, Value, jit


class Line:
    def __init__(self, slope):
        self.slope = Value(slope)

    @jit
    def loss(self, x, target):
        return (self.slope * x - target) ** 2


def test_a_method_is_recorded_for_each_instance():
    one, other = Line(2.0), Line(3.0)
    x, target = np.array([1.0, 2.0]), np.array([0.0, 1.0])
    assert one.loss.value_and_grad(x, target) == pytest.approx((4 + 9) / 2)
    assert other.loss.value_and_grad(x, target) == pytest.approx((9 + 25) / 2)
    assert one.loss.parameters() == [one.slope]
    assert other.loss.parameters() == [other.slope]
    assert one.loss is one.loss


def test_a_copy_of_an_instance_trains_its_own_parameters():
    one = Line(2.0)
    one.loss(1.0, 0.0)
    other = copy.deepcopy(one)
    other.slope.data = 5.0
    assert other.loss(1.0, 0.0).data == 25.0
    assert one.loss(1.0, 0.0).data == 4.0


def test_a_warning_tells_the_line_of_the_call():
    w = Value(1.0)
    f = jit(lambda x: w * int(x))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        f.value_and_grad(np.arange(20.0))
    assert [warning.category for warning in told] == [JitWarning]
    assert told[0].filename == __file__


def test_remainders_hold_for_one_number():
    w = Value(1.0)
    f = jit(lambda x: w * (x % 3) + x // 2 + 7 % x + 9 // x)
    for x in (5.0, 6.0, 5.0):
        assert f(x).data == f.function(x).data
    assert len(f.programs) == 2


def test_a_program_shows_its_sizes():
    w = Value(1.0)
    f = jit(lambda x: (w * x).exp())
    f(1.0)
    assert str(f.program).startswith("Program of <lambda>: 1 parameter, 1 number an example\n")


def test_copies_and_methods_keep_the_settings():
    class Single:
        def __init__(self):
            self.w = Value(1.0)

        @jit(dtype="float32")
        def loss(self, x):
            return self.w * x

    made = Single()
    assert made.loss.dtype == copy.deepcopy(made).loss.dtype == "float32"
    assert copy.copy(jit(abs, check=True)).check


def test_single_precision_is_checked_and_saved(tmp_path):
    w = Value(0.3)
    f = jit(lambda x: (w * x).tanh() ** 2, check=True, dtype="float32")
    mean = f.value_and_grad([1.1, 2.3])
    assert mean == pytest.approx((np.tanh(0.33) ** 2 + np.tanh(0.69) ** 2) / 2, rel=1e-5)
    f.save(tmp_path / "f.safetensors")
    assert Jit.load(tmp_path / "f.safetensors").dtype == "float32"


def test_a_method_may_have_another_name_than_its_function():
    def plain(self, x):
        return self.w * x

    class Named:
        again = jit(plain)

        def __init__(self):
            self.w = Value(2.0)

        @jit
        def __hidden(self, x):
            return self.w * x

        def hidden(self):
            return self.__hidden

    Named.later = jit(plain)
    made = Named()
    assert made.again is made.again
    assert made.later is made.later
    assert made.hidden() is made.hidden()
    assert made.again(3.0).data == made.hidden()(3.0).data == 6.0


def test_an_instance_without_a_dict_is_refused():
    class Slots:
        __slots__ = ()

        @jit
        def loss(self, x):
            return x

    with pytest.raises(TypeError, match=r"jitted loss.*__dict__"):
        Slots().loss  # noqa: B018


def test_a_callable_instance_is_called_by_its_class():
    from fastgrad import MLP

    f = jit(MLP(2, [1]))
    f([1.0, 2.0])
    assert repr(f) == "jit(MLP; 1 program)"


def test_parameters_are_known_after_a_call():
    from fastgrad import JitError

    w = Value(1.0)
    f = jit(lambda x: w * x)
    with pytest.raises(JitError, match="call first"):
        f.parameters()
    f(1.0)
    assert f.parameters() == [w]


def test_arrays_of_other_libraries_are_arrays():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0], dtype=dtype)

    w = Value(2.0)
    f = jit(lambda x, y: w * x - y)
    assert f.value_and_grad(Tensor(), Tensor()) == 1.5
    assert f.value_and_grad([1.0, 2.0], Tensor()) == 1.5
    assert jit(lambda x: w * x[1])(Tensor()).data == 4.0
    assert len(f.programs) == 1


def test_many_structures_are_told():
    w = Value(1.0)
    f = jit(lambda x, name: w * x)
    for i in range(63):
        f(1.0, f"name {i}")
    with pytest.warns(JitWarning, match="structures"):
        f(1.0, "one more")


def test_a_jitted_method_may_call_that_of_a_parent():
    class Steep(Line):
        @jit
        def loss(self, x, target):
            return super().loss(x, target) + super().loss(x, target)

    steep = Steep(2.0)
    assert super(Steep, steep).loss is super(Steep, steep).loss
    assert steep.loss(1.0, 0.0).data == 8.0
    assert steep.loss.value_and_grad([1.0, 2.0], [0.0, 0.0]) == 20.0
    assert jit(steep.slope.relu)().data == 2.0


def test_arguments_are_given_by_keyword():
    w = Value(2.0)

    @jit(check=True)
    def loss(x, target, *, scale=1.0, name=None):
        return (w * x - target) ** 2 * scale

    x, target = np.array([1.0, 2.0]), [0.0, 1.0]
    assert loss.value_and_grad(target=target, x=x) == loss.value_and_grad(x, target) == 6.5
    assert loss.value_and_grad(x, target=target, scale=2.0) == 13.0
    assert loss.value_and_grad(x, target, scale=[1.0, 2.0], name="a") == 11.0
    assert loss(x=1.0, target=0.0).data == 4.0
    assert (len(loss.programs), w.grad) == (4, 46.0)
    with pytest.raises(ValueError, match=r"x 2, target 1"):
        loss.value_and_grad(x, target=[1.0])
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        loss.value_and_grad(x, target, y=x)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        loss.value_and_grad(x)


def test_all_kinds_of_batches_are_the_same_rows():
    w = [Value(0.5), Value(-2.0)]
    f = jit(lambda x, y: (w[0] * x[0] + w[1] * x[1] - y) ** 2)
    x, y = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [1.0, 2.0, 3.0]
    mean = f.value_and_grad(x, y)
    array = np.array(x)
    for points in (
        *(array, array.astype(int), array.astype(np.float32), np.array(x[::-1])[::-1]),
        *(np.asfortranarray(array), array.tolist(), tuple(map(tuple, x)), list(array)),
        *([[1, 2], (3.0, 4), np.array([5, 6])], array.astype(object)),
    ):
        for targets in (y, tuple(y), np.array(y), np.array([1, 2, 3], dtype=np.uint8)):
            assert f.value_and_grad(points, targets) == mean
    assert len(f.programs) == 1
    assert f.value_and_grad(array, np.array(2.0)) == f.value_and_grad(x, [2, 2, 2])
    assert f([1, 2], True).data == f.function([1.0, 2.0], True).data
    assert len(f.programs) == 2


def test_structures_are_told_apart():
    w = Value(1.0)
    f = jit(lambda x: w * len(x) + sum(map(len, x)) if x and type(x[0]) is list else w)
    examples = [[], [[]], [[1.0]], [[1.0], []], [[], [1.0]], [1.0], ["a"], ["b"], ["a"], [None]]
    assert f.value_and_grad(examples) == pytest.approx(sum(f(x).data for x in examples) / 10)
    assert len(f.programs) == 9


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    f = jit(lambda x: Value(1.0))
    for call in (lambda: f(endless), lambda: f.value_and_grad([endless])):
        with pytest.raises(RecursionError, match="x has lists"):
            call()
