"""micrograd's classes, to the bit; and what goes beyond them."""

import math
import random

import fastgrad.nn
import micrograd.engine
import micrograd.nn
import numpy as np
import pytest
from fastgrad.engine import Value
from fastgrad.nn import MLP, Layer, Module, Neuron
from hypothesis import given
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(st.integers(1, 5), st.lists(st.integers(2, 6), max_size=2), st.integers(1, 3))
NUMBERS = st.floats(-1e6, 1e6)

# After random.seed(1337) in MLP(2, [16, 16, 1]).
FIRST_PARAMETERS = [
    0.23550571390294128,
    0.06653114721000164,
    0.0,
    -0.26830328150124894,
    0.1715747078045431,
    0.0,
]


def seeded(seed, make, *arguments, **settings):
    random.seed(seed)
    return make(*arguments, **settings)


def demo_model():
    return seeded(1337, MLP, 2, [16, 16, 1])


def listed(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


# --- as micrograd's ---


def test_the_demo_network_has_the_known_parameters():
    parameters = demo_model().parameters()
    assert len(parameters) == 337
    assert [p.data for p in parameters[:6]] == FIRST_PARAMETERS


def test_a_single_neuron_gives_the_known_number():
    neuron = seeded(1337, Neuron, 2)
    assert neuron([1, -2]).data == 0.102443419482938
    assert neuron([Value(1.0), Value(-2.0)]).data == 0.102443419482938


@given(SEEDS, SHAPES, st.data())
def test_outputs_are_micrograds_to_the_bit(seed, shape, data):
    nin, hidden, last = shape
    nouts = [*hidden, last]
    row = data.draw(st.lists(NUMBERS, min_size=nin, max_size=nin))
    ours = seeded(seed, MLP, nin, nouts)
    state = random.getstate()
    theirs = seeded(seed, micrograd.nn.MLP, nin, nouts)
    assert random.getstate() == state
    assert [p.data for p in ours.parameters()] == [p.data for p in theirs.parameters()]

    expected = [out.data for out in listed(theirs([micrograd.engine.Value(x) for x in row]))]
    assert [out.data for out in listed(ours(row))] == expected
    assert [out.data for out in listed(ours([Value(x) for x in row]))] == expected
    assert [out.data for out in listed(ours([row])[0])] == expected


@given(SEEDS, SHAPES, st.data())
def test_gradients_are_micrograds(seed, shape, data):
    nin, hidden, last = shape
    row = data.draw(st.lists(st.floats(-3, 3), min_size=nin, max_size=nin))
    gradients = []
    for make, value in ((MLP, Value), (micrograd.nn.MLP, micrograd.engine.Value)):
        model = seeded(seed, make, nin, [*hidden, last])
        inputs = [value(x) for x in row]
        sum(listed(model(inputs))).backward()
        gradients.append([node.grad for node in [*inputs, *model.parameters()]])
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.Neuron(2),
        lambda nn: nn.Neuron(3, nonlin=False),
        lambda nn: nn.Neuron(3, False),
        lambda nn: nn.Layer(2, 3),
        lambda nn: nn.Layer(2, 1, nonlin=False),
        lambda nn: nn.MLP(2, [16, 16, 1]),
        lambda nn: nn.MLP(3, [2]),
    ],
)
def test_reprs_are_micrograds(make):
    assert repr(make(fastgrad.nn)) == repr(make(micrograd.nn))


def test_parameters_come_in_micrograds_order():
    model = MLP(2, [3, 1])
    in_order = []
    for layer in model.layers:
        for neuron in layer.neurons:
            assert neuron.parameters() == [*neuron.w, neuron.b]
            in_order += [*neuron.w, neuron.b]
        assert layer.parameters() == [p for n in layer.neurons for p in n.parameters()]
    assert model.parameters() == in_order
    assert Module().parameters() == []


def test_zero_grad_clears_the_parameters():
    model = MLP(2, [3, 1])
    x = Value(1.0)
    model([x, 2.0]).backward()
    assert any(p.grad != 0 for p in model.parameters())
    before = x.grad
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [0.0] * 13
    assert x.grad == before


