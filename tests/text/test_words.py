"""Running text as ids: reading, vocabularies, end tokens, splits."""

import copy
import gzip
import io
import json
import pickle

import numpy as np
import pytest
from fastgrad import _core
from fastgrad.text import NotUtf8Error, WordText, WordVocab, read_words
from hypothesis import given
from hypothesis import strategies as st
from slow_words import slow_simple, slow_words

SONNET = """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:

Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
"""


def test_a_text_is_read_limited_and_split():
    text = read_words(SONNET.encode(), tokenizer="simple", eos="line", vocab_size=6)
    assert text.vocab.itos == ("<unk>", "</s>", "a", "summer's", "more", "Shall")
    assert len(text) == 41
    assert text.types == 34
    assert text.ids.dtype == np.uint16
    assert text.counts.tolist() == [30, 4, 2, 2, 2, 1]
    assert text.unk_rate == 30 / 41
    train, validation, test = text.split(20, 10)
    assert [len(part) for part in (train, validation, test)] == [20, 10, 11]
    assert validation.before(3).tolist() == train.ids[-3:].tolist()
    assert test.before(100).tolist() == text.ids[:30].tolist()
    assert np.concatenate([train.ids, validation.ids, test.ids]).tolist() == text.ids.tolist()
    first, second = test.split(4)
    assert second.before(5).tolist() == text.ids[29:34].tolist()
    assert (second.ids == text.ids[34:]).all()
    assert len(first) == 4


def test_parts_may_be_shares():
    text = read_words(b"a b b c d e f g h i j", train=0.3, vocab_size=2)
    assert text.vocab.itos == ("<unk>", "b")
    assert [len(part) for part in text.split(0.5, 0.25)] == [5, 2, 4]
    assert [len(part) for part in text.split(3, 0.1)] == [3, 1, 7]


def test_brown_has_the_numbers_of_its_description(brown):
    assert (len(brown), brown.types, len(brown.vocab)) == (1_161_192, 56_057, 16_383)
    assert brown.vocab.itos[:6] == ("<unk>", "the", ",", ".", "of", "and")
    train, validation, test = brown.split(800_000, 200_000)
    assert len(test) == 161_192
    shares = [round(part.unk_rate, 5) for part in (train, validation, test)]
    assert shares == [0.04911, 0.08546, 0.08391]
    assert int(train.counts[1:].min()) == 3
    assert (np.diff(train.counts[1:].astype(int)) <= 0).all()


def test_a_file_may_be_packed_or_come_from_standard_input(tmp_path, monkeypatch):
    plain, packed = tmp_path / "t.txt", tmp_path / "t.txt.gz"
    plain.write_text("\ufeffä b\r\nä\r\n", encoding="utf-8")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(plain.read_bytes())))
    for source in (plain, str(plain), packed, "-", plain.read_bytes(), ["ä b", "ä\n"]):
        text = read_words(source, eos="line")
        # The end token has its place whatever its count.
        assert text.vocab.itos == ("<unk>", "</s>", "ä", "b")
        assert text.ids.tolist() == [2, 3, 1, 2, 1], source


def test_ids_are_wider_where_the_vocabulary_is_large():
    words = " ".join(f"w{i}" for i in range(70_000)).encode()
    assert read_words(words, vocab_size=1 << 16).ids.dtype == np.uint16
    wide = read_words(words)
    assert wide.ids.dtype == np.uint32
    assert wide.ids[[0, -1]].tolist() == [1, 70_000]
    assert wide.vocab.itos[-1] == "w69999"


def test_tokens_that_the_text_holds_are_changed():
    text = read_words(b"<unk> <unk2> </s> a", eos="line", vocab_size=3)
    assert text.vocab.itos == ("<unk3>", "</s2>", "<unk>")
    assert text.ids.tolist() == [2, 0, 0, 0, 1]
    text = read_words(b"same other", eos="line", unk_token="X", eos_token="X")
    assert text.vocab.itos[:2] == ("X", "X2")


def test_end_tokens_end_lines_or_paragraphs():
    lines = "a b\n\n \nc\nd\n\n"
    assert read_words(lines.encode(), eos="line").decode() == "a b\nc\nd\n"
    text = read_words(lines.encode(), eos="paragraph")
    assert text.vocab.eos_token == "</p>"
    assert text.decode() == "a b\n\nc d\n\n"
    assert (text.ids == 1).sum() == 2
    assert read_words(b"a\n\nb", eos="paragraph").ids.tolist() == [2, 1, 3, 1]


