"""Text becomes items, characters and ids, and what is not text is told by name and place."""

import io
import pathlib
import pickle
import random
import sys

import numpy as np
import pytest
from fastgrad import text
from fastgrad.text import (
    EOS_TOKENS,
    NotUtf8Error,
    Split,
    UnknownCharacterError,
    Vocab,
    build_dataset,
    count_duplicates,
    count_overlap,
    encode_items,
    read_lines,
    split,
)
from hypothesis import given, reject
from hypothesis import strategies as st

# What one line of a file can hold.
LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12)
ITEMS = st.lists(LINES.map(str.strip).filter(bool), min_size=1, max_size=20)


def slow_dataset(items, vocab, context):
    """Return contexts and tokens as the lecture's loop makes them."""
    contexts, following = [], []
    for item in items:
        row = [0] * context
        for symbol in [*(vocab.itos.index(c, 1) for c in item), 0]:
            contexts.append(row)
            following.append(symbol)
            row = [*row[1:], symbol]
    return contexts, following


# --- Whole programs --------------------------------------------------------------------------


def test_the_lectures_data_set(names_file):
    words = read_lines(names_file)
    assert len(words) == 32033
    assert words[:3] == ["emma", "olivia", "ava"]
    vocab = Vocab.from_texts(words)
    assert len(vocab) == 27
    assert vocab.itos[:3] == (".", "a", "b")
    assert count_duplicates(words) == 2539

    train, dev, test = parts = split(words, method="makemore")
    examples = [build_dataset(part, vocab, context_length=3) for part in parts]
    assert [len(Y) for _, Y in examples] == [182625, 22655, 22866]
    assert parts.overlap == count_overlap(train, dev, test) == 801
    assert split(words, seed=42) == parts

    state = random.getstate()
    expected = words[:]
    try:
        random.seed(42)
        random.shuffle(expected)
    finally:
        random.setstate(state)
    n1, n2 = int(0.8 * len(words)), int(0.9 * len(words))
    assert parts == (expected[:n1], expected[n1:n2], expected[n2:])


def test_a_split_without_overlap(names_file):
    words = read_lines(names_file)
    parts = split(words, seed=7, group_duplicates=True)
    assert parts.overlap == 0
    assert sorted(parts.train + parts.dev + parts.test) == sorted(words)
    assert [round(len(part) / len(words), 3) for part in parts] == [0.8, 0.1, 0.1]


def test_the_dataset_of_a_name():
    vocab = Vocab("aem")
    pairs = zip(*build_dataset(["emma"], vocab, context_length=3), strict=True)
    shown = [f"{vocab.decode(context)} {vocab.decode([symbol])}" for context, symbol in pairs]
    assert shown == ["... e", "..e m", ".em m", "emm a", "mma ."]


# --- Reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"emma\nava\n",
        b"emma\nava",
        b"\xef\xbb\xbfemma\nava\n",
        b"emma\r\nava\r\n",
        b"\n\n  emma\t\n \n\x1c\nava\x1f\n\n",
        "\u3000emma\u2003\n\u00a0\nava\x85".encode(),
    ],
)
def test_all_kinds_of_files(data, tmp_path, monkeypatch):
    path = tmp_path / "names.txt"
    path.write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    for source in (data, path, str(path), "-"):
        assert read_lines(source) == ["emma", "ava"]


def test_items_come_from_any_iterable(tmp_path):
    assert read_lines(name for name in ["emma\n", " ava\r\n", "", "\n"]) == ["emma", "ava"]
    path = tmp_path / "names.txt"
    path.write_text("emma\nava\n", encoding="utf-8")
    with open(path, encoding="utf-8") as file:
        assert read_lines(file) == ["emma", "ava"]
    assert read_lines(["\ufeffemma", "\ufeffava"]) == ["emma", "\ufeffava"]


def test_only_a_newline_ends_a_line():
    odd = "a\rb\x0bc\x0cd\x1ce\u2028f\x85g\0h"
    assert read_lines(odd.encode()) == [odd]


