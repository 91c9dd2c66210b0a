"""A Value as a Python object: its attributes, classes and copies."""

import copy
import math
import pickle
import re

import numpy as np
import pytest
from fastgrad import engine, nn
from fastgrad.engine import Value


def test_operands_are_the_objects_themselves_in_order():
    a, b = Value(2.0), Value(3.0)
    for made in (a + b, a - b, a * b, a / b, a**b, a.max(b), engine.min(a, b)):
        assert type(made._prev) is tuple
        assert len(made._prev) == 2
        assert made._prev[0] is a
        assert made._prev[1] is b


def test_each_operand_is_there_once():
    a, b = Value(2.0), Value(3.0)
    assert (a * a)._prev == (a,)
    assert (a**a)._prev == (a,)
    assert engine.sum([b, a, b, 1.0, a])._prev == (b, a)
    assert engine.dot([a, b], [b, a])._prev == (a, b)
    assert engine.affine([a], [b], a)._prev == (a, b)


def test_operands_of_ops_over_lists():
    x, w, b = ([Value(float(i)) for i in range(3)] for _ in range(3))
    assert engine.dot(w, x)._prev == (*w, *x)
    assert engine.affine(w, x, b[0])._prev == (*w, *x, b[0])
    assert [y._prev for y in engine.softmax(x)] == [tuple(x)] * 3
    assert [y._prev for y in engine.rms_norm(x)] == [tuple(x)] * 3
    assert engine.cross_entropy([*x, 1.0], 0)._prev == tuple(x)
    y = engine.linear(x, [w, [w[1], w[1], 2.0], x], bias=b)
    assert [set(node._prev) for node in y] == [{*x, *w, b[0]}, {*x, w[1], b[1]}, {*x, b[2]}]
    assert all(len(node._prev) == len(set(node._prev)) for node in y)


def test_a_leaf_has_no_operands():
    assert Value(1.0)._prev == ()
    assert engine.sum([])._prev == ()
    assert engine.max(1.0, 2.0)._prev == ()


def test_equality_and_hash_are_identity():
    a, b = Value(1.0), Value(1.0)
    assert a == a
    assert a != b
    assert a != 1.0
    assert a not in [b, 1.0, None]
    assert hash(a) == object.__hash__(a)
    assert len({a, b, a}) == 2
    assert {a: "a", b: "b"}[a] == "a"


def test_a_value_is_true():
    assert bool(Value(0.0)) is True
    assert bool(Value(math.nan)) is True


@pytest.mark.parametrize("expression", ["v < v", "v <= 1", "v > v", "1.0 >= v", "sorted([v, v])"])
def test_values_have_no_order(expression):
    with pytest.raises(TypeError, match="not supported between"):
        eval(expression, {"v": Value(1.0)})


CONVERSIONS = [float, int, complex, round, math.floor, math.sqrt, math.exp, len, iter, range]
CONVERSIONS += [np.float64, lambda v: np.array([v], dtype=float)]
CONVERSIONS += [lambda v: [1][v], lambda v: v(), lambda v: divmod(v, 1)]


def test_a_value_is_formatted_like_its_data():
    v = Value(3.14159, label="pi")
    assert (v.item(), type(v.item())) == (3.14159, float)
    assert (f"{v:.2f}", f"{v:+08.3f}", f"{v:e}") == ("3.14", "+003.142", "3.141590e+00")
    assert f"{v}" == str(v) == repr(v) == "Value(data=3.14159, grad=0.0, label='pi')"
    assert repr(Value(1.0)) == "Value(data=1.0, grad=0.0)"
    with pytest.raises(ValueError, match="format"):
        format(v, "d")
    with pytest.raises(ValueError, match="spec is 'ab") as caught:
        format(v, "ab\n" * 100_000)
    assert len(str(caught.value)) < 200
    assert len(f"{v:{'0' * 200}300.3f}") == 300
    with pytest.raises(TypeError):
        Value.__format__(v, 5)


LOSE_THE_GRAPH = [float, int, complex, round, lambda v: round(v, 2), math.floor, math.exp]
LOSE_THE_GRAPH += [math.sqrt, np.float64, lambda v: "%.2f".__mod__(v)]
LOSE_THE_GRAPH += [
    lambda v: max(v, v),
    lambda v: sorted([v, v]),
    lambda v: v > 0,
    lambda v: v >= 1.0,
]
LOSE_THE_GRAPH += [lambda v: v < np.float64(1), lambda v: v >= v]