def test_one_step_as_micrograds_users_write_it():
    losses = []
    for nn, engine in ((fastgrad.nn, fastgrad.engine), (micrograd.nn, micrograd.engine)):
        model = seeded(1337, nn.MLP, 2, [4, 1])
        for _ in range(5):
            inputs = [list(map(engine.Value, row)) for row in ([0.5, -1.0], [1.5, 2.0])]
            scores = list(map(model, inputs))
            misses = [(1 + -y * s).relu() for y, s in zip((1, -1), scores, strict=True)]
            loss = sum(misses) * (1.0 / len(misses)) + 1e-4 * sum(p * p for p in model.parameters())
            model.zero_grad()
            loss.backward()
            for p in model.parameters():
                p.data -= 0.1 * p.grad
            losses.append(loss.data)
    assert losses[:5] == pytest.approx(losses[5:], rel=1e-12)


# --- the graph ---


def test_a_layer_makes_one_node_a_neuron():
    model = MLP(2, [3, 1], activation="tanh")
    x = [Value(1.0), Value(-2.0)]
    out = model(x)
    (last,) = model.layers[1].neurons
    assert out._op == "affine"
    assert set(last.w) | {last.b} < set(out._prev)
    hidden = [node for node in out._prev if node not in {*last.w, last.b}]
    assert len(hidden) == 3
    for node, neuron in zip(hidden, model.layers[0].neurons, strict=True):
        assert node._op == "affine+tanh"
        assert set(node._prev) == {*neuron.w, neuron.b, *x}


@pytest.mark.parametrize(
    ("activation", "op", "name"),
    [
        ("relu", "affine+ReLU", "ReLUNeuron(2)"),
        ("tanh", "affine+tanh", "TanhNeuron(2)"),
        ("sigmoid", "affine+sigmoid", "SigmoidNeuron(2)"),
        ("linear", "affine", "LinearNeuron(2)"),
    ],
)
def test_activations(activation, op, name):
    formula = {
        "relu": lambda z: max(z, 0.0),
        "tanh": math.tanh,
        "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
        "linear": lambda z: z,
    }[activation]
    layer = seeded(3, Layer, 2, 4, activation=activation)
    for neuron, out in zip(layer.neurons, layer([0.5, -0.25]), strict=True):
        z = neuron.b.data + neuron.w[0].data * 0.5 + neuron.w[1].data * -0.25
        assert out.data == pytest.approx(formula(z), rel=1e-14)
        assert out._op == op
        assert neuron([0.5, -0.25]).data == out.data
        assert repr(neuron) == name


def test_hidden_layers_share_the_activation_and_the_last_is_linear():
    model = MLP(2, [3, 3, 2], activation="sigmoid")
    kinds = [{neuron.activation for neuron in layer.neurons} for layer in model.layers]
    assert kinds == [{"sigmoid"}, {"sigmoid"}, {"linear"}]


def test_nonlin_is_another_word_for_the_activation():
    neuron = seeded(1, Neuron, 1)
    assert (neuron.nonlin, neuron.activation) == (True, "relu")
    neuron.nonlin = False
    assert (neuron.nonlin, neuron.activation) == (False, "linear")
    assert Neuron(1, nonlin=False, activation="tanh").activation == "tanh"
    layer = Layer(1, 1)
    layer.neurons[0].w[0].data = -1.0
    assert layer([1.0]).data == 0.0
    layer.neurons[0].nonlin = False
    assert layer([1.0]).data == -1.0


def test_weights_may_be_replaced():
    layer = Layer(2, 1, nonlin=False)
    layer.neurons[0].w = [Value(2.0), Value(3.0)]
    layer.neurons[0].b = Value(0.5)
    assert layer([1.0, 1.0]).data == 5.5


