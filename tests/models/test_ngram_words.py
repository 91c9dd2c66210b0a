"""N-gram models of words: Kneser-Ney, and the interpolated trigram."""

import gzip
import itertools
import math

import numpy as np
import pytest
from fastgrad import _core
from fastgrad.base import LanguageModel
from fastgrad.models import DiscountWarning, InterpolatedTrigram, KneserNey
from fastgrad.text import WordText, WordVocab, read_words
from hypothesis import given
from hypothesis import strategies as st
from slow_ngram import SlowInterpolated, SlowKneserNey, discounts

# The texts here are short; that they are said to be has tests of its own.
pytestmark = pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")


@pytest.fixture(scope="module")
def brown_parts(brown):
    """The paper's text for training, validation and test."""
    return brown.split(800_000, 200_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "modified", "validation", "test"),
    [
        (3, False, 234.15, 225.99),
        (5, False, 233.47, 225.17),
        (3, True, 228.21, 220.47),
        (5, True, 226.57, 218.66),
    ],
)
def test_kneser_ney_on_brown(brown_parts, order, modified, validation, test):
    model = KneserNey(order, modified=modified).fit(brown_parts[0])
    assert model.perplexity(brown_parts[1]) == pytest.approx(validation, abs=0.01)
    assert model.perplexity(brown_parts[2]) == pytest.approx(test, abs=0.01)


@pytest.mark.slow
def test_the_interpolated_trigram_on_brown(brown_parts):
    train, validation, test = brown_parts
    model = InterpolatedTrigram().fit(train, validation)
    assert model.perplexity(train) == pytest.approx(31.77, abs=0.01)
    assert model.perplexity(validation) == pytest.approx(248.79, abs=0.01)
    assert model.perplexity(test) == pytest.approx(238.14, abs=0.01)
    assert model.weights.shape == (15, 4)
    # A context seen once can be trusted less than one seen often.
    seldom, often = model.weights[model.bin_of(1)], model.weights[model.bin_of(1000)]
    assert seldom[3] < 0.1 < 0.2 < often[3]
    assert model.bin_of(0) == 14
    assert model.losses[0] > model.losses[-1]
    assert math.exp(model.losses[-1]) == pytest.approx(248.79, abs=0.01)


def test_a_program_reads_fits_asks_and_samples():
    data = b"the cat sat on the mat\nthe dog sat on the cat\na dog ate the mat\n" * 4
    text = read_words(data, eos="line", min_count=5)
    train, test = text.split(60)
    for model in (KneserNey(3, modified=False).fit(train), InterpolatedTrigram().fit(train, test)):
        assert isinstance(model, LanguageModel)
        assert model.context_length == 2
        after = model.next_probs("sat on")
        assert text.vocab.itos[int(after.argmax())] == "the"
        assert model.table() is None
        assert model.perplexity(test) == pytest.approx(math.exp(model.loss(test)))
        assert model.loss(b"the cat sat") == model.loss(["the cat sat"])
        first = model.sample(3, seed=5, max_length=8)
        assert first == model.sample(5, seed=5, max_length=8)[:3]
        assert all(len(item.split()) <= 8 for item in first)
        assert not any("<unk>" in item or "\n" in item for item in model.sample(50))
        assert model.sample(1, prompt="the dog", temperature=0)[0].startswith("the dog")
        assert model.sample(2, prompt="dog", max_length=1) == ["dog", "dog"]
        assert model.sample(1, prompt="A zebra\n")[0].startswith("A zebra\n")
        assert model.sample(0) == []


def test_models_show_what_they_are():
    model = KneserNey(3, modified=False).fit(read_words(b"a b a c a b a c a b b"))
    assert repr(model) == "KneserNey(order=3; 14 n-grams of 4 tokens)"
    assert model.num_ngrams == [4, 5, 5]
    assert model.num_parameters() == 14
    assert model.order == 3
    # In front of a and of b stand two words each, in front of c one.
    assert model.discounts[0] == (0.2, 0.2, 0.2)


ids = st.lists(st.integers(0, 5), min_size=1, max_size=60)
orders = st.integers(2, 5)


def vocabulary(size=6):
    return WordVocab([f"w{i}" for i in range(size)])


