"""The losses: values and gradients by their formulas, arrays as inputs, and bad input."""

import math

import numpy as np
import pytest
from fastgrad.engine import Value
from fastgrad.nn import cross_entropy, hinge_loss, mse_loss
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.floats(-1e3, 1e3)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20)
SCORES = st.lists(st.tuples(st.floats(-5, 5), st.sampled_from([-1, 1])), min_size=1, max_size=20)
ROWS = st.integers(1, 6).flatmap(
    lambda width: st.lists(
        st.tuples(
            st.lists(st.floats(-50, 50), min_size=width, max_size=width),
            st.integers(0, width - 1),
        ),
        min_size=1,
        max_size=8,
    )
)


def close(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


def shares(row):
    """Softmax of plain numbers."""
    exps = [math.exp(x - max(row)) for x in row]
    return [e / math.fsum(exps) for e in exps]


@given(PAIRS)
def test_mean_squared_error(pairs):
    predictions = [Value(p) for p, _ in pairs]
    loss = mse_loss(predictions, [t for _, t in pairs])
    assert loss.data == close(math.fsum((p - t) ** 2 for p, t in pairs) / len(pairs))
    loss.backward()
    for node, (p, t) in zip(predictions, pairs, strict=True):
        assert node.grad == close(2 * (p - t) / len(pairs))


@given(SCORES)
def test_hinge(pairs):
    scores = [Value(s) for s, _ in pairs]
    loss = hinge_loss(scores, [y for _, y in pairs])
    assert loss.data == close(math.fsum(max(0.0, 1 - y * s) for s, y in pairs) / len(pairs))
    loss.backward()
    for node, (s, y) in zip(scores, pairs, strict=True):
        assert node.grad == close(-y / len(pairs) if 1 - y * s > 0 else 0.0)


@pytest.mark.slow
@given(ROWS)
def test_cross_entropy_of_rows(rows):
    logits = [[Value(x) for x in row] for row, _ in rows]
    loss = cross_entropy(logits, [target for _, target in rows])
    surprises = [-math.log(shares(row)[target]) for row, target in rows]
    assert loss.data == close(math.fsum(surprises) / len(rows))
    loss.backward()
    for nodes, (row, target) in zip(logits, rows, strict=True):
        for i, (node, share) in enumerate(zip(nodes, shares(row), strict=True)):
            assert node.grad == close((share - (i == target)) / len(rows))


@given(ROWS)
def test_cross_entropy_of_one_row(rows):
    row, target = rows[0]
    single = cross_entropy([Value(x) for x in row], target)
    assert single.data == close(-math.log(shares(row)[target]))
    assert single.data == cross_entropy([[Value(x) for x in row]], [target]).data


def test_a_node_that_appears_twice_counts_twice():
    p = Value(3.0)
    mse_loss([p, p], [1.0, 2.0]).backward()
    assert p.grad == (2 * 2 + 2 * 1) / 2
    s = Value(0.5)
    hinge_loss([s, s], [1, -1]).backward()
    assert s.grad == 0.0


def test_targets_may_be_values_too():
    t = Value(1.0)
    loss = mse_loss([3.0], [t])
    loss.backward()
    assert (loss.data, t.grad) == (4.0, -4.0)


def test_plain_numbers_give_a_value():
    assert mse_loss([1.0, 2], [0, 0.0]).data == 2.5
    assert hinge_loss([0.5, 2.0], [1, 1]).data == 0.25
    assert cross_entropy([1.0, 1.0], 0).data == close(math.log(2))


def test_the_margin_itself_costs_nothing_and_has_no_slope():
    s = Value(1.0)
    loss = hinge_loss([s], [1])
    loss.backward()
    assert (loss.data, s.grad) == (0.0, 0.0)


def test_cross_entropy_is_stable():
    loss = cross_entropy([[Value(1e4), Value(-1e4)]], [1])
    loss.backward()
    assert loss.data == 2e4


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_arrays_are_lists(dtype):
    numbers = np.array([1, -1], dtype=dtype)
    predictions = np.array([Value(0.5), Value(0.25)], dtype=object)
    assert mse_loss(predictions, numbers).data == (0.25 + 1.5625) / 2
    assert hinge_loss(predictions, numbers).data == (0.5 + 1.25) / 2
    assert hinge_loss(list(predictions), list(numbers)).data == (0.5 + 1.25) / 2
    logits = np.array([[Value(0.0), Value(0.0)]], dtype=object)
    assert cross_entropy(logits, np.array([1])).data == close(math.log(2))
    assert cross_entropy(logits[0], np.int64(1)).data == close(math.log(2))


def test_iterators_are_lists():
    pairs = [(Value(2.0), 1.0), (Value(0.0), 1.0)]
    assert mse_loss((p for p, _ in pairs), (t for _, t in pairs)).data == 1.0
    assert hinge_loss(iter([2.0, 0.0]), iter([1, 1])).data == 0.5


@pytest.mark.parametrize(
    ("loss", "first", "second"),
    [
        (mse_loss, "predictions", "targets"),
        (hinge_loss, "scores", "labels"),
    ],
)
def test_lengths_and_kinds_are_checked(loss, first, second):
    with pytest.raises(ValueError, match=f"{first} has 1 items and {second} has 2"):
        loss([1.0], [1, 1])
    with pytest.raises(ValueError, match=f"{first} and {second} are empty"):
        loss([], [])
    with pytest.raises(TypeError, match=rf"{first}\[1\] is 'a';"):
        loss([1.0, "a"], [1, 1])
    with pytest.raises(TypeError, match=rf"{second}\[0\] is None;"):
        loss([1.0], [None])
    with pytest.raises(TypeError, match=rf"{first}\[0\] is \[1\.0\];"):
        loss(np.array([[1.0]]), [1])
    with pytest.raises(TypeError, match=rf"{first}\[0\] is 1j;"):
        loss([1j], [1])
    with pytest.raises(TypeError, match=f"{first} is 1.0;"):
        loss(1.0, [1])
    with pytest.raises(TypeError, match=f"{second} is Value.*;"):
        loss([1.0], Value(1.0))


@pytest.mark.parametrize("label", [0, 2, 0.5, -1.5, math.nan])
def test_labels_of_hinge_are_signs(label):
    with pytest.raises(ValueError, match=r"labels\[1\] is .*;"):
        hinge_loss([1.0, 1.0], [1, label])


def test_labels_of_hinge_are_no_values():
    with pytest.raises(ValueError, match=r"labels\[0\] is Value.*;"):
        hinge_loss([1.0], [Value(1.0)])


def test_cross_entropy_checks_rows_and_targets():
    rows = [[Value(0.0), Value(1.0)], [Value(2.0), Value(3.0)]]
    with pytest.raises(ValueError, match="logits has 2 items and targets has 1"):
        cross_entropy(rows, [0])
    with pytest.raises(ValueError, match="logits and targets are empty"):
        cross_entropy([], [])
    with pytest.raises(TypeError, match=r"targets is 1\.0;"):
        cross_entropy(rows[0], 1.0)
    with pytest.raises(TypeError, match=r"targets\[1\] is 1\.0;"):
        cross_entropy(rows, [0, 1.0])
    with pytest.raises((IndexError, ValueError), match="2"):
        cross_entropy(rows, [0, 2])
    with pytest.raises((IndexError, ValueError), match="-1"):
        cross_entropy(rows[0], -1)
    with pytest.raises(TypeError):
        cross_entropy(rows, 1)


def test_errors_leave_gradients_alone():
    p = Value(1.0)
    p.grad = 5.0
    for loss in (mse_loss, hinge_loss):
        with pytest.raises(ValueError, match="items"):
            loss([p], [1, 1])
    with pytest.raises(TypeError):
        cross_entropy([[p]], ["0"])
    assert (p.data, p.grad) == (1.0, 5.0)
