"""Counts made into models: makemore, part 1."""

import math
import pickle

import numpy as np
import pytest
import slow_bigram
from fastgrad import models
from fastgrad.base import LanguageModel
from fastgrad.models import BigramModel, NgramCounts, NgramModel
from fastgrad.text import UnknownCharacterError, Vocab
from hypothesis import given
from hypothesis import strategies as st

ITEMS = st.lists(st.text("abc.é🙂", min_size=1, max_size=6), min_size=1, max_size=8)


# --- The lecture's numbers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smoothing", "loss"),
    [
        (0, pytest.approx(2.454014489154874, rel=1e-12)),
        (1, pytest.approx(2.454576820115698, rel=1e-12)),
        (10, pytest.approx(2.462116, abs=5e-7)),
        (100, pytest.approx(2.537491, abs=5e-7)),
    ],
)
def test_the_lectures_losses(names_counts, names_file, smoothing, loss):
    model = BigramModel(smoothing).fit(names_counts)
    assert model.loss(names_counts) == loss
    assert model.loss(names_file) == loss
    perplexity = math.exp(model.loss(names_counts))
    assert model.perplexity(names_file) == pytest.approx(perplexity, rel=1e-12)
    assert BigramModel(smoothing).fit(names_file).loss(names_file.read_bytes()) == loss


def test_the_lectures_unlikely_name(names_counts):
    model = BigramModel(1).fit(names_counts)
    assert -model.log_prob("andrejq") / 8 == pytest.approx(3.483402, abs=5e-7)
    assert model.loss(["andrejq"]) == pytest.approx(3.483402, abs=5e-7)
    plain = BigramModel(0).fit(names_counts)
    assert plain.log_prob("andrejq") == -math.inf
    assert plain.loss(["andrejq"]) == math.inf
    assert plain.perplexity(["andrejq"]) == math.inf
    assert plain.unseen(["andrejq", "emma", "jqjq"]) == [("jq", 3), ("qj", 1)]
    assert model.unseen(["andrejq"]) == []


def test_trigrams(names_file):
    counts = NgramCounts(names_file, order=3)
    assert counts.N.shape == (27, 27, 27)
    assert (counts.num_items, counts.total) == (32033, 228146)
    assert NgramModel(3, 0).fit(counts).loss(names_file) == pytest.approx(2.185743, abs=5e-7)
    assert NgramModel(3, 1).fit(counts).loss(names_file) == pytest.approx(2.212582, abs=5e-7)
    assert "trigrams" in repr(NgramModel(3, 0).fit(counts))


# --- Properties and corners ------------------------------------------------------------------


@pytest.mark.slow
@given(ITEMS, ITEMS, st.sampled_from([2, 3]), st.sampled_from([0.0, 0.5, 1.0, 7.0]))
def test_losses_are_those_of_the_formula(train, other, order, smoothing):
    model = NgramModel(order, smoothing).fit(train)
    known = [item for item in other if set(item) <= set("".join(train))]
    for items in (train, known):
        if items:
            expected = slow_bigram.loss(train, items, order, smoothing)
            assert model.loss(items) == pytest.approx(expected, rel=1e-12, abs=1e-12)
            assert model.loss(NgramCounts(items, order=order)) == model.loss(items)
            assert (model.unseen(items) == []) == math.isfinite(expected)
        for item in items:
            expected = slow_bigram.log_probability(train, item, order, smoothing)
            assert model.log_prob(item) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(ITEMS, st.sampled_from([2, 3]), st.sampled_from([0.0, 1.0]))
def test_rows_are_distributions(train, order, smoothing):
    model = NgramModel(order, smoothing).fit(train)
    size = len(model.vocab)
    table = model.table()
    assert table.shape == (size ** (order - 1), size)
    sums = table.sum(axis=1)
    assert np.isclose(sums, 1).all() if smoothing else (np.isclose(sums, 1) | (sums == 0)).all()
    for item in train:
        for end in range(len(item) + 1):
            ids = [0, 0, *model.vocab.encode(item[:end])][1 - order :]
            expected = model.next_probs(np.array([ids], dtype=np.uint32))[0]
            assert (model.next_probs(item[:end]) == expected).all()


