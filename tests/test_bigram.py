"""Bigrams and trigrams, counted and made into models: makemore, part 1."""

import copy
import math
import pickle
import sys

import numpy as np
import pytest
import slow_bigram
from fastgrad import checkpoint, models, text
from fastgrad.checkpoint import CheckpointError
from fastgrad.models import BigramCounts, BigramModel, LanguageModel
from fastgrad.text import NotUtf8Error, UnknownCharacterError, Vocab, encode_items
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

ITEMS = st.lists(st.text("abc.é🙂", min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def counts(names_file):
    return BigramCounts.of(names_file)


# --- The lecture's numbers -------------------------------------------------------------------


def test_the_lectures_counts(counts):
    assert (counts.items, counts.total, counts.order) == (32033, 228146, 2)
    assert counts.table().shape == (27, 27)
    assert counts.table().dtype == np.int64
    assert (counts.table() > 0).sum() == len(counts.entries()[0]) == 627
    assert counts.top(4) == [("n.", 6763), ("a.", 6640), ("an", 5438), (".a", 4410)]
    assert counts.table().sum() == 228146
    assert repr(counts) == "BigramCounts(32,033 items, 228,146 bigrams of 27 symbols)"


@pytest.mark.parametrize(
    ("smoothing", "loss"),
    [
        (0, pytest.approx(2.454014489154874, rel=1e-12)),
        (1, pytest.approx(2.454576820115698, rel=1e-12)),
        (10, pytest.approx(2.462116, abs=5e-7)),
        (100, pytest.approx(2.537491, abs=5e-7)),
    ],
)
def test_the_lectures_losses(counts, names_file, smoothing, loss):
    model = BigramModel(counts, smoothing)
    assert model.loss(counts) == loss
    assert model.loss(names_file) == loss
    assert model.perplexity(names_file) == pytest.approx(math.exp(model.loss(counts)), rel=1e-12)
    assert BigramModel.fit(names_file, smoothing=smoothing).loss(names_file.read_bytes()) == loss


def test_the_lectures_unlikely_name(counts):
    model = BigramModel(counts, smoothing=1)
    assert -model.log_probability("andrejq") / 8 == pytest.approx(3.483402, abs=5e-7)
    assert model.loss(["andrejq"]) == pytest.approx(3.483402, abs=5e-7)
    plain = BigramModel(counts)
    assert plain.log_probability("andrejq") == -math.inf
    assert plain.loss(["andrejq"]) == math.inf
    assert plain.perplexity(["andrejq"]) == math.inf
    assert plain.unseen(["andrejq", "emma", "jqjq"]) == [("jq", 3), ("qj", 1)]
    assert model.unseen(["andrejq"]) == []


def test_trigrams(names_file):
    counts = BigramCounts.of(names_file, order=3)
    assert counts.table().shape == (27, 27, 27)
    assert (counts.items, counts.total) == (32033, 228146)
    assert BigramModel(counts).loss(names_file) == pytest.approx(2.185743, abs=5e-7)
    assert BigramModel(counts, 1).loss(names_file) == pytest.approx(2.212582, abs=5e-7)
    assert "trigrams" in repr(BigramModel(counts))


def test_counts_of_a_split_are_the_counts_of_the_whole(counts, names_file):
    parts = text.split(text.read(names_file), seed=3)
    assert sum(BigramCounts.of(part) for part in parts) == counts
    vocab = counts.vocab
    ids = [encode_items(part, vocab) for part in parts]
    assert sum(BigramCounts.of_ids(part, vocab) for part in ids) == counts


def test_a_model_comes_back_from_a_file_as_it_was(counts, tmp_path):
    model = BigramModel(counts, smoothing=0.1)
    model.save(tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        for loaded in (models.load(path), BigramModel.load(path)):
            assert isinstance(loaded, BigramModel)
            assert loaded.counts == counts
            assert loaded.smoothing == 0.1
            assert (loaded.table() == model.table()).all()


# --- Counts ----------------------------------------------------------------------------------


@given(ITEMS, st.sampled_from([2, 3]))
def test_counts_are_those_of_a_dict(items, order):
    counts = BigramCounts.of(items, order=order)
    slow = slow_bigram.count(items, order)
    names = [None, *counts.vocab.characters]
    ids, times = counts.entries()
    found = {tuple(names[i] for i in gram): n for gram, n in zip(ids, times.tolist(), strict=True)}
    assert found == slow
    assert ids.tolist() == sorted(ids.tolist())
    assert ids.dtype == np.uint32
    assert times.dtype == np.int64
    assert counts.total == counts.table().sum() == sum(slow.values())
    assert all(counts.table()[tuple(gram)] == n for gram, n in zip(ids, times, strict=True))
    assert counts == BigramCounts.of("\n".join(items).encode(), order=order)
    assert counts == BigramCounts.of_ids(encode_items(items, counts.vocab), counts.vocab, order)


@given(
    st.lists(st.text("ab \r\t\v\x1c\x1f\x85\xa0\u2028\u3000\0.🙂", max_size=8), min_size=1),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
    st.sampled_from([2, 3]),
)
def test_counting_reads_a_text_as_reading_does(lines, end, marked, order):
    data = b"\xef\xbb\xbf" * marked + end.join(lines).encode()
    for source in (data, lines):
        try:
            expected = BigramCounts.of(text.read(source), order=order)
        except ValueError as error:
            with pytest.raises(ValueError, match=f"^{error}$"):
                BigramCounts.of(source, order=order)
        else:
            assert BigramCounts.of(source, order=order) == expected
            assert expected.items == len(text.read(source))


@given(ITEMS, ITEMS, st.sampled_from([2, 3]))
def test_counts_add_up_over_alphabets(first, second, order):
    a, b = BigramCounts.of(first, order=order), BigramCounts.of(second, order=order)
    assert a + b == b + a == BigramCounts.of(first + second, order=order)
    assert sum([a, b]) == a + b


def test_counts_are_copied_pickled_and_compared():
    counts = BigramCounts.of(["emma", "ava"])
    assert pickle.loads(pickle.dumps(counts)) == copy.deepcopy(counts) == counts
    assert counts != BigramCounts.of(["emma"])
    assert counts != BigramCounts.of(["emma", "ava"], order=3)
    assert counts != BigramCounts.of_ids(np.array([1]), Vocab("aemv"))
    assert counts != 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(counts)


def test_counts_are_an_array():
    counts = BigramCounts.of(["ab"])
    assert np.asarray(counts).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert np.array(counts, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        counts.table()[0, 0] = 1


def test_the_most_frequent_of_few():
    counts = BigramCounts.of(["aa", "b"])
    assert counts.top() == [(".a", 1), (".b", 1), ("a.", 1), ("aa", 1), ("b.", 1)]
    assert counts.top(1) == [(".a", 1)]
    assert counts.top(0) == []


@pytest.mark.parametrize("word", ["ёлка", "漢字", "👩‍🚀🙂", "a\0b", "x y"])
def test_any_script(word, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(f"{word}\n{word}\n", encoding="utf-8")
    model = BigramModel.fit(path)
    assert model.vocab == Vocab.of([word])
    assert model.counts.top(1)[0][1] == 2
    model.save(tmp_path)
    assert models.load(tmp_path).loss([word]) == pytest.approx(0, abs=1e-12)


def test_a_text_with_full_stops():
    counts = BigramCounts.of(["a.b", "."])
    assert counts.vocab.symbols == ("|", ".", "a", "b")
    assert counts.top(5) == [("|.", 1), ("|a", 1), (".|", 1), (".b", 1), ("a.", 1)]
    assert BigramModel(counts).log_probability(".") == pytest.approx(math.log(0.25))


def test_a_large_alphabet_is_counted_sparsely_and_makes_no_table():
    alphabet = "".join(map(chr, range(0x4E00, 0x4E00 + 20000)))
    counts = BigramCounts.of([alphabet])
    assert counts.total == 20001
    assert len(counts.entries()[0]) == 20001
    with pytest.raises(MemoryError):
        counts.table()
    with pytest.raises(MemoryError, match=r"V = 20,001 symbols would have V\*\*2"):
        BigramModel(counts)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"source": b""}, ValueError, "the text is empty"),
        ({"source": b" \n\r\n"}, ValueError, "the text is empty"),
        ({"source": []}, ValueError, "items is empty"),
        ({"source": [""]}, ValueError, "items is empty"),
        ({"source": "no such file"}, FileNotFoundError, "no such file"),
        ({"source": b"a\n\xff"}, NotUtf8Error, "^the text, line 2: byte 0xff at offset 2 is"),
        ({"source": ["a", "b\nc"]}, ValueError, r"items\[1\] .*newline"),
        ({"source": [1]}, TypeError, "str"),
        ({"source": 5}, TypeError, "source is 5"),
        ({"order": 1}, ValueError, "order is 1; expected 2 for bigrams or 3 for trigrams"),
        ({"order": 4}, ValueError, "order is 4"),
        ({"order": "2"}, TypeError, "order is '2'"),
        ({"threads": 0}, ValueError, "threads"),
    ],
)
def test_what_cannot_be_counted(arguments, error, message):
    with pytest.raises(error, match=message):
        BigramCounts.of(**({"source": ["a"]} | arguments))


def test_an_empty_file_is_named(tmp_path):
    path = tmp_path / "empty.txt"
    path.touch()
    with pytest.raises(ValueError, match=r"empty\.txt is empty"):
        BigramCounts.of(path)
    with pytest.raises(OSError, match=str(tmp_path)):
        BigramCounts.of(tmp_path)


def test_counts_that_do_not_fit():
    with pytest.raises(ValueError, match="order"):
        BigramCounts.of(["a"]) + BigramCounts.of(["a"], order=3)
    with pytest.raises(TypeError, match="unsupported operand"):
        BigramCounts.of(["a"]) + 1
    with pytest.raises(TypeError, match="expected NgramCounts"):
        BigramCounts(3)
    with pytest.raises(ValueError, match="2"):
        BigramCounts.of_ids(np.array([1, 2], dtype=np.uint32), Vocab("a"))
    for wrong in ([-1], [2**32 + 1]):
        with pytest.raises(ValueError, match=r"ids\[0\] is"):
            BigramCounts.of_ids(np.array(wrong), Vocab("a"))
    for wrong in ([0.5], [[1]]):
        with pytest.raises(TypeError, match="expected one dimension of integers"):
            BigramCounts.of_ids(np.array(wrong), Vocab("a"))
    with pytest.raises(UnknownCharacterError, match="'b'"):
        BigramCounts.of(["ab"]).over(Vocab("a"))


def test_a_bar_is_shown_at_a_terminal_only(counts, names_file, capsys, monkeypatch):
    assert BigramCounts.of(names_file, progress=True) == counts
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert BigramCounts.of(names_file, progress=True) == counts
    assert "counting" in capsys.readouterr().err


# --- Models ----------------------------------------------------------------------------------


@given(ITEMS, ITEMS, st.sampled_from([2, 3]), st.sampled_from([0.0, 0.5, 1.0, 7.0]))
def test_losses_are_those_of_the_formula(train, other, order, smoothing):
    model = BigramModel.fit(train, smoothing=smoothing, order=order)
    known = [item for item in other if set(item) <= set("".join(train))]
    for items in (train, known):
        if items:
            expected = slow_bigram.loss(train, items, order, smoothing)
            assert model.loss(items) == pytest.approx(expected, rel=1e-12, abs=1e-12)
            assert model.loss(BigramCounts.of(items, order=order)) == model.loss(items)
            assert (model.unseen(items) == []) == math.isfinite(expected)
        for item in items:
            expected = slow_bigram.log_probability(train, item, order, smoothing)
            assert model.log_probability(item) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(ITEMS, st.sampled_from([2, 3]), st.sampled_from([0.0, 1.0]))
def test_rows_are_distributions(train, order, smoothing):
    model = BigramModel.fit(train, smoothing=smoothing, order=order)
    size = len(model.vocab)
    table = model.table()
    assert table.shape == (size ** (order - 1), size)
    sums = table.sum(axis=1)
    assert np.isclose(sums, 1).all() if smoothing else (np.isclose(sums, 1) | (sums == 0)).all()
    for item in train:
        for end in range(len(item) + 1):
            ids = [0, 0, *model.vocab.encode(item[:end])][1 - order :]
            expected = model.probabilities_of(np.array([ids], dtype=np.uint32))[0]
            assert (model.probabilities(item[:end]) == expected).all()


def test_a_context_never_seen():
    model = BigramModel.fit(["ab", "c"], order=3)
    assert model.probabilities("ca").tolist() == [0, 0, 0, 0]
    assert model.loss(["cab"]) == math.inf
    assert not np.isnan(model.table()).any()
    assert model.probabilities().tolist() == [0, 0.5, 0, 0.5]


def test_a_certain_text_has_loss_zero():
    loss = BigramModel.fit(["a"]).loss(["a"])
    assert loss == 0
    assert math.copysign(1, loss) == 1
    assert BigramModel.fit(["a"]).log_probability("") == -math.inf


def test_it_is_a_language_model():
    model = BigramModel.fit(["emma"], order=3)
    assert isinstance(model, LanguageModel)
    assert (model.context, model.order, len(model.vocab)) == (2, 3, 4)
    with pytest.raises(ValueError, match="read-only"):
        model.table()[0, 0] = 1
    model.probabilities()[0] = 1  # A copy, which may be changed.
    assert model.probabilities()[0] == 0


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_model_pickles(protocol):
    model = pickle.loads(pickle.dumps(BigramModel.fit(["emma"], smoothing=0.5), protocol))
    assert not model.table().flags.writeable
    assert model.loss(["emma"]) == BigramModel.fit(["emma"], smoothing=0.5).loss(["emma"])
    assert repr(model) == "BigramModel(1 items, 5 bigrams of 4 symbols; smoothing 0.5)"


@pytest.mark.parametrize("smoothing", [-1, math.nan, math.inf, "1", None, 1e308])
def test_a_smoothing_that_is_none(smoothing):
    with pytest.raises((TypeError, ValueError), match="smoothing is "):
        BigramModel.fit(["emma"], smoothing=smoothing)


def test_text_that_the_model_does_not_know():
    model = BigramModel.fit(["emma"], smoothing=1.0)
    for call in (model.log_probability, model.probabilities):
        with pytest.raises(UnknownCharacterError, match=r"'x'.* at position 1 of 'ex'"):
            call("ex")
    with pytest.raises(UnknownCharacterError, match=r"character 'x' \(U\+0078\) is not in"):
        model.loss(["ex"])
    with pytest.raises(ValueError, match="counts of order 3; expected 2"):
        model.loss(BigramCounts.of(["emma"], order=3))
    with pytest.raises(TypeError, match="expected BigramCounts"):
        BigramModel(np.zeros((3, 3)))


@pytest.mark.parametrize(
    "contexts",
    [[[4]], [[-1]], [[0, 0]], [0], [[0.5]]],
)
def test_contexts_that_are_none(contexts):
    with pytest.raises(ValueError, match="contexts"):
        BigramModel.fit(["emma"]).probabilities_of(np.array(contexts))


# --- Files -----------------------------------------------------------------------------------


def broken(**changes):
    """Give the parts of a saved model of "ab", some of them changed; None takes one out."""
    ids = np.array([[0, 1], [1, 2], [2, 0]], dtype=np.uint32)
    config = {
        "model": "bigram",
        "order": 2,
        "smoothing": 0.5,
        "items": 1,
        "vocab": {"characters": "ab"},
    }
    tensors = {"ids": ids, "counts": np.ones(3, dtype=np.uint64)}
    for name, value in changes.items():
        part = tensors if name in tensors else config
        part[name] = value
        if value is None:
            del part[name]
    return tensors, config


def test_the_parts_that_are_broken_below_are_right_as_they_are(tmp_path):
    checkpoint.save(tmp_path / "m", *broken())
    assert models.load(tmp_path / "m").counts == BigramCounts.of(["ab"])


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "nonsense"},
        {"model": None},
        {"model": ["bigram"]},
        {"order": 3},
        {"order": 1},
        {"order": "2"},
        {"order": None},
        {"smoothing": -1.0},
        {"smoothing": "1"},
        {"smoothing": None},
        {"items": -1},
        {"items": 2},
        {"items": 1.5},
        {"items": None},
        {"vocab": None},
        {"vocab": {"characters": "ba"}},
        {"vocab": {"characters": "a"}},
        {"vocab": "ab"},
        {"ids": None},
        {"ids": np.zeros((3, 2))},
        {"ids": np.zeros((3, 3), dtype=np.uint32)},
        {"ids": np.zeros((3, 2), dtype=np.uint32)},
        {"ids": np.array([[0, 1], [1, 9], [2, 0]], dtype=np.uint32)},
        {"ids": np.array([[1, 2], [0, 1], [2, 0]], dtype=np.uint32)},
        {"counts": None},
        {"counts": np.ones(2, dtype=np.uint64)},
        {"counts": np.ones(3)},
        {"counts": np.zeros(3, dtype=np.uint64)},
        {"counts": np.full(3, 2**64 - 1, dtype=np.uint64)},
        {"counts": np.array([1, 2, 1], dtype=np.uint64)},
    ],
    ids=str,
)
def test_a_file_with_wrong_parts_is_refused_by_name(tmp_path, changes):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, *broken(**changes))
    with pytest.raises(CheckpointError) as caught:
        models.load(tmp_path)
    assert str(caught.value).startswith(str(path))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")) | st.sampled_from(["bigram", "neural bigram", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["characters", "x"]), inner),
    max_leaves=3,
)  # fmt: skip
ARRAYS = st.sampled_from(["u8", "u4", "f8", "i8", "?"]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@given(
    st.sampled_from(["model", "order", "smoothing", "items", "vocab"]), ANYTHING,
    st.sampled_from(["ids", "counts", "weights", "history"]), st.none() | ARRAYS,
)  # fmt: skip
def test_whatever_a_file_holds_it_is_a_model_or_refused(tmp_path_factory, key, value, name, array):
    tensors, config = broken(**{key: value})
    path = tmp_path_factory.mktemp("any") / "m"
    checkpoint.save(path, tensors if array is None else {**tensors, name: array}, config)
    try:
        model = models.load(path)
    except CheckpointError as error:
        refused = str(error)
        assert refused.startswith(str(path))
    else:
        assert model.loss(["ab"]) >= 0


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        models.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        models.load(tmp_path / "nothing")
