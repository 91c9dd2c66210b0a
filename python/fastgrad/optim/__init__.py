"""Optimizers over lists of Values, and gradient clipping.

An optimizer reads each parameter's `grad` and changes its `data`, all in one call:

>>> from fastgrad.engine import Value
>>> from fastgrad.optim import SGD
>>> from fastgrad.optim.schedules import cosine, warmup
>>> x = Value(3.0)
>>> optimizer = SGD([x], lr=warmup(cosine(0.5, 0.01, steps=40), warmup_steps=4), momentum=0.5)
>>> for step in range(60):
...     loss = (x - 1.0) ** 2
...     optimizer.zero_grad()
...     loss.backward()
...     optimizer.step()
>>> round(x.data, 3)
1.0

`lr` is a number, a list of (step, lr) in which each holds from its step on, or a function of the
step, which counts from 0, such as those of `fastgrad.optim.schedules`. Every setting is an
attribute that may be changed between steps, and `step(lr=...)` takes another learning rate for one
step.
"""

from __future__ import annotations

import math

from .._checks import amount, as_list, shorten, whole
from .._core import Moments, Momentum, Value
from .._hints import hint_names, renamed
from .._state import Stateful, check_names
from . import schedules

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from .schedules import LearningRate, Schedule

__all__ = ["SGD", "Adam", "AdamW", "clip_grad_norm", "schedules"]

_SCHEDULES = (
    *("constant", "cosine", "exponential", "linear", "step_decay", "warmup", "warmup_cosine"),
    *("inverse_time_decay", "lr_scheduler", "piecewise"),
)

if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        dict.fromkeys(_SCHEDULES, "the schedules in fastgrad.optim.schedules")
        | {
            "clip_grad_norm_": "clip_grad_norm",
            "clip_grad_value": "clip_grad_norm",
            "inverse": "schedules.inverse_time_decay",
            "RMSprop": "Adam",
            "Adagrad": "Adam",
        },
    )


def _positive(name: str, value: Any) -> float:
    if amount(name, value) == 0:
        raise ValueError(f"{name} is {shorten(value)}; expected more than 0")
    return float(value)


def _fraction(name: str, value: Any) -> float:
    """Refuse what is not at least 0 and below 1."""
    if amount(name, value) >= 1:
        raise ValueError(f"{name} is {shorten(value)}; expected at least 0 and less than 1")
    return float(value)


def _two_fractions(name: str, values: Any) -> tuple[float, float]:
    try:
        first, second = values
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {shorten(values)}; expected two numbers") from None
    return _fraction(f"{name}[0]", first), _fraction(f"{name}[1]", second)