def test_text_to_go_on_with_is_not_closed():
    vocab = read_words(b"a b\nb\n", eos="line").vocab
    assert vocab.itos == ("<unk>", "</s>", "b", "a")
    assert vocab.encode("a b").tolist() == [3, 2]
    assert vocab.encode("a b\n").tolist() == [3, 2, 1]
    assert vocab.encode("a\nzebra").tolist() == [3, 1, 0]
    assert vocab.encode("").tolist() == []
    assert vocab.encode(" \n").dtype == np.uint32
    assert vocab.read(b"a b").ids.tolist() == [3, 2, 1]
    assert "a" in vocab
    assert "</s>" not in vocab
    assert "<unk>" not in vocab
    assert 7 not in vocab


def test_a_vocabulary_survives_json_pickle_and_copy():
    vocab = read_words(SONNET.encode(), tokenizer="simple", eos="paragraph").vocab
    again = WordVocab.from_config(json.loads(json.dumps(vocab.to_config())))
    for other in (again, pickle.loads(pickle.dumps(vocab)), copy.deepcopy(vocab)):
        assert other == vocab
        assert hash(other) == hash(vocab)
    assert vocab != WordVocab(vocab.itos)
    assert repr(vocab) == "WordVocab(36 tokens: <unk> </p> a summer's more Shall I compare …)"


# Of each script letters, vowel signs, viramas, tone marks and digits.
SCRIPTS = (
    "हिन्दी१",  # Devanagari
    "தமிழ்",  # Tamil
    "తెలుగు",  # Telugu
    "বাংলা",  # Bengali
    "สวัสดี๑",  # Thai
    "ភាសាខ្មែរ",  # Khmer
    "မြန်မာ",  # Burmese
    "noe\u0308l",
    "می\u200cخواهم\u064e",  # noqa: RUF001
    "क\u094d\u200dष",
    "co\xadop",
    "well\u2011met",
)
words = st.one_of(
    st.text(st.sampled_from("ab1-'\u2019.,é_ \t\n\r\x1c\u3000\u2028\x85"), max_size=60),
    st.text(st.sampled_from("".join(SCRIPTS) + " \n'-.।"), max_size=60),
)


@given(
    words.filter(lambda text: text.strip()),
    st.integers(1, 60),
    st.sampled_from([None, 3, 4, 6]),
    st.integers(1, 2),
    st.sampled_from(["space", "simple"]),
    st.sampled_from([None, "line", "paragraph"]),
    st.booleans(),
)
def test_texts_are_read_as_the_oracle_reads_them(
    text, train, vocab_size, min_count, tokenizer, eos, whole
):
    options = {"tokenizer": tokenizer, "eos": eos}
    limits = {"train": None if whole else train, "vocab_size": vocab_size, "min_count": min_count}
    tokens, ids = slow_words(text, **limits, **options)
    source = text.encode()
    if not whole and train > len(ids):
        with pytest.raises(ValueError, match=f"train is {train};"):
            read_words(source, **limits, **options)
    elif len(tokens) == 1 + (eos is not None):
        with pytest.raises(ValueError, match=f"min_count is {min_count};"):
            read_words(source, **limits, **options)
    else:
        found = read_words(source, **limits, **options)
        assert list(found.vocab.itos) == tokens
        assert found.ids.tolist() == ids
        assert found.vocab.read(text.split("\n")).ids.tolist() == ids


@given(
    st.text(st.sampled_from("a9'-\u2019.,é_@"), min_size=1)
    | st.text(st.sampled_from("".join(SCRIPTS) + "'\u2019-.।"), min_size=1)
)
def test_simple_tokens_are_what_the_documentation_says(word):
    tokens = slow_simple(word)
    found = read_words([word], tokenizer="simple").vocab.itos
    assert sorted(found[1:]) == sorted(set(tokens))


@pytest.mark.parametrize("word", SCRIPTS)
def test_words_are_whole_in_every_script(word):
    text = read_words(f"{word} ({word})।".encode(), tokenizer="simple")
    assert text.vocab.itos == ("<unk>", word, "(", ")", "।")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("हिन्दी noe\u0308l", ["हिन्दी", "noe\u0308l"]),
        ("\u0301a (\u0301b \u0301", ["\u0301a", "(", "\u0301b", "\u0301"]),
        ("3\u20e3 a3\u0301", ["3\u20e3", "a3\u0301"]),
        ("a'\u0301b a-\u0301 '\u0301", ["a'\u0301b", "a-\u0301", "'", "\u0301"]),
        (
            "a\u2011b a\u2011\u2011b \u2011a",
            ["a\u2011b", "a", "\u2011", "\u2011", "b", "\u2011", "a"],
        ),
        ("a\u2010b", ["a", "\u2010", "b"]),
        ("a\u200b b\ufeff", ["a", "\u200b", "b", "\ufeff"]),
        ("\U0001f469\u200d\U0001f52c", ["\U0001f469", "\u200d", "\U0001f52c"]),
        ("ภาษาไทย是中文", ["ภาษาไทย是中文"]),
    ],
)
def test_marks_and_joiners_count_as_letters(text, tokens):
    read = read_words(text.encode(), tokenizer="simple")
    assert [read.vocab.itos[i] for i in read.ids] == tokens
    assert [token for word in text.split() for token in slow_simple(word)] == tokens