@given(st.lists(LINES))
def test_a_file_and_a_list_give_the_same_items(lines):
    expected = [line.strip() for line in lines if line.strip()]
    whole = "\n".join(lines).encode()
    if not expected:
        for source in (whole, lines):
            with pytest.raises(ValueError, match="is empty"):
                read_lines(source)
        return
    if not lines[0].startswith("\ufeff"):
        assert read_lines(lines) == expected
    if not whole.startswith(b"\xef\xbb\xbf"):
        assert read_lines(whole) == expected


def test_a_byte_that_is_not_utf8_is_named_with_its_place(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"emma\nren\xe9e\n")
    with pytest.raises(NotUtf8Error) as caught:
        read_lines(path)
    assert str(caught.value) == f"{path}, line 2: byte 0xe9 at offset 8 is not UTF-8"
    assert isinstance(caught.value, UnicodeError)
    with pytest.raises(NotUtf8Error, match="the text, line 1: byte 0xff at offset 3 "):
        read_lines(b"\xef\xbb\xbf\xff")
    with pytest.raises(NotUtf8Error, match="line 1: byte 0xed at offset 0 "):
        read_lines("\ud800".encode("utf-8", "surrogatepass"))
    with pytest.raises(NotUtf8Error, match="line 3: byte 0xe2 at offset 4 "):
        read_lines(b"a\nb\n\xe2\x82")


