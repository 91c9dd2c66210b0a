"""Random programs: a replay gives what the plain program gives, on the scale of its paths."""

import math

import fastgrad.engine
import numpy as np
import pytest
import random_programs
import slow_value
from fastgrad import Value, jit
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

TINY = 1e-300
EPSILON = 2.0**-52
# The numbers that programs compare Values with most often.
PLAIN_NUMBERS = (2, -1, 0.5, -3, 1.5, 0.1, 1)


def programs(most_steps=60):
    return st.builds(
        random_programs.write,
        st.sampled_from(random_programs.SHAPES),
        st.integers(1, 8),
        st.integers(1, most_steps),
        st.integers(0, 2**32 - 1),
        st.just(random_programs.EVERYTHING),
    )


class GivenLeaves:
    """fastgrad's engine, but for leaves that are Values already."""

    Value = staticmethod(lambda leaf: leaf)


for name in random_programs.FUNCTIONS:
    setattr(GivenLeaves, name, staticmethod(getattr(fastgrad.engine, name)))


def is_near_a_kink(root):
    """Return True if the gradient rests on a number that rounding could move across a kink.

    A replay adds sums in another order: what is 0 in one may be 1e-17 in the other.
    """
    for node in slow_value.in_topological_order(root):
        x, *others = [operand.data for operand in node._children] or [0.0]
        kinks = {"ReLU": [0.0], "abs": [0.0], "max": others, "min": others}.get(node._op, [])
        if node._op in ("max", "min") and not others:
            # The other operand is a number, which only the program's text tells.
            kinks = PLAIN_NUMBERS
        if any(abs(x - kink) < 1e-9 for kink in kinks):
            return True
    return False


def gradients(program, factor=1.0):
    """Return the leaves with their gradients, on the slow engine, and the root."""
    slow = program.run(slow_value, [factor * number for number in program.leaves])
    slow["root"].backward()
    return [slow[name] for name in program.names[: len(program.leaves)]], slow["root"]


def is_ill_conditioned(program, leaves):
    """Return True if leaves that differ in their last bits alone would miss a tenth of the bound.

    A long product of differences is like that; what a replay rounds otherwise says nothing there.
    So is a number that is 0 only with other last bits, where an op fails.
    """
    try:
        moved, _ = gradients(program, 1.0 + 4 * EPSILON)
    except (ArithmeticError, ValueError):
        return True
    pairs = zip(leaves, moved, strict=True)
    return any(abs(now.grad - then.grad) > 1e-13 * then.reach for then, now in pairs)


def check(program):
    leaves, slow_root = gradients(program)
    assume(not is_near_a_kink(slow_root))
    assume(not is_ill_conditioned(program, leaves))
    params = [Value(number) for number in program.leaves]
    factor = Value(1.0)

    def root(x):
        # Some leaves are parameters, the others products of one with the example's number.
        leaves = [p if i % 2 else p * x for i, p in enumerate(params)]
        return program.run(GivenLeaves, leaves)["root"] * factor

    replayed = jit(root)
    mean = replayed.value_and_grad(np.ones(3))
    assert math.isclose(mean, slow_root.data, rel_tol=1e-12, abs_tol=1e-12)
    for i, (p, leaf) in enumerate(zip(params, leaves, strict=True)):
        if math.isfinite(leaf.reach):
            assert abs(p.grad - leaf.grad) <= 1e-12 * leaf.reach + TINY, program.names[i]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_replays_give_values_and_gradients_of_random_programs(program):
    check(program)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(200))
def test_replays_give_values_and_gradients_of_larger_random_programs(program):
    check(program)
