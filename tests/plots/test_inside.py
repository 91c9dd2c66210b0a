"""Activations, gradients and updates as pictures: what the legend and the curves say."""

import random

import numpy as np
import pytest
from fastgrad import MLP, NPLM, plots
from fastgrad.nn import mse_loss
from fastgrad.text import Vocab, build_dataset
from matplotlib.figure import Figure

NAMES = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
VOCAB = Vocab.from_texts(NAMES)
X, Y = build_dataset(NAMES, VOCAB, 2)


def on(draw, *args, **settings):
    """Draw on new axes; return the legend's lines and the curves."""
    axes = draw(*args, ax=Figure().subplots(), **settings)
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    return texts, axes.get_lines()


def network(**settings):
    return NPLM(VOCAB, **{"context_length": 2, "embedding_dim": 4, "hidden_dim": 10} | settings)


def test_saturated_and_dead_units_are_counted():
    model = network()
    model.H[:] = 0
    model.d[:5] = 10
    model.d[5:] = 0.1
    texts, lines = on(plots.activations, model, X)
    assert texts[0].startswith("embedding")
    assert "50% saturated, 50% dead" in texts[1]
    assert len(lines) == 2


def test_a_network_without_hidden_units_has_embeddings_only():
    texts, _ = on(plots.activations, network(hidden_dim=0, direct=True), X)
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("activation", "told"), [("relu", "dead"), ("tanh", "saturated"), ("sigmoid", "saturated")]
)
def test_layers_of_values_but_the_last(activation, told):
    random.seed(1)
    texts, _ = on(plots.activations, MLP(2, [5, 4, 1], activation), [[0.1, 0.2], [3.0, -1.0]])
    assert [text.partition(":")[0] for text in texts] == ["layers.0", "layers.1"]
    assert all(told in text for text in texts)


def test_dead_units_of_relu():
    model = MLP(1, [4, 1])
    for neuron in model.layers[0].neurons[:3]:
        neuron.b.data = -100.0
    model.layers[0].neurons[3].b.data = 100.0
    texts, _ = on(plots.activations, model, [[0.5], [1.0]])
    assert "75% are 0, 75% dead" in texts[0]


def test_the_density_of_activations_has_an_area_of_one():
    _, lines = on(plots.activations, network(), X)
    for line in lines:
        x, y = line.get_data()
        assert y.sum() * (x[1] - x[0]) == pytest.approx(1)


def test_gradients_of_a_network_are_drawn_by_array():
    texts, lines = on(plots.gradients, network(direct=True), X, Y)
    assert [text.split()[0] for text in texts] == ["C", "H", "U", "W"]
    assert all(len(line.get_xdata()) for line in lines)


def test_gradients_that_are_0_are_told():
    texts, _ = on(plots.gradients, network(), [[0, 0]], [1])
    shares = [int(text.rpartition(",")[2].split("%")[0]) for text in texts]
    # All rows of C but one are not in the batch.
    assert shares[0] == round(100 * (len(VOCAB) - 1) / len(VOCAB))


def test_gradients_of_values_are_those_of_the_last_backward():
    model = MLP(2, [3, 1], "tanh")
    with pytest.raises(ValueError, match="backward"):
        plots.gradients(model)
    mse_loss(model([[1.0, 2.0]]), [0.5]).backward()
    texts, _ = on(plots.gradients, model)
    assert [text.split()[0] for text in texts] == ["layers.0", "layers.1"]


def test_ratios_are_drawn_over_the_steps():
    model = network().fit(NAMES, steps=30, batch_size=4, lr=0.1, update_ratio=True)
    texts, lines = on(plots.update_ratio, model)
    assert texts == ["C", "H", "d", "U", "b", "0.001"]
    assert lines[0].get_xdata().tolist() == model.history.update_steps.tolist()
    assert on(plots.update_ratio, model.history)[0] == texts


@pytest.mark.parametrize(
    ("draw", "error", "name"),
    [
        (lambda: plots.activations(3, X), TypeError, "model"),
        (lambda: plots.gradients(3), TypeError, "model"),
        (lambda: plots.gradients(network()), TypeError, "X and Y"),
        (lambda: plots.activations(network(), X[:0]), ValueError, "X"),
        (lambda: plots.activations(MLP(2, [2, 1]), [1.0, 2.0]), ValueError, "X"),
        (lambda: plots.update_ratio(3), TypeError, "history"),
        (lambda: plots.update_ratio(network()), ValueError, "update_ratio=True"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, error, name):
    with pytest.raises(error, match=name):
        draw()


def test_activations_that_are_not_finite_are_refused():
    model = network()
    model.C[:] = np.nan
    with pytest.raises(ValueError, match="finite"):
        plots.activations(model, X)
