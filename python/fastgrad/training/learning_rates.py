"""The learning rate of every step, worked out and checked before the first."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._checks import lr_pairs, shorten

LearningRate: TypeAlias = (
    float | Sequence[tuple[int, float]] | Callable[[int], float] | NDArray[np.float64]
)


# A gigabyte of them.
_MOST_CALLS = 2**27


@dataclass(frozen=True, eq=False)
class LearningRates:
    """The learning rate of each of `steps` steps: `values[i]` from step `starts[i]` on.

    `starts[0]` is 0. So a million steps at one learning rate take no more room than one.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.float64]
    steps: int

    @classmethod
    def of(cls, lrs: NDArray[np.float64]) -> LearningRates:
        """Return the learning rates of an array, equal neighbours kept once."""
        starts = np.flatnonzero(np.diff(lrs, prepend=np.nan) != 0)
        return cls(starts, lrs[starts], len(lrs))

    def part(self, first: int, end: int) -> NDArray[np.float64]:
        """Return the learning rates from step `first` to before `end`: (end - first,) float64."""
        places = np.searchsorted(self.starts, np.arange(first, end), side="right") - 1
        return self.values[places]

    def then(self, step: int, other: LearningRates) -> LearningRates:
        """Return these learning rates up to before `step`, and those of `other` from there on.

        >>> plan_lrs(0.1, steps=9).then(2, plan_lrs(0.5, steps=4)).part(0, 4).tolist()
        [0.1, 0.1, 0.5, 0.5]
        """
        if step == 0:
            return other
        kept, later = self.starts < step, other.starts > step
        if step == other.steps:  # All steps are made; none is left for the others.
            return LearningRates(self.starts[kept], self.values[kept], step)
        starts = np.concatenate([self.starts[kept], [step], other.starts[later]])
        there = other.part(step, step + 1)
        values = np.concatenate([self.values[kept], there, other.values[later]])
        return LearningRates(starts, values, other.steps)


def plan_lrs(lr: LearningRate | LearningRates, steps: int) -> LearningRates:
    """Return the learning rate of each step.

    `lr` is a number; a list of (step, lr), where each learning rate holds from its step on and the
    first step is 0; a function of the step, which counts from 0, as those of
    `fastgrad.optim.schedules` are; or an array of all learning rates.

    Raises `ValueError` for a learning rate that is negative or not finite, naming its step, and for
    steps out of order; `TypeError` for anything that is no learning rate.

    >>> plan_lrs([(0, 0.1), (3, 0.01)], steps=5).part(0, 5).tolist()
    [0.1, 0.1, 0.1, 0.01, 0.01]
    >>> from fastgrad.optim.schedules import linear
    >>> plan_lrs(linear(1.0, 0.5, steps=2), steps=3).part(1, 3).tolist()
    [0.75, 0.5]
    """
    if isinstance(lr, LearningRates):
        return LearningRates(lr.starts, lr.values, steps)
    if callable(lr):
        return LearningRates.of(_from_function(lr, steps))
    if isinstance(lr, np.ndarray) and lr.ndim:
        return LearningRates.of(_from_array(lr, steps))
    if isinstance(lr, Iterable) and not isinstance(lr, str | bytes | np.ndarray):
        return _from_list(lr, steps)
    return LearningRates(np.zeros(1, dtype=np.int64), np.array([_checked_lr("lr", lr)]), steps)


def _from_array(lr: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    if lr.shape != (steps,):
        raise ValueError(
            f"lr is an array of shape {lr.shape}; expected one a step, ({shorten(steps)},)"
        )
    return _from_function(lr.tolist().__getitem__, steps, "lr[{}]")


def _from_function(
    lr: Callable[[int], float], steps: int, name: str = "lr({})"
) -> NDArray[np.float64]:
    if steps > _MOST_CALLS:
        raise MemoryError(
            f"steps is {shorten(steps)}, too many to ask a function for the learning rate of each;"
            f" expected at most {_MOST_CALLS}, or lr as a number or a list"
        )
    try:
        # Unlike numpy's, this array refuses None and strings.
        lrs = np.frombuffer(array("d", map(lr, range(steps))))
    except (TypeError, ValueError, OverflowError):
        # Slowly, to find the step to name; a function that raises does so once more.
        return np.array([_checked_lr(name.format(step), lr(step)) for step in range(steps)])
    wrong = ~(np.isfinite(lrs) & (lrs >= 0))
    if wrong.any():
        step = int(np.argmax(wrong))
        _checked_lr(name.format(step), float(lrs[step]))
    return lrs


def _from_list(pairs: Iterable[tuple[int, float]], steps: int) -> LearningRates:
    starts, lrs = lr_pairs(pairs)
    # Pairs that would start after the last step are left out.
    used = sum(start < steps for start in starts)
    return LearningRates(np.array(starts[:used], dtype=np.int64), np.array(lrs[:used]), steps)


def _checked_lr(name: str, value: Any) -> float:
    try:
        lr = array("d", [value])[0]
    except TypeError:
        kinds = "a number, a list of (step, lr) or a function" if name == "lr" else "a number"
        raise TypeError(f"{name} is {shorten(value)}; expected {kinds}") from None
    except OverflowError:
        lr = math.inf
    if not math.isfinite(lr) or lr < 0:
        raise ValueError(f"{name} is {shorten(value)}; expected a finite number of at least 0")
    return lr