@given(ids, ids, orders, st.booleans())
def test_kneser_ney_agrees_with_the_oracle(train, test, order, modified):
    model = KneserNey(order, modified=modified).fit(WordText(vocabulary(), train))
    slow = SlowKneserNey(train, order, 6, modified)
    assert model.discounts == [pytest.approx(tuple(slow.discounts[k])) for k in range(1, order + 1)]
    for text in (train, test):
        found = np.exp(model.token_log_probs(np.array(text)))
        np.testing.assert_allclose(found, slow.score(text), rtol=1e-12, atol=0)
    both = train + test
    width = min(4, len(both))
    contexts = np.array([both[-width:], both[:width], [0, 1, 2, 3][:width]])
    rows = model.next_probs(contexts)
    for row, context in zip(rows, contexts, strict=True):
        expected = [slow.probability(word, context.tolist()) for word in range(6)]
        np.testing.assert_allclose(row, expected, rtol=1e-12, atol=0)


@given(ids, ids)
def test_the_interpolated_trigram_agrees_with_the_oracle(train, test):
    text = WordText(vocabulary(), train)
    model = InterpolatedTrigram(tolerance=0.0, max_iterations=7).fit(text, np.array(test))
    slow = SlowInterpolated(train, 6)
    losses = slow.fit(test, len(model.losses))
    np.testing.assert_allclose(model.losses, losses, rtol=1e-12, atol=1e-14)
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(losses))
    np.testing.assert_allclose(model.weights, slow.weights, rtol=1e-9, atol=1e-300)
    for tokens in (train, test):
        found = np.exp(model.token_log_probs(np.array(tokens)))
        np.testing.assert_allclose(found, slow.score(tokens), rtol=1e-9, atol=0)
    assert [model.bin_of(x) for x in range(9)] == [slow.bin(x) for x in range(9)]


@pytest.mark.slow
@given(ids, st.lists(st.integers(0, 5), max_size=4), orders, st.booleans())
def test_probabilities_sum_to_one_after_every_context(train, context, order, modified):
    text = WordText(vocabulary(), train)
    models = [
        KneserNey(order, modified=modified).fit(text),
        InterpolatedTrigram().fit(text, text),
    ]
    for model in models:
        rows = model.next_probs(np.array([context], dtype=int))
        assert rows.shape == (1, 6)
        assert rows.sum() == pytest.approx(1, abs=1e-12)
        assert (rows >= 0).all()
        following = [
            np.exp(model.token_log_probs(WordText(vocabulary(), [*context, w])))[-1]
            for w in range(6)
        ]
        np.testing.assert_allclose(rows[0], following, rtol=1e-12, atol=0)


@pytest.mark.slow
@given(ids.filter(lambda text: len(text) > 1), orders, st.data())
def test_a_part_goes_on_from_what_stands_before_it(text, order, data):
    cut = data.draw(st.integers(1, len(text) - 1))
    whole = WordText(vocabulary(), text)
    _, rest = whole.split(cut)
    for model in (
        KneserNey(order, modified=False).fit(whole),
        InterpolatedTrigram().fit(whole, whole),
    ):
        np.testing.assert_array_equal(
            np.exp(model.token_log_probs(rest)), np.exp(model.token_log_probs(whole))[cut:]
        )


def test_kneser_ney_by_hand():
    # a b a b b c: bigrams ab ab ba bb bc; in front of a stands b, of b a and b, of c b; the first
    # a has nothing in front.
    vocab = WordVocab(list("abcd"))
    model = KneserNey(2, modified=False).fit(WordText(vocab, [0, 1, 0, 1, 1, 2]))
    d1, d2 = 2 / (2 + 2 * 1), 3 / (3 + 2 * 1)
    assert [one for one, _, _ in model.discounts] == [d1, d2]
    # c(.) is 4 and three words have something in front.
    p1 = [(c - d1 * (c > 0)) / 4 + 3 * d1 / 4 / 4 for c in (1, 2, 1, 0)]
    np.testing.assert_allclose(model.next_probs(""), p1, rtol=1e-15)
    # After a: b twice.
    p2 = [(2 - d2) / 2 * (w == 1) + d2 / 2 * p1[w] for w in range(4)]
    np.testing.assert_allclose(model.next_probs("a"), p2, rtol=1e-15)
    # Nothing is known after d, nor after c, the last word.
    np.testing.assert_allclose(model.next_probs("d"), p1, rtol=1e-15)
    np.testing.assert_allclose(model.next_probs("c"), p1, rtol=1e-15)


