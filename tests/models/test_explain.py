"""The loss of a text, token by token."""

import numpy as np
import pytest
from fastgrad import (
    NPLM,
    BigramModel,
    InterpolatedTrigram,
    KneserNey,
    Mixture,
    NeuralBigram,
    NgramModel,
    NotFittedError,
    WordNPLM,
)
from fastgrad.text import UnknownCharacterError, read_words

# So short a text has no counts to estimate discounts from.
pytestmark = pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")

NAMES = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
WORDS = b"the cat sat on the mat and the dog sat on the cat . " * 10


def mixture(*models):
    made = [model.fit(NAMES) for model in models]
    return Mixture(made).fit(NAMES)


def words_fitted(kind, **settings):
    text = read_words(WORDS)
    return kind(**settings).fit(*text.split(0.8))


MODELS = {
    "bigrams": lambda: BigramModel().fit(NAMES),
    "trigrams": lambda: NgramModel(order=3).fit(NAMES),
    "neural bigrams": lambda: NeuralBigram().fit(NAMES, steps=20),
    "NPLM": lambda: NPLM(hidden_dim=8).fit(NAMES, steps=20, batch_size=8),
    "mixture": lambda: mixture(BigramModel(), NgramModel(order=3)),
}
WORD_MODELS = {
    "Kneser-Ney": lambda: KneserNey(order=2).fit(WORDS),
    "trigram": lambda: words_fitted(InterpolatedTrigram),
    "WordNPLM": lambda: WordNPLM(hidden_dim=8).fit(WORDS, epochs=1, batch_size=16),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_letters_are_explained_one_by_one(make):
    model = make()
    made = model.explain("emma", k=4)
    assert made.tokens == [*"emma", "."]
    assert made.loss == pytest.approx(model.loss(["emma"]), rel=1e-12)
    assert made.losses.sum() == pytest.approx(-model.log_prob("emma"), rel=1e-12)
    np.testing.assert_allclose(made.probs, np.exp(-made.losses))
    for place, token in enumerate(made.tokens):
        p = model.next_probs("emma"[:place])
        assert p[model.vocab.stoi[token]] == pytest.approx(made.probs[place], rel=1e-5)
        assert made.alternatives[place][0][1] == pytest.approx(p.max())
        assert len(made.alternatives[place]) == 4


@pytest.mark.parametrize("make", WORD_MODELS.values(), ids=WORD_MODELS)
def test_words_are_explained_one_by_one(make):
    model = make()
    made = model.explain("the cat sat", k=2)
    assert made.tokens[:3] == ["the", "cat", "sat"]
    assert made.losses.sum() == pytest.approx(-model.log_prob("the cat sat"), rel=1e-12)
    for place in range(len(made.tokens)):
        p = model.next_probs(" ".join(made.tokens[:place]))
        assert p[model.vocab.stoi[made.tokens[place]]] == pytest.approx(made.probs[place], rel=1e-5)


def test_it_prints_as_a_table_and_shows_as_html():
    made = MODELS["bigrams"]().explain("ava")
    lines = str(made).splitlines()
    assert len(lines) == 1 + 1 + 4 + 1
    assert f"{made.loss:.4f}" in lines[0]
    assert lines[-1].startswith("mean")
    assert made._repr_html_().count("<tr>") == 6


def test_text_is_escaped():
    model = BigramModel().fit(["<b>\x1b", "a b"])
    made = model.explain("<b>\x1b")
    assert "<b>" not in made._repr_html_()
    assert "\x1b" not in str(made)
    assert "␣" in str(model.explain("a b"))


def test_what_cannot_happen_costs_without_bounds():
    made = BigramModel(smoothing=0).fit(NAMES).explain("aaz".replace("z", "e"))
    assert np.isinf(made.losses).any()
    assert "inf" in str(made)


def test_what_cannot_be_explained_is_refused():
    model = MODELS["bigrams"]()
    with pytest.raises(UnknownCharacterError):
        model.explain("z")
    with pytest.raises(TypeError, match="text"):
        model.explain(["emma"])
    with pytest.raises(ValueError, match="k"):
        model.explain("emma", k=-1)
    with pytest.raises(NotFittedError):
        BigramModel().explain("emma")
    with pytest.raises(ValueError, match="text"):
        WORD_MODELS["Kneser-Ney"]().explain("")
