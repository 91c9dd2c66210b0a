"""Layers whose weights are not what they were."""

import copy
import gc
import math
import random

import pytest
from fastgrad import _core, engine, nn
from fastgrad.engine import Value

FORMULAS = {
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "tanh": (math.tanh, lambda z: 1 / math.cosh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + math.exp(-z)), lambda z: math.exp(-z) / (1 + math.exp(-z)) ** 2),
    "linear": (lambda z: z, lambda z: 1.0),
}


def layer_of(nin, nout, activation="linear"):
    layer = nn.Layer(nin, nout, activation=activation)
    for i, p in enumerate(layer.parameters()):
        p.data = (i % 7 - 3) / 4
    return layer


def written_out(layer, x):
    """Answer as the program of scalar ops that a layer stands for."""
    answers = []
    for neuron in layer.neurons:
        z = neuron.b
        for w, v in zip(neuron.w, x, strict=True):
            z = z + w * v
        answers.append(z if neuron.activation == "linear" else getattr(z, neuron.activation)())
    return answers


def gradients_of(outputs, nodes):
    """Weigh the outputs differently, walk back, and give and clear the nodes' gradients."""
    engine.dot(outputs, range(1, len(outputs) + 1)).backward()
    found = [node.grad for node in nodes]
    for node in nodes:
        node.grad = 0.0
    return found


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("x", [-2.0, -0.25, 0.0, 0.5, 3.0])
def test_gradients_of_each_activation(name, x):
    f, slope = FORMULAS[name]
    model = nn.MLP(1, [1, 1], activation=name)
    inner, outer = (layer.neurons[0] for layer in model.layers)
    for p, data in zip(model.parameters(), (2.0, -0.5, 3.0, 0.25), strict=True):
        p.data = data
    node = Value(x)
    out = model([node])
    z = -0.5 + 2.0 * x
    assert out.data == pytest.approx(0.25 + 3.0 * f(z), rel=1e-15)
    out.backward()
    expected = [3 * slope(z) * x, 3 * slope(z), f(z), 1.0, 3 * slope(z) * 2]
    nodes = [*inner.parameters(), *outer.parameters(), node]
    assert [v.grad for v in nodes] == pytest.approx(expected, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("nonlin", [True, False])
def test_micrograds_arguments(nonlin):
    kind = "ReLU" if nonlin else "Linear"
    for neuron in (nn.Neuron(2, nonlin), nn.Neuron(nin=2, nonlin=nonlin)):
        assert (repr(neuron), neuron.nonlin) == (f"{kind}Neuron(2)", nonlin)
    assert repr(nn.Layer(1, 1, nonlin=nonlin)) == f"Layer of [{kind}Neuron(1)]"
    assert isinstance(nn.MLP(nin=1, nouts=[1]), nn.Module)


def test_modules_take_attributes_of_the_users():
    neuron, layer, model = nn.Neuron(1), nn.Layer(1, 1), nn.MLP(1, [1])
    for module in (neuron, layer, model):
        module.name = "mine"
        assert module.name == "mine"
    assert model.layers[0].neurons[0].w[0] is model.parameters()[0]
    neuron.w.append(Value(1.0))
    assert len(neuron.parameters()) == 3


TRICKS = {
    "nothing": lambda layer: None,
    "another value": lambda layer: setattr(layer.neurons[0].w[1], "data", 9.0),
    "another bias": lambda layer: setattr(layer.neurons[1].b, "data", 9.0),
    "another node of the same value": lambda layer: layer.neurons[0].w.__setitem__(
        1, Value(layer.neurons[0].w[1].data)
    ),
    "another bias node": lambda layer: setattr(layer.neurons[1], "b", Value(0.5)),
    "another list": lambda layer: setattr(layer.neurons[0], "w", [Value(1.0), Value(2.0)]),
    "a tuple": lambda layer: setattr(layer.neurons[0], "w", (Value(1.0), Value(2.0))),
    "numbers": lambda layer: setattr(layer.neurons[0], "w", [1.0, 2]),
    "a number among nodes": lambda layer: layer.neurons[1].w.__setitem__(0, 3.0),
    "a computed weight": lambda layer: layer.neurons[0].w.__setitem__(0, Value(3.0).tanh()),
    "tied weights": lambda layer: setattr(layer.neurons[0], "w", layer.neurons[1].w),
    "weights swapped": lambda layer: layer.neurons[0].w.reverse(),
    "the bias as weight": lambda layer: layer.neurons[0].w.__setitem__(0, layer.neurons[0].b),
    "a neuron more": lambda layer: layer.neurons.append(layer.neurons[0]),
    "a neuron less": lambda layer: layer.neurons.pop(),
    "neurons swapped": lambda layer: layer.neurons.reverse(),
    "another activation": lambda layer: setattr(layer.neurons[0], "activation", "tanh"),
    "a copy": lambda layer: layer.__dict__.update(copy.deepcopy(layer.__dict__)),
    "nan": lambda layer: setattr(layer.neurons[0].w[1], "data", math.nan),
    "a signed zero": lambda layer: setattr(layer.neurons[0].w[1], "data", -0.0),
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
@pytest.mark.parametrize("keep", [True, False])
def test_weights_that_change_between_two_calls(trick, keep):
    layer = layer_of(2, 3)
    x = [Value(2.0), Value(-3.0)]
    before = layer(x)
    old = [p for p in layer.parameters() if isinstance(p, Value)]
    expected_before = gradients_of(written_out(layer, x), [*old, *x])
    if not keep:
        del before
    trick(layer)
    now = [p for p in layer.parameters() if isinstance(p, Value)]
    after = layer(x)
    assert [y.data.hex() for y in after] == [y.data.hex() for y in written_out(layer, x)]
    expected = gradients_of(written_out(layer, x), [*now, *x])
    assert gradients_of(after, [*now, *x]) == pytest.approx(expected, rel=1e-14, nan_ok=True)
    if keep:
        assert gradients_of(before, [*old, *x]) == pytest.approx(expected_before, rel=1e-14)


def test_an_input_may_be_a_weight():
    layer = layer_of(2, 2, "tanh")
    w = layer.neurons[0].w[0]
    nodes = layer.parameters()
    for x in ([w, 1.0], [w, w], list(layer.neurons[1].w), [layer(nodes[:2])[0], w]):
        expected = gradients_of(written_out(layer, x), nodes)
        assert gradients_of(layer(x), nodes) == pytest.approx(expected, rel=1e-13)


def test_a_layer_applied_to_its_own_answers():
    layer = layer_of(3, 3, "tanh")
    x = [Value(0.5), Value(-1.0), Value(2.0)]
    nodes = [*layer.parameters(), *x]
    ours, theirs = x, x
    for _ in range(5):
        ours, theirs = layer(ours), written_out(layer, theirs)
    expected = gradients_of(theirs, nodes)
    assert gradients_of(ours, nodes) == pytest.approx(expected, rel=1e-12)


def test_many_layers_in_use_at_once():
    random.seed(5)
    layers = [layer_of(2, 2, "tanh") for _ in range(300)]
    x = [Value(0.5), Value(-1.0)]
    for layer in layers:
        for p in layer.parameters():
            p.data = random.uniform(-1, 1)
    kept = [layer(x) for layer in layers] + [layer(x) for layer in reversed(layers)]
    total = engine.sum([y for outputs in kept for y in outputs])
    total.backward()
    found = [p.grad for layer in layers for p in layer.parameters()]
    for layer in layers:
        layers[0].zero_grad()
        layer.zero_grad()
    for layer in layers:
        engine.sum([*written_out(layer, x), *written_out(layer, x)]).backward()
    expected = [p.grad for layer in layers for p in layer.parameters()]
    assert found == pytest.approx(expected, rel=1e-13)


def test_linear_with_rows_that_change_between_two_calls():
    rows = [[Value(2.0), Value(3.0)], [Value(5.0), 7.0]]
    bias = [Value(1.0), Value(-1.0)]
    x = [Value(0.5), Value(-2.0)]
    first = engine.linear(x, rows, bias)
    rows[0][0].data = 11.0
    second = engine.linear(x, rows, bias)
    third = engine.linear(x, rows)
    rows.pop()
    fourth = engine.linear(x, rows, bias[:1])
    assert [y.data for y in first] == [1 + 1.0 - 6.0, -1 + 2.5 - 14.0]
    assert [y.data for y in second] == [1 + 5.5 - 6.0, -1 + 2.5 - 14.0]
    assert [y.data for y in third] == [5.5 - 6.0, 2.5 - 14.0]
    assert [y.data for y in fourth] == [1 + 5.5 - 6.0]
    engine.sum([first[0], second[0], third[0], fourth[0]]).backward()
    assert [v.grad for v in rows[0]] == [2.0, -8.0]
    assert [v.grad for v in bias] == [3.0, 0.0]
    assert [v.grad for v in x] == [2.0 + 3 * 11.0, 12.0]


@pytest.mark.usefixtures("collected")
def test_nothing_of_a_network_is_left_behind():
    gc.collect()
    before = _core.live_nodes()
    for _ in range(3):
        model = nn.MLP(2, [8, 8, 1])
        loss = nn.mse_loss(model([[1.0, 2.0]] * 50), [1.0] * 50)
        loss.backward()
        assert _core.live_nodes() - before > 50 * 17
        del loss
        assert _core.live_nodes() - before == len(model.parameters())
        del model
    gc.collect()
    assert _core.live_nodes() == before
