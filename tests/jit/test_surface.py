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