def test_a_neuron_of_a_users_class_computes_itself():
    class Doubled(Neuron):
        def __call__(self, x):
            return super().__call__(x) * 2

    plain = seeded(5, Layer, 2, 3, nonlin=False)
    mixed = seeded(5, Layer, 2, 3, nonlin=False)
    doubled = Doubled(2, nonlin=False)
    doubled.w, doubled.b = mixed.neurons[1].w, mixed.neurons[1].b
    mixed.neurons[1] = doubled
    for x in ([1.0, 2.0], (1.0, 2.0), np.array([1.0, 2.0])):
        ours = [out.data for out in mixed(x)]
        a, b, c = (out.data for out in plain([1.0, 2.0]))
        assert ours == [a, 2 * b, c]


def test_a_layer_of_one_may_stand_before_another():
    model = seeded(2, MLP, 2, [1, 3, 1, 2])
    w, b = model.layers[0].neurons[0].w, model.layers[0].neurons[0].b
    narrow = max(b.data + w[0].data * 1.0 + w[1].data * 2.0, 0.0)
    wide = [n([narrow]).data for n in model.layers[1].neurons]
    narrow = model.layers[2].neurons[0](wide).data
    expected = [n([narrow]).data for n in model.layers[3].neurons]
    assert [out.data for out in model([1.0, 2.0])] == expected


# --- batches ---

BATCHES = [
    [[1.0, -2.0], [0.5, 0.25], [3, 4]],
    [(1.0, -2.0), (0.5, 0.25), (3, 4)],
    ((1.0, -2.0), [0.5, 0.25], (3, 4)),
    np.array([[1.0, -2.0], [0.5, 0.25], [3, 4]]),
    list(np.array([[1.0, -2.0], [0.5, 0.25], [3, 4]])),
    np.array([[1.0, -2.0], [0.5, 0.25], [3, 4]], dtype=np.float32),
    np.array([[Value(1.0), Value(-2.0)], [Value(0.5), 0.25], [3, 4]], dtype=object),
    [[Value(1.0), Value(-2.0)], [np.float64(0.5), np.float32(0.25)], [3, np.int64(4)]],
]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("nouts", [[4, 1], [4, 2], [1]])
def test_a_batch_gives_the_answers_of_its_rows(batch, nouts):
    model = seeded(4, MLP, 2, nouts)
    together = model(batch)
    alone = [model(row) for row in ([1.0, -2.0], [0.5, 0.25], [3, 4])]
    assert isinstance(together, list)
    assert len(together) == 3
    for ours, theirs in zip(together, alone, strict=True):
        assert [a.data for a in listed(ours)] == [b.data for b in listed(theirs)]


ROWS = [
    [1.0, -2.0],
    (1.0, -2.0),
    [1, -2],
    [Value(1.0), -2],
    [np.float32(1), np.int8(-2)],
    np.array([1.0, -2.0]),
    np.array([Value(1.0), Value(-2.0)], dtype=object),
    map(float, ["1", "-2"]),
    (x for x in [1.0, -2.0]),
]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_gives_one_answer(row):
    assert demo_model()(row).data == demo_model()([1.0, -2.0]).data


def test_values_in_a_batch_take_part_in_the_graph():
    x = Value(0.5)
    a, b = seeded(6, MLP, 2, [3, 1])(np.array([[x, 1.0], [2.0, x]], dtype=object))
    a.backward()
    first = x.grad
    b.backward()
    assert first != 0.0
    assert x.grad != first


@pytest.mark.parametrize("empty", [[], (), np.empty((0, 2))])
def test_an_empty_batch_has_no_answers(empty):
    assert demo_model()(empty) == []


# --- bad input ---


@pytest.mark.parametrize("row", [[1.0], [1.0, 2.0, 3.0], (1.0,), np.array([1.0]), np.empty(0)])
@pytest.mark.parametrize("make", [lambda: Neuron(2), lambda: Layer(2, 3), lambda: MLP(2, [3, 1])])
def test_a_row_of_the_wrong_length_is_refused(make, row):
    with pytest.raises(ValueError, match=rf"(?s)(2.*{len(row)}|{len(row)}.*2)"):
        make()(row)


