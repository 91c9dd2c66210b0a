"""Patched and subclassed Values behave as in micrograd."""

import pytest
from fastgrad import _core
from fastgrad.engine import Value
from micrograd.engine import Value as Micrograd


@pytest.mark.parametrize(
    "name",
    ["__mul__", "__radd__", "__init__", "__new__", "relu", "data", "backward", "__getattribute__"],
)
def test_a_patched_value_is_noticed(monkeypatch, name):
    assert not _core.value_is_patched()
    with monkeypatch.context() as patch:
        patch.setattr(Value, name, property(lambda v: 1.0), raising=False)
        assert _core.value_is_patched()
        assert _core.value_is_patched()
    assert not _core.value_is_patched()


def test_an_attribute_of_the_programs_own_is_no_patch(monkeypatch):
    monkeypatch.setattr(Value, "softplus", lambda v: (v.exp() + 1).log(), raising=False)
    monkeypatch.setattr(Value, "label", "?")
    monkeypatch.setattr(Value, "__lt__", lambda v, w: v.data < w.data)
    monkeypatch.setattr(Value, "_prev", property(lambda v: set(v._children)))
    assert not _core.value_is_patched()
    assert Value(0.0).softplus().data == pytest.approx(0.6931471805599453)
    assert Value(1.0) < Value(2.0)


# What a program does to the class, and an expression that it shows in: plain micrograd is right.


def patched_init(patch, cls):
    seen = []
    original = cls.__init__

    def init(self, data, _children=(), _op=""):
        original(self, data, _children, _op)
        self.order = len(seen)
        seen.append((float(data), len(_children), _op))

    patch.setattr(cls, "__init__", init)
    return seen


def test_a_patched_constructor_is_called_for_results_too(monkeypatch):
    for cls in (Value, Micrograd):
        with monkeypatch.context() as patch:
            seen = patched_init(patch, cls)
            x, y = cls(2.0), cls(3.0)
            z = (x * y + x * x).relu()
            z.backward()
            assert seen == [
                (2.0, 0, ""),
                (3.0, 0, ""),
                (6.0, 2, "*"),
                (4.0, 2, "*"),
                (10.0, 2, "+"),
                (10.0, 1, "ReLU"),
            ]
            assert (x.grad, y.grad, z.order) == (7.0, 2.0, 5)
    assert (Value(2.0) * 3.0).data == 6.0


def test_a_patched_constructor_may_change_the_data(monkeypatch):
    original = Value.__init__

    def rounded(self, data, *more, **settings):
        original(self, round(data, 1), *more, **settings)

    monkeypatch.setattr(Value, "__init__", rounded)
    x = Value(0.123)
    y = x * 2.0
    y.backward()
    assert (x.data, y.data, x.grad, y._prev, y._op) == (0.1, 0.2, 2.0, (x,), "*")
    assert [(-x).data, (x**2).data, x.exp().data, (1 - x).data] == [-0.1, 0.0, 1.1, 0.9]


@pytest.mark.usefixtures("collected")
def test_an_exception_of_a_patched_constructor_comes_out(monkeypatch):
    x, nodes = Value(1.0), _core.live_nodes()
    monkeypatch.setattr(Value, "__init__", lambda self, *_: 1 / 0)
    for use in (lambda: x * 2, lambda: Value(1.0), lambda: x.relu(), lambda: x**2):
        with pytest.raises(ZeroDivisionError):
            use()
    assert _core.live_nodes() == nodes


def test_a_patched_new_is_called(monkeypatch):
    original, made = Value.__new__, []

    def new(cls, *arguments, **settings):
        made.append(cls)
        return original(cls)

    with monkeypatch.context() as patch:
        patch.setattr(Value, "__new__", staticmethod(new))
        x = Value(2.0)
        y = x * 3
        y.backward()
        assert (made, x.grad, y.data) == ([Value, Value], 3.0, 6.0)
    assert (Value(2.0) * 3).data == 6.0
    assert len(made) == 2

    class Sub(Value):
        pass

    assert Sub(2.0).data == 2.0
    for wrong in ((), (3,), (int,)):
        with pytest.raises(TypeError):
            Value.__new__(*wrong)


EXPRESSIONS = ["a + b", "a * b", "a - b", "a / b", "-a", "a + 1", "1 + a", "2 * a", "a * 2"]
EXPRESSIONS += ["a - 1", "1 - a", "a / 2", "2 / a", "a ** 2", "sum([a, b])", "a.relu()"]
PATCHES = ["__add__", "__mul__", "__neg__", "__sub__", "__truediv__", "__pow__"]
PATCHES += ["__radd__", "__rmul__", "__rsub__", "__rtruediv__", "relu"]


def counted(cls, name, calls):
    original = getattr(cls, name)

    def method(self, *others):
        calls.append(name)
        return original(self, *others) + 100.0 if name == "relu" else original(self, *others)

    return method


def evaluate(cls, make, expression):
    a, b = make(3.0), make(4.0)
    return eval(expression, {"a": a, "b": b}).data


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("name", PATCHES)
def test_a_patched_op_is_called_where_micrograd_calls_it(monkeypatch, expression, name):
    results = []
    for cls in (Value, Micrograd):
        calls = []
        with monkeypatch.context() as patch:
            patch.setattr(cls, name, counted(cls, name, calls))
            results.append((evaluate(cls, cls, expression), calls))
    assert results[0] == results[1]


def tenfold(cls, name):
    original = getattr(cls, name)
    return lambda self, *others: cls(original(self, *others).data * 10)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("name", PATCHES)
def test_a_subclass_with_its_own_op_gives_what_micrograd_gives(expression, name):
    ours, theirs = (
        evaluate(cls, type("Sub", (cls,), {name: tenfold(cls, name)}), expression)
        for cls in (Value, Micrograd)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", PATCHES)
def test_a_subclass_beside_a_plain_value(name):
    for expression in EXPRESSIONS[:4]:
        for swapped in (False, True):
            results = []
            for cls in (Value, Micrograd):
                sub = type("Sub", (cls,), {name: tenfold(cls, name)})
                a, b = (sub(3.0), cls(4.0)) if swapped else (cls(3.0), sub(4.0))
                results.append(eval(expression, {"a": a, "b": b}).data)
            assert results[0] == results[1]


def test_results_of_a_subclass_are_plain_values():
    class Sub(Value):
        pass

    for made in (Sub(1.0) * 2, 2 - Sub(1.0), -Sub(1.0), Sub(1.0).relu(), Sub(1.0) ** 2):
        assert type(made) is Value
