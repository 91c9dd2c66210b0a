"""Bigrams and trigrams counted: `NgramCounts`, its numbers, properties and refusals."""

import copy
import errno
import math
import pickle
import sys

import numpy as np
import pytest
import slow_bigram
from fastgrad import text
from fastgrad.models import BigramModel, NgramCounts
from fastgrad.text import NotUtf8Error, UnknownCharacterError, Vocab, encode_items
from hypothesis import given
from hypothesis import strategies as st

ITEMS = st.lists(st.text("abc.é🙂", min_size=1, max_size=6), min_size=1, max_size=8)


# --- The lecture's numbers -------------------------------------------------------------------


def test_the_lectures_counts(names_counts):
    assert (names_counts.num_items, names_counts.total, names_counts.order) == (32033, 228146, 2)
    assert names_counts.N.shape == (27, 27)
    assert names_counts.N.dtype == np.int64
    assert (names_counts.N > 0).sum() == len(names_counts.nonzero()[0]) == 627
    assert names_counts.most_common(4) == [("n.", 6763), ("a.", 6640), ("an", 5438), (".a", 4410)]
    assert names_counts.N.sum() == 228146
    assert (names_counts["n."], names_counts[".a"]) == (6763, 4410)
    assert (names_counts.N - 7000).max() == 6763 - 7000
    assert repr(names_counts) == "NgramCounts(32,033 items, 228,146 bigrams of 27 tokens)"


def test_counts_of_a_split_are_the_counts_of_the_whole(names_counts, names_file):
    parts = text.split(text.read_lines(names_file), seed=3)
    assert sum(NgramCounts(part) for part in parts) == names_counts
    vocab = names_counts.vocab
    ids = [encode_items(part, vocab) for part in parts]
    assert sum(NgramCounts.from_ids(part, vocab) for part in ids) == names_counts


# --- Properties and corners ------------------------------------------------------------------


@pytest.mark.slow
@given(ITEMS, st.sampled_from([2, 3]))
def test_counts_are_those_of_a_dict(items, order):
    counts = NgramCounts(items, order=order)
    slow = slow_bigram.count(items, order)
    names = [None, *counts.vocab.characters]
    ids, times = counts.nonzero()
    found = {tuple(names[i] for i in gram): n for gram, n in zip(ids, times.tolist(), strict=True)}
    assert found == slow
    assert ids.tolist() == sorted(ids.tolist())
    symbols = np.array(counts.vocab.itos)
    for gram in np.ndindex((len(symbols),) * order):
        expected = slow.get(tuple(names[i] for i in gram), 0)
        assert counts["".join(symbols[list(gram)])] == counts.N[gram] == expected
    assert ids.dtype == np.uint32
    assert times.dtype == np.int64
    assert counts.total == counts.N.sum() == sum(slow.values())
    assert all(counts.N[tuple(gram)] == n for gram, n in zip(ids, times, strict=True))
    assert counts == NgramCounts("\n".join(items).encode(), order=order)
    assert counts == NgramCounts.from_ids(encode_items(items, counts.vocab), counts.vocab, order)


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
            expected = NgramCounts(text.read_lines(source), order=order)
        except ValueError as error:
            with pytest.raises(ValueError, match=f"^{error}$"):
                NgramCounts(source, order=order)
        else:
            assert NgramCounts(source, order=order) == expected
            assert expected.num_items == len(text.read_lines(source))


@given(ITEMS, ITEMS, st.sampled_from([2, 3]))
def test_counts_add_up_over_alphabets(first, second, order):
    a, b = NgramCounts(first, order=order), NgramCounts(second, order=order)
    assert a + b == b + a == NgramCounts(first + second, order=order)
    assert sum([a, b]) == a + b


