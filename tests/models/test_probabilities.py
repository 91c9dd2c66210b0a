"""Every model's probabilities are float64 and sum to 1 as closely as float64 can."""

import numpy as np
import pytest
from fastgrad.models import (
    NPLM,
    BigramModel,
    InterpolatedTrigram,
    KneserNey,
    Mixture,
    NeuralBigram,
    NgramModel,
    WordNPLM,
)
from fastgrad.text import Vocab, WordText, WordVocab, read_words
from hypothesis import given
from hypothesis import strategies as st

NAMES = ["emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia"]
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
LETTERS, WORDS = 1e-15, 1e-12


def letters():
    vocab = Vocab(ALPHABET)
    lecture = NPLM(vocab, init="normal", hidden_dim=100, seed=3)
    direct = NPLM(vocab, direct=True, hidden_dim=30)
    tied = NPLM(vocab, tie_weights=True, hidden_dim=30, dtype="float64")
    everything = [*NAMES, ALPHABET]
    smoothed = BigramModel(0.1).fit(everything)
    trigrams = NgramModel(3, 0.3).fit(everything)
    trained = NeuralBigram().fit(everything, steps=50)
    return [
        lecture,
        direct,
        tied,
        smoothed,
        trigrams,
        trained,
        Mixture([smoothed, lecture], [0.3, 0.7]),
        Mixture([lecture, Mixture([direct, trigrams], [0.9, 0.1])], [0.1, 0.9]),
    ]


def words():
    generator = np.random.default_rng(5)
    vocab = WordVocab(["<unk>", "</s>", *(f"w{i}" for i in range(900))], eos="line")
    text = WordText(vocab, generator.zipf(1.3, 20_000) % len(vocab))
    train, dev = text.split(0.9)
    network = WordNPLM(vocab, embedding_dim=8, hidden_dim=16, counts=train.counts, init="scaled")
    counted = KneserNey(4, modified=False).fit(train)
    return [
        network,
        WordNPLM(vocab, tie_weights=True, direct=True, init="normal"),
        counted,
        KneserNey(3, modified=True).fit(train),
        InterpolatedTrigram().fit(train, dev),
        Mixture([counted, network], [0.7, 0.3]),
    ]


def check(rows, bound):
    assert rows.dtype == np.float64
    assert (rows >= 0).all()
    assert np.abs(rows.sum(axis=-1) - 1).max() <= bound


@pytest.mark.parametrize("model", letters(), ids=repr)
def test_letters(model):
    generator = np.random.default_rng(0)
    for context in ["", "e", "em", "emm", "zzz", "olivi"]:
        row = model.next_probs(context)
        check(row, LETTERS)
        generator.choice(len(row), p=row)
    contexts = generator.integers(0, 27, (500, model.context_length)).astype(np.uint32)
    check(model.next_probs(contexts), LETTERS)
    table = model.table()
    if table is not None:
        check(table, LETTERS)


@pytest.mark.parametrize("model", words(), ids=repr)
def test_words(model):
    generator = np.random.default_rng(0)
    for context in ["", "w3", "w3 w1 w4 w1 w5", "w899 w898", "unknown\n"]:
        row = model.next_probs(context)
        check(row, WORDS)
        generator.choice(len(row), p=row)
    check(model.next_probs(generator.integers(0, 902, (300, 5))), WORDS)


def test_fifty_thousand_words():
    vocab = WordVocab(["<unk>", *(f"w{i}" for i in range(50_000))])
    model = WordNPLM(vocab, embedding_dim=4, hidden_dim=8, init="normal")
    check(model.next_probs(np.arange(40).reshape(10, 4)), WORDS)


@given(st.lists(st.text("abcde", min_size=1), min_size=1), st.floats(1e-6, 1e6))
def test_tables_of_any_counts(items, smoothing):
    for order in (2, 3):
        check(NgramModel(order, smoothing).fit(items).table(), LETTERS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_losses_are_those_of_the_probabilities(dtype, scale):
    """Also where a probability is far below what float32 can hold."""
    vocab = WordVocab(["<unk>", *(f"w{i}" for i in range(700))])
    model = WordNPLM(
        vocab, embedding_dim=60, hidden_dim=50, tie_weights=False, init="normal", dtype=dtype
    )
    model.U[...] *= scale
    ids = np.random.default_rng(1).integers(0, 701, 400)
    windows = np.lib.stride_tricks.sliding_window_view(ids[:-1], model.context_length)
    rows = model.next_probs(windows)
    expected = -np.log(rows[np.arange(len(rows)), ids[model.context_length :]])
    losses = -model.token_log_probs(WordText(vocab, ids))[model.context_length :]
    assert np.isfinite(expected).all()
    assert expected.max() > (200 if scale > 1 else 20)
    np.testing.assert_allclose(losses, expected, atol=1e-6 if dtype == "float32" else 1e-11)
    np.testing.assert_allclose(np.exp(-losses), np.exp(-expected), rtol=1e-6, atol=0)


def test_a_network_of_characters_agrees_with_its_loss():
    model = NPLM(Vocab.from_texts(NAMES), init="normal")
    chances = []
    for name in NAMES:
        for place, symbol in enumerate([*name, model.vocab.eos_token]):
            row = model.next_probs(name[:place])
            chances.append(row[model.vocab.itos.index(symbol)])
    assert model.loss(NAMES) == pytest.approx(-np.mean(np.log(chances)), abs=1e-6)


def test_a_row_alone_is_the_row_of_a_batch():
    text = read_words(b"the cat sat on the mat and the dog sat on the cat " * 5)
    model = WordNPLM(text.vocab, context_length=2)
    batch = model.next_probs(np.tile([[1, 2], [3, 4], [5, 6]], (40, 1)))
    for row, context in zip(batch, [[1, 2], [3, 4], [5, 6]] * 40, strict=True):
        assert (row == model.next_probs([context])[0]).all()
