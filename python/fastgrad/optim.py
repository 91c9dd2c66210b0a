"""Optimizers over lists of Values, and learning-rate schedules.

An optimizer reads each parameter's `grad` and changes its `data`, all in one call:

>>> from fastgrad.engine import Value
>>> from fastgrad.optim import SGD, cosine, warmup
>>> x = Value(3.0)
>>> optimizer = SGD([x], lr=warmup(cosine(0.5, 0.01, steps=40), steps=4), momentum=0.5)
>>> for step in range(60):
...     loss = (x - 1.0) ** 2
...     optimizer.zero_grad()
...     loss.backward()
...     optimizer.step()
>>> round(x.data, 3)
1.0

`lr` is a number or a function of the step, which counts from 0. A schedule is such a function,
made by one of `constant`, `linear`, `cosine`, `exponential`, `inverse`, `step_decay`, `warmup` and
`warmup_cosine`, and can be copied and pickled; one's own is as good:
`lr=lambda step: 1.0 - 0.9 * step / 100`. Every setting is an attribute that may be changed between
steps, and `step(lr=...)` takes another rate for one step.
"""

from __future__ import annotations

import math
from functools import partial
from operator import index

from ._checks import shorten
from ._core import Moments, Momentum, Value

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    Schedule: TypeAlias = Callable[[int], float]

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "constant",
    "cosine",
    "exponential",
    "inverse",
    "linear",
    "step_decay",
    "warmup",
    "warmup_cosine",
]


def _amount(name: str, value: Any) -> float:
    """Refuse what is not a finite number of at least 0."""
    try:
        finite = math.isfinite(value)
    except TypeError:
        raise TypeError(f"{name} is {shorten(value)}; expected a number") from None
    if not finite or value < 0:
        raise ValueError(f"{name} is {shorten(value)}; expected a finite number of at least 0")
    return float(value)


def _positive(name: str, value: Any) -> float:
    if _amount(name, value) == 0:
        raise ValueError(f"{name} is {shorten(value)}; expected more than 0")
    return float(value)


def _fraction(name: str, value: Any) -> float:
    """Refuse what is not at least 0 and below 1."""
    if _amount(name, value) >= 1:
        raise ValueError(f"{name} is {shorten(value)}; expected at least 0 and less than 1")
    return float(value)


def _two_fractions(name: str, values: Any) -> tuple[float, float]:
    try:
        first, second = values
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {shorten(values)}; expected two numbers") from None
    return _fraction(f"{name}[0]", first), _fraction(f"{name}[1]", second)


def _rate_or_schedule(name: str, value: Any) -> Any:
    return value if callable(value) else _amount(name, value)


def _count(name: str, value: Any) -> int:
    try:
        count = index(value)
    except TypeError:
        raise TypeError(f"{name} is {shorten(value)}; expected an int") from None
    if count < 1:
        raise ValueError(f"{name} is {shorten(value)}; expected at least 1")
    return count


def _parameters(params: Any) -> list[Value]:
    """List the parameters; refuse an empty list, what is no Value, and a Value listed twice."""
    try:
        found = list(params)
    except TypeError:
        raise TypeError(f"params is {shorten(params)}; expected a list of Values") from None
    if not found:
        raise ValueError("params is empty; expected at least one Value")
    places: dict[Value, int] = {}
    for position, p in enumerate(found):
        if not isinstance(p, Value):
            raise TypeError(f"params[{position}] is {shorten(p)}; expected a Value")
        if places.setdefault(p, position) != position:
            raise ValueError(
                f"params[{position}] is params[{places[p]}] again; expected each Value once"
            )
    return found