def test_a_wrong_row_in_a_batch_is_told_by_its_place():
    model = MLP(2, [3, 1])
    with pytest.raises(ValueError, match="1") as caught:
        model([[1.0, 2.0], [3.0, 4.0], [5.0]])
    assert caught.value.__notes__ == ["in row 2 of a batch of 3"]
    with pytest.raises(TypeError) as caught:
        model([[1.0, 2.0], 3.0])
    assert caught.value.__notes__ == ["in row 1 of a batch of 2"]


@pytest.mark.parametrize("x", [["a", "b"], "ab", None, 3.0, [None, 1.0], [1j, 1.0], np.float64(3)])
def test_what_is_no_row_is_refused(x):
    with pytest.raises((TypeError, ValueError)):
        MLP(2, [3, 1])(x)


def test_arrays_have_one_or_two_dimensions():
    with pytest.raises(ValueError, match=r"x has 3 dimensions;"):
        MLP(2, [1])(np.zeros((1, 1, 2)))
    with pytest.raises(ValueError, match="x has 0 dimensions"):
        MLP(2, [1])(np.array(1.0))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Neuron(-1), ValueError, "nin is -1;"),
        (lambda: Neuron(2.0), TypeError, r"nin is 2\.0;"),
        (lambda: Neuron("2"), TypeError, "nin is '2';"),
        (lambda: Neuron(2, activation="gelu"), ValueError, "activation is 'gelu';"),
        (lambda: Neuron(2, activation=["relu"]), ValueError, "activation is .*;"),
        (lambda: Layer(2, 0), ValueError, "nout is 0;"),
        (lambda: Layer(-2, 1), ValueError, "nin is -2;"),
        (lambda: Layer(2, None), TypeError, "nout is None;"),
        (lambda: Layer(2, 3, activation="x"), ValueError, "activation is 'x';"),
        (lambda: Layer(2, 3, bias=False), TypeError, "bias"),
        (lambda: MLP(2, [3, 0]), ValueError, r"nouts\[1\] is 0;"),
        (lambda: MLP(2, [3, "1"]), TypeError, r"nouts\[1\] is '1';"),
        (lambda: MLP(2, 3), TypeError, "nouts is 3;"),
        (lambda: MLP(None, [3]), TypeError, "nin is None;"),
        (lambda: MLP(2, [3], activation=None), ValueError, "activation is None;"),
    ],
)
def test_bad_arguments_are_named_and_draw_nothing(make, error, words):
    random.seed(9)
    state = random.getstate()
    with pytest.raises(error, match=words):
        make()
    assert random.getstate() == state


def test_a_bad_activation_set_later_is_refused():
    neuron = Neuron(1, activation="tanh")
    with pytest.raises(ValueError, match="gelu"):
        neuron.activation = "gelu"
    assert neuron.activation == "tanh"


def test_numpy_ints_are_sizes():
    assert repr(MLP(np.int64(2), (np.int32(1),))) == "MLP of [Layer of [LinearNeuron(2)]]"


def test_a_summary_lists_the_layers_of_a_network():
    rows = MLP(3, [4, 4, 1], activation="tanh").summary().rows
    assert rows == [
        ("layers.0", "4 Tanh", "3 → 4", "16"),
        ("layers.1", "4 Tanh", "4 → 4", "20"),
        ("layers.2", "1 Linear", "4 → 1", "5"),
        ("total", "", "", "41"),
    ]


def test_a_summary_names_layers_of_other_kinds():
    class Scale(Module):
        def __init__(self):
            self.factor = Value(2.0)

        def parameters(self):
            return [self.factor]

    model = MLP(2, [1])
    model.layers = [Scale(), math.tanh, *model.layers]
    model.layers[2].neurons.append(Neuron(2, activation="tanh"))
    assert [row[1:3] for row in model.summary().rows[:3]] == [
        ("Scale", ""),
        ("tanh", ""),
        ("2 Linear, Tanh", "2 → 2"),
    ]
