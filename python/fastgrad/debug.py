"""Tools that find a wrong derivative: central differences, and the op that made a nan.

>>> from fastgrad import Value, gradcheck
>>> a, b = Value(2.0), Value(-3.0)
>>> bool(gradcheck(lambda a, b: (a * b).tanh() + b**2, [a, b]))
True
"""

from __future__ import annotations

import linecache
import math
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import dirname
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ._checks import amount, as_list, shorten
from .engine import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = ["AnomalyError", "GradcheckError", "GradcheckResult", "detect_anomaly", "gradcheck"]


class GradcheckError(RuntimeError):
    """A gradient is not the slope; `result` says which one, and what both are."""

    def __init__(self, message: str, result: GradcheckResult) -> None:
        """Keep the result."""
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class GradcheckResult:
    """The findings of `gradcheck`; true where all gradients are right.

    `name` is the input whose gradient is furthest from the slope, measured by what is allowed,
    `gradient` what backward says, `numerical` the central difference, and `count` the number of
    inputs that were compared.
    """

    ok: bool
    name: str
    gradient: float
    numerical: float
    count: int

    def __bool__(self) -> bool:
        """Return whether all gradients are right."""
        return self.ok

    def __str__(self) -> str:
        """Say whether the gradients are right, and show the one that is furthest off."""
        if self.count == 1:
            start = f"the gradient is {'right' if self.ok else 'wrong'}; "
        elif self.ok:
            every = "both" if self.count == 2 else f"all {self.count:,}"
            start = f"{every} gradients are right; furthest off is "
        else:
            start = f"not all {self.count:,} gradients are right; furthest off is "
        return start + self.worst()

    def worst(self) -> str:
        """Return the input whose gradient is furthest off, that gradient, and the slope."""
        return (
            f"{self.name}: backward says {self.gradient!r}, central differences {self.numerical!r}"
        )


