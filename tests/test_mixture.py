"""Two language models as one."""

import math

import numpy as np
import pytest
from fastgrad.models import BigramModel, InterpolatedTrigram, KneserNey, LanguageModel, Mixture
from fastgrad.text import WordText, WordVocab, read_words
from hypothesis import given
from hypothesis import strategies as st

TEXT = b"the cat sat on the mat and the dog sat on the cat and the dog ate the mat " * 3

pytestmark = pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")


@pytest.fixture
def parts():
    return read_words(TEXT, train=40, vocab_size=7).split(40, 10)


def test_models_of_words_are_mixed_fitted_and_sampled(parts):
    train, validation, test = parts
    a, b = KneserNey.fit(train, 2), InterpolatedTrigram.fit(train, validation)
    mixture = Mixture(a, b)
    assert isinstance(mixture, LanguageModel)
    assert mixture.weight == 0.5
    assert mixture.context_length == 2
    half = mixture.loss(validation)
    assert mixture.fit(validation) is mixture
    assert mixture.loss(validation) <= min(half, a.loss(validation), b.loss(validation)) + 1e-9
    assert mixture.perplexity(test) == pytest.approx(math.exp(mixture.loss(test)))
    for context in ("", "the", "sat on", "on the dog"):
        row = mixture.next_probs(context)
        expected = mixture.weight * a.next_probs(context)
        expected += (1 - mixture.weight) * b.next_probs(context)
        np.testing.assert_allclose(row, expected, rtol=1e-15)
        assert row.sum() == pytest.approx(1, abs=1e-12)
    contexts = np.array([[1, 2], [3, 4]])
    rows = mixture.next_probs(contexts)
    np.testing.assert_allclose(
        rows,
        mixture.weight * a.next_probs(contexts) + (1 - mixture.weight) * b.next_probs(contexts),
    )
    assert mixture.table() is None
    assert mixture.sample(2, seed=1) == mixture.sample(3, seed=1)[:2]


def test_models_of_characters_are_mixed_too():
    items = ["ada", "dana", "nadia", "ida"]
    bigram, trigram = BigramModel.fit(items), BigramModel.fit(items, order=3)
    mixture = Mixture(bigram, trigram, 0.25)
    expected = 0.25 * bigram.next_probs("da") + 0.75 * trigram.next_probs("da")
    np.testing.assert_allclose(mixture.next_probs("da"), expected)
    assert mixture.loss(items) == mixture.loss("\n".join(items).encode())
    assert Mixture(bigram, trigram, 1).loss(items) == pytest.approx(bigram.loss(items))
    assert Mixture(bigram, trigram, 0).loss(items) == pytest.approx(trigram.loss(items))
    assert mixture.fit(items).weight < 0.01
    assert len(mixture.sample(4)) == 4


probabilities = st.lists(st.just(0.0) | st.floats(1e-6, 1), min_size=1, max_size=20)


class Known:
    """A model that knows one text."""

    context = 1
    vocab = WordVocab(["a", "b"])

    def __init__(self, chances):
        self.chances = np.array(chances)

    def token_probabilities(self, source):
        return self.chances[: len(source)]


@given(probabilities, probabilities)
def test_the_weight_is_the_best_one(of_a, of_b):
    text = WordText(Known.vocab, [0] * min(len(of_a), len(of_b)))
    mixture = Mixture(Known(of_a), Known(of_b)).fit(text, max_iterations=400)
    best = mixture.loss(text)
    for weight in np.linspace(0, 1, 9):
        loss = Mixture(mixture.a, mixture.b, weight).loss(text)
        assert best <= loss + 1e-2


def test_bad_mixtures_are_named(parts):
    model = KneserNey.fit(parts[0])
    with pytest.raises(ValueError, match=r"weight is 1\.5; expected at most 1"):
        Mixture(model, model, 1.5)
    with pytest.raises(ValueError, match="weight is -1; expected a finite number"):
        Mixture(model, model, -1)
    with pytest.raises(ValueError, match="the models' vocabularies are WordVocab"):
        Mixture(model, BigramModel.fit(["ada"]))