def test_discounts_that_the_counts_do_not_give():
    assert discounts([2, 2, 3], False) == [0.5] * 3
    model = KneserNey(3, modified=True).fit(WordText(vocabulary(), [0, 1] * 20))
    assert model.discounts == [(0.5, 1.0, 1.5)] * 3
    assert (
        KneserNey(3, modified=False).fit(WordText(vocabulary(), [3])).next_probs("").tolist()
        == [1 / 6] * 6
    )


def test_wide_ids_give_the_same():
    text = np.random.default_rng(1).integers(0, 50, 2000)
    narrow = KneserNey(4, modified=False).fit(WordText(vocabulary(50), text))
    wide = _core.KneserNeyTable(text.astype(np.uint32), 50, 4)
    np.testing.assert_array_equal(
        narrow.token_log_probs(text), np.log(wide.score(text.astype(np.uint32)))
    )
    extreme = _core.KneserNeyTable(text.astype(np.uint32) + 4_000_000 - 50, 4_000_000, 5)
    assert extreme.entries[0] == 4_000_000
    assert extreme.entries[1:3] == wide.entries[1:3]


def test_bad_input_is_named():
    text = WordText(vocabulary(), [0, 1, 2])
    model = KneserNey(3, modified=False).fit(text)
    with pytest.raises(ValueError, match="order is 6;"):
        KneserNey(6, modified=False).fit(text)
    with pytest.raises(ValueError, match="order is 1;"):
        KneserNey(1, modified=False).fit(text)
    with pytest.raises(TypeError, match=r"train is 7|texts is 7"):
        KneserNey(3, modified=False).fit(7)
    with pytest.raises(ValueError, match="texts is of WordVocab"):
        model.loss(WordText(WordVocab(list("abc")), [0]))
    with pytest.raises(ValueError, match=r"ids\[0\] is 6;"):
        model.loss(np.array([6]))
    with pytest.raises(ValueError, match=r"context\[1\] is 6"):
        model.next_probs(np.array([1, 6]))
    with pytest.raises(ValueError, match=r"context\[0, 1\] is -1"):
        model.next_probs(np.array([[1, -1]]))
    with pytest.raises(ValueError, match="tolerance is -1;"):
        InterpolatedTrigram(tolerance=-1).fit(text, text)
    with pytest.raises(ValueError, match="prompt has 2 tokens;"):
        model.sample(prompt="w1 w2", max_length=1)
    with pytest.raises(ValueError, match="id 6 at place 0;"):
        _core.KneserNeyTable(np.array([6], dtype=np.uint16), 6)
    with pytest.raises(ValueError, match="0 of them, expected 1 to"):
        _core.KneserNeyTable(np.array([], dtype=np.uint16), 6)
    with pytest.raises(ValueError, match="start is 2;"):
        _core.KneserNeyTable(text.ids, 6).score(text.ids[:1], 2)


@pytest.mark.parametrize(
    ("ids", "order", "modified", "missing"),
    [
        (
            [3],
            2,
            False,
            ["order 1: no n-gram has the count 1;", "order 2: no n-gram has the count 1;"],
        ),
        ([0, 1] * 20, 2, False, ["order 2: no n-gram has the count 1; discounts are 0.5"]),
        (
            [0, 1] * 20,
            2,
            True,
            ["order 1: no n-gram has the count 2 or 3; discounts are 0.5, 1 and"],
        ),
        ([0, 1, 2, 3, 4, 5, 0], 2, True, ["order 2: no n-gram has the count 2 or 3;"]),
    ],
)
def test_orders_without_discounts_of_their_own_are_named(ids, order, modified, missing):
    with pytest.warns(DiscountWarning) as caught:
        KneserNey(order, modified=modified).fit(WordText(vocabulary(), ids))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for part in missing:
        assert part in str(caught[0].message)


@pytest.mark.filterwarnings("error")
def test_discounts_that_can_be_estimated_are_no_cause_for_a_warning():
    ids = np.random.default_rng(0).zipf(1.5, 3000) % 200
    for modified in (False, True):
        KneserNey(3, modified=modified).fit(WordText(vocabulary(200), ids))