def test_a_context_never_seen():
    model = NgramModel(3, 0).fit(["ab", "c"])
    assert model.next_probs("ca").tolist() == [0, 0, 0, 0]
    assert model.loss(["cab"]) == math.inf
    assert not np.isnan(model.table()).any()
    assert model.next_probs().tolist() == [0, 0.5, 0, 0.5]


def test_a_certain_text_has_loss_zero():
    loss = BigramModel(0).fit(["a"]).loss(["a"])
    assert loss == 0
    assert math.copysign(1, loss) == 1
    assert BigramModel(0).fit(["a"]).log_prob("") == -math.inf


def test_counts_are_learned_from_as_text_is(names_counts, names_file):
    model = BigramModel(1).fit(names_counts)
    assert (model.table() == BigramModel(1).fit(names_file).table()).all()
    with pytest.raises(ValueError, match="counts of order 2;"):
        NgramModel(3, 0).fit(names_counts)


def test_it_is_a_language_model():
    model = NgramModel(3, 0).fit(["emma"])
    assert isinstance(model, LanguageModel)
    assert (model.context_length, model.order, len(model.vocab)) == (2, 3, 4)
    with pytest.raises(ValueError, match="read-only"):
        model.table()[0, 0] = 1
    model.next_probs()[0] = 1  # A copy, which may be changed.
    assert model.next_probs()[0] == 0


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_model_pickles(protocol):
    model = pickle.loads(pickle.dumps(BigramModel(0.5).fit(["emma"]), protocol))
    assert not model.table().flags.writeable
    assert model.loss(["emma"]) == BigramModel(0.5).fit(["emma"]).loss(["emma"])
    assert repr(model) == "BigramModel(smoothing=0.5; 1 items, 5 bigrams of 4 tokens)"


@pytest.mark.parametrize("word", ["ёлка", "漢字", "👩‍🚀🙂", "a\0b", "x y"])
def test_any_script(word, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(f"{word}\n{word}\n", encoding="utf-8")
    model = BigramModel(0).fit(path)
    assert model.vocab == Vocab.from_texts([word])
    assert model.counts.most_common(1)[0][1] == 2
    model.save(tmp_path)
    assert models.load(tmp_path).loss([word]) == pytest.approx(0, abs=1e-12)


# --- Bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [-1, math.nan, math.inf, "1", None, 1e308])
def test_a_smoothing_that_is_none(smoothing):
    with pytest.raises((TypeError, ValueError), match="smoothing is "):
        BigramModel(smoothing).fit(["emma"])


def test_text_that_the_model_does_not_know():
    model = BigramModel(1.0).fit(["emma"])
    for call in (model.log_prob, model.next_probs):
        with pytest.raises(UnknownCharacterError, match=r"'x'.* at position 1 of 'ex'"):
            call("ex")
        with pytest.raises((TypeError, ValueError), match=r"(text|context) is 5;"):
            call(5)
    with pytest.raises(UnknownCharacterError, match=r"character 'x' \(U\+0078\) is not in"):
        model.loss(["ex"])
    with pytest.raises(ValueError, match="counts of order 3;"):
        model.loss(NgramCounts(["emma"], order=3))
    with pytest.raises(TypeError, match=r"texts\[0\] is of type ndarray"):
        BigramModel(0).fit(np.zeros((3, 3)))


@pytest.mark.parametrize(
    "contexts",
    [[[4]], [[-1]], [4], np.zeros((1, 0), int)],
)
def test_contexts_that_are_none(contexts):
    with pytest.raises(ValueError, match="context"):
        BigramModel(0).fit(["emma"]).next_probs(np.array(contexts))
