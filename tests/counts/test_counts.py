"""Counts of n-grams: of files, bytes, strings and ids, against plain Python."""

import copy
import pathlib
import pickle
import tempfile
from collections import Counter

import numpy as np
import pytest
import slow_counts
from fastgrad._core import NgramCounts, count_bytes, count_ids, count_items, count_path
from hypothesis import given, settings
from hypothesis import strategies as st

# All that str.strip takes away, and much that it does not.
SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()]
PIECES = ["a", "b", "z", "é", "я", "日", "🙂", "\0", "\ufeff", "\u200b", "\r\n", *SPACES]

texts = st.lists(st.sampled_from(PIECES) | st.just("\n") | st.just("a"), max_size=60).map("".join)
characters = st.characters(exclude_categories=["Cs"])
free_texts = st.text(characters | st.just("\n"), max_size=60)
orders = st.sampled_from([2, 3])


def counted(text, order):
    """Count with the oracle; None for a text without items."""
    items = slow_counts.items_of(text)
    return slow_counts.count(items, order) if items else None


# What users see -----------------------------------------------------------------------------------


def test_the_names_have_the_lectures_counts(names_file):
    counts = count_path(names_file)
    assert (counts.order, counts.items, counts.total) == (2, 32_033, 228_146)
    assert counts.characters == "abcdefghijklmnopqrstuvwxyz"
    table = counts.dense()
    assert table.shape == (27, 27)
    assert table.dtype == np.uint64
    assert np.count_nonzero(table) == 627
    of = {character: i + 1 for i, character in enumerate(counts.characters)}
    assert table[of["n"], 0] == 6763
    assert table[of["a"], 0] == 6640
    assert table[of["a"], of["n"]] == 5438
    assert table[0, of["a"]] == 4410
    probabilities = table / table.sum(axis=1, keepdims=True)
    used = table > 0
    loss = -(table[used] * np.log(probabilities[used])).sum() / counts.total
    assert loss == pytest.approx(2.454014489154874, rel=1e-12)


def test_all_ways_to_count_the_names_agree(names_file):
    text = names_file.read_bytes()
    names = text.decode().split("\n")
    for order in (2, 3):
        counts = count_path(names_file, order)
        assert counts.total == 228_146
        assert slow_counts.table(counts) == slow_counts.count(names, order)
        assert count_path(str(names_file), order) == counts
        assert count_bytes(text, order) == counts
        assert count_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), order) == counts
        assert count_bytes(text.replace(b"\n", b" \n\n\t "), order, threads=3) == counts
        assert count_items(names, order) == counts
        ids = np.frombuffer(text, np.uint8).astype(np.uint32)
        ids = np.where(ids == ord("\n"), 0, ids - np.uint32(ord("a") - 1))
        assert count_ids(ids, counts.characters, order) == counts


def test_a_small_text():
    counts = count_bytes("ab\nяb\n".encode())
    assert repr(counts) == "NgramCounts(order=2, characters=3, items=2, total=6)"
    assert counts.characters == "abя"
    ids, numbers = counts.entries()
    assert ids.dtype == np.uint32
    assert ids.tolist() == [[0, 1], [0, 3], [1, 2], [2, 0], [3, 2]]
    assert numbers.dtype == np.uint64
    assert numbers.tolist() == [1, 1, 1, 2, 1]
    trigrams = count_bytes(b"ab\n", order=3)
    assert trigrams.dense().shape == (3, 3, 3)
    assert trigrams.entries()[0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 0]]


# Properties ---------------------------------------------------------------------------------------


@given(texts | free_texts, orders, st.integers(1, 3))
def test_texts_are_counted_as_in_plain_python(text, order, threads):
    expected = counted(text, order)
    if expected is None:
        with pytest.raises(ValueError, match="the text is empty"):
            count_bytes(text.encode(), order)
        return
    counts = count_bytes(text.encode(), order, threads)
    assert slow_counts.table(counts) == expected
    assert counts.characters == "".join(sorted(set("".join(slow_counts.items_of(text)))))
    assert counts.items == len(slow_counts.items_of(text))
    assert counts.total == sum(expected.values())
    dense = counts.dense()
    ids, numbers = counts.entries()
    assert dense[tuple(ids.T)].tolist() == numbers.tolist()
    assert dense.sum() == counts.total


@pytest.mark.slow
@settings(max_examples=25)
@given(texts, st.sampled_from(["a", "日", " ", "\r\n"]), st.integers(0, 3))
def test_texts_of_many_blocks_are_counted_as_in_plain_python(text, filler, threads):
    text = text + filler * 300_000 + text + "\n" + text
    expected = counted(text, 2)
    if expected is not None:
        counts = count_bytes(text.encode(), threads=threads or None)
        assert slow_counts.table(counts) == expected


@pytest.mark.slow
@given(st.lists(texts.filter(lambda text: "\n" not in text.strip()), max_size=20), orders)
def test_items_are_counted_as_in_plain_python(items, order):
    expected = slow_counts.count([item.strip() for item in items if item.strip()], order)
    if expected:
        assert slow_counts.table(count_items(items, order)) == expected
        assert slow_counts.table(count_items(tuple(items), order, threads=2)) == expected


@given(texts.filter(lambda text: "\ufeff" not in text), st.data(), orders)
def test_counts_of_parts_add_up_to_those_of_the_whole(text, data, order):
    lines = text.split("\n")
    at = data.draw(st.integers(0, len(lines)))
    left, right = "\n".join(lines[:at]), "\n".join(lines[at:])
    if counted(left, order) and counted(right, order):
        total = count_bytes(left.encode(), order) + count_bytes(right.encode(), order)
        assert total == count_bytes(text.encode(), order)