@given(words, st.integers(1, 5))
def test_pieces_may_end_anywhere(text, size):
    data = text.encode() + b" end"

    def read(pieces):
        reader = _core.WordReader("x", "simple", "line")
        for piece in pieces:
            reader.feed(piece)
        reader.end()
        ids, tokens = reader.choose("<unk>", "</s>")
        return ids.tolist(), tokens

    assert read([data]) == read(data[i : i + size] for i in range(0, len(data), size))


@pytest.mark.parametrize(
    ("data", "line", "offset", "byte"),
    [
        (b"\xf8", 1, 0, "f8"),
        (b"\xef\xbb\xbfab\ncd \xf0\x9f e\n", 2, 9, "f0"),
        (b"a\n" * 600_000 + b"b\xc3", 600_001, 1_200_001, "c3"),
    ],
)
def test_what_is_not_utf8_is_named(data, line, offset, byte, tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    expected = f"{path}, line {line}: byte 0x{byte} at offset {offset} is not UTF-8"
    with pytest.raises(NotUtf8Error) as caught:
        read_words(path)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (b"", {}, ValueError, "the text is empty;"),
        ([" ", ""], {}, ValueError, "is empty;"),
        (["a", "b\nc"], {}, ValueError, "texts[1], 'b\\nc', holds a newline;"),
        (["a", 7], {}, TypeError, "texts[1] is 7;"),
        (["a\ud800"], {}, ValueError, "texts[0], 'a\\ud800', holds a lone surrogate at position 1"),
        (7, {}, TypeError, "texts is 7;"),
        (b"a", {"tokenizer": "x"}, ValueError, "tokenizer is 'x'; expected 'space' or 'simple'"),
        (b"a", {"eos": "word"}, ValueError, "eos is 'word'; expected None, 'line' or"),
        (b"a", {"eos_token": "</s>"}, ValueError, "eos_token is '</s>', but eos is None"),
        (
            b"a",
            {"unk_token": "a b"},
            ValueError,
            "unk_token is 'a b';",
        ),
        (b"a", {"train": 2}, ValueError, "train is 2;"),
        (b"a", {"train": 0}, ValueError, "train is 0;"),
        (b"a", {"train": 0.5}, ValueError, "train is 0.5, 0 tokens;"),
        (b"a b", {"train": 1.0}, ValueError, "train is 1.0;"),
        (b"a", {"vocab_size": 1}, ValueError, "vocab_size is 1;"),
        (b"a", {"min_count": 2}, ValueError, "min_count is 2;"),
        (b"a", {"min_count": 0.5}, TypeError, "min_count is 0.5;"),
    ],
)
def test_bad_input_is_named(source, options, error, message):
    with pytest.raises(error) as caught:
        read_words(source, **options)
    assert message in str(caught.value)


def test_damaged_packed_files_are_told(tmp_path):
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(b"a b c" * 1000)[:-12])
    with pytest.raises(OSError, match="is damaged"):
        read_words(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(OSError, match="Not a gzipped file"):
        read_words(path)
    with pytest.raises(FileNotFoundError):
        read_words(tmp_path / "none.txt")


def test_bad_vocabularies_texts_and_splits_are_named():
    with pytest.raises(ValueError, match=r"tokens\[2\] is 'a', as tokens\[1\] is"):
        WordVocab(["r", "a", "a"])
    with pytest.raises(ValueError, match="tokens has 1 of them;"):
        WordVocab(["r"])
    with pytest.raises(TypeError, match="tokens is 'ra'"):
        WordVocab("ra")
    vocab = WordVocab(["r", "a"])
    with pytest.raises(ValueError, match=r"ids\[1\] is 2;"):
        WordText(vocab, [0, 2])
    with pytest.raises(TypeError, match="expected an array of integers"):
        vocab.decode([0.5])
    text = WordText(vocab, [0, 1, 0])
    with pytest.raises(ValueError, match=r"sizes is \(1, 2\), 3 tokens;"):
        text.split(1, 2)
    with pytest.raises(ValueError, match=r"sizes\[0\] is 0;"):
        text.split(0)
    with pytest.raises(ValueError, match="read-only"):
        text.ids[0] = 1
    for config in (None, {}, {"words": "ab", "tokenizer": "space", "eos": None}):
        with pytest.raises(ValueError, match="the vocabulary is damaged"):
            WordVocab.from_config(config)


def test_a_reader_reads_one_text():
    reader = _core.WordReader("x")
    reader.feed(b"a b")
    reader.end()
    reader.choose("<unk>")
    with pytest.raises(RuntimeError, match="numbered already"):
        reader.feed(b"c")