@pytest.mark.parametrize("data", [b"", b"\n \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_text_is_told(data, tmp_path):
    path = tmp_path / "empty.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"empty.txt is empty;"):
        read_lines(path)
    with pytest.raises(ValueError, match="the text is empty"):
        read_lines(data)


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_lines(tmp_path / "nothing")
    with pytest.raises(OSError, match=str(tmp_path)):
        read_lines(tmp_path)
    with pytest.raises(TypeError, match=r"texts\[1\] is 3;"):
        read_lines(["a", 3])
    with pytest.raises(TypeError, match=r"texts\[0\] is b.a.;"):
        read_lines([b"a"])
    with pytest.raises(TypeError, match="texts is 3;"):
        read_lines(3)
    with pytest.raises(ValueError, match=r"texts\[1\] is .b\\nc., with a newline in it"):
        read_lines(["a", "b\nc"])
    with pytest.raises(ValueError, match=r"texts\[0\], .* holds a lone surrogate at position 1"):
        read_lines(["a\ud800"])
    with pytest.raises(ValueError, match="texts is empty"):
        read_lines([])


# --- Vocabulary ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["ёлка", "漢字", "👩‍🚀🙂", "a\0b", "naïve", "x y"])
def test_any_script(word):
    vocab = Vocab.from_texts([word])
    assert vocab.characters == "".join(sorted(set(word)))
    ids = vocab.encode(word)
    assert ids.dtype == np.uint32
    assert ids.min() >= 1
    assert vocab.decode(ids) == word


@pytest.mark.slow
@given(ITEMS)
def test_encoding_and_decoding_undo_each_other(items):
    vocab = Vocab.from_texts(items)
    assert len(vocab) == len(vocab.itos) == len(set("".join(items))) + 1
    assert vocab.eos_token not in "".join(items)
    assert vocab.eos_token not in vocab
    for item in items:
        assert vocab.decode(vocab.encode(item)) == item
        assert all(character in vocab for character in item)
    assert vocab.decode(encode_items(items, vocab)) == "".join(i + vocab.eos_token for i in items)
    assert Vocab.from_config(vocab.to_config()) == vocab
    assert pickle.loads(pickle.dumps(vocab)) == vocab
    assert hash(Vocab(vocab.characters[::-1])) == hash(vocab)


def test_the_end_of_sequence_token_gives_way():
    assert Vocab("abc").eos_token == "."
    assert Vocab("abc").eos_note() is None
    assert Vocab("a.b").eos_token == "|"
    assert "'|' stands for the start" in Vocab("a.b").eos_note()
    assert Vocab("a.b").encode(".").tolist() == [1]
    assert Vocab(EOS_TOKENS[:3]).eos_token == EOS_TOKENS[3]
    assert Vocab([*EOS_TOKENS, "\ue000"]).eos_token == "\ue001"


def test_a_vocabulary_is_a_value():
    vocab = Vocab("hello")
    assert vocab == Vocab.from_texts(["he", "lo"])
    assert vocab != Vocab("help")
    assert vocab != "ehlo"
    assert "hello" not in vocab
    assert "" not in vocab
    assert 3 not in vocab
    assert "👩" not in vocab
    assert repr(vocab) == "Vocab('ehlo')"
    assert len(repr(Vocab(map(chr, range(0x4E00, 0x9000))))) < 100
    assert vocab.encode("").tolist() == []
    assert vocab.decode([]) == ""


def test_an_unknown_character_is_named_with_its_place():
    vocab = Vocab("abc")
    with pytest.raises(UnknownCharacterError) as caught:
        vocab.encode("abéc")
    error = caught.value
    assert (error.character, error.position, error.item) == ("é", 2, "abéc")
    assert str(error) == (
        "character 'é' (U+00E9) at position 2 of 'abéc' is not in the vocabulary"
        ", which has 3 characters: 'abc'"
    )
    with pytest.raises(UnknownCharacterError, match="lower-case the text"):
        vocab.encode("A")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    for other in ("👩", ".", "\n", "\ud800", "A"):
        with pytest.raises(UnknownCharacterError, match=f"U\\+{ord(other):04X}"):
            vocab.encode(f"ab{other}c")
        with pytest.raises(UnknownCharacterError, match="at position 1 of 'b"):
            encode_items(["abc", f"b{other}", "x"], vocab)
    with pytest.raises(UnknownCharacterError, match="…"):
        vocab.encode("a" * 1000 + "x")


@pytest.mark.parametrize(
    ("characters", "error", "message"),
    [
        ("", ValueError, "characters is empty"),
        ([], ValueError, "characters is empty"),
        (["ab"], TypeError, "holds 'ab';"),
        ([1], TypeError, "holds 1;"),
        (5, TypeError, "characters is 5;"),
        ("a\n", ValueError, "which no item can hold"),
        ("\ud800", ValueError, "which no item can hold"),
    ],
)
def test_characters_that_make_no_vocabulary(characters, error, message):
    with pytest.raises(error, match=message):
        Vocab(characters)


@pytest.mark.parametrize(
    "config",
    [None, [], "abc", {}, {"characters": 3}, {"characters": "ba"}, {"characters": "aa"},
     {"characters": ""}, {"characters": "a\n"}, {"characters": "a", "more": 1}],
)  # fmt: skip
def test_a_damaged_configuration_is_refused(config):
    with pytest.raises(ValueError, match=r"vocabulary is damaged|characters"):
        Vocab.from_config(config)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 4], ValueError, r"ids\[1\] is 4;"),
        ([-1], ValueError, r"ids\[0\] is -1"),
        ([0.5], TypeError, "dtype float64"),
        ([[1]], ValueError, r"shape \(1, 1\)"),
        (1, ValueError, r"shape \(\)"),
    ],
)
def test_ids_that_are_none(ids, error, message):
    with pytest.raises(error, match=message):
        Vocab("abc").decode(ids)


def test_a_path_is_not_a_list_of_items():
    for call in (split, count_duplicates, lambda items: encode_items(items, Vocab("a"))):
        with pytest.raises(TypeError, match=r"names\.txt.*expected a list of str.*`read_lines`"):
            call("names.txt")
    for call in (Vocab.from_texts, lambda texts: build_dataset(texts, Vocab("a"), 2)):
        with pytest.raises(FileNotFoundError, match=r"no-names\.txt"):
            call("no-names.txt")
    with pytest.raises(TypeError, match="item is 3"):
        Vocab("a").encode(3)


# --- Splits and data sets ----------------------------------------------------------------------