def test_counts_are_copied_pickled_and_compared():
    counts = NgramCounts(["emma", "ava"])
    assert pickle.loads(pickle.dumps(counts)) == copy.deepcopy(counts) == counts
    assert counts != NgramCounts(["emma"])
    assert counts != NgramCounts(["emma", "ava"], order=3)
    assert counts != NgramCounts.from_ids(np.array([1]), Vocab("aemv"))
    assert counts != 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(counts)


def test_counts_are_an_array():
    counts = NgramCounts(["ab"])
    assert np.asarray(counts).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert np.array(counts, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        counts.N[0, 0] = 1


def test_counts_are_signed_unless_they_would_not_fit():
    counts = NgramCounts(["ab", "b"])
    assert (counts.N - 1).min() == -1
    assert counts.nonzero()[1].dtype == np.int64
    for _ in range(61):
        counts += counts
    assert (counts.total, counts["b."], counts.most_common(1)) == (5 << 61, 2**62, [("b.", 2**62)])
    assert counts.N.dtype == counts.nonzero()[1].dtype == np.uint64
    assert BigramModel(0).fit(counts).loss(["b"]) == pytest.approx(math.log(2) / 2)


def test_counts_by_their_tokens():
    counts = NgramCounts(["emma", "a.b"], order=3)
    assert (counts["||e"], counts["emm"], counts["ma|"], counts["a.b"], counts["b.a"]) == (
        (1, 1, 1, 1, 0)
    )
    for gram, error, message in [
        ("em", ValueError, r"gram is 'em';"),
        ("emmx", ValueError, "gram is 'emmx';"),
        ("emx", UnknownCharacterError, r"character 'x' \(U\+0078\) at position 2 of 'emx'"),
        (5, TypeError, "gram is 5;"),
    ]:
        with pytest.raises(error, match=message):
            counts[gram]
    with pytest.raises(TypeError, match="not iterable"):
        iter(counts)  # pyright: ignore[reportArgumentType]


def test_counts_of_a_large_alphabet_by_their_tokens():
    alphabet = "".join(map(chr, range(0x4E00, 0x4E00 + 20000)))
    counts = NgramCounts([alphabet, alphabet[:2]], order=3)
    assert (counts[f"..{alphabet[0]}"], counts[alphabet[-2:] + "."]) == (2, 1)
    assert (counts[alphabet[7:10]], counts[alphabet[7:9] + alphabet[7]]) == (1, 0)


def test_the_most_frequent_of_few():
    counts = NgramCounts(["aa", "b"])
    assert counts.most_common() == [(".a", 1), (".b", 1), ("a.", 1), ("aa", 1), ("b.", 1)]
    assert counts.most_common(1) == [(".a", 1)]
    assert counts.most_common(0) == []


def test_a_text_with_full_stops():
    counts = NgramCounts(["a.b", "."])
    assert counts.vocab.itos == ("|", ".", "a", "b")
    assert counts.most_common(5) == [("|.", 1), ("|a", 1), (".|", 1), (".b", 1), ("a.", 1)]
    assert BigramModel(0).fit(counts).log_prob(".") == pytest.approx(math.log(0.25))


def test_a_large_alphabet_is_counted_sparsely_and_makes_no_table():
    alphabet = "".join(map(chr, range(0x4E00, 0x4E00 + 20000)))
    counts = NgramCounts([alphabet])
    assert counts.total == 20001
    assert len(counts.nonzero()[0]) == 20001
    with pytest.raises(MemoryError):
        _ = counts.N
    with pytest.raises(MemoryError, match=r"V = 20,001 tokens would have V\*\*2"):
        BigramModel(0).fit(counts)


def test_a_bar_is_shown_at_a_terminal_only(names_counts, names_file, capsys, monkeypatch):
    assert NgramCounts(names_file, progress=True) == names_counts
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert NgramCounts(names_file, progress=True) == names_counts
    assert "counting" in capsys.readouterr().err


# --- Bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": b""}, ValueError, "the text is empty"),
        ({"texts": b" \n\r\n"}, ValueError, "the text is empty"),
        ({"texts": []}, ValueError, "texts is empty"),
        ({"texts": [""]}, ValueError, "texts is empty"),
        ({"texts": "no such file"}, FileNotFoundError, "no such file"),
        ({"texts": b"a\n\xff"}, NotUtf8Error, "^the text, line 2: byte 0xff at offset 2 is"),
        ({"texts": ["a", "b\nc"]}, ValueError, r"texts\[1\] .*newline"),
        ({"texts": [1]}, TypeError, "str"),
        ({"texts": 5}, TypeError, "texts is 5"),
        ({"order": 1}, ValueError, "order is 1;"),
        ({"order": 4}, ValueError, "order is 4"),
        ({"order": "2"}, TypeError, "order is '2'"),
        ({"order": 2.0}, TypeError, r"order is 2\.0;"),
        ({"threads": 0}, ValueError, "threads is 0;"),
        ({"threads": "2"}, TypeError, "threads is '2';"),
        ({"texts": ""}, FileNotFoundError, "No such file"),
        ({"texts": bytearray(b"a")}, TypeError, r"texts is bytearray\(b'a'\);"),
        ({"texts": b"\x1f\x8b\x08"}, NotUtf8Error, r"is not UTF-8 \(this looks like gzip; unp"),
        ({"texts": b"\xff\xfea\0"}, NotUtf8Error, r"\(this looks like UTF-16; convert it to"),
    ],
)
def test_what_cannot_be_counted(arguments, error, message):
    with pytest.raises(error, match=message):
        NgramCounts(**({"texts": ["a"]} | arguments))


