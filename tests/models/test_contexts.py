"""Contexts given as text: the same for every model over characters."""

import numpy as np
import pytest
from fastgrad.models import NPLM, BigramModel, Mixture, NeuralBigram, NgramCounts, NgramModel
from fastgrad.text import UnknownCharacterError, Vocab
from fastgrad.text.dataset import encode_context
from hypothesis import given
from hypothesis import strategies as st

PLAIN, DOTTED = ["ada", "dana", "nadia"], ["a.da", "d.a"]


def models_of(items):
    bigrams, trigrams = BigramModel(0).fit(items), NgramModel(3, 0).fit(items)
    return [
        bigrams,
        trigrams,
        NeuralBigram(3).fit(items, steps=20),
        NPLM(Vocab.from_texts(items), context_length=3, embedding_dim=2, hidden_dim=4),
        Mixture([BigramModel(1).fit(items), NgramModel(3, 1).fit(items)], [0.25, 0.75]),
    ]


@pytest.mark.parametrize(("items", "boundary"), [(PLAIN, "."), (DOTTED, "|")])
def test_end_tokens_in_front_are_those_that_are_there_anyway(items, boundary):
    for model in models_of(items):
        assert model.vocab.eos_token == boundary
        for start in ("", "a", "da", "adad"):
            expected = model.next_probs(start).tolist()
            for count in range(1, 6):
                assert model.next_probs(boundary * count + start).tolist() == expected


def test_a_context_is_written_as_an_n_gram_of_counts_is():
    counts = NgramCounts(PLAIN, order=3)
    model = NgramModel(3, 0).fit(counts)
    for context, total in (("..", 3), (".d", 1), ("da", 2)):
        frequencies = [counts[context + symbol] / total for symbol in model.vocab.itos]
        assert model.next_probs(context).tolist() == frequencies


def test_elsewhere_an_end_token_is_a_character_that_is_unknown():
    for model in models_of(PLAIN):
        for context, character, position in ((".a.d", ".", 2), ("..dax", "x", 4), ("x.", "x", 0)):
            with pytest.raises(UnknownCharacterError) as caught:
                model.next_probs(context)
            told = caught.value
            assert (told.character, told.position, told.item) == (character, position, context)
        with pytest.raises(TypeError, match="context is 5;"):
            model.next_probs(5)
    # Where the text holds ".", it is a character like others, and no boundary.
    assert encode_context(".a", Vocab.from_texts(DOTTED), 3).tolist() == [0, 1, 2]


@given(st.text("ab", max_size=6), st.integers(0, 6), st.integers(1, 5))
def test_the_ids_are_those_behind_as_many_boundaries_as_fit(item, front, context):
    vocab = Vocab("ab")
    expected = [0] * context + vocab.encode(item).tolist()
    ids = encode_context("." * front + item, vocab, context)
    assert ids.tolist() == expected[-context:]
    assert ids.dtype == np.uint32
