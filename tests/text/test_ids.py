"""Ids are taken as integers of any kind, in one place, and refused by name, value and position."""

import tracemalloc
import warnings

import numpy as np
import pytest
from fastgrad.models import (
    NPLM,
    DiscountWarning,
    InterpolatedTrigram,
    KneserNey,
    NgramCounts,
    NgramModel,
    WordNPLM,
)
from fastgrad.text import Vocab, WordText, WordVocab, build_dataset

KINDS = [*"bBhHiIlLqQ", ">i2", ">u4", ">i8"]
WORDS = WordVocab(["<unk>", *(f"w{i}" for i in range(20))])
IDS = np.random.default_rng(0).integers(0, 21, 200)
CONTEXTS = IDS[:60].reshape(20, 3)


def kinds_of(array):
    """List the same integers in every way in which they can come."""
    found = [array.astype(kind) for kind in KINDS]
    found.append(np.repeat(array, 2, axis=-1)[..., ::2])
    found.append(np.asfortranarray(array))
    found.append(array[::-1].copy()[::-1])
    return [*found, array.tolist()]


def models():
    text = WordText(WORDS, IDS)
    with warnings.catch_warnings(action="ignore", category=DiscountWarning):
        counted = KneserNey(4, modified=False).fit(text)
    return [
        WordNPLM(WORDS, context_length=3, embedding_dim=4, hidden_dim=5),
        counted,
        InterpolatedTrigram().fit(text, text),
        NPLM(Vocab("abcdefghijklmnopqrst"), context_length=3, embedding_dim=4, hidden_dim=5),
        NgramModel(3, 0).fit(["abcdefghijklmnopqrst"]),
    ]


@pytest.mark.parametrize("model", models(), ids=repr)
def test_contexts_are_integers_of_any_kind(model):
    contexts = CONTEXTS[:, -2:] if isinstance(model, NgramModel) else CONTEXTS
    expected = model.next_probs(contexts.astype(np.uint32))
    for given in kinds_of(contexts):
        assert (model.next_probs(given) == expected).all()
    for wrong, error, message in [
        (contexts.astype(float), TypeError, "context has dtype float64"),
        (contexts > 3, TypeError, "context has dtype bool"),
        (contexts.astype(str), TypeError, "context has dtype <U"),
        (
            -contexts - 1,
            ValueError,
            r"context\[0, 0\] is -\d+;",
        ),
        (contexts + 2**32, ValueError, r"context\[0, 0\] is 42949"),
        (-(contexts.astype(np.uint64) + np.uint64(1)), ValueError, r"\[0, 0\] is 184467440737"),
        ([[2**70, 0, 0][: contexts.shape[1]]], ValueError, r"context\[0, 0\] is 118059"),
        ([[1, 2], [3]], TypeError, "context is"),
        (contexts[None], TypeError, "context is"),
        (None, TypeError, "context is None"),
        (3, TypeError, "context is 3"),
    ]:
        with pytest.raises(error, match=message):
            model.next_probs(wrong)


def test_texts_are_integers_of_any_kind():
    for given in kinds_of(IDS):
        text = WordText(WORDS, given)
        assert text.ids.tolist() == IDS.tolist()
        assert text.ids.dtype == np.uint16
        assert WORDS.decode(given[:3]) == WORDS.decode(IDS[:3])
    letters = Vocab("abcdefghijklmnopqrst")
    for given in kinds_of(IDS):
        assert letters.decode(given) == letters.decode(IDS)
        counted = NgramCounts.from_ids(np.asarray(given), letters)
        assert counted == NgramCounts.from_ids(IDS.astype(np.uint32), letters)


def test_examples_are_integers_of_any_kind():
    names = ["emma", "olivia", "ava"]
    vocab = Vocab.from_texts(names)
    contexts, targets = build_dataset(names, vocab, 3)
    first = NPLM(vocab, context_length=3, hidden_dim=5)
    first.fit((contexts, targets), steps=5, lr=0.1)
    for inputs, outputs in zip(kinds_of(contexts)[:-1], kinds_of(targets)[:-1], strict=True):
        model = NPLM(vocab, context_length=3, hidden_dim=5)
        model.fit((inputs, outputs), steps=5, lr=0.1)
        assert (model.C == first.C).all()


@pytest.mark.parametrize("kind", ["q", "Q"])
def test_negative_counts_are_refused_whatever_they_wrap_to(kind):
    counts = -np.ones(len(WORDS), dtype="q")
    with pytest.raises(ValueError, match=r"counts\[0\] is (-1|18446744073709551615);"):
        WordNPLM(WORDS, counts=counts.astype(kind))


def test_contexts_of_a_text_are_those_of_its_windows():
    """The same losses, and the same weights to the last bit, from ids and from all windows."""
    windows_of = np.lib.stride_tricks.sliding_window_view(IDS[:-1], 5)
    models = []
    for source in (WordText(WORDS, IDS[5:]), (windows_of, IDS[5:])):
        model = WordNPLM(WORDS, context_length=5, embedding_dim=4, hidden_dim=6, direct=True)
        if isinstance(source, WordText):
            source = WordText(WORDS, IDS).split(5)[1]
        model.fit(source, steps=30, lr=0.05, optimizer="adamw", batch_size=16, dropout=0.1)
        models.append(
            (model, -model.token_log_probs(source), model._start(source).to_config()["train"])
        )
    (one, losses, digest), (other, other_losses, other_digest) = models
    for name, array in one._parameters.items():
        assert (array == other._parameters[name]).all()
    assert (losses == other_losses).all()
    assert digest == other_digest


def test_contexts_of_a_text_take_no_memory_of_their_own():
    tokens, context = 1_000_000, 30
    text = WordText(WORDS, np.resize(IDS, tokens))
    model = WordNPLM(WORDS, context_length=context, embedding_dim=2, hidden_dim=2)
    tracemalloc.start()
    try:
        model._start(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * tokens * 3