@given(st.lists(st.integers(0, 5), max_size=40), orders)
def test_ids_are_counted_as_in_plain_python(ids, order):
    alphabet = "abcde"
    text = "".join(alphabet[i - 1] if i else "\n" for i in ids)
    expected = counted(text, order)
    if expected is None:
        with pytest.raises(ValueError, match="ids is empty"):
            count_ids(np.array(ids, np.uint32), alphabet, order)
        return
    for array in (np.array(ids, np.uint32), np.repeat(np.array(ids, np.uint32), 2)[::2]):
        counts = count_ids(array, alphabet, order)
        assert counts.characters == alphabet
        assert slow_counts.table(counts) == expected


@pytest.mark.slow
@given(texts, orders)
def test_counts_are_copied_pickled_and_taken_apart(text, order):
    if counted(text, order) is None:
        return
    counts = count_bytes(text.encode(), order)
    parts = counts.order, counts.characters, counts.items, *counts.entries()
    assert NgramCounts.from_entries(*parts) == counts
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(counts, protocol)) == counts
    assert copy.deepcopy(counts) == counts
    larger = counts.with_characters("".join(sorted({*counts.characters, "q", "🦀"})))
    assert slow_counts.table(larger) == slow_counts.table(counts)
    assert (larger == counts) == (larger.characters == counts.characters)
    assert (larger + counts).total == 2 * counts.total


def merged(items, order):
    """Count with the oracle items of which many are the same."""
    counts = Counter()
    for item, times in Counter(items).items():
        for gram, count in slow_counts.count([item], order).items():
            counts[gram] += count * times
    return dict(counts)


# Threads read a file in blocks of so many bytes at most.
BLOCK = 1 << 18


@pytest.mark.slow
@settings(max_examples=12)
@given(
    st.lists(st.tuples(texts | free_texts, st.integers(-70, 5)), min_size=8, max_size=8),
    st.sampled_from(["emma\n", "ava\r\n", "\tя日 \n"]),
    orders,
    st.integers(1, 3),
)
def test_files_are_counted_as_in_plain_python_wherever_they_are_cut(parts, filler, order, threads):
    # Each part comes where a block may end, which depends on where the one before it ended.
    file = bytearray()
    filler = filler.encode()
    for number, (text, shift) in enumerate(parts, start=1):
        missing = number * BLOCK + shift - len(file)
        file += filler * (missing // len(filler)) + text.encode()
    file += filler * (BLOCK // len(filler))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "text")
        path.write_bytes(file)
        counts = count_path(path, order, threads)
    assert slow_counts.table(counts) == merged(slow_counts.items_of(file.decode()), order)


@given(texts | free_texts, orders, st.integers(0, 30))
def test_the_most_frequent_come_first(text, order, k):
    expected = counted(text, order)
    if expected is not None:
        counts = count_bytes(text.encode(), order)
        ids, numbers = counts.entries()
        rows = sorted(zip(ids.tolist(), numbers.tolist(), strict=True), key=lambda row: -row[1])
        ids, numbers = counts.top(k)
        assert ids.shape == (len(numbers), order)
        assert list(zip(ids.tolist(), numbers.tolist(), strict=True)) == rows[:k]


# Corners ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ascii", "spaces", "any", "han"])
def test_large_texts_of_all_kinds_do_not_depend_on_threads(kind, tmp_path):
    rng = np.random.default_rng(5)
    everything = [*"abcdefgh  \t", *"éя日🙂", *map(chr, range(0x4E00, 0x5800))]
    alphabet = everything[: {"ascii": 8, "spaces": 11, "any": 15, "han": None}[kind]]
    lines = ["".join(line) for line in rng.choice(alphabet, (6_000, 9))]
    lines[1] = "".join(rng.choice(alphabet, 60_000))
    path = tmp_path / "text"
    for order, end in ((2, "\n"), (3, "\r\n")):
        expected = counted("\n".join(lines), order)
        path.write_bytes((end.join(lines) + end).encode() * 5)
        for threads in (1, 2, 1024, None):
            counts = slow_counts.table(count_path(path, order, threads))
            assert counts == {gram: 5 * count for gram, count in expected.items()}


def test_equality_and_sums_know_their_limits():
    counts = count_bytes(b"ab\n")
    assert counts == count_bytes(b"ab\n\n")
    assert counts != count_bytes(b"ab\nab\n")
    assert counts != count_bytes(b"ab\n", order=3)
    assert counts != 3
    with pytest.raises(TypeError, match="unsupported operand"):
        counts + 3
    with pytest.raises(ValueError, match="order 2 and of order 3"):
        counts + count_bytes(b"ab\n", order=3)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counts)
    with pytest.raises(AttributeError):
        counts.items = 3
    most = NgramCounts.from_entries(
        2, "a", 2**63 - 1, np.array([[0, 1], [1, 0]], np.uint32), np.full(2, 2**63 - 1, np.uint64)
    )
    with pytest.raises(OverflowError, match="64 bits"):
        most + most


def test_a_large_alphabet_has_entries_but_no_table():
    everything = "".join(map(chr, range(0x20, 0x8000))).strip()
    counts = count_items([everything])
    assert counts.total == len(everything) + 1
    assert len(counts.entries()[1]) == len(everything) + 1
    with pytest.raises(MemoryError, match=r"32736\*\*2 cells, more than 2\*\*27; use entries"):
        counts.dense()
