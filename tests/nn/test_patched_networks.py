"""Networks that are patched or rebuilt give micrograd's answers."""

import math
import random

import numpy as np
import pytest
from fastgrad import engine, nn, optim
from fastgrad.engine import Value
from fastgrad.nn import MLP, Layer, Neuron
from hypothesis import given
from hypothesis import strategies as st
from modifications import MODIFICATIONS, fast_world, listed, plain_world, written_out

SHAPES = st.tuples(st.integers(1, 3), st.lists(st.integers(2, 3), max_size=2), st.integers(1, 3))
CHANGES = st.lists(
    st.tuples(st.sampled_from(sorted(MODIFICATIONS)), st.integers(0, 11)), min_size=1, max_size=4
)


def outcome(world, changes, rows, answer):
    """Data of all answers, then the gradients of inputs and first parameters."""
    try:
        for name, place in changes:
            MODIFICATIONS[name](world, place)
        inputs = [[world.Value(x) for x in row] for row in rows]
        answers = [out for answers in answer(world.model, inputs) for out in listed(answers)]
        sum(answers, world.Value(0.0)).backward()
    finally:
        world.restore()
    nodes = [*(x for row in inputs for x in row), *world.nodes]
    return [getattr(out, "data", out) for out in answers], [node.grad for node in nodes]


def one_by_one(model, rows):
    return [model(row) for row in rows]


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), SHAPES, CHANGES, st.data())
def test_modified_networks_give_what_plain_ones_give(seed, shape, changes, data):
    nin, hidden, last = shape
    row = st.lists(st.floats(-2, 2), min_size=nin, max_size=nin)
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    arguments = (nin, [*hidden, last], seed)
    expected = outcome(plain_world(*arguments), changes, rows, one_by_one)
    for answer in (one_by_one, lambda model, rows: model(rows)):
        found = outcome(fast_world(*arguments), changes, rows, answer)
        assert found[0] == pytest.approx(expected[0], rel=1e-12, abs=1e-12)
        assert found[1] == pytest.approx(expected[1], rel=1e-11, abs=1e-11)


def test_a_patched_neuron_answers_in_layers_and_networks(monkeypatch):
    monkeypatch.setattr(nn.Neuron, "__call__", lambda self, x: Value(42.0))
    assert Neuron(2)([1.0, 2.0]).data == 42.0
    assert [out.data for out in Layer(2, 2)([1.0, 2.0])] == [42.0, 42.0]
    assert [[v.data for v in out] for out in Layer(2, 2).batch([[1.0, 2.0]])] == [[42.0, 42.0]]
    model = MLP(2, [3, 1])
    assert model([1.0, 2.0]).data == 42.0
    assert [out.data for out in model([[1.0, 2.0]] * 2)] == [42.0, 42.0]


def test_a_layer_of_a_class_answers_rows_and_batches():
    class Half(Layer):
        def __call__(self, x):
            return [out * 0.0 for out in super().__call__(x)]

    model = MLP(2, [3, 1])
    model.layers[0] = Half(2, 3)
    assert model([1.0, 2.0]).data == 0.0
    assert model([[1.0, 2.0]])[0].data == 0.0
    assert [v.data for v in Half(2, 3).batch([[1.0, 2.0]])[0]] == [0.0, 0.0, 0.0]


class Tenfold(Value):
    def __mul__(self, other):
        return Value.__mul__(self, other) * 10


def test_the_ops_of_a_weights_class_are_called():
    layer = Layer(1, 1, nonlin=False)
    (neuron,) = layer.neurons
    neuron.w = [Tenfold(1.0)]
    assert neuron([2.0]).data == 20.0
    assert layer([2.0]).data == 20.0
    assert layer.batch([[2.0]])[0][0].data == 20.0
    assert engine.dot([Tenfold(1.0)], [2.0]).data == 20.0
    assert engine.affine([Tenfold(1.0)], [2.0], 1.0).data == 21.0
    assert [y.data for y in engine.linear([2.0], [[Tenfold(1.0)], [3.0]])] == [20.0, 6.0]


def test_a_weight_may_change_its_class_between_two_calls():
    layer = Layer(1, 2, nonlin=False)
    kept = layer([2.0])
    layer.neurons[0].w[0].__class__ = Tenfold
    again = layer([2.0])
    assert again[0].data == 10 * kept[0].data
    assert again[1].data == kept[1].data


def test_the_class_of_a_weight_may_be_patched_between_two_calls():
    class Named(Value):
        pass

    layer = Layer(1, 2, nonlin=False)
    layer.neurons[1].w = [Named(3.0)]
    kept = layer([2.0])
    assert kept[1]._op == "affine"
    Named.__mul__ = Tenfold.__mul__
    assert [out.data for out in layer([2.0])] == [kept[0].data, 60.0]