class _Setting:
    """An attribute that refuses a wrong value when it is set, not when it is used."""

    def __init__(self, check: Callable[[str, Any], Any]) -> None:
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return instance.__dict__[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = self._check(self._name, value)


class _Optimizer:
    """What all optimizers share: the parameters, the rate and the count of steps."""

    lr = _Setting(_rate_or_schedule)
    weight_decay = _Setting(_amount)

    def __init__(self, params: Iterable[Value], lr: float | Schedule, weight_decay: float) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.params = _parameters(params)
        self._steps = 0

    @property
    def steps(self) -> int:
        """How many steps were made so far, which is what a schedule is called with."""
        return self._steps

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for p in self.params:
            p.grad = 0.0

    def _rate(self, lr: float | None) -> float:
        """Find the rate of the coming step."""
        if lr is not None:
            return _amount("lr", lr)
        planned = self.lr
        if callable(planned):
            return _amount(f"lr({self._steps})", planned(self._steps))
        return planned


class SGD(_Optimizer):
    """Gradient descent, with momentum and weight decay where they are asked for.

    With g the gradient, μ the momentum and λ the weight decay, a step is

        v ← μ·v + g + λ·p        (v starts at 0)
        p ← p - lr·v

    Momentum is Polyak's ("Some methods of speeding up the convergence of iteration methods",
    1964) in the form that PyTorch uses: the rate multiplies the whole velocity, where Sutskever
    et al. (2013) multiply each gradient on its way in.

    >>> from fastgrad.engine import Value
    >>> p = Value(1.0)
    >>> p.grad = 2.0
    >>> SGD([p], lr=0.25).step()
    >>> p.data
    0.5
    """

    momentum = _Setting(_fraction)

    def __init__(
        self,
        params: Iterable[Value],
        lr: float | Schedule,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        """Take the parameters, any iterable of different Values."""
        super().__init__(params, lr, weight_decay)
        self.momentum = momentum
        self._velocity = Momentum(self.params)

    def step(self, lr: float | None = None) -> None:
        """Move every parameter once, at the rate `lr` if it is given."""
        self._velocity.step(self._rate(lr), self.momentum, self.weight_decay)
        self._steps += 1


class Adam(_Optimizer):
    """Adam: steps as long as the gradient is steady, whatever its scale.

    Kingma & Ba, "Adam: A Method for Stochastic Optimization" (2015), Algorithm 1. With λ the
    weight decay, step t = 1, 2, … is

        g ← g + λ·p
        m ← β₁·m + (1 - β₁)·g         v ← β₂·v + (1 - β₂)·g²        (m and v start at 0)
        p ← p - lr · m/(1 - β₁ᵗ) / (√(v/(1 - β₂ᵗ)) + ε)

    >>> from fastgrad.engine import Value
    >>> p = Value(1.0)
    >>> p.grad = 1e-3
    >>> Adam([p], lr=0.25).step()
    >>> round(p.data, 4)
    0.75
    """

    betas = _Setting(_two_fractions)
    eps = _Setting(_positive)
    _decoupled = False

    def __init__(
        self,
        params: Iterable[Value],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        """Take the parameters, any iterable of different Values."""
        super().__init__(params, lr, weight_decay)
        self.betas = betas
        self.eps = eps
        self._moments = Moments(self.params)

    def step(self, lr: float | None = None) -> None:
        """Move every parameter once, at the rate `lr` if it is given."""
        beta1, beta2 = self.betas
        self._moments.step(
            self._rate(lr), beta1, beta2, self.eps, self.weight_decay, self._decoupled
        )
        self._steps = self._moments.steps


class AdamW(Adam):
    """Adam with weight decay beside the gradient step instead of inside it.

    Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (2019), Algorithm 2, in the form
    that PyTorch uses: the rate multiplies the decay too. Each step starts with p ← p - lr·λ·p and
    goes on as Adam's does without weight decay.

    >>> from fastgrad.engine import Value
    >>> p = Value(1.0)
    >>> AdamW([p], lr=0.5, weight_decay=0.5).step()
    >>> p.data
    0.75
    """

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Value],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        """Take the parameters, any iterable of different Values."""
        super().__init__(params, lr, betas, eps, weight_decay)


def constant(lr: float) -> Schedule:
    """Stay at `lr`.

    >>> constant(0.1)(1000)
    0.1
    """
    return partial(_constant, _amount("lr", lr))


def _constant(lr: float, step: int) -> float:
    return lr


def linear(start: float, end: float, steps: int) -> Schedule:
    """Go from `start` to `end` in a straight line, there after `steps` steps.

    >>> rate = linear(1.0, 0.5, steps=4)
    >>> [rate(step) for step in range(6)]
    [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    """
    start, end, steps = _amount("start", start), _amount("end", end), _count("steps", steps)
    return partial(_linear, start, end, steps)


def _linear(start: float, end: float, steps: int, step: int) -> float:
    return end if step >= steps else start + (end - start) * step / steps


def cosine(start: float, end: float, steps: int) -> Schedule:
    """Go from `start` to `end` along half a cosine wave, there after `steps` steps.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), without
    the restarts.

    >>> rate = cosine(1.0, 0.0, steps=4)
    >>> [round(rate(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    start, end, steps = _amount("start", start), _amount("end", end), _count("steps", steps)
    return partial(_cosine, start, end, steps)


def _cosine(start: float, end: float, steps: int, step: int) -> float:
    if step >= steps:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * step / steps)) / 2


def exponential(start: float, factor: float) -> Schedule:
    """Multiply the rate by `factor` at every step.

    >>> rate = exponential(1.0, 0.5)
    >>> [rate(step) for step in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    return step_decay(start, factor, every=1)


def step_decay(start: float, factor: float, every: int) -> Schedule:
    """Multiply the rate by `factor` once in `every` steps.

    >>> rate = step_decay(1.0, 0.5, every=2)
    >>> [rate(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    start, factor = _amount("start", start), _amount("factor", factor)
    return partial(_step_decay, start, factor, _count("every", every))


def _step_decay(start: float, factor: float, every: int, step: int) -> float:
    return start * factor ** (step // every)


def inverse(start: float, fall: float) -> Schedule:
    """Divide the rate by 1 + `fall` times the step.

    >>> rate = inverse(1.0, 0.5)
    >>> [round(rate(step), 3) for step in range(5)]
    [1.0, 0.667, 0.5, 0.4, 0.333]
    """
    return partial(_inverse, _amount("start", start), _amount("fall", fall))


def _inverse(start: float, fall: float, step: int) -> float:
    return start / (1 + fall * step)


def warmup(schedule: float | Schedule, steps: int) -> Schedule:
    """Climb in a straight line for `steps` steps to where `schedule` starts, then follow it.

    >>> rate = warmup(linear(1.0, 0.0, steps=2), steps=4)
    >>> [rate(step) for step in range(7)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.0]
    """
    follow = schedule if callable(schedule) else constant(schedule)
    return partial(_warmup, follow, _count("steps", steps))


def _warmup(follow: Schedule, steps: int, step: int) -> float:
    return follow(0) * (step + 1) / steps if step < steps else follow(step - steps)


def warmup_cosine(peak: float, steps: int, warm: int, end: float = 0.0) -> Schedule:
    """Climb to `peak` in `warm` steps, then fall to `end` along half a cosine; `steps` in all.

    >>> rate = warmup_cosine(1.0, steps=6, warm=2)
    >>> [round(rate(step), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    steps, warm = _count("steps", steps), _count("warm", warm)
    if warm >= steps:
        return warmup(peak, warm)
    return warmup(cosine(peak, end, steps - warm), warm)
