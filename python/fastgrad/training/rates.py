"""The learning rate of every step, worked out and checked before the first."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._checks import shorten

Rate: TypeAlias = float | Sequence[tuple[int, float]] | Callable[[int], float] | NDArray[np.float64]


# A gigabyte of rates.
_MOST_CALLS = 2**27


@dataclass(frozen=True, eq=False)
class Rates:
    """The rate of each of `steps` steps: `values[i]` from step `starts[i]` on; `starts[0]` is 0.

    So a million steps at one rate take no more room than one.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.float64]
    steps: int

    @classmethod
    def of(cls, rates: NDArray[np.float64]) -> Rates:
        """Take the rate of every step; neighbours that are the same are kept once."""
        starts = np.flatnonzero(np.diff(rates, prepend=np.nan) != 0)
        return cls(starts, rates[starts], len(rates))

    def part(self, first: int, end: int) -> NDArray[np.float64]:
        """Give the rates of the steps from `first` to before `end`: (end - first,) float64."""
        places = np.searchsorted(self.starts, np.arange(first, end), side="right") - 1
        return self.values[places]

    def then(self, step: int, other: Rates) -> Rates:
        """Give these rates up to before `step`, and those of `other` from there on.

        >>> plan_rates(0.1, steps=9).then(2, plan_rates(0.5, steps=4)).part(0, 4).tolist()
        [0.1, 0.1, 0.5, 0.5]
        """
        if step == 0:
            return other
        kept, later = self.starts < step, other.starts > step
        if step == other.steps:  # All steps are made; none is left for the others.
            return Rates(self.starts[kept], self.values[kept], step)
        starts = np.concatenate([self.starts[kept], [step], other.starts[later]])
        there = other.part(step, step + 1)
        values = np.concatenate([self.values[kept], there, other.values[later]])
        return Rates(starts, values, other.steps)


def plan_rates(lr: Rate | Rates, steps: int) -> Rates:
    """Work out the rate of each step.

    `lr` is a number; a list of (step, rate), where each rate holds from its step on and the first
    step is 0; a function of the step, which counts from 0, as those of `fastgrad.optim` are; or an
    array of all rates.

    Raises `ValueError` for a rate that is negative or not finite, naming its step, and for steps
    out of order; `TypeError` for anything that is no rate.

    >>> plan_rates([(0, 0.1), (3, 0.01)], steps=5).part(0, 5).tolist()
    [0.1, 0.1, 0.1, 0.01, 0.01]
    >>> from fastgrad.optim import linear
    >>> plan_rates(linear(1.0, 0.5, steps=2), steps=3).part(1, 3).tolist()
    [0.75, 0.5]
    """
    if isinstance(lr, Rates):
        return Rates(lr.starts, lr.values, steps)
    if callable(lr):
        return Rates.of(_from_function(lr, steps))
    if isinstance(lr, np.ndarray) and lr.ndim:
        return Rates.of(_from_array(lr, steps))
    if isinstance(lr, Iterable) and not isinstance(lr, str | bytes | np.ndarray):
        return _from_list(lr, steps)
    return Rates(np.zeros(1, dtype=np.int64), np.array([_checked_rate("lr", lr)]), steps)


def _from_array(lr: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    if lr.shape != (steps,):
        raise ValueError(
            f"lr is an array of shape {lr.shape}; expected a rate a step, ({shorten(steps)},)"
        )
    return _from_function(lr.tolist().__getitem__, steps, "lr[{}]")


def _from_function(
    rate: Callable[[int], float], steps: int, name: str = "lr({})"
) -> NDArray[np.float64]:
    if steps > _MOST_CALLS:
        raise MemoryError(
            f"steps is {shorten(steps)}, too many to ask a function for the rate of each; expected"
            f" at most {_MOST_CALLS}, or lr as a number or a list"
        )
    try:
        # Unlike numpy's, this array refuses None and strings.
        rates = np.frombuffer(array("d", map(rate, range(steps))))
    except (TypeError, ValueError, OverflowError):
        # Slowly, to find the step to name; a function that raises does so once more.
        return np.array([_checked_rate(name.format(step), rate(step)) for step in range(steps)])
    wrong = ~(np.isfinite(rates) & (rates >= 0))
    if wrong.any():
        step = int(np.argmax(wrong))
        _checked_rate(name.format(step), float(rates[step]))
    return rates


def _from_list(pairs: Iterable[tuple[int, float]], steps: int) -> Rates:
    starts: list[int] = []
    rates: list[float] = []
    for position, pair in enumerate(pairs):
        try:
            start, rate = pair
            start = index(start)
        except (TypeError, ValueError):
            raise TypeError(
                f"lr[{position}] is {shorten(pair)}; expected a step and a rate"
            ) from None
        if start < 0 or (starts and start <= starts[-1]) or (not starts and start != 0):
            raise ValueError(
                f"lr[{position}] starts at step {shorten(start)}; expected 0 for the first and more"
                " for each one after"
            )
        starts.append(start)
        rates.append(_checked_rate(f"lr[{position}]", rate))
    if not starts:
        raise ValueError("lr is empty; expected at least one pair of step and rate")
    # What would start after the last step is left out.
    used = sum(start < steps for start in starts)
    return Rates(np.array(starts[:used], dtype=np.int64), np.array(rates[:used]), steps)


def _checked_rate(name: str, value: object) -> float:
    try:
        rate = array("d", [value])[0]  # pyright: ignore  what is no number is refused here
    except TypeError:
        kinds = "a number, a list of (step, rate) or a function" if name == "lr" else "a number"
        raise TypeError(f"{name} is {shorten(value)}; expected {kinds}") from None
    except OverflowError:
        rate = math.inf
    if not math.isfinite(rate) or rate < 0:
        raise ValueError(f"{name} is {shorten(value)}; expected a finite number of at least 0")
    return rate
