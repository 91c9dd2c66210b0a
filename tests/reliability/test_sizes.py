"""Sizes that no machine has room for are refused where they enter, and at once."""

import math

import numpy as np
import pytest
from fastgrad.models import (
    NPLM,
    BigramModel,
    InterpolatedTrigram,
    KneserNey,
    NeuralBigram,
    NgramModel,
    WordNPLM,
)
from fastgrad.text import Vocab, build_dataset, read_words

NAMES = ["emma", "ava"]
VOCAB = Vocab.from_texts(NAMES)
TEXT = read_words(b"the cat sat on the mat and the dog sat " * 20)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 10**10, "lr": lambda step: 0.1},
        {"steps": 2**70, "lr": 0.1},
        {"steps": 1, "lr": 0.1, "batch_size": 10**12},
        {"epochs": 1e300, "lr": 0.1},
        {"epochs": 1e12, "lr": lambda step: 0.1},
        {"epochs": math.inf, "lr": 0.1},
        {"steps": 1, "lr": 0.1, "threads": 2**70},
    ],
)
def test_training(settings):
    model = NPLM(VOCAB, hidden_dim=4)
    before = model.copy()
    with pytest.raises((ValueError, MemoryError), match=r"steps|batch|epochs|threads"):
        model.fit(NAMES, **settings)
    for name, array in model._parameters.items():
        assert (array == before._parameters[name]).all()


@pytest.mark.parametrize(
    "options",
    [
        {"n": -1},
        {"n": 2**64},
        {"n": 2**62},
        {"offset": 2**64},
        {"seed": 2**64},
        {"seed": -1},
        {"top_k": 0},
        {"temperature": math.nan},
        {"temperature": -1.0},
        {"max_length": -1},
    ],
)
@pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")
def test_sampling(options):
    models = [
        BigramModel(0).fit(NAMES),
        NPLM(VOCAB, context_length=20),
        KneserNey(3, modified=False).fit(TEXT),
    ]
    for model in models:
        with pytest.raises((ValueError, MemoryError), match=next(iter(options))):
            model.sample(**options)


@pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")
def test_sampling_that_is_merely_generous():
    models = [
        BigramModel(0).fit(NAMES),
        NPLM(VOCAB, context_length=20),
        KneserNey(3, modified=False).fit(TEXT),
    ]
    for model in models:
        assert model.sample(3, top_k=2**64) == model.sample(3)
        assert len(model.sample(1, temperature=math.inf)) == 1
    with pytest.raises(MemoryError, match="max_length"):
        models[-1].sample(1, max_length=10**18)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NPLM(VOCAB, context_length=10**9),
        lambda: NPLM(VOCAB, hidden_dim=10**12),
        lambda: NPLM(VOCAB, embedding_dim=2**63),
        lambda: WordNPLM(TEXT.vocab, context_length=2**63),
        lambda: build_dataset(NAMES, VOCAB, 10**12),
        lambda: NgramModel(10**6, 0).fit(NAMES),
        lambda: KneserNey(10**6, modified=False).fit(TEXT),
        lambda: BigramModel(math.inf).fit(NAMES),
        lambda: BigramModel(math.nan).fit(NAMES),
        lambda: BigramModel(1e308).fit(NAMES),
        lambda: NeuralBigram().fit(NAMES, steps=10**14),
        lambda: NeuralBigram().fit(NAMES, steps=2**70),
        lambda: NeuralBigram().fit(NAMES, steps=1, lr=0.1, batch_size=10**12),
        lambda: InterpolatedTrigram(max_iterations=2**70).fit(TEXT, TEXT),
        lambda: InterpolatedTrigram().fit(TEXT, TEXT).bin_of(10**400),
        lambda: TEXT.split(2**70),
        lambda: read_words(b"a b", vocab_size=2**64),
        lambda: read_words(b"a b", train=2**64),
    ],
)
def test_models_and_texts(make):
    with pytest.raises((ValueError, MemoryError)):
        make()


@pytest.mark.parametrize(
    "huge", ["x" * 400_000, [1] * 400_000, {"a" * 400_000: 1}, np.zeros(10**5)]
)
@pytest.mark.parametrize(
    "call",
    [
        lambda it: NPLM(it),
        lambda it: WordNPLM(it),
        lambda it: NPLM(VOCAB, hidden_dim=it),
        lambda it: NPLM(VOCAB, init=it),
        lambda it: NPLM(VOCAB, dtype=it),
        lambda it: NPLM(VOCAB, tie_weights=it),
        lambda it: NPLM(VOCAB).fit(NAMES, steps=it, lr=0.1),
        lambda it: NPLM(VOCAB).fit(NAMES, epochs=it, lr=0.1),
        lambda it: NPLM(VOCAB).fit(NAMES, steps=1, lr=0.1, optimizer=it),
        lambda it: NPLM(VOCAB).most_similar(it),
        lambda it: KneserNey(it),
        lambda it: KneserNey(vocab=it),
        lambda it: BigramModel(it),
        lambda it: BigramModel(it).fit(NAMES),
        lambda it: read_words(b"a", tokenizer=it),
        lambda it: read_words(b"a", eos=it),
        lambda it: read_words(b"a", vocab_size=it),
        lambda it: read_words(b"a", min_count=it),
        lambda it: BigramModel(0).fit(NAMES).sample(temperature=it),
    ],
)
def test_messages_stay_short(call, huge):
    with pytest.raises((TypeError, ValueError)) as caught:
        call(huge)
    assert len(str(caught.value)) < 1000