def gradcheck(
    f: Callable[..., Value],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> GradcheckResult:
    """Compare the gradients of a function with central differences, as `torch.autograd.gradcheck`.

    `inputs` is a list of Values, numbers and lists of them, with which `f(*inputs)` is called, or a
    module, with which `f(module)` is: then its parameters are what is compared. `f` returns a Value
    and computes the same whenever it is called. The slope is (f(x + h) - f(x - h)) / 2h, where h is
    `eps` times the larger of 1 and abs(x), and a gradient is right where it is within `atol` +
    `rtol` * abs(slope) of it. At a kink, as of relu at 0, it need not be.

    Returns what is furthest off. Inputs have data and gradients as before, whatever happens.

    Raises `GradcheckError`, a `RuntimeError`, that names the worst input, its gradient and the
    slope, unless `raise_exception` is False; `TypeError` for inputs that are none, and where `f`
    returns no Value.

    >>> from fastgrad import Value, gradcheck
    >>> print(gradcheck(lambda x: x**2, [3.0]))
    the gradient is right; inputs[0]: backward says 6.0, central differences 6.0
    >>> def square(x):  # with half of its derivative
    ...     return Value(x.data**2, (x,), "square", local_grads=[x.data])
    >>> gradcheck(square, [3.0], raise_exception=False).gradient
    3.0
    """
    eps, atol, rtol = amount("eps", eps), amount("atol", atol), amount("rtol", rtol)
    if not eps:
        raise ValueError("eps is 0; expected a number above 0")
    named: list[tuple[str, Value]] = []
    if hasattr(inputs, "named_parameters"):
        arguments: tuple[Any, ...] = (inputs,)
        named += inputs.named_parameters()
    else:
        given = [inputs] if isinstance(inputs, (Value, int, float)) else as_list(inputs)
        arguments = tuple(_as_values("inputs", given, named))
    if not named:
        raise ValueError(f"inputs is {shorten(inputs)}; expected at least one Value or number")
    before = [(leaf, leaf.data, leaf.grad) for _, leaf in named]
    try:
        gradients = _gradients(f, arguments, [leaf for _, leaf in named])
        slopes = [_slope(f, arguments, leaf, eps) for _, leaf in named]
    finally:
        for leaf, data, grad in before:
            leaf.data, leaf.grad = data, grad
    off = [_off(g, n, atol, rtol) for g, n in zip(gradients, slopes, strict=True)]
    worst = max(range(len(off)), key=off.__getitem__)
    name, leaf = named[worst]
    label = getattr(leaf, "label", "")
    name = f"{name} ({label})" if label else name
    result = GradcheckResult(off[worst] <= 1, name, gradients[worst], slopes[worst], len(named))
    if raise_exception and not result:
        wrong = sum(each > 1 for each in off)
        raise GradcheckError(
            f"{wrong} of {len(named)} gradients are wrong; {result.worst()}", result
        )
    return result


def _as_values(name: str, inputs: Iterable[Any], named: list[tuple[str, Value]]) -> list[Any]:
    """Return inputs with Values for numbers, and add each with its name to `named`."""
    made: list[Any] = []
    for place, item in enumerate(inputs):
        of = f"{name}[{place}]"
        if type(item) in (list, tuple):
            made.append(_as_values(of, item, named))
            continue
        if not isinstance(item, Value):
            try:
                item = Value(item)
            except TypeError:
                raise TypeError(
                    f"{of} is {shorten(item)}; expected a Value, a number or a list of them"
                ) from None
        named.append((of, item))
        made.append(item)
    return made


def _called(f: Callable[..., Value], arguments: tuple[Any, ...]) -> Value:
    out = f(*arguments)
    if not isinstance(out, Value):
        raise TypeError(f"f returned {shorten(out)}; expected a Value")
    return out


def _gradients(
    f: Callable[..., Value], arguments: tuple[Any, ...], leaves: list[Value]
) -> list[float]:
    for leaf in leaves:
        leaf.grad = 0.0
    _called(f, arguments).backward()
    return [leaf.grad for leaf in leaves]


def _slope(f: Callable[..., Value], arguments: tuple[Any, ...], leaf: Value, eps: float) -> float:
    """Return the central difference at one input, by the step that floats really make."""
    x = leaf.data
    step = eps * max(1.0, abs(x))
    leaf.data = above = x + step
    up = _called(f, arguments).data
    leaf.data = below = x - step
    down = _called(f, arguments).data
    leaf.data = x
    return (up - down) / (above - below)


def _off(gradient: float, slope: float, atol: float, rtol: float) -> float:
    """Return how far a gradient is from the slope, in units of what is allowed."""
    if math.isfinite(gradient) and math.isfinite(slope):
        return abs(gradient - slope) / max(atol + rtol * abs(slope), sys.float_info.min)
    return math.inf


# Anomalies ----------------------------------------------------------------------------------------


class AnomalyError(ArithmeticError):
    """A nan, an infinite or an exploding number; `value` is the Value of the op that made it."""

    def __init__(self, message: str, value: Value) -> None:
        """Keep the Value."""
        super().__init__(message)
        self.value = value


@contextmanager
def detect_anomaly(*, max_grad: float = 1e8) -> Generator[None]:
    """Return a context in which the first nan, infinite or exploding number raises an error.

    Within `with fastgrad.detect_anomaly():` each Value remembers the line of the program that made
    it. The first one whose data is nan or infinite raises `AnomalyError`, an `ArithmeticError`, and
    so does a `backward()` in which a gradient becomes nan, infinite or larger than `max_grad`. The
    error names the op, its operands, its label and its line. Gradients are then as before the call.

    All threads are watched, and everything runs many times slower: functions over lists and layers
    are computed op by op, with the same results. Outside of it nothing is slower.

    >>> from fastgrad import AnomalyError, Value, detect_anomaly
    >>> x = Value(0.0, label="x")
    >>> try:
    ...     with detect_anomaly():
    ...         (x.sqrt() + 1).backward()
    ... except AnomalyError as error:
    ...     print(str(error).splitlines()[0])
    the gradient of x = 0.0 is inf, through 'sqrt' of x = 0.0
    """
    limit = amount("max_grad", max_grad)
    if not limit:
        raise ValueError("max_grad is 0; expected a number above 0")
    # A patched class is what the core notices of itself: it calls `__init__` for each op then.
    init, backward = Value.__init__, Value.backward
    watch = _Watch(backward, limit)

    def watched_init(self: Value, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        watch.made(self)

    def watched_backward(self: Value) -> None:
        watch.run_backward(self)

    Value.__init__, Value.backward = watched_init, watched_backward
    try:
        yield
    finally:
        Value.__init__, Value.backward = init, backward


_Line = tuple[str, int, str]


class _Watch:
    """The lines that made Values, and what looks at their numbers."""

    def __init__(self, backward: Callable[[Value], None], limit: float) -> None:
        """Begin before the first Value."""
        self._backward, self._limit = backward, limit
        self._lines: WeakKeyDictionary[Value, _Line] = WeakKeyDictionary()
        self._is_running = False

    def made(self, value: Value) -> None:
        """Note the line of a new Value; raise where its data is not finite."""
        self._lines[value] = _users_line()
        if not math.isfinite(value.data):
            raise AnomalyError(f"{self._made_by(value)} is {value.data}{self._at(value)}", value)

    def run_backward(self, root: Value) -> None:
        """Run backward, and look at the gradients that it adds."""
        if self._is_running:  # A rule of one's own calls backward.
            return self._backward(root)
        order = list(_root_first(root))
        before = [value.grad for value in order]
        for value in order:
            value.grad = 0.0
        is_good = False
        try:
            self._is_running = True
            self._backward(root)
            self._check(order)
            is_good = True
        finally:
            self._is_running = False
            for value, grad in zip(order, before, strict=True):
                value.grad = value.grad + grad if is_good else grad

    def _is_bad(self, gradient: float) -> bool:
        return not abs(gradient) <= self._limit

    def _check(self, order: list[Value]) -> None:
        for place, value in enumerate(order):
            if self._is_bad(value.grad):
                users = [user for user in order[:place] if any(c is value for c in user._children)]
                # If no single op made it, or a rule of the user's own did, the nearest op is named.
                at_fault = [user for user in users if self._sends_bad(user, value)] or users[-1:]
                user = at_fault[0] if at_fault else value
                raise AnomalyError(
                    f"the gradient of {_told(value)} is {value.grad}, through"
                    f" {self._made_by(user)}{self._at(user)}",
                    user,
                )

    def _sends_bad(self, user: Value, value: Value) -> bool:
        pairs = zip(user._children, user._local_grads, strict=False)
        return any(child is value and self._is_bad(user.grad * d) for child, d in pairs)

    def _made_by(self, value: Value) -> str:
        """Return the op of a Value and its operands."""
        if not value._op and not value._children:
            return _told(value)
        operands = ", ".join(map(_told, value._operands or value._children))
        label = f" ({value.label})" if value.label else ""
        return f"{value._op!r}{label} of {operands}"

    def _at(self, value: Value) -> str:
        """Return the line that made a Value, for the end of a message."""
        if value not in self._lines:
            return ""
        file, number, function = self._lines[value]
        text = linecache.getline(file, number).strip()
        return f'\n  File "{file}", line {number}, in {function}' + (f"\n    {text}" * bool(text))


def _told(operand: Value | float) -> str:
    """Return an operand with its label, or the op that made it."""
    if not isinstance(operand, Value):
        return repr(operand)
    name = operand.label or operand._op
    return f"{name} = {operand.data!r}" if name else repr(operand.data)


def _users_line() -> _Line:
    """Return the line that is running outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and dirname(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name


_PACKAGE = dirname(__file__)


def _root_first(root: Value) -> Iterator[Value]:
    """Return the Values of a graph so that each comes after all that it is an operand of."""
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[tuple[Value, bool]] = [(root, False)]
    while stack:
        value, is_done = stack.pop()
        if is_done:
            order.append(value)
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            stack += [(child, False) for child in value._prev]
    return reversed(order)
