"""Several language models as one."""

import math

import numpy as np
import pytest
from fastgrad.base import LanguageModel
from fastgrad.models import BigramModel, InterpolatedTrigram, KneserNey, Mixture, NgramModel
from fastgrad.models.mixture import mixture_weights
from fastgrad.text import read_words
from hypothesis import given
from hypothesis import strategies as st

TEXT = b"the cat sat on the mat and the dog sat on the cat and the dog ate the mat " * 3

pytestmark = pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")


@pytest.fixture
def parts():
    return read_words(TEXT, train=40, vocab_size=7).split(40, 10)


def test_models_of_words_are_mixed_fitted_and_sampled(parts):
    train, validation, test = parts
    a, b = KneserNey(2, modified=False).fit(train), InterpolatedTrigram().fit(train, validation)
    mixture = Mixture([a, b])
    assert isinstance(mixture, LanguageModel)
    assert mixture.weights.tolist() == [0.5, 0.5]
    assert mixture.context_length == 2
    half = mixture.loss(validation)
    assert mixture.fit(validation) is mixture
    assert mixture.loss(validation) <= min(half, a.loss(validation), b.loss(validation)) + 1e-9
    assert mixture.perplexity(test) == pytest.approx(math.exp(mixture.loss(test)))
    for context in ("", "the", "sat on", "on the dog"):
        row = mixture.next_probs(context)
        expected = mixture.weights[0] * a.next_probs(context)
        expected += mixture.weights[1] * b.next_probs(context)
        np.testing.assert_allclose(row, expected, rtol=1e-15)
        assert row.sum() == pytest.approx(1, abs=1e-12)
    contexts = np.array([[1, 2], [3, 4]])
    rows = mixture.next_probs(contexts)
    np.testing.assert_allclose(
        rows,
        mixture.weights[0] * a.next_probs(contexts) + mixture.weights[1] * b.next_probs(contexts),
    )
    assert mixture.table() is None
    assert mixture.sample(2, seed=1) == mixture.sample(3, seed=1)[:2]


def test_a_model_that_knows_nothing_after_a_context_is_told_of():
    items = ["ada", "dana", "nadia", "ida"]
    bigram, trigram = BigramModel(1).fit(items), NgramModel(3, 0).fit(items)
    mixture = Mixture([bigram, trigram])
    assert not trigram.next_probs("ii").any()
    for refused in (lambda: mixture.next_probs("ii"), lambda: mixture.sample(prompt="ii")):
        with pytest.raises(ValueError, match=r"models\[1\]"):
            refused()
    assert mixture.next_probs("da").sum() == pytest.approx(1, abs=1e-12)
    # A weight of 0 asks nothing of the model, and a token has the others' probability.
    assert Mixture([bigram, trigram], [1, 0]).next_probs("ii").sum() == pytest.approx(1)
    found = mixture.token_log_probs(["iid"])[2]
    assert found == pytest.approx(math.log(bigram.next_probs("ii")[bigram.vocab.stoi["d"]] / 2))


def test_models_of_characters_are_mixed_too():
    items = ["ada", "dana", "nadia", "ida"]
    bigram, trigram = BigramModel(0).fit(items), NgramModel(3, 0).fit(items)
    mixture = Mixture([bigram, trigram], [0.25, 0.75])
    expected = 0.25 * bigram.next_probs("da") + 0.75 * trigram.next_probs("da")
    np.testing.assert_allclose(mixture.next_probs("da"), expected)
    assert mixture.loss(items) == mixture.loss("\n".join(items).encode())
    assert Mixture([bigram, trigram], [1, 0]).loss(items) == pytest.approx(bigram.loss(items))
    assert Mixture([bigram, trigram], [0, 1]).loss(items) == pytest.approx(trigram.loss(items))
    assert mixture.fit(items).weights[0] < 0.01
    assert len(mixture.sample(4)) == 4


probabilities = st.lists(st.just(0.0) | st.floats(1e-6, 1), min_size=1, max_size=20)


def loss_of(weights, probs):
    with np.errstate(divide="ignore"):
        return float(-np.mean(np.log(weights @ probs)))


@pytest.mark.slow
@given(probabilities, probabilities)
def test_the_weight_is_the_best_one(of_a, of_b):
    length = min(len(of_a), len(of_b))
    probs = np.array([of_a[:length], of_b[:length]])
    weights = mixture_weights(probs, max_iterations=400)
    assert weights.sum() == pytest.approx(1)
    best = loss_of(weights, probs)
    for weight in np.linspace(0, 1, 9):
        assert best <= loss_of(np.array([weight, 1 - weight]), probs) + 1e-2


@pytest.mark.slow
@given(st.lists(st.tuples(*[st.just(0.0) | st.floats(1e-6, 1)] * 3), min_size=1, max_size=20))
def test_no_three_weights_do_better(rows):
    probs = np.array(rows).T
    weights = mixture_weights(probs, max_iterations=400)
    assert weights.shape == (3,)
    assert (weights >= 0).all()
    best = loss_of(weights, probs)
    for a, b in np.ndindex(5, 5):
        if a + b <= 4:
            assert best <= loss_of(np.array([a, b, 4 - a - b]) / 4, probs) + 1e-2


def test_three_models_are_mixed(parts):
    train, validation, test = parts
    models = [KneserNey(2).fit(train), KneserNey(3).fit(train)]
    models.append(InterpolatedTrigram().fit(train, validation))
    mixture = Mixture(models, [0.2, 0.3, 0.5])
    expected = sum(w * m.next_probs("sat on") for w, m in zip([0.2, 0.3, 0.5], models, strict=True))
    np.testing.assert_allclose(mixture.next_probs("sat on"), expected, rtol=1e-14)
    assert mixture.num_parameters() == 3 + sum(m.num_parameters() for m in models)
    assert mixture.config == {"weights": [0.2, 0.3, 0.5], "models": [m.config for m in models]}
    before = mixture.loss(validation)
    assert mixture.fit(validation).loss(validation) <= before
    assert mixture.log_prob("the cat") == pytest.approx(-2 * mixture.loss(["the cat"]))
    assert mixture.token_log_probs(test).sum() == pytest.approx(-mixture.loss(test) * len(test))


def test_bad_mixtures_are_named(parts):
    model = KneserNey(3, modified=False).fit(parts[0])
    for weights, message in [
        ([1.5, -0.5], r"weights is \[1\.5, -0\.5\];"),
        ([0.5, 0.6], "sum to 1"),
        ([math.nan, 1], "sum to 1"),
        ([1.0], r"weights has shape \(1,\);"),
        (0.5, r"weights has shape \(\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            Mixture([model, model], weights)
    with pytest.raises(ValueError, match="models has 1 of them;"):
        Mixture([model])
    with pytest.raises(ValueError, match=r"models\[1\] has the vocabulary Vocab"):
        Mixture([model, BigramModel(0).fit(["ada"])])
    with pytest.raises(TypeError, match="models is"):
        Mixture(model)
    with pytest.raises(TypeError, match="models is"):
        Mixture([model, "model"])


def test_weights_that_change_while_they_are_read_are_refused():
    weights = []

    class Row:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            weights.append(self)
            return [0.5, 0.5][index]

    weights += [Row(), [0.5, 0.5]]
    models = [BigramModel().fit(["ab"]), NgramModel(order=3).fit(["ab"])]
    with pytest.raises(TypeError, match="weights"):
        Mixture(models, weights=weights)
