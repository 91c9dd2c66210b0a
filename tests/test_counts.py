"""Counts of n-grams: of files, pipes, bytes, strings and ids, against plain Python."""

import copy
import io
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
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


@settings(max_examples=25)
@given(texts, st.sampled_from(["a", "日", " ", "\r\n"]), st.integers(0, 3))
def test_texts_of_many_blocks_are_counted_as_in_plain_python(text, filler, threads):
    text = text + filler * 300_000 + text + "\n" + text
    expected = counted(text, 2)
    if expected is not None:
        counts = count_bytes(text.encode(), threads=threads or None)
        assert slow_counts.table(counts) == expected


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


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"order": 4}, "order is 4"),
        ({"characters": "ba"}, r"characters\[1\] is 'a'"),
        ({"characters": "aa"}, r"characters\[1\] is 'a'"),
        ({"characters": "a"}, r"ids\[3\] is 2; expected at most 1"),
        ({"items": 2}, "items is 2; expected 1"),
        ({"ids": [[0, 1, 0], [1, 2, 0], [2, 0, 0]]}, r"ids has shape \(3, 3\)"),
        ({"ids": [[0, 1], [1, 2]]}, r"ids has shape \(2, 2\)"),
        ({"ids": [[1, 2], [0, 1], [2, 0]]}, "entry 1 is not above"),
        ({"ids": [[0, 0], [1, 2], [2, 0]]}, "entry 0 has a boundary"),
        ({"counts": [1, 0, 1]}, "entry 1 has count 0"),
    ],
)
def test_entries_are_checked(changed, message):
    parts = {"order": 2, "characters": "ab", "items": 1}
    parts |= {"ids": [[0, 1], [1, 2], [2, 0]], "counts": [1, 1, 1]} | changed
    parts["ids"] = np.array(parts["ids"], np.uint32)
    parts["counts"] = np.array(parts["counts"], np.uint64)
    with pytest.raises(ValueError, match=message):
        NgramCounts.from_entries(**parts)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: count_bytes(b""), ValueError, "the text is empty"),
        (lambda: count_bytes(b"\xef\xbb\xbf \r\n\x1f\n"), ValueError, "the text is empty"),
        (lambda: count_bytes("ab"), TypeError, "data is of type str; expected bytes"),
        (lambda: count_bytes(b"ab", "2"), TypeError, r"order is '2'; expected 2 \(bigrams\) or 3"),
        (lambda: count_bytes(b"ab", 10**30), ValueError, r"order is 10+; expected 2"),
        (lambda: count_path("x", 3, "x"), TypeError, "threads is 'x'; expected None or an int"),
        (lambda: count_items(["a"], 2, 1.0), TypeError, "threads is 1.0; expected None or an int"),
        (lambda: count_bytes(b"ab", threads=-(10**30)), ValueError, "threads is -10+; expected"),
        (lambda: count_path(3), TypeError, "'path'"),
        (lambda: count_ids(np.ones(3, np.uint32), 3), TypeError, "characters is of type int; exp"),
        (lambda: count_ids(np.ones(3, np.uint32), "\ud800"), ValueError, "characters is no text"),
        (lambda: count_bytes(b"ab").with_characters(3), TypeError, "characters is of type int"),
        (lambda: count_bytes(b"ab").top("x"), TypeError, "k is 'x'; expected an int of at least"),
        (lambda: count_bytes(b"ab").top(-1), ValueError, "k is -1; expected an int of at least 0"),
        (lambda: count_bytes(b"ab", 1), ValueError, "order is 1; expected 2"),
        (lambda: count_bytes(b"ab", -2), ValueError, "order is -2"),
        (lambda: count_bytes(b"ab", threads=0), ValueError, "threads is 0; expected None or"),
        (lambda: count_bytes(b"ab", threads=1025), ValueError, "threads is 1025"),
        (lambda: count_bytes(b"a\nb\xff"), ValueError, "the text, line 2: byte 0xff at offset 3"),
        (lambda: count_bytes(b"\xed\xa0\x80"), ValueError, "line 1: byte 0xed at offset 0"),
        (lambda: count_items("ab"), TypeError, "items is a str; expected a sequence"),
        (lambda: count_items(3), TypeError, "items is of type int; expected an iterable of str"),
        (lambda: count_items([]), ValueError, "items is empty"),
        (lambda: count_items(["", " "]), ValueError, "items is empty"),
        (lambda: count_items(["a", 3]), TypeError, r"items\[1\] is of type int; expected str"),
        (lambda: count_items(["a", "b\ud800"]), ValueError, r"items\[1\] is no text.*ud800"),
        (lambda: count_items(["a", " b\nc\n"]), ValueError, r"items\[1\] is ' b\\nc\\n', which"),
        (lambda: count_items(["a\n", "b\nc", 3]), ValueError, r"items\[1\] is 'b\\nc', which"),
        (lambda: count_items(["a"] * 200_000 + ["b\nc"]), ValueError, r"items\[200000\] is 'b"),
        (lambda: count_ids([1], "a"), TypeError, "ids is of type list; expected a numpy"),
        (lambda: count_ids(np.array([1]), "a"), TypeError, "an array of int64; expected uint32"),
        (lambda: count_ids(np.zeros(3, np.uint32), "a"), ValueError, "ids is empty"),
        (lambda: count_ids(np.array([1, 2], np.uint32), "a"), ValueError, r"ids\[1\] is 2"),
        (lambda: count_ids(np.array([1], np.uint32), "ba"), ValueError, r"characters\[1\] is 'a'"),
        (lambda: count_bytes(b"ab").with_characters("a"), ValueError, "characters lacks 'b'"),
        (lambda: count_bytes(b"ab").with_characters("ba"), ValueError, r"characters\[1\]"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Files and pipes ----------------------------------------------------------------------------------


def test_files_that_open_does_not_open(tmp_path):
    for path in (tmp_path / "missing", tmp_path, tmp_path / "a" / "b", "nul\0"):
        with pytest.raises((OSError, ValueError)) as expected:
            io.FileIO(str(path))
        with pytest.raises(type(expected.value)) as got:
            count_path(path)
        assert str(got.value) == str(expected.value)


def test_mistakes_in_a_file_name_it(tmp_path):
    path = tmp_path / "some.txt"
    path.write_bytes(b"ab\n" * 200_000 + b"\x80\n")
    for threads in (1, 2):
        with pytest.raises(ValueError, match=r"some.txt, line 200001: byte 0x80 at offset 600000"):
            count_path(path, threads=threads)
    path.write_bytes(b"\n")
    with pytest.raises(ValueError, match=r"some.txt is empty"):
        count_path(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="the system has no such files")
def test_files_without_a_length_are_counted():
    assert os.path.getsize("/proc/self/maps") == 0
    with open("/proc/cpuinfo", "rb") as file:
        text = file.read()
    # Processors' speeds may differ by now, but not by much.
    assert count_path("/proc/cpuinfo", threads=2).items == count_bytes(text).items
    assert count_path("/proc/self/maps").items > 10


def test_progress_is_told_in_bytes(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"ab\n" * 1_000_000)
    for threads in (1, 2):
        told = []
        assert count_path(path, threads=threads, progress=told.append).total == 3_000_000
        assert told == sorted(told)
        assert told[-1] == 3_000_000
    told = []
    count_bytes(b"ab", progress=told.append)
    assert told[-1] == 2

    def stop(done):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        count_path(path, progress=stop)


def test_standard_input_is_whatever_python_has_there(monkeypatch):
    text = "ab\nяb\n" * 100_000
    for standard in (io.TextIOWrapper(io.BytesIO(text.encode())), io.StringIO(text)):
        monkeypatch.setattr(sys, "stdin", standard)
        told = []
        assert count_path("-", progress=told.append) == count_bytes(text.encode())
        assert told[-1] == len(text.encode())
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(ValueError, match="standard input is empty"):
        count_path("-")


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@needs_pipes
def test_a_named_pipe_is_read_to_its_end(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = b"anna\n" * 300_000
    writer = threading.Thread(target=path.write_bytes, args=(text,))
    writer.start()
    assert count_path(path) == count_bytes(text)
    writer.join()


WAITS = """
import os, sys
from fastgrad._core import count_path, count_bytes, count_items
def progress(done):
    print("ready", flush=True)
"""


@needs_pipes
@pytest.mark.parametrize(
    "call",
    [
        "print('ready', flush=True); count_path('-')",
        "os.mkfifo('pipe'); print('ready', flush=True); count_path('pipe')",
        "count_path('/dev/zero', progress=progress)",
        "count_items(iter(lambda: print('ready', flush=True) or 'ab', None))",
    ],
)
def test_ctrl_c_ends_the_waiting(call, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS + call],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    _, error = process.communicate()
    assert error.strip().endswith(b"KeyboardInterrupt")


STATUS = pathlib.Path("/proc/self/status")


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell")
def test_memory_stays_small_whatever_the_size_of_the_text(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        for piece in (b"a" * 1_000_000, b" " * 1_000_000, "я ".encode() * 300_000):
            for _ in range(50):
                file.write(piece)
    # The most memory that the process had; getrusage would tell its parent's, if that is larger.
    code = (
        "import re, sys\n"
        "from fastgrad._core import count_path\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "assert count_path(sys.argv[1], threads=2).total == 130_000_000\n"
        "print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    assert 0 < int(done.stdout) < 64 << 10
