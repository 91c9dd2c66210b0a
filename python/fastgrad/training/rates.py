"""The learning rate of every step, worked out and checked before the first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Rate: TypeAlias = float | Sequence[tuple[int, float]] | Callable[[int], float] | NDArray[np.float64]


def plan_rates(lr: Rate, steps: int) -> NDArray[np.float64]:
    """Give the rate of each step: (steps,) float64.

    `lr` is a number; a list of (step, rate), where each rate holds from its step on and the first
    step is 0; a function of the step, which counts from 0, as those of `fastgrad.optim` are; or an
    array of all rates.

    Raises `ValueError` for a rate that is negative or not finite, naming its step, and for steps
    out of order; `TypeError` for anything that is no rate.

    >>> plan_rates([(0, 0.1), (3, 0.01)], steps=5).tolist()
    [0.1, 0.1, 0.1, 0.01, 0.01]
    >>> from fastgrad.optim import linear
    >>> plan_rates(linear(1.0, 0.5, steps=2), steps=3).tolist()
    [1.0, 0.75, 0.5]
    """
    if callable(lr):
        return _from_function(lr, steps)
    if isinstance(lr, np.ndarray) and lr.shape == (steps,):
        return _from_function(lr.tolist().__getitem__, steps)
    if isinstance(lr, Iterable):
        return _from_list(lr, steps)
    return np.full(steps, _checked_rate("lr", lr))


def compress_rates(rates: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give the steps at which the rate changes, and the rates from there on: two arrays (K,).

    >>> [part.tolist() for part in compress_rates(np.array([0.1, 0.1, 0.5]))]
    [[0, 2], [0.1, 0.5]]
    """
    changes = np.flatnonzero(np.diff(rates, prepend=np.nan) != 0)
    return changes, rates[changes]


def expand_rates(
    changes: NDArray[np.int64], rates: NDArray[np.float64], steps: int
) -> NDArray[np.float64]:
    """Undo `compress_rates`."""
    return np.repeat(rates, np.diff(changes, append=steps))


def _from_function(rate: Callable[[int], float], steps: int) -> NDArray[np.float64]:
    try:
        rates = np.fromiter(map(rate, range(steps)), np.float64, steps)
    except (TypeError, ValueError):
        # Slowly, to find the step to name; a function that raises does so once more.
        return np.array([_checked_rate(f"lr({step})", rate(step)) for step in range(steps)])
    wrong = ~(np.isfinite(rates) & (rates >= 0))
    if wrong.any():
        step = int(np.argmax(wrong))
        _checked_rate(f"lr({step})", float(rates[step]))
    return rates


def _from_list(pairs: Iterable[tuple[int, float]], steps: int) -> NDArray[np.float64]:
    starts: list[int] = []
    rates: list[float] = []
    for position, pair in enumerate(pairs):
        try:
            start, rate = pair
            start = index(start)
        except (TypeError, ValueError):
            raise TypeError(f"lr[{position}] is {pair!r}; expected a step and a rate") from None
        if start < 0 or (starts and start <= starts[-1]) or (not starts and start != 0):
            raise ValueError(
                f"lr[{position}] starts at step {start}; expected 0 for the first and more for"
                " each one after"
            )
        starts.append(start)
        rates.append(_checked_rate(f"lr[{position}]", rate))
    if not starts:
        raise ValueError("lr is empty; expected at least one pair of step and rate")
    return np.array(rates)[np.searchsorted(starts, np.arange(steps), side="right") - 1]


def _checked_rate(name: str, value: object) -> float:
    try:
        rate = float(value)  # pyright: ignore[reportArgumentType]  what is no number is refused here
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} is {value!r}; expected a number, a list of (step, rate) or a function"
        ) from None
    if not math.isfinite(rate) or rate < 0:
        raise ValueError(f"{name} is {value!r}; expected a finite number of at least 0")
    return rate