@pytest.mark.parametrize(
    ("name", "count"), [("__mul__", 9), ("__add__", 9), ("relu", 3), ("__radd__", 0)]
)
def test_counters_on_the_type_see_every_op(monkeypatch, name, count):
    calls = []
    original = getattr(Value, name)
    monkeypatch.setattr(Value, name, lambda *operands: calls.append(1) or original(*operands))
    model = MLP(2, [3, 1])
    model([1.0, 2.0])
    assert len(calls) == count
    model([[1.0, 2.0]] * 2)
    assert len(calls) == 3 * count
    monkeypatch.undo()
    assert model([1.0, 2.0])._op == "affine"


def test_the_fast_path_comes_back_when_a_patch_goes(monkeypatch):
    layer = Layer(2, 3)
    for owner in (Value, Neuron, Layer):
        monkeypatch.setattr(owner, "unrelated", 1, raising=False)
    assert layer([1.0, 2.0])[0]._op == "affine+ReLU"
    monkeypatch.setattr(Neuron, "nonlin", True)
    assert layer([1.0, 2.0])[0]._op == "ReLU"
    monkeypatch.undo()
    assert layer([1.0, 2.0])[0]._op == "affine+ReLU"


@pytest.mark.parametrize("name", ["w", "b", "activation", "nonlin"])
def test_a_field_of_neurons_that_is_patched(monkeypatch, name):
    replaced = {"w": [Value(2.0)], "b": Value(-3.0), "activation": "tanh", "nonlin": False}
    layer = Layer(1, 2)
    for p in layer.parameters():
        p.data = -1.0
    monkeypatch.setattr(Neuron, name, property(lambda self: replaced[name]), raising=False)
    expected = {"w": 3.0, "b": 0.0, "activation": math.tanh(-5.0), "nonlin": -5.0}[name]
    x = [4.0] if name != "w" else [2.0]
    assert [out.data for out in layer(x)] == [expected, expected]
    assert [v.data for v in layer.batch([x])[0]] == [expected, expected]


def test_a_subclass_with_properties_and_slots():
    class Fixed(Neuron):
        __slots__ = ("extra",)
        w = property(lambda self: [Value(2.0)], lambda self, w: None)
        nonlin = property(lambda self: False, lambda self, on: None)

    layer = Layer(1, 2)
    layer.neurons[1] = Fixed(1)
    assert layer([-3.0])[1].data == -6.0
    assert layer.batch([[-3.0]])[0][1].data == -6.0


def test_an_attribute_of_an_instance_is_no_call():
    layer = Layer(1, 1)
    layer.neurons[0].__dict__["__call__"] = layer.__dict__["__call__"] = lambda x: "mine"
    assert isinstance(layer([1.0]), Value)
    assert isinstance(layer.batch([[1.0]])[0][0], Value)


def test_layers_and_neurons_get_what_the_program_gave():
    seen = []

    def spy(x):
        seen.append(x)
        return Value(1.0)

    layer = Layer(2, 2)
    layer.neurons[1] = spy
    row = np.array([1.0, 2.0])
    layer(row)
    assert seen.pop() is row
    layer(iter([1.0, 2.0]))
    assert seen.pop() == [1.0, 2.0]
    model = MLP(2, [1])
    model.layers.append(spy)
    model([1.0, 2.0])
    assert isinstance(seen.pop(), Value)


def test_a_stateful_layer_meets_a_batch_row_by_row():
    def noise(x):
        return [v + draw.random() for v in x]

    model = MLP(2, [2, 2, 1])
    model.layers.insert(1, noise)
    model.layers.insert(3, noise)
    rows = [[1.0, 2.0], [3.0, 4.0]]
    draw = random.Random(1)
    one = [model(row).data for row in rows]
    draw = random.Random(1)
    assert [out.data for out in model(rows)] == one


def test_a_strangers_multiplication_is_asked():
    class Interval:
        def __init__(self, low, high):
            self.ends = (low, high)

        def __rmul__(self, value):
            return Interval(*(value * end for end in self.ends))

        def __radd__(self, value):
            return Interval(*(value + end for end in self.ends))

    neuron = Neuron(1, nonlin=False)
    low, high = neuron([Interval(1.0, 2.0)]).ends
    assert (low.data, high.data) == (neuron([1.0]).data, neuron([2.0]).data)
    (low, high) = Layer(1, 1, nonlin=False)([Interval(1.0, 2.0)]).ends
    assert low.data != high.data


