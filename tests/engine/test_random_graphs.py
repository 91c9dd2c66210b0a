"""Thousands of random programs: the engine against micrograd, the oracle, and differences.

Gradients are compared on the scale of `reach`, the sum of the absolute contributions of all
paths: two correct engines may add up the same contributions in different orders.
"""

import math
import sys

import fastgrad.engine
import micrograd.engine
import pytest
import random_programs
import slow_value
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)
TINY = 1e-300  # below it, floats lose digits


def programs(templates, most_steps=50):
    """Programs over the templates, of every shape; deep ones are longer."""

    def sized(shape):
        steps = st.integers(1, 6 * most_steps if shape == "deep" else most_steps)
        return st.builds(
            random_programs.write, st.just(shape), st.integers(1, 8), steps, SEEDS,
            st.just(templates),
        )  # fmt: skip

    return st.sampled_from(random_programs.SHAPES).flatmap(sized)


def many(examples):
    """Run a check on that many examples, however long each takes to write."""
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck))


def run_backward(program, engine):
    values = program.run(engine)
    values["root"].backward()
    return values


def assert_same_gradients(program, got, expected, slow):
    for name in program.names:
        scale = slow[name].reach
        if math.isfinite(scale):
            difference = abs(got[name].grad - expected[name].grad)
            assert difference <= 1e-12 * scale + TINY, f"gradient of {name}"


@pytest.fixture
def _deep_recursion():
    """Give micrograd, which recurses into each operand, room for the deepest programs."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.slow
@pytest.mark.usefixtures("_deep_recursion")
def test_two_thousand_graphs_as_in_micrograd():
    graphs = 0

    @many(2000)
    @given(programs(random_programs.MICROGRAD))
    def check(program):
        nonlocal graphs
        note(str(program))
        fast = run_backward(program, fastgrad.engine)
        micro = run_backward(program, micrograd.engine)
        slow = run_backward(program, slow_value)
        terms = [name for name in program.names if name.startswith("term")]
        for name in program.names:
            if name in terms:  # x / y against x * y**-1
                assert math.isclose(fast[name].data, micro[name].data, rel_tol=1e-12), name
            elif name != "root":
                assert fast[name].data == micro[name].data, name
        largest = sum(abs(slow[name].data) for name in terms) or abs(slow["root"].data)
        assert abs(fast["root"].data - micro["root"].data) <= 1e-12 * largest
        assert_same_gradients(program, fast, micro, slow)
        graphs += 1

    check()
    assert graphs >= 2000


@pytest.mark.slow
@many(1000)
@given(programs(random_programs.EVERYTHING, most_steps=40))
def test_every_op_as_in_the_oracle(program):
    note(str(program))
    fast = run_backward(program, fastgrad.engine)
    slow = run_backward(program, slow_value)
    for name in program.names:
        assert fast[name].data.hex() == slow[name].data.hex(), name
    assert_same_gradients(program, fast, slow, slow)


@pytest.mark.slow
@many(200)
@given(programs(random_programs.EVERYTHING, most_steps=20))
def test_a_second_call_doubles_every_gradient(program):
    note(str(program))
    once = run_backward(program, fastgrad.engine)
    twice = run_backward(program, fastgrad.engine)
    twice["root"].backward()
    for name in program.names:
        assert twice[name].grad == 2 * once[name].grad or math.isnan(once[name].grad), name


LENGTHS = st.integers(1, 40)
SCALES = st.sampled_from([1e-3, 1.0, 30.0, 1e4])
LISTS = {
    "sum": lambda e, xs, ws: [e.sum(xs)],
    "dot": lambda e, xs, ws: [e.dot(ws, xs)],
    "dot with itself": lambda e, xs, ws: [e.dot(xs, xs)],
    "affine": lambda e, xs, ws: [e.affine(ws, xs, xs[0])],
    "linear": lambda e, xs, ws: e.linear(xs, [ws, xs, ws[::-1], xs, ws]),
    "linear with bias": lambda e, xs, ws: e.linear(xs, [ws] * len(xs), bias=xs),
    "softmax": lambda e, xs, ws: e.softmax(xs),
    "log_softmax": lambda e, xs, ws: e.log_softmax(xs),
    "cross_entropy": lambda e, xs, ws: [e.cross_entropy(xs, len(xs) // 2)],
    "rms_norm": lambda e, xs, ws: e.rms_norm(xs),
    "sum among numbers": lambda e, xs, ws: [e.sum([1.5, *xs, -2])],
    "dot with numbers": lambda e, xs, ws: [e.dot([w.data for w in ws], xs)],
    "linear of numbers": lambda e, xs, ws: e.linear([w.data for w in ws], [xs, ws, xs]),
    "softmax among numbers": lambda e, xs, ws: e.softmax([*xs, 0.25, 1]),
    "cross_entropy of a number": lambda e, xs, ws: [e.cross_entropy([0.5, *xs], 0)],
    "rms_norm, own eps": lambda e, xs, ws: e.rms_norm(xs, 0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("operation", LISTS.values(), ids=LISTS.keys())
def test_lists_as_written_out(operation):
    @many(100)
    @given(LENGTHS, SCALES, SEEDS)
    def check(length, scale, seed):
        generator = random_programs.random.Random(seed)
        numbers = [generator.uniform(-scale, scale) for _ in range(2 * length)]
        numbers[0] = generator.choice([0.0, -0.0, numbers[0]])
        results = {}
        for engine in (fastgrad.engine, slow_value):
            values = [engine.Value(x) for x in numbers]
            outputs = operation(engine, values[:length], values[length:])
            # Every other output takes part, each with another weight.
            root = outputs[0] * 1.0
            for i, output in enumerate(outputs[2::2]):
                root = root + output * (0.5 - i)
            root.backward()
            results[engine] = outputs, values
        (outputs, values), (slow_outputs, slow_values) = results.values()
        assert [y.data.hex() for y in outputs] == [y.data.hex() for y in slow_outputs]
        for fast, slow in zip(values, slow_values, strict=True):
            assert abs(fast.grad - slow.grad) <= 1e-12 * slow.reach + TINY

    check()


@pytest.mark.slow
@many(300)
@given(programs(random_programs.SMOOTH, most_steps=12))
def test_smooth_graphs_against_central_differences(program):
    note(str(program))
    slow = run_backward(program, slow_value)
    fast = run_backward(program, fastgrad.engine)
    for i, leaf in enumerate(program.leaves):

        def slope(h, i=i, leaf=leaf):
            ends = []
            for moved in (leaf + h, leaf - h):
                leaves = [*program.leaves[:i], moved, *program.leaves[i + 1 :]]
                ends.append(program.run(fastgrad.engine, leaves)["root"].data)
            return (ends[0] - ends[1]) / (2 * h)

        try:
            coarse, fine = slope(1e-4), slope(0.5e-4)
        except (ArithmeticError, ValueError):
            assume(False)  # the step leaves the domain of a logarithm, say
        scale = 1 + slow[f"v{i}"].reach
        assume(abs(coarse - fine) <= 1e-4 * scale)
        extrapolated = (4 * fine - coarse) / 3
        assert abs(fast[f"v{i}"].grad - extrapolated) <= 1e-6 * scale + abs(coarse - fine)
