"""How messages echo what they are about: short, and harmless for a terminal."""

import numpy as np
import pytest
from fastgrad._checks import escape, shorten, string, whole
from fastgrad.datasets import make_moons
from fastgrad.models import NPLM, BigramModel, NeuralBigram
from fastgrad.plots import bigram_heatmap, loss_curve
from fastgrad.sampling import sample
from fastgrad.text import Vocab, read_lines, read_words, split
from fastgrad.training import lr_find
from fastgrad.viz import draw_dot
from hypothesis import given
from hypothesis import strategies as st


class Loud:
    """Writes itself in a million characters that steer a terminal."""

    def __repr__(self):
        return "\x1b[31m\n" * 10**6


class Broken:
    """Cannot write itself."""

    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    ["a" * 10**6, 10**5000, 10**400, [["x" * 99] * 99] * 99, {"k" * 10**5: 1}, Loud(), Broken(),
     np.zeros((99, 99)), "\x1b]0;title\x07", b"\x1b" * 999, range(10**9), Loud],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_whatever_is_echoed_is_short_and_printable(value):
    text = shorten(value)
    assert 0 < len(text) <= 120
    assert text.isprintable()


def test_a_short_value_is_written_as_repr_writes_it():
    for value in (None, 3, -0.5, "emma", "h\u00fcrde", [1, 2], (1,), {"a": 1}, True):
        assert shorten(value) == repr(value)


def test_the_middle_of_a_long_value_is_left_out():
    text = shorten("start" + "x" * 1000 + "end")
    assert text.startswith("'start")
    assert text.endswith("end'")
    assert "..." in text


def test_an_int_of_more_digits_than_python_writes_is_refused_as_any_other():
    with pytest.raises(ValueError, match=r"k is <int of 16,610 bits>;"):
        whole("k", 10**5000, most=3)


def test_checks_shorten_what_they_echo():
    with pytest.raises(TypeError) as caught:
        string("prompt", b"x" * 10**6)
    assert len(str(caught.value)) < 200


@given(st.text())
def test_nothing_that_is_escaped_steers_a_terminal(text):
    escaped = escape(text)
    for char in escaped:
        assert char >= " "
        assert not "\x7f" <= char <= "\x9f"
        assert char not in "\u202e\u2066\u2028\u200f"
    assert escape(escaped) == escaped


def test_letters_of_all_scripts_stay_as_they_are():
    text = "emma \u0939\u093f\u0928\u094d \u0645\u06cc\u200c\u062e so\u00adft \u4e2d \U0001f600"
    assert escape(text) == text


def test_what_steers_a_terminal_is_written_as_python_writes_it():
    assert escape("\x1b[2J\x9b\u202e\ud800\r\n") == r"\x1b[2J\x9b\u202e\ud800\r\n"
    assert escape("a\tb\nc", keep="\n") == "a\\tb\nc"


def test_a_text_in_the_place_of_a_path():
    text = "emma olivia " * 100_000
    for refused in (
        lambda: read_lines(text),
        lambda: read_words(text),
        lambda: BigramModel(0).fit(text),
    ):
        with pytest.raises((ValueError, OSError)) as error:
            refused()
        assert len(str(error.value)) < 300


LONG = ["x" * 100_000, b"x" * 100_000, ["x"] * 100_000, 10**4000, {i: i for i in range(10_000)}]


@pytest.mark.parametrize("long", LONG, ids=["str", "bytes", "list", "int", "dict"])
def test_errors_of_long_arguments_are_short(long):
    model, text = NPLM(Vocab("ab"), context_length=2, hidden_dim=3), read_words(b"a b a")
    for refused in (
        lambda: NPLM(long),
        lambda: NPLM(Vocab("ab"), dtype=long),
        lambda: NPLM(Vocab("ab"), init=long),
        lambda: NPLM(Vocab("ab"), direct=long),
        lambda: model.fit(["ab"], steps=3, epochs=long, lr=0.1),
        lambda: model.fit(["ab"], steps=3, lr=long),
        lambda: model.fit(["ab"], steps=3, lr=0.1, batch_size=1, optimizer="adamw", betas=long),
        lambda: model.fit(["ab"], steps=3, lr=0.1, batch_size=1, callbacks=long),
        lambda: model.most_similar(long),
        lambda: lr_find(long, ["ab"]),
        lambda: lr_find(model, ["ab"], min_lr=long),
        lambda: BigramModel(long),
        lambda: NeuralBigram(long),
        lambda: sample(long),
        lambda: read_words(b"a b", tokenizer=long),
        lambda: read_words(b"a b", eos=long),
        lambda: read_words(b"a b", train=long),
        lambda: read_words(b"a b", unk_token=[long]),
        lambda: text.split(long),
        lambda: text.vocab.encode([long]),
        lambda: split(["ab"], method=long),
        lambda: split(["ab"], fractions=long),
        lambda: Vocab("ab").encode(long),
        lambda: make_moons(long),
        lambda: make_moons(noise=long),
        lambda: draw_dot(long),
        lambda: loss_curve(long, path="no-such-folder/x.png"),
        lambda: bigram_heatmap(long, path="no-such-folder/x.png"),
    ):
        with pytest.raises((TypeError, ValueError, OSError, MemoryError)) as error:
            refused()
        assert len(str(error.value)) < 2000