# Ops over lists ----------------------------------------------------------------------------------

LISTS = {
    "sum": lambda engine, x: engine.sum(x),
    "dot": lambda engine, x: engine.dot(x, [2.0, x[0], x[1]]),
    "affine": lambda engine, x: engine.affine(x, [2.0, 3, x[1]], x[2]),
    "linear": lambda engine, x: engine.linear(x, [x, [1.0, x[0], 2.0]], [x[0], 0.5]),
    "softmax": lambda engine, x: engine.softmax(x),
    "log_softmax": lambda engine, x: engine.log_softmax(x),
    "cross_entropy": lambda engine, x: engine.cross_entropy(x, 1),
    "rms_norm": lambda engine, x: engine.rms_norm(x),
}
OPS = ["__add__", "__sub__", "__mul__", "__truediv__", "__pow__", "exp", "log"]


def of_engine(module, function, name, how):
    """Run the function with an op of the type that gives 3/2 of the result, or one operand's."""
    original = getattr(module.Value, name)

    def changed(*operands):
        return (
            original(original(*operands), 1.5) if name == "__mul__" else original(*operands) * 1.5
        )

    x = [module.Value(data) for data in (0.5, -1.0, 2.0)]
    if how == "patched":
        setattr(module.Value, name, changed)
    else:
        own = type("Own", (module.Value,), {name: changed})
        x[1] = own(-1.0)
    try:
        outputs = listed(function(module, x))
    finally:
        setattr(module.Value, name, original)
    sum(outputs, module.Value(0.0)).backward()
    return [out.data for out in outputs] + [v.grad for v in x]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("how", ["patched", "subclass"])
@pytest.mark.parametrize("function", LISTS.values(), ids=LISTS.keys())
def test_an_op_over_a_list_is_the_written_out_program(function, name, how):
    expected = of_engine(written_out(), function, name, how)
    found = of_engine(engine, function, name, how)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["max", "min"])
def test_max_and_min_are_the_methods(monkeypatch, name):
    own = type("Own", (Value,), {name: lambda self, other: Value(7.0)})
    function = getattr(engine, name)
    assert function(own(1.0), 2.0).data == 7.0
    assert function(Value(1.0), own(2.0)).data == function(1.0, 2.0).data
    monkeypatch.setattr(Value, name, lambda self, other: Value(8.0))
    assert function(Value(1.0), 2.0).data == 8.0


def test_losses_see_ops_of_a_class():
    class Sparse(Value):
        def __sub__(self, other):
            return Value.__sub__(self, other) * 2

        def __rmul__(self, other):
            return Value.__rmul__(self, other) * 3

    assert nn.mse_loss([Sparse(3.0)], [1.0]).data == 16.0
    assert nn.hinge_loss([Sparse(-1.0)], [1]).data == 4.0


# Optimizers --------------------------------------------------------------------------------------


class Clamped(Value):
    """A parameter that stays within ±1."""

    def __setattr__(self, name, value):
        super().__setattr__(name, max(-1.0, min(1.0, value)) if name == "data" else value)


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW])
def test_an_optimizer_sets_parameters_as_a_program_does(make):
    p, q = Clamped(0.5), Value(0.5)
    p.grad = q.grad = -1.0
    make([p, q], lr=10.0).step()
    assert p.data == 1.0
    assert q.data > 5.0


class Refusing(Value):
    refuses = False

    def __setattr__(self, name, value):
        if name == "data" and Refusing.refuses:
            raise LookupError
        super().__setattr__(name, value)


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1, momentum=0.5), optim.Adam])
def test_a_parameter_that_refuses_leaves_all_as_they_were(monkeypatch, make):
    paths = []
    for refusals in (0, 2):
        parameters = [Value(1.0), Refusing(2.0)]
        optimizer = make(parameters)
        for p in parameters:
            p.grad = 0.5
        optimizer.step()
        for _ in range(refusals):
            before = [p.data for p in parameters]
            monkeypatch.setattr(Refusing, "refuses", True)
            with pytest.raises(LookupError):
                optimizer.step()
            monkeypatch.setattr(Refusing, "refuses", False)
            assert [p.data for p in parameters] == before
        optimizer.step()
        paths.append([p.data for p in parameters] + [optimizer.steps])
    assert paths[0] == paths[1]


def test_zero_grad_sets_the_attribute_of_a_class():
    class Logged(Value):
        def __setattr__(self, name, value):
            log.append(name)
            super().__setattr__(name, value)

    log = []
    model = MLP(1, [1])
    model.layers[0].neurons[0].b = Logged(0.0)
    model.zero_grad()
    assert log == ["grad"]
