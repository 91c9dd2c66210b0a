"""Small networks for the compiled NPLM, and how their arrays are compared."""

import numpy as np
import slow_nplm


def example(sizes, count, seed=0, dtype=np.float64):
    """Draw parameters, contexts and targets."""
    rng = np.random.default_rng(seed)
    params = slow_nplm.random_params(rng, sizes, dtype)
    return params, *slow_nplm.random_examples(rng, count, sizes[0], sizes[1])


def zeros_like(params, sets):
    return [{name: np.zeros_like(p) for name, p in params.items()} for _ in range(sets)]


def copied(params):
    return {name: p.copy() for name, p in params.items()}


def assert_close(got, expected, tolerance):
    """Compare on the scale of the largest number of all arrays.

    An array's own numbers may be far smaller: where tanh is flat, 1 - t**2 has lost their digits.
    """
    assert got.keys() == expected.keys()
    scale = max(np.abs(array).max(initial=0) for array in expected.values())
    for name, array in got.items():
        assert array.shape == expected[name].shape
        assert np.abs(array - expected[name]).max(initial=0) <= tolerance * scale, name


def assert_same(got, expected):
    for name, array in got.items():
        assert array.tobytes() == expected[name].tobytes(), name