def _lr_or_schedule(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return schedules.piecewise(value)  # pyright: ignore[reportUnknownArgumentType] - checked
    return value if callable(value) else amount(name, value)


def _parameters(params: Any) -> list[Value]:
    """List the parameters; refuse an empty list, what is no Value, and a Value listed twice."""
    try:
        found = as_list(params)
    except TypeError:
        raise TypeError(
            f"params is {shorten(params)}; expected a list of Values, such as model.parameters()"
        ) from None
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
        return self if instance is None else instance.__dict__[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = self._check(self._name, value)


def _setting(check: Callable[[str, Any], Any]) -> Any:
    """Return a `_Setting`, which type checkers take for what the attribute holds."""
    return _Setting(check)


class _Optimizer(Stateful):
    """The base of all optimizers: the parameters, the learning rate and the count of steps."""

    _settings: tuple[str, ...] = ()
    # The numbers that the state has for each parameter.
    _width: int = 0
    lr: float | Schedule = _setting(_lr_or_schedule)
    weight_decay: float = _setting(amount)

    def __init__(self, params: Iterable[Value], lr: LearningRate, weight_decay: float) -> None:
        self.lr = _lr_or_schedule("lr", lr)
        self.weight_decay = weight_decay
        self.params = _parameters(params)
        self._steps = 0

    @property
    def steps(self) -> int:
        """The number of steps made so far, with which a schedule is called."""
        return self._steps

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for p in self.params:
            p.grad = 0.0

    def _lr(self, lr: float | None) -> float:
        """Return the learning rate of the coming step."""
        if lr is not None:
            return amount("lr", lr)
        planned = self.lr
        if callable(planned):
            return amount(f"lr({self._steps})", planned(self._steps))
        return planned

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state as JSON-able values, for `load_state_dict`.

        A schedule is not among them: `lr` is None then.
        """
        lr = None if callable(self.lr) else self.lr
        settings = {name: vars(self)[name] for name in self._settings}
        return {"lr": lr, **settings, "steps": self._steps, "state": self._state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over settings and state of an optimizer of as many parameters.

        Raises `ValueError` or `TypeError`, with the optimizer unchanged, for what `state_dict` has
        not returned.
        """
        check_names(state, ("lr", *self._settings, "steps", "state"))
        lr = self.lr if state["lr"] is None else state["lr"]
        settings = {name: state[name] for name in self._settings}
        made = type(self)(self.params, lr, **settings)
        made._restore(state["state"], whole("steps", state["steps"]))
        self.__dict__.update(made.__dict__)

    def _state(self) -> list[Any]:
        raise NotImplementedError

    def _restore(self, state: Any, steps: int) -> None:
        self._set(self._checked_state(state), steps)

    def _set(self, rows: list[list[float]], steps: int) -> None:
        """Take over the numbers of each parameter."""
        raise NotImplementedError

    def _checked_state(self, state: list[list[float]]) -> list[list[float]]:
        """Return a list of `_width` numbers for each parameter."""
        width = self._width
        rows = list(state) if isinstance(state, (list, tuple)) else []
        each = f"expected {width} numbers for each of {len(self.params)} parameters"
        if len(rows) != len(self.params):
            raise ValueError(f"state has {len(rows)} entries; {each}")
        for place, row in enumerate(rows):
            if not isinstance(row, (list, tuple)) or len(row) != width:
                raise ValueError(f"state[{place}] is {shorten(row)}; {each}")
        return [[_finite("state", number) for number in row] for row in rows]


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

    _settings = ("momentum", "weight_decay")
    _width = 1
    momentum: float = _setting(_fraction)

    @hint_names()
    def __init__(
        self,
        params: Iterable[Value],
        lr: LearningRate,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        """Take the parameters, any iterable of different Values."""
        super().__init__(params, lr, weight_decay)
        self.momentum = momentum
        self._velocity = Momentum(self.params)

    def step(self, lr: float | None = None) -> None:
        """Move every parameter once, with the learning rate `lr` if it is given."""
        self._velocity.step(self._lr(lr), self.momentum, self.weight_decay)
        self._steps += 1

    def _state(self) -> list[Any]:
        return [[velocity] for velocity in self._velocity.__reduce__()[2]]

    def _set(self, rows: list[list[float]], steps: int) -> None:
        self._velocity.__setstate__([row[0] for row in rows])
        self._steps = steps


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

    _settings = ("betas", "eps", "weight_decay")
    _width = 2
    betas: tuple[float, float] = _setting(_two_fractions)
    eps: float = _setting(_positive)
    _decoupled = False

    @hint_names()
    def __init__(
        self,
        params: Iterable[Value],
        lr: LearningRate = 1e-3,
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
        """Move every parameter once, with the learning rate `lr` if it is given."""
        beta1, beta2 = self.betas
        self._moments.step(self._lr(lr), beta1, beta2, self.eps, self.weight_decay, self._decoupled)
        self._steps = self._moments.steps

    def _state(self) -> list[Any]:
        return [list(pair) for pair in self._moments.__reduce__()[2][1]]

    def _set(self, rows: list[list[float]], steps: int) -> None:
        self._moments.__setstate__((steps, [(first, second) for first, second in rows]))
        self._steps = steps


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

    @hint_names()
    def __init__(
        self,
        params: Iterable[Value],
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        """Take the parameters, any iterable of different Values."""
        super().__init__(params, lr, betas, eps, weight_decay)


def clip_grad_norm(params: Iterable[Value], max_norm: float) -> float:
    """Scale gradients so that their Euclidean norm is at most `max_norm`; return the norm before.

    Raises `ValueError` for a `max_norm` that is not finite or negative, and for gradients whose
    norm is not finite, which are left as they are.

    >>> from fastgrad.engine import Value
    >>> p, q = Value(1.0), Value(1.0)
    >>> p.grad, q.grad = 3.0, 4.0
    >>> clip_grad_norm([p, q], 1.0), round(p.grad, 12), round(q.grad, 12)
    (5.0, 0.6, 0.8)
    """
    max_norm = amount("max_norm", max_norm)
    found = _parameters(params)
    norm = math.hypot(*(p.grad for p in found))
    if not math.isfinite(norm):
        raise ValueError(f"the norm of the gradients is {norm}; expected a finite number")
    if norm > max_norm:
        for p in found:
            p.grad *= max_norm / norm
    return norm


def _finite(name: str, value: Any) -> float:
    """Raise for what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} holds {shorten(value)}; expected finite numbers")
    return float(value)
