"""Learning-rate schedules: functions of the step, which counts from 0.

Each function returns a schedule, which an optimizer of `fastgrad.optim` or the `fit` of a network
takes as `lr`, beside a number and a list of (step, lr); a function of one's own is as good:
`lr=lambda step: 1.0 - 0.9 * step / 100`.

>>> lr = warmup_cosine(0.1, steps=100, warmup_steps=10)
>>> [round(lr(step), 3) for step in (0, 9, 10, 55, 100)]
[0.01, 0.1, 0.1, 0.05, 0.0]
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import partial

from .._checks import amount, lr_pairs, whole
from .._hints import renamed

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    Schedule: TypeAlias = Callable[[int], float]
    LearningRate: TypeAlias = float | Schedule | Sequence[tuple[int, float]]

__all__ = [
    "constant",
    "cosine",
    "exponential",
    "inverse_time_decay",
    "linear",
    "piecewise",
    "step_decay",
    "warmup",
    "warmup_cosine",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        {"inverse": "inverse_time_decay", "CosineAnnealingLR": "cosine", "StepLR": "step_decay"},
    )


def constant(lr: float) -> Schedule:
    """Return a schedule that stays at `lr`.

    >>> constant(0.1)(1000)
    0.1
    """
    return partial(_constant, amount("lr", lr))


def _constant(lr: float, step: int) -> float:
    return lr


def piecewise(pairs: Iterable[tuple[int, float]]) -> Schedule:
    """Return a schedule of (step, lr) pairs: each learning rate holds from its step on.

    An optimizer or `fit` also takes the list itself as `lr`. The first step is 0.

    >>> lr = piecewise([(0, 0.1), (100, 0.01)])
    >>> lr(99), lr(100)
    (0.1, 0.01)
    """
    return partial(_piecewise, *lr_pairs(pairs))


def _piecewise(starts: list[int], lrs: list[float], step: int) -> float:
    return lrs[max(bisect_right(starts, step) - 1, 0)]


def linear(start: float, end: float, steps: int) -> Schedule:
    """Return a schedule from `start` to `end` in a straight line, there after `steps` steps.

    >>> lr = linear(1.0, 0.5, steps=4)
    >>> [lr(step) for step in range(6)]
    [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    """
    start, end, steps = amount("start", start), amount("end", end), whole("steps", steps, least=1)
    return partial(_linear, start, end, steps)


def _linear(start: float, end: float, steps: int, step: int) -> float:
    return end if step >= steps else start + (end - start) * step / steps


def cosine(start: float, end: float, steps: int) -> Schedule:
    """Return a schedule from `start` to `end` along half a cosine, there after `steps` steps.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), without
    the restarts.

    >>> lr = cosine(1.0, 0.0, steps=4)
    >>> [round(lr(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    start, end, steps = amount("start", start), amount("end", end), whole("steps", steps, least=1)
    return partial(_cosine, start, end, steps)


def _cosine(start: float, end: float, steps: int, step: int) -> float:
    if step >= steps:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * step / steps)) / 2


def exponential(start: float, factor: float) -> Schedule:
    """Return a schedule that multiplies the learning rate by `factor` at every step.

    >>> lr = exponential(1.0, 0.5)
    >>> [lr(step) for step in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    return step_decay(start, factor, every=1)


def step_decay(start: float, factor: float, every: int) -> Schedule:
    """Return a schedule that multiplies the learning rate by `factor` once in `every` steps.

    >>> lr = step_decay(1.0, 0.5, every=2)
    >>> [lr(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    start, factor = amount("start", start), amount("factor", factor)
    return partial(_step_decay, start, factor, whole("every", every, least=1))


def _step_decay(start: float, factor: float, every: int, step: int) -> float:
    return start * factor ** (step // every)


def inverse_time_decay(start: float, decay: float) -> Schedule:
    """Return a schedule that divides the learning rate by 1 + `decay` times the step.

    >>> lr = inverse_time_decay(1.0, 0.5)
    >>> [round(lr(step), 3) for step in range(5)]
    [1.0, 0.667, 0.5, 0.4, 0.333]
    """
    return partial(_inverse_time_decay, amount("start", start), amount("decay", decay))


def _inverse_time_decay(start: float, decay: float, step: int) -> float:
    return start / (1 + decay * step)


def warmup(schedule: float | Schedule, warmup_steps: int) -> Schedule:
    """Return a schedule that climbs in a straight line to where `schedule` starts, and follows it.

    It climbs for `warmup_steps` steps.

    >>> lr = warmup(linear(1.0, 0.0, steps=2), warmup_steps=4)
    >>> [lr(step) for step in range(7)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.0]
    """
    follow = schedule if callable(schedule) else constant(schedule)
    return partial(_warmup, follow, whole("warmup_steps", warmup_steps, least=1))


def _warmup(follow: Schedule, steps: int, step: int) -> float:
    return follow(0) * (step + 1) / steps if step < steps else follow(step - steps)


def warmup_cosine(peak: float, steps: int, warmup_steps: int, end: float = 0.0) -> Schedule:
    """Return a schedule of `steps` steps that climbs to `peak` and falls to `end` along a cosine.

    It climbs in a straight line for `warmup_steps` steps.

    >>> lr = warmup_cosine(1.0, steps=6, warmup_steps=2)
    >>> [round(lr(step), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    steps = whole("steps", steps, least=1)
    warmup_steps = whole("warmup_steps", warmup_steps, least=1)
    if warmup_steps >= steps:
        return warmup(peak, warmup_steps)
    return warmup(cosine(peak, end, steps - warmup_steps), warmup_steps)
