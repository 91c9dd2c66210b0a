"""Random programs: a replay gives what the plain program gives, on the scale of its paths."""

import math

import fastgrad.engine
import numpy as np
import pytest
import random_programs
import slow_value
from fastgrad import Value, jit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TINY = 1e-300


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


def check(program):
    slow = program.run(slow_value)
    slow["root"].backward()
    params = [Value(number) for number in program.leaves]
    factor = Value(1.0)

    def root(x):
        # Some leaves are parameters, the others products of one with the example's number.
        leaves = [p if i % 2 else p * x for i, p in enumerate(params)]
        return program.run(GivenLeaves, leaves)["root"] * factor

    replayed = jit(root)
    mean = replayed.value_and_grad(np.ones(3))
    assert math.isclose(mean, slow["root"].data, rel_tol=1e-12, abs_tol=1e-12)
    for i, p in enumerate(params):
        leaf = slow[program.names[i]]
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
