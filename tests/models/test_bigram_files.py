"""Bigram models in files: they come back as they were, or are refused by name."""

import numpy as np
import pytest
from fastgrad import checkpoint, models
from fastgrad.checkpoint import CheckpointError
from fastgrad.models import BigramModel, NgramCounts
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays


def test_a_model_comes_back_from_a_file_as_it_was(names_counts, tmp_path):
    model = BigramModel(0.1).fit(names_counts)
    model.save(tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        for loaded in (models.load(path), BigramModel.load(path)):
            assert isinstance(loaded, BigramModel)
            assert loaded.counts == names_counts
            assert loaded.smoothing == 0.1
            assert (loaded.table() == model.table()).all()


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
    assert models.load(tmp_path / "m").counts == NgramCounts(["ab"])


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


@pytest.mark.slow
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