@pytest.mark.parametrize("use", LOSE_THE_GRAPH)
def test_what_would_lose_the_graph_names_the_way_out(use):
    with pytest.raises(TypeError, match=r"use \.data"):
        use(Value(1.0))


def test_another_type_may_know_how_to_compare_itself():
    class Any:
        def __gt__(self, other):
            return "greater"

    assert (Value(1.0) < Any()) == "greater"
    with pytest.raises(TypeError, match="not supported between"):
        assert Value(1.0) < "a"
    assert (Value(1.0) == np.array([1.0])).tolist() == [False]


@pytest.mark.parametrize("convert", CONVERSIONS)
def test_a_value_is_no_number_for_python(convert):
    with pytest.raises(TypeError):
        convert(Value(1.0))
    assert float(Value(1.5).data) == 1.5


def test_any_attribute_may_be_set():
    a = Value(1.0)
    a.label = "a"
    a.m = 0.0
    a.anything = [a.label]
    setattr(a, "with space", 1)
    assert (a.label, a.m, a.anything, getattr(a, "with space")) == ("a", 0.0, ["a"], 1)
    assert vars(a) == {"label": "a", "m": 0.0, "anything": ["a"], "with space": 1}
    del a.m
    with pytest.raises(AttributeError, match="'m'"):
        print(a.m)
    a.__dict__ = {"k": 2}
    assert (a.k, a.label) == (2, "")
    a.__dict__["n"] = 3
    assert a.n == 3
    with pytest.raises(TypeError):
        a.__dict__ = 3
    assert a.data == 1.0


def test_computed_nodes_have_attributes_too():
    c = engine.softmax([Value(1.0), 2.0])[0] * 2
    c.label = "c"
    c.grad = 3
    assert (c.label, c.grad, type(c.grad)) == ("c", 3.0, float)


def test_the_label_is_empty_until_it_is_set():
    assert Value(1.0).label == ""
    assert Value(1.0, label="x").label == "x"
    assert Value(1.0, (), "", "x").label == "x"
    assert (Value(1.0) + 1).label == ""


@pytest.mark.parametrize("field", ["data", "grad"])
def test_data_and_grad_hold_floats_only(field):
    a = Value(1.0)
    setattr(a, field, 2)
    assert repr(getattr(a, field)) == "2.0"
    setattr(a, field, np.float32(0.5))
    assert repr(getattr(a, field)) == "0.5"
    for wrong in ("1", None, 1j, [1.0], np.array(1.0), a):
        name = type(wrong).__name__
        with pytest.raises(TypeError, match=f"{field} must be a real number, not {name}"):
            setattr(a, field, wrong)
    with pytest.raises(TypeError, match=f"{field} of a Value cannot be deleted"):
        delattr(a, field)
    assert getattr(a, field) == 0.5


@pytest.mark.parametrize("field", ["_prev", "_op"])
def test_edges_and_names_cannot_be_written(field):
    a = Value(1.0) * 2
    before = getattr(a, field)
    with pytest.raises(AttributeError, match=field):
        setattr(a, field, before)
    with pytest.raises(AttributeError, match=field):
        delattr(a, field)
    with pytest.raises(TypeError, match="operands of a Value cannot be changed"):
        a.__init__(3.0, (Value(1.0),), "+")
    assert getattr(a, field) is before or getattr(a, field) == before
    assert a.data == 2.0


class Named(Value):
    """What micrograd's users write: another constructor, another method."""

    def __init__(self, data, name="?", **more):
        super().__init__(data, **more)
        self.name = name

    def double(self):
        return self * 2


class Slotted(Value):
    __slots__ = ("extra",)


def test_subclasses():
    a, b = Named(2.0, "a"), Named(3.0)
    assert isinstance(a, Value)
    assert (a.name, b.name, a.data) == ("a", "?", 2.0)
    c = a.double() + b * a - 1
    c.backward()
    assert (c.data, a.grad, b.grad) == (9.0, 5.0, 2.0)
    assert type(a * b) is Value
    assert (a * b)._prev == (a, b)
    d = Named(1.0, children=(a, b), op="mine", local_grads=(2.0, 3.0))
    d.backward()
    assert (d._prev, d._op, a.grad, b.grad) == ((a, b), "mine", 7.0, 5.0)
    assert repr(a) == "Value(data=2.0, grad=7.0)"


def test_subclasses_in_lists_and_networks():
    x = [Named(1.0), Slotted(-2.0)]
    model = nn.MLP(2, [2, 1])
    for p in model.parameters():
        p.data = 0.5
    out = model(x) + engine.sum(x) + engine.dot(x, x) + engine.softmax(x)[0]
    out.backward()
    assert all(node.grad != 0 for node in x)
    x[1].extra = 5
    assert x[1].extra == 5


