"""Looking inside a network: its layers, activations and gradients."""

# ruff: noqa: N803, N806 - X and Y are the lecture's names

import numpy as np
import pytest
import slow_nplm
from fastgrad import NPLM, NotFittedError, WordNPLM, engine
from fastgrad.text import Vocab, build_dataset, read_words
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nplm import FEW, arrays, lecture_model

EVERY_SHAPE = pytest.mark.parametrize(
    "settings",
    [{}, {"direct": True}, {"tie_weights": True}, {"direct": True, "hidden_dim": 0}],
    ids=["plain", "direct", "tied", "without hidden units"],
)


def double_model(**settings):
    """Return a small model in doubles, with examples."""
    shape = {"context_length": 3, "embedding_dim": 4, "hidden_dim": 6, "dtype": "float64"}
    model = NPLM(Vocab.from_texts(FEW), **shape | {"init": "normal"} | settings)
    return model, *build_dataset(FEW, model.vocab, 3)


# Layers.


def test_a_summary_lists_the_arrays_of_the_lectures_network():
    table = lecture_model().summary()
    assert [row[2:] for row in table.rows] == [
        ("C", "(27, 10)", "270"),
        ("H", "(200, 30)", "6,000"),
        ("d", "(200,)", "200"),
        ("U", "(27, 200)", "5,400"),
        ("b", "(27,)", "27"),
        ("", "", "11,897"),
    ]
    lines = str(table).splitlines()
    assert len(lines) == 8
    assert "V = 27" in lines[0]
    assert "<table>" in table._repr_html_()


@EVERY_SHAPE
def test_a_summary_counts_every_parameter(settings):
    model, *_ = double_model(**settings)
    counts = [int(row[-1].replace(",", "")) for row in model.summary().rows]
    assert counts[-1] == sum(counts[:-1]) == model.num_parameters()
    assert {row[2] for row in model.summary().rows[:-1]} == set(arrays(model))


def test_words_have_a_summary_too():
    model = WordNPLM(read_words(b"the cat sat").vocab)
    assert model.summary().rows[-1][-1] == f"{model.num_parameters():,}"


def test_what_has_no_parameters_yet_has_no_layers():
    for look in (NPLM().summary, lambda: NPLM().forward([[0] * 8])):
        with pytest.raises(NotFittedError, match="fit"):
            look()


# Activations.


@EVERY_SHAPE
def test_a_forward_pass_is_that_of_the_formula(settings):
    model, X, _ = double_model(**settings)
    made = model.forward(X)
    for got, slow in zip(made, slow_nplm.activations(arrays(model), X), strict=True):
        np.testing.assert_allclose(got, slow, rtol=1e-12, atol=1e-13)
    assert made.embedding.shape == (len(X), 12)
    assert made.hidden is made[1]


@EVERY_SHAPE
def test_logits_are_those_of_the_probabilities_and_of_the_loss(settings):
    model, X, Y = double_model(**settings)
    logits = model.forward(X).logits
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, model.next_probs(X), rtol=1e-12)
    assert -np.log(p[np.arange(len(Y)), Y]).mean() == pytest.approx(model.loss((X, Y)), rel=1e-12)


def test_activations_have_the_dtype_of_the_model_and_no_contexts_give_none():
    model = lecture_model()
    made = model.forward(np.zeros((0, 3), int))
    assert [part.shape for part in made] == [(0, 30), (0, 200), (0, 27)]
    assert {part.dtype for part in made} == {np.dtype(np.float32)}


def test_words_go_forward_too():
    text = read_words(b"the cat sat on the mat " * 5)
    model = WordNPLM(text.vocab, context_length=2, embedding_dim=3, hidden_dim=4)
    X, Y = text.ids[:8].reshape(4, 2), text.ids[2:6]
    assert model.forward(X).logits.shape == (4, len(text.vocab))
    assert set(model.gradients(X, Y)) == {"C", "H", "d", "P", "b"}


@pytest.mark.parametrize(
    ("X", "error", "name"),
    [
        ([[0, 0]], ValueError, "X"),
        ([[0, 0, 27]], ValueError, "X"),
        ([[0.5, 0, 0]], TypeError, "X"),
        ("emma", TypeError, "X"),
        ([0, 0, 0], ValueError, "X"),
    ],
)
def test_what_are_no_contexts_is_refused(X, error, name):
    with pytest.raises(error, match=name):
        lecture_model().forward(X)
    with pytest.raises(error, match=name):
        lecture_model().gradients(X, [0])


# Gradients.


@EVERY_SHAPE
def test_gradients_are_those_of_values(settings):
    model, X, Y = double_model(**settings)
    X, Y = X[:5], Y[:5]
    _, slow = slow_nplm.value_gradients(engine, arrays(model), X, Y)
    got = model.gradients(X, Y)
    assert set(got) == set(slow)
    for name, gradient in got.items():
        np.testing.assert_allclose(gradient, slow[name], rtol=1e-10, atol=1e-13)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), tied=st.booleans(), direct=st.booleans(), data=st.data())
def test_gradients_are_the_slopes_of_the_loss(seed, tied, direct, data):
    model, X, Y = double_model(seed=seed, tie_weights=tied, direct=direct)
    gradients = model.gradients(X, Y)
    name = data.draw(st.sampled_from(sorted(gradients)))
    array = arrays(model)[name]
    place = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    middle, step = array[place], 1e-5
    array[place] = middle + step
    above = model.loss((X, Y))
    array[place] = middle - step
    slope = (above - model.loss((X, Y))) / (2 * step)
    assert gradients[name][place] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_a_step_of_sgd_goes_along_the_gradients():
    model, X, Y = double_model()
    before = {name: array.copy() for name, array in arrays(model).items()}
    one = (X[:1], Y[:1])
    gradients = model.gradients(*one)
    model.fit(one, steps=1, lr=0.5, batch_size=1)
    for name, array in arrays(model).items():
        np.testing.assert_allclose(array, before[name] - 0.5 * gradients[name], rtol=1e-12)


def test_gradients_leave_the_model_as_it_was():
    model, X, Y = double_model()
    before = {name: array.copy() for name, array in arrays(model).items()}
    gradients = model.gradients(X, Y)
    gradients["C"][:] = 7.0
    assert all((array == before[name]).all() for name, array in arrays(model).items())


@pytest.mark.parametrize(
    ("Y", "error", "name"),
    [([0, 0], ValueError, "Y"), ([27], ValueError, "Y"), ([0.5], TypeError, "Y")],
)
def test_what_are_no_targets_is_refused(Y, error, name):
    with pytest.raises(error, match=name):
        lecture_model().gradients([[0, 0, 0]], Y)


def test_gradients_of_nothing_are_refused():
    with pytest.raises(ValueError, match="empty"):
        lecture_model().gradients(np.zeros((0, 3), int), np.zeros(0, int))
