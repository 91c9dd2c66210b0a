"""What the NPLM over words refuses, leaving everything as it was."""

import math

import numpy as np
import pytest
from fastgrad.models import WordNPLM
from fastgrad.models.nplm import presets
from fastgrad.text import WordVocab, read_words
from fastgrad.training import DivergedError
from small_nplm import arrays, same


def test_bad_settings_are_named(small, parts):
    train = parts[0]
    with pytest.raises(TypeError, match=r"vocab is .*expected a WordVocab"):
        WordNPLM("abc")
    with pytest.raises(TypeError, match="tie_weights is 1;"):
        WordNPLM(train.vocab, tie_weights=1)
    with pytest.raises(ValueError, match="hidden_dim is 0;"):
        WordNPLM(train.vocab, hidden_dim=0, direct=True, tie_weights=True)
    with pytest.raises(TypeError, match=r"steps is 1 and epochs is 1;"):
        small.fit(train, lr=0.1, steps=1, epochs=1)
    for epochs in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"epochs is .*;"):
            small.fit(train, lr=0.1, epochs=epochs)
    for epochs in ("2", True):
        with pytest.raises(TypeError, match=r"epochs is .*;"):
            small.fit(train, lr=0.1, epochs=epochs)
    with pytest.raises(ValueError, match="schedule is 'sine';"):
        presets.modern(100, schedule="sine")


@pytest.mark.parametrize(
    ("dropout", "error", "message"),
    [
        (1.0, ValueError, "dropout is 1.0;"),
        (-0.1, ValueError, "dropout is -0.1;"),
        ((0.1, 1), ValueError, r"dropout\[1\] is 1;"),
        (
            (0.1,),
            TypeError,
            r"dropout is \(0.1,\);",
        ),
        ("much", TypeError, "dropout is 'much';"),
    ],
)
def test_bad_dropout_is_named(small, parts, dropout, error, message):
    before = small.copy()
    with pytest.raises(error, match=message):
        small.fit(parts[0], steps=1, lr=0.1, dropout=dropout)
    assert same(small, before)


def test_bad_texts_are_named(small, parts):
    other = read_words(b"one two three four")
    with pytest.raises(ValueError, match=r"train is of WordVocab.*expected the model's"):
        small.fit(other, steps=1, lr=0.1)
    with pytest.raises(ValueError, match="dev is of WordVocab"):
        small.fit(parts[0], other, steps=1, lr=0.1)
    with pytest.raises(ValueError, match=r"ids\[1\] is 99;"):
        small.loss(np.array([1, 99]))
    with pytest.raises(TypeError, match="context is array"):
        small.next_probs(np.zeros((1, 1, 3), dtype=int))
    with pytest.raises(ValueError, match=r"texts\[0\] has shape \(1, 2\);"):
        small.loss((np.zeros((1, 2), dtype=np.uint32), np.zeros(1, dtype=np.uint32)))
    with pytest.raises(FileNotFoundError):
        small.loss("there/is/no.txt")


def test_a_run_that_diverges_keeps_the_last_good_parameters(small, parts):
    with pytest.raises(DivergedError):
        small.fit(parts[0], steps=400, lr=1e30)
    assert all(np.isfinite(array).all() for array in arrays(small).values())


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.ones(3, dtype=int), r"counts has shape \(3,\) and dtype int64;"),
        (np.ones(2), r"counts has shape \(2,\) and dtype float64;"),
        (np.array([1, -1]), r"counts\[1\] is -1;"),
    ],
)
def test_counts_must_be_a_count_for_each_word(counts, message):
    with pytest.raises(ValueError, match=message):
        WordNPLM(WordVocab(["<unk>", "a"]), counts=counts)
