"""What the neural probabilistic language model refuses, leaving everything as it was."""

import math

import numpy as np
import pytest
from fastgrad.models import NPLM
from fastgrad.text import UnknownCharacterError, build_dataset
from fastgrad.training import DivergedError
from small_nplm import ALPHABET, FEW, LECTURE, arrays, lecture_model, same


def test_a_rate_that_ruins_everything_stops(small, tmp_path):
    with pytest.raises(DivergedError, match=r"at lr 1e\+38") as error:
        small.fit(FEW, FEW, steps=100, batch_size=8, lr=[(0, 0.1), (50, 1e38)], checkpoint=tmp_path)
    assert 50 <= error.value.step < 60
    assert all(np.isfinite(p).all() for p in arrays(small).values())
    assert np.isfinite(small.history.loss).all()
    assert len(small.history.loss) == error.value.step - 1
    assert same(NPLM.load(tmp_path), small)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"context_length": 0}, ValueError, "context_length is 0;"),
        ({"context_length": 2.0}, TypeError, "context_length is 2.0;"),
        ({"embedding_dim": 0}, ValueError, "embedding_dim is 0"),
        ({"hidden_dim": 0}, ValueError, "hidden_dim is 0"),
        ({"direct": 1}, TypeError, "direct is 1;"),
        ({"init": "zeros"}, ValueError, "init is 'zeros';.*scaled, normal, small"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": None}, TypeError, "seed is None"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16'"),
    ],
)
def test_networks_that_are_none(settings, error, message):
    with pytest.raises(error, match=message):
        NPLM(ALPHABET, **LECTURE | settings)
    with pytest.raises(TypeError, match="vocab is 'abc';"):
        NPLM("abc")


@pytest.mark.parametrize("hidden_dim", [10**13, 10**18, 10**30])
def test_networks_that_no_memory_holds(hidden_dim):
    size = hidden_dim * (30 + 1 + 27) + 27 * 11
    with pytest.raises(MemoryError, match=f"network of {size:,} parameters: .* {4 * size:,} bytes"):
        lecture_model(hidden_dim=hidden_dim)
    with pytest.raises(MemoryError, match=r"52 contexts .*: 2,080,000,000,000,000 bytes"):
        build_dataset(FEW, ALPHABET, 10**13)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train": []}, ValueError, "is empty;"),
        ({"train": b" \n"}, ValueError, "is empty;"),
        ({"dev": []}, ValueError, "empty"),
        ({"train": ["zoë"]}, UnknownCharacterError, "'z'"),
        ({"dev": ["Ava"]}, UnknownCharacterError, "'A'"),
        ({"train": "no-such-file.txt"}, FileNotFoundError, "no-such-file"),
        ({"train": 3}, TypeError, " is 3;"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"batch_size": 10**6}, ValueError, "batch_size is 1000000, but train has 52 examples"),
        ({"steps": 0}, ValueError, "steps is 0"),
        ({"lr": math.nan}, ValueError, "lr is nan"),
        ({"lr": [(0, 0.1), (5, math.nan)]}, ValueError, r"lr\[1\] is nan"),
        ({"optimizer": "adam"}, ValueError, "optimizer is 'adam';"),
        ({"optimizer": ["sgd"]}, ValueError, r"optimizer is \['sgd'\];"),
        ({"optimizer": "momentum", "momentum": 1.0}, ValueError, "momentum is 1.0;"),
        ({"optimizer": "adamw", "betas": (0.9, 1.0)}, ValueError, r"betas\[1\] is 1.0;"),
        ({"optimizer": "adamw", "betas": 0.9}, TypeError, "betas is 0.9;"),
        ({"optimizer": "adamw", "eps": 0.0}, ValueError, "eps is 0.0;"),
        ({"momentum": 0.9}, ValueError, "momentum is 0.9, but optimizer is 'sgd'; .*'momentum'"),
        ({"optimizer": "momentum", "betas": (0, 0)}, ValueError, "a setting of 'adamw'"),
        ({"eps": 1e-8}, ValueError, "eps is 1e-08, but optimizer is 'sgd'; .* 'adamw'"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay is -1.0"),
        ({"weight_decay": "a"}, TypeError, "weight_decay is 'a'"),
        ({"seed": 2**64}, ValueError, "seed is 18446744073709551616"),
        ({"threads": 0}, ValueError, "threads is 0"),
        ({"patience": 3}, ValueError, "patience is 3, but there is no dev"),
        ({"log": f"{__file__}/a/log"}, NotADirectoryError, "test_refused.py is no folder"),
    ],
)
def test_training_that_makes_no_sense(small, changes, error, message):
    before = small.copy()
    call = {"train": FEW, "steps": 10, "lr": 0.1} | changes
    with pytest.raises(error, match=message):
        small.fit(call.pop("train"), **call)
    assert same(small, before)
    assert small.history.loss.shape == (0,)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda x, y: (x.astype(bool), y), TypeError, r"train\[0\] has dtype bool"),
        (lambda x, y: (x, y.astype(float)), TypeError, r"train\[1\] has dtype float64"),
        (lambda x, y: (x[:, :1], y), ValueError, r"train\[0\] has shape \(52, 1\);"),
        (lambda x, y: (x, y[:-1]), ValueError, r"train\[1\] has shape \(51,\);"),
        (lambda x, y: (x[0], y), ValueError, r"train\[0\] has shape \(2,\)"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "train is empty"),
        (
            lambda x, y: (x + np.uint32(7), y),
            ValueError,
            r"train\[0\]\[.*\] is .*;",
        ),
        (lambda x, y: (x, y + np.uint32(2**31)), ValueError, r"train\[1\]\[\d+\] is 21474836"),
        (lambda x, y: (x, y, y), ValueError, "train is a tuple of 3"),
    ],
)
def test_examples_that_are_none(small, spoil, error, message):
    before = small.copy()
    with pytest.raises(error, match=message):
        small.fit(spoil(*build_dataset(FEW, small.vocab, 2)), steps=10, lr=0.1)
    assert same(small, before)


def test_parameters_cannot_be_replaced(small):
    with pytest.raises(AttributeError, match=r"C cannot be replaced; .*model.C\[...\]"):
        small.C = np.zeros((3, 3))


def test_contexts_that_are_none(small):
    with pytest.raises(ValueError, match="context has 1 tokens;"):
        small.next_probs(np.zeros((1, 1), dtype=np.uint32))
    with pytest.raises(ValueError, match=r"context\[0, 1\] is 99;"):
        small.next_probs(np.array([[0, 99]], dtype=np.uint32))
    with pytest.raises(UnknownCharacterError, match="'z'"):
        small.next_probs("z")