@pytest.mark.slow
def test_sentences_on_brown_are_those_of_kenlm(brown_file):
    """`lmplz -o 3` on the same sentences: 170.0976. Its <unk> is a token that no text has."""
    lines = gzip.decompress(brown_file.read_bytes()).decode().split("\n")
    train, rest = first_words(lines, 800_000)
    validation, _ = first_words(rest, 200_000)
    unk, *kept = read_words(train, vocab_size=16_383).vocab.itos
    vocab = WordVocab([unk, "</s>", *kept, "<never>"], eos="line")
    model = KneserNey(3, modified=True, sentences=True).fit(vocab.read(train))
    assert model.perplexity(vocab.read(validation)) == pytest.approx(170.0976, abs=0.00005)


def first_words(lines, count):
    """Cut lines behind so many words, in the middle of one if need be."""
    for i, line in enumerate(lines):
        words = line.split()
        if len(words) > count:
            head, tail = " ".join(words[:count]), " ".join(words[count:])
            return [*lines[:i], head], [tail, *lines[i + 1 :]]
        count -= len(words)
    raise AssertionError("there are too few words")


sentences_of_ids = st.lists(st.integers(0, 5), min_size=1, max_size=60)


def sentence_vocabulary():
    return WordVocab(["<unk>", "</s>", "a", "b", "c", "d"], eos="line")


@pytest.mark.slow
@given(sentences_of_ids, sentences_of_ids, st.integers(2, 5), st.booleans())
def test_sentences_agree_with_the_oracle(train, test, order, modified):
    text = WordText(sentence_vocabulary(), train)
    model = KneserNey(order, modified=modified, sentences=True).fit(text)
    slow = SlowKneserNey(train, order, 6, modified, eos=1)
    for k, expected in slow.discounts.items():
        assert model.discounts[k - 1] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(
        np.exp(model.token_log_probs(np.array(test))), slow.score(test), rtol=1e-10
    )
    rows = model.next_probs(np.array([test[-order:]]))
    expected = [slow.probability(word, test[-order:]) for word in range(6)]
    np.testing.assert_allclose(rows[0], expected, rtol=1e-10)
    assert rows.sum() == pytest.approx(1, abs=1e-14)


@pytest.mark.slow
@given(sentences_of_ids, sentences_of_ids)
def test_a_trigram_of_sentences_agrees_with_the_oracle(train, test):
    text = WordText(sentence_vocabulary(), train)
    model = InterpolatedTrigram(sentences=True, tolerance=0.0, max_iterations=4).fit(
        text, np.array(test)
    )
    slow = SlowInterpolated(train, 6, eos=1)
    assert model.losses == pytest.approx(slow.fit(test, 4)[: len(model.losses)], rel=1e-9)
    np.testing.assert_allclose(
        np.exp(model.token_log_probs(np.array(test))), slow.score(test), rtol=1e-8
    )


def test_a_sentence_knows_nothing_of_the_one_before():
    data = b"the cat sat on the mat\nthe dog sat on the cat\na dog ate the mat\n" * 4
    text = read_words(data, eos="line")
    train, test = text.split(60)
    for model in (
        KneserNey(4, modified=False, sentences=True).fit(train),
        InterpolatedTrigram(sentences=True).fit(train, test),
    ):
        assert model.sentences
        start = model.next_probs("")
        for before in ("the dog\n", "a\n", "the cat sat on the cat\n"):
            assert (model.next_probs(before) == start).all()
        assert model.loss(["the dog sat", "a dog ate"]) == pytest.approx(
            np.average([model.loss(["the dog sat"]), model.loss(["a dog ate"])], weights=[4, 4])
        )
        assert model.sample(3, seed=1) == model.sample(3, seed=1)
    assert "sentences=True" in repr(KneserNey(4, modified=False, sentences=True).fit(train))


def test_sentences_need_end_tokens():
    text = read_words(b"a b a c")
    with pytest.raises(ValueError, match="sentences is True, but the text has no end tokens"):
        KneserNey(3, modified=False, sentences=True).fit(text)
    with pytest.raises(ValueError, match="sentences is True, but the text has no end tokens"):
        InterpolatedTrigram(sentences=True).fit(text, text)