def test_an_empty_file_is_named(tmp_path):
    path = tmp_path / "empty.txt"
    path.touch()
    with pytest.raises(ValueError, match=r"empty\.txt is empty"):
        NgramCounts(path)
    with pytest.raises(OSError, match=str(tmp_path)):
        NgramCounts(tmp_path)


def test_a_text_given_as_a_path_is_told_of_in_the_error(tmp_path):
    for call in (NgramCounts, text.read_lines):
        with pytest.raises(FileNotFoundError) as caught:
            call("emma")
        assert "a str is the name of a file" in str(caught.value)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "emma")
        with pytest.raises(FileNotFoundError) as caught:
            call(tmp_path / "emma")
        assert "a str is" not in str(caught.value)


@pytest.mark.parametrize("k", [-1, 2.0, None, "3"])
def test_a_number_of_n_grams_that_is_none(k):
    with pytest.raises((TypeError, ValueError), match=f"k is {k!r};"):
        NgramCounts(["a"]).most_common(k)


def test_counts_that_do_not_fit():
    with pytest.raises(ValueError, match="order"):
        NgramCounts(["a"]) + NgramCounts(["a"], order=3)
    with pytest.raises(TypeError, match="unsupported operand"):
        NgramCounts(["a"]) + 1
    with pytest.raises(TypeError, match="texts is 3;"):
        NgramCounts(3)
    with pytest.raises(ValueError, match="2"):
        NgramCounts.from_ids(np.array([1, 2], dtype=np.uint32), Vocab("a"))
    for wrong in ([-1], [2**32 + 1]):
        with pytest.raises(ValueError, match=r"ids\[0\] is"):
            NgramCounts.from_ids(np.array(wrong), Vocab("a"))
    with pytest.raises(TypeError, match="ids has dtype float64"):
        NgramCounts.from_ids(np.array([0.5]), Vocab("a"))
    with pytest.raises(ValueError, match=r"ids has shape \(1, 1\)"):
        NgramCounts.from_ids(np.array([[1]]), Vocab("a"))
    with pytest.raises(UnknownCharacterError, match="'b'"):
        NgramCounts(["ab"]).with_vocab(Vocab("a"))
    with pytest.raises(TypeError, match="vocab is 'abc';"):
        NgramCounts(["ab"]).with_vocab("abc")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="vocab is 3;"):
        NgramCounts.from_ids(np.array([1]), 3)  # pyright: ignore[reportArgumentType]