@pytest.mark.slow
@given(ITEMS, st.integers(0, 5), st.booleans())
def test_a_split_loses_nothing_and_is_the_same_each_time(items, seed, together):
    fractions = (0.5, 0.0, 0.5)
    options = {"seed": seed, "group_duplicates": together}
    before, state = list(items), random.getstate()
    try:
        parts = split(items, fractions, **options)
    except ValueError:  # A part got nothing.
        assert len(items) == 1 or together
        reject()
    assert random.getstate() == state
    assert items == before
    assert sorted(parts.train + parts.dev + parts.test) == sorted(items)
    assert parts == split(items, fractions, **options)
    assert parts.overlap == sum(item in parts.train for item in parts.test)
    assert parts.overlap == 0 or not together


def test_fractions_are_met_in_spite_of_rounding():
    items = [str(i) for i in range(10)]
    assert [len(part) for part in split(items, (0.7, 0.2, 0.1))] == [7, 2, 1]
    assert [len(part) for part in split(items, (1, 0, 0))] == [10, 0, 0]
    assert [len(part) for part in split(items, (0.0, 0.4, 0.6))] == [0, 4, 6]
    assert isinstance(split(items), Split)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"fractions": (0.5, 0.5, 0.5)}, ValueError, "add up to 1"),
        ({"fractions": (1.5, -0.5, 0.0)}, ValueError, "at least 0"),
        ({"fractions": (float("nan"), 0.5, 0.5)}, ValueError, "add up to 1"),
        ({"fractions": (0.9, 0.1)}, TypeError, "expected three numbers"),
        ({"fractions": 0.9}, TypeError, "expected three numbers"),
        ({"method": "sorted"}, ValueError, "expected 'random' or 'makemore'"),
        ({"method": "makemore", "fractions": (0.9, 0.1, 0)}, ValueError, "makemore's are"),
        ({"method": "makemore", "group_duplicates": True}, ValueError, "fixed"),
        ({"seed": 0.5}, TypeError, r"seed is 0\.5;"),
        ({"seed": -1}, ValueError, "seed is -1;"),
        ({"items": 5}, TypeError, "items is 5;"),
        ({"method": "makemore", "fractions": 0.9}, TypeError, r"fractions is 0\.9;"),
        ({"items": ["a", "b", "c"]}, ValueError, "items holds 3, which leaves none for dev"),
        ({"items": []}, ValueError, "items holds 0, which leaves none for train"),
    ],
)
def test_splits_that_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        split(**({"items": [str(i) for i in range(100)]} | arguments))


@given(ITEMS, st.integers(1, 6))
def test_a_dataset_is_that_of_the_lectures_loop(items, context):
    vocab = Vocab.from_texts(items)
    contexts, following = build_dataset(items, vocab, context)
    slow_contexts, slow_following = slow_dataset(items, vocab, context)
    assert contexts.tolist() == slow_contexts
    assert following.tolist() == slow_following
    assert contexts.dtype == following.dtype == np.uint32
    assert encode_items(items, vocab).tolist() == slow_following


@pytest.mark.parametrize("context", [0, -1])
def test_a_context_has_a_token(context):
    with pytest.raises(ValueError, match=f"context_length is {context};"):
        build_dataset(["a"], Vocab("a"), context)


def test_datasets_that_cannot_be():
    with pytest.raises(TypeError, match=r"context_length is 1\.5;"):
        build_dataset(["a"], Vocab("a"), 1.5)
    with pytest.raises(ValueError, match=r"items\[1\] is ''"):
        encode_items(["a", "", "a"], Vocab("a"))
    with pytest.raises(ValueError, match="texts is empty"):
        build_dataset([], Vocab("a"), 2)


def test_names_of_sources():
    assert text.name_of(pathlib.Path("x") / "y.txt") == str(pathlib.Path("x/y.txt"))
    assert text.name_of("-") == "standard input"
    assert text.name_of(b"") == "the text"
    assert text.name_of([]) == "texts"