def test_a_subclass_may_change_an_operator():
    class Loud(Value):
        def __add__(self, other):
            return "added"

        def __radd__(self, other):
            return "added to"

    assert Loud(1.0) + 1 == "added"
    assert 1 + Loud(1.0) == "added to"
    assert Value(1.0) + Loud(1.0) == "added to"
    assert (Loud(1.0) * 2).data == 2.0


def test_a_subclass_that_forgets_the_constructor_is_no_operand():
    class Forgetful(Value):
        def __init__(self, *_):
            pass

    a = Forgetful("whatever")
    assert (a.data, a.grad, a._prev, a._op) == (0.0, 0.0, (), "")
    with pytest.raises(ValueError, match="__init__ has not run"):
        a + 2


def test_an_instance_may_change_its_class():
    class Other(Named):
        def double(self):
            return "twice"

    a = Named(2.0)
    b = a * 3
    a.__class__ = Other
    assert a.double() == "twice"
    b.backward()
    assert (a.grad, a.data, a.name) == (3.0, 2.0, "?")
    del b
    a.__class__ = Named
    assert a.double().data == 4.0
    for wrong in (int, object, nn.Module):
        with pytest.raises(TypeError):
            a.__class__ = wrong


def test_micrograds_way_to_walk_a_graph():
    a, b = Value(2.0), Value(3.0)
    root = (a * b + a).relu()
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    assert (len(nodes), len(edges)) == (5, 5)


# Copies -----------------------------------------------------------------------------------------

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda v, n=n: pickle.loads(pickle.dumps(v, n)) for n in range(6)},
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
def test_a_leaf_can_be_copied(duplicate):
    a = Value(-0.1, label="a")
    a.grad, a.m = math.inf, [1, 2]
    b = duplicate(a)
    assert b is not a
    assert (type(b), b.data, b.grad, b.label, b.m, b._prev) == (
        Value,
        -0.1,
        math.inf,
        "a",
        [1, 2],
        (),
    )
    (b * b).backward()
    assert (a.grad, b.grad) == (math.inf, math.inf)
    c = duplicate(Named(5.0, "c"))
    assert (type(c), c.data, c.name) == (Named, 5.0, "c")


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
def test_a_computed_node_cannot_be_copied(duplicate):
    a = Value(2.0)
    ruled = Value(1.0)
    ruled._backward = print
    for node in (a * 3, engine.sum([a]), engine.softmax([a])[0], Value(1.0, (a,), "own"), ruled):
        with pytest.raises(TypeError, match="only a leaf Value can be copied or pickled"):
            duplicate(node)


MODEL_COPIES = {name: COPIES[name] for name in ("deepcopy", "pickle 2", "pickle 5")}


@pytest.mark.parametrize("duplicate", MODEL_COPIES.values(), ids=MODEL_COPIES.keys())
def test_a_model_can_be_copied(duplicate):
    model = nn.MLP(2, [3, 1], activation="tanh")
    model([1.0, 2.0]).backward()
    twin = duplicate(model)
    assert repr(twin) == repr(model)
    numbers = [(p.data, p.grad) for p in model.parameters()]
    assert [(p.data, p.grad) for p in twin.parameters()] == numbers
    assert not set(twin.parameters()) & set(model.parameters())
    assert twin([1.0, 2.0]).data == model([1.0, 2.0]).data
    twin.zero_grad()
    assert [(p.data, p.grad) for p in model.parameters()] == numbers


def test_a_value_that_knows_itself_can_be_copied():
    a = Value(1.0)
    a.me = a
    b = copy.deepcopy(a)
    assert b.me is b
    c = pickle.loads(pickle.dumps(a))
    assert c.me is c


@pytest.mark.parametrize(
    ("name", "meant"),
    [("draw", "fastgrad.viz.draw(v)"), ("explain", "fastgrad.viz.explain(v)"), ("numpy", "v.data")],
)
def test_a_member_from_elsewhere_is_an_attribute_error_that_names_the_right_one(name, meant):
    a = Value(1.0)
    with pytest.raises(AttributeError, match=re.escape(f"no attribute '{name}'; use {meant}")):
        getattr(a, name)
    assert not hasattr(a, name)
    assert name not in dir(a)
    setattr(a, name, 3)  # Attributes are free.
    assert getattr(a, name) == 3
    class_ = type("Mine", (Value,), {name: lambda self: self.data})
    assert getattr(class_(2.0), name)() == 2.0
    assert name in dir(class_(2.0))
