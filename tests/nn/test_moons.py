"""Two moons: scikit-learn's points, and nothing done to numpy's global generator."""

import numpy as np
import pytest
import slow_moons
from fastgrad.datasets import make_moons
from hypothesis import given
from hypothesis import strategies as st

# What scikit-learn's make_moons gave after np.random.seed.
FROM_SCIKIT_LEARN = [
    (
        {"n_samples": 100, "noise": 0.1, "random_state": 1337},
        [
            [1.1221146075409685, 0.08147717341718697],
            [-0.8188294130836691, 0.058790063907949996],
            [1.613709660987544, -0.12464590012238597],
        ],
        [0.12108297264758441, 1.0655522522437006],
        [0, 0, 1, 0, 1, 1, 1, 1],
    ),
    (
        {"n_samples": 7, "noise": 0.25, "random_state": 3},
        [
            [0.7451384675727206, -0.3592706433358076],
            [1.884989469834329, 0.485519789851411],
            [2.019393534278207, -0.5163535228317211],
        ],
        [-1.4072893571459042, -0.15973388129749672],
        [1, 1, 1, 1, 0, 0, 0],
    ),
]


@pytest.mark.parametrize(("arguments", "first", "last", "labels"), FROM_SCIKIT_LEARN)
def test_points_are_those_of_scikit_learn(arguments, first, last, labels):
    points, found = make_moons(**arguments)
    # Sines and cosines may differ in the last digit between machines.
    np.testing.assert_allclose(points[:3], first, rtol=0, atol=1e-15)
    np.testing.assert_allclose(points[-1], last, rtol=0, atol=1e-15)
    assert found[: len(labels)].tolist() == labels


@given(st.integers(2, 60), st.floats(0, 2), st.integers(0, 2**32 - 1))
def test_points_are_those_of_the_slow_formulation(n, noise, seed):
    before = np.random.get_state()
    try:
        slow_points, slow_labels = slow_moons.moons(n, noise, seed)
    finally:
        np.random.set_state(before)
    points, labels = make_moons(n, noise=noise, random_state=seed)
    np.testing.assert_allclose(points, slow_points, rtol=1e-14, atol=1e-14)
    assert (2 * labels - 1).tolist() == slow_labels


def test_defaults_are_those_of_scikit_learn():
    points, labels = make_moons(random_state=5)
    asked, others = make_moons(n_samples=100, noise=None, random_state=5)
    assert points.tolist() == asked.tolist()
    assert labels.tolist() == others.tolist()
    assert points.shape == (100, 2)
    assert points.dtype == np.float64
    assert labels.dtype == np.int64
    assert sorted(labels.tolist()) == [0] * 50 + [1] * 50
    assert make_moons()[0].tolist() != make_moons()[0].tolist()


def test_an_odd_point_goes_to_the_inner_moon():
    _, labels = make_moons(n_samples=5)
    assert sorted(labels.tolist()) == [0, 0, 1, 1, 1]


def test_without_noise_the_points_lie_on_half_circles():
    points, labels = make_moons(n_samples=50, noise=0.0)
    outer, inner = points[labels == 0], points[labels == 1]
    np.testing.assert_allclose(np.hypot(outer[:, 0], outer[:, 1]), 1)
    np.testing.assert_allclose(np.hypot(inner[:, 0] - 1, inner[:, 1] - 0.5), 1)


def test_numpys_global_generator_is_left_alone():
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    make_moons(noise=0.1)
    make_moons(random_state=5)
    assert np.random.random() == expected


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_samples": 1}, ValueError, "n_samples is 1;"),
        ({"n_samples": -4}, ValueError, "n_samples is -4;"),
        ({"n_samples": 10.0}, TypeError, r"n_samples is 10\.0;"),
        ({"n_samples": "10"}, TypeError, "n_samples is '10';"),
        ({"noise": -0.1}, ValueError, r"noise is -0\.1;"),
        ({"noise": float("nan")}, ValueError, "noise is nan"),
        ({"noise": float("inf")}, ValueError, "noise is inf"),
        ({"noise": "loud"}, TypeError, "noise is 'loud';"),
        ({"random_state": -1}, ValueError, "random_state is -1"),
        ({"random_state": 2**32}, ValueError, "random_state is 4294967296"),
        ({"n": 5}, TypeError, "n"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        make_moons(**arguments)
