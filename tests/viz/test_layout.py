"""The layout of a drawn graph, as Python gets it from the core."""

import math

import pytest
from fastgrad import _core
from fastgrad.engine import Value, softmax
from fastgrad.nn import Layer


def test_a_sum_stands_right_of_its_operands():
    boxes = [(60.0, 30.0)] * 3
    (a, b, total), routes, (width, height), crossings = _core.layout(
        boxes, [(0, 2), (1, 2)], 40.0, 20.0
    )
    assert a[0] == b[0] == 30.0
    assert total == (130.0 + (total[0] - 130.0), (a[1] + b[1]) / 2)
    assert abs(a[1] - b[1]) >= 50.0
    assert [route[0] for route in routes] == [(60.0, a[1]), (60.0, b[1])]
    assert {route[-1] for route in routes} == {(total[0] - 30.0, total[1])}
    assert (width, height) == (total[0] + 30.0, 80.0)
    assert crossings == 0


def test_nothing_is_laid_out_as_nothing():
    assert _core.layout([], [], 40.0, 20.0) == ([], [], (0.0, 0.0), 0)


@pytest.mark.parametrize(
    ("sizes", "edges", "gap"),
    [
        ([(1.0, 1.0)], [(0, 0)], 1.0),
        ([(1.0, 1.0)], [(0, 1)], 1.0),
        ([(1.0, math.nan)], [], 1.0),
        ([(1.0, 1.0)], [], -1.0),
        ([(1.0, 1.0)], [], math.inf),
    ],
)
def test_what_cannot_be_drawn_is_refused(sizes, edges, gap):
    with pytest.raises(ValueError, match=r"sizes|edges|gaps"):
        _core.layout(sizes, edges, gap, 1.0)


@pytest.mark.parametrize(
    ("sizes", "edges"), [([1.0], []), ([(1.0, 1.0)], [(-1, 0)]), ([("a", 1.0)], [])]
)
def test_other_things_than_numbers_are_refused(sizes, edges):
    with pytest.raises((TypeError, OverflowError)):
        _core.layout(sizes, edges, 1.0, 1.0)


def test_outputs_of_one_call_have_a_number_in_common():
    x = [Value(1.0), Value(2.0)]
    one, two = softmax(x), Layer(2, 3)(x)
    numbers = [{v._call_id for v in outputs} for outputs in (one, two)]
    assert [len(group) for group in numbers] == [1, 1]
    assert numbers[0] != numbers[1]
    assert x[0]._call_id is None
    assert (x[0] * x[1])._call_id is None
