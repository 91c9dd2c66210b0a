"""Recording: a function is called once with tracers for its numbers, and its graph is read.

While it runs, `Value` is patched: `.data` gives a tracer, a number that remembers where it came
from, and what a replay could not repeat is refused. Ops over lists write themselves out for a
patched `Value`, so the graph has scalar ops alone. A comparison of tracers is answered with the
numbers at hand and kept as a guard.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from .._checks import shorten
from .._core import Recording, Value

__all__ = ["JitError", "Recorder", "Tracer", "current", "pick", "record", "take"]

T = TypeVar("T")

_DATA: Any = Value.__dict__["data"]
# Patches of Value are seen by all threads, so that one records at a time.
_lock = threading.RLock()
_active: Recorder | None = None
# The attributes of Value that are patched now.
_originals: dict[str, Any] = {}


class JitError(TypeError):
    """A function does what a recording cannot repeat; the message names it."""

    __module__ = "fastgrad"


class Recorder:
    """The origin of the numbers of leaves, which the graph does not tell, and the guards.

    `places` are the lines at which the function rested on a number, by the guards' numbers.
    """

    def __init__(self) -> None:
        self.inputs: list[Tracer] = []
        self.constants: list[Value] = []
        self.detached: list[tuple[Value, Value]] = []
        self.selected: list[tuple[Value, list[Value], Value]] = []
        self.highest: list[tuple[Value, list[Value]]] = []
        self.guards: list[tuple[str, Value, Value, bool, int]] = []
        self.places: list[str] = []
        self.thread = threading.get_ident()

    def tracer(self, number: float) -> Tracer:
        """Return a tracer of a number whose origin is still to be told."""
        made = Tracer(number)
        made.recorder = self
        return made

    def value(self, number: Any) -> Value:
        """Return a Value as it is, and a plain number as a constant."""
        if not isinstance(number, Value):
            number = Value(number)
            self.constants.append(number)
        return number

    def detach(self, value: Value) -> Tracer:
        """Return the number of a Value, without its gradient."""
        made = self.tracer(_DATA.__get__(value))
        self.detached.append((made, value))
        return made

    def guard(self, comparison: str, x: Any, y: Any, outcome: bool) -> bool:
        """Keep that a comparison of two numbers came out so, and return it."""
        left, right = self.value(x), self.value(y)
        place = _caller()
        if place not in self.places:
            self.places.append(place)
        self.guards.append((comparison, left, right, outcome, self.places.index(place)))
        return outcome

    def select(self, choices: Sequence[Any], index: Tracer) -> Value:
        """Return the Value at a place that is a number of the example."""
        values = [self.value(choice) for choice in choices]
        chosen = _DATA.__get__(values[_position(index, len(values))])
        numbers_only = all(isinstance(value, Tracer) for value in values)
        made = self.tracer(chosen) if numbers_only else Value(chosen)
        self.selected.append((made, values, index))
        return made


def _position(index: Any, length: int) -> int:
    position = float(_DATA.__get__(index)) if isinstance(index, Value) else index
    if position != int(position) or not 0 <= position < length:
        raise IndexError(f"index is {shorten(position)}; expected a whole number below {length}")
    return int(position)


def _caller() -> str:
    """Return the file and line of the code outside of this file that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Tracer(Value):
    """A number of a recorded program: a float that remembers where it came from.

    It has no gradient. Arithmetic with numbers gives tracers, arithmetic with Values gives Values.
    """

    recorder: Recorder

    def _max_of(self, values: Sequence[Any]) -> Tracer:
        """Return the largest of some numbers, for ops over lists: it is no branch."""
        nodes = [self.recorder.value(value) for value in values]
        made = self.recorder.tracer(max(_DATA.__get__(node) for node in nodes))
        self.recorder.highest.append((made, nodes))
        return made

    def _stands_for(self, made: Value) -> float:
        """Return the number for a new Value, `Value(self)`, whose gradient ends there."""
        self.recorder.detached.append((made, self))
        return self._number()

    def _number(self) -> float:
        return _DATA.__get__(self)

    def _pinned(self) -> float:
        """Return the number for good: the recording then holds for this number only."""
        number = self._number()
        self.recorder.guard("is", self, number, True)
        return number

    def __float__(self) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._pinned()

    def __int__(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return int(self._pinned())

    def __trunc__(self) -> int:
        return int(self._pinned())

    def __index__(self) -> int:
        number = self._pinned()
        if not number.is_integer():
            raise TypeError(f"{number} cannot be an index; expected a whole number")
        return int(number)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._pinned(), digits)

    def __mod__(self, other: Any) -> Any:
        return self._pinned() % other

    def __rmod__(self, other: Any) -> Any:
        return other % self._pinned()

    def __floordiv__(self, other: Any) -> Any:
        return self._pinned() // other

    def __rfloordiv__(self, other: Any) -> Any:
        return other // self._pinned()

    def __bool__(self) -> bool:
        return self.recorder.guard("==", self, 0.0, self._number() == 0.0) is False

    def __hash__(self) -> int:
        return hash(self._pinned())

    def __eq__(self, other: object) -> bool:
        return self._compare("==", other, lambda x, y: x == y)

    def __ne__(self, other: object) -> bool:
        return not self._compare("==", other, lambda x, y: x == y)

    def __lt__(self, other: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("<", other, lambda x, y: x < y)

    def __le__(self, other: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("<=", other, lambda x, y: x <= y)

    def __gt__(self, other: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare(">", other, lambda x, y: x > y)

    def __ge__(self, other: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare(">=", other, lambda x, y: x >= y)

    def _compare(self, sign: str, other: Any, holds: Callable[[float, float], bool]) -> Any:
        if isinstance(other, Tracer):
            number = other._number()
        elif isinstance(other, int | float):
            number = float(other)
        else:
            return NotImplemented
        outcome = holds(self._number(), number)
        if sign in (">", ">="):
            # x > y is y < x.
            return self.recorder.guard(sign.replace(">", "<"), other, self, outcome)
        return self.recorder.guard(sign, self, other, outcome)

    def __repr__(self) -> str:
        return repr(self._number())

    def __str__(self) -> str:
        return str(self._number())

    def __format__(self, spec: str) -> str:
        return format(self._number(), spec)


def _number_op(name: str) -> Any:
    plain = getattr(Value, name)

    def op(self: Tracer, *others: Any) -> Any:
        result = plain(self, *others)
        if result is NotImplemented or any(
            isinstance(other, Value) and not isinstance(other, Tracer) for other in others
        ):
            return result
        return self.recorder.detach(result)

    op.__name__ = name
    return op


for _name in (
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__"),
    *("__rtruediv__", "__pow__", "__rpow__", "__neg__", "__pos__", "__abs__"),
    *("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu", "max", "min"),
):
    setattr(Tracer, _name, _number_op(_name))


def current() -> Recorder | None:
    """Return the recorder of this thread, if a recording is under way in it."""
    active = _active
    return active if active is not None and active.thread == threading.get_ident() else None


@contextlib.contextmanager
def _patched(recorder: Recorder) -> Generator[None]:
    """Patch Value for the length of a recording; other threads get what they are used to."""
    global _active
    data, grad, backward = (Value.__dict__[name] for name in ("data", "grad", "backward"))

    def read(value: Value) -> Any:
        if current() is None:
            return data.__get__(value)
        return value if isinstance(value, Tracer) else recorder.detach(value)

    def refuse(what: str, allowed: Callable[..., Any]) -> Callable[..., Any]:
        def refused(*arguments: Any) -> Any:
            if current() is None:
                return allowed(*arguments)
            raise JitError(
                f"{_caller()}: {what} in a jitted function; expected it outside, "
                "around value_and_grad()"
            )

        return refused

    patches = {
        "data": property(read, refuse("data is set", data.__set__)),
        "grad": property(refuse("grad is read", grad.__get__), refuse("grad is set", grad.__set__)),
        "backward": refuse("backward() is called", backward),
    }
    _originals.update(data=data, grad=grad, backward=backward)
    for name, patch in patches.items():
        setattr(Value, name, patch)
    _active = recorder
    try:
        yield
    finally:
        _restore()


def _restore() -> None:
    """Take the patches of Value back."""
    global _active
    _active = None
    while _originals:
        setattr(Value, *_originals.popitem())


def _after_fork() -> None:
    """End, in a forked child, the recording of a thread that the child does not have."""
    global _lock
    if current() is None:
        _lock = threading.RLock()
        _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def record(
    function: Callable[..., Any], numbers: Sequence[float], arguments: Callable[[Any], Any]
) -> tuple[Recording, list[str]]:
    """Call a function with tracers of an example's numbers; return its program, and its places.

    `arguments` makes positional and named arguments of the tracers.
    """
    with _lock:
        recorder = Recorder()
        recorder.inputs = [recorder.tracer(number) for number in numbers]
        with _patched(recorder):
            positional, named = arguments(iter(recorder.inputs))
            output = function(*positional, **named)
        if isinstance(output, int | float):
            output = Value(output)
        if not isinstance(output, Value):
            raise JitError(f"the function returned {shorten(output)}; expected one Value")
        del positional, named
        try:
            made = Recording(
                output,
                recorder.inputs,
                recorder.constants,
                recorder.detached,
                recorder.selected,
                recorder.highest,
                recorder.guards,
            )
        except TypeError as error:
            # A node with a rule of its own.
            raise JitError(str(error)) from None
        return made, recorder.places


def take(table: Sequence[Sequence[T]], index: float) -> list[T]:
    """Return a copy of row `index` of a table of Values.

    In a function under `jit`, `index` may be a number of the example: the recorded program then
    takes the row that the example asks for, where `table[index]` would hold for one row only.

    Raises `IndexError` for an index that is not from 0 to len(table) - 1.

    >>> from fastgrad import Value, take
    >>> take([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]], 1)
    [Value(data=3.0, grad=0.0), Value(data=4.0, grad=0.0)]
    """
    if not isinstance(index, Tracer):
        return list(table[_position(index, len(table))])
    columns: Any = zip(*table, strict=True)
    row: list[Any] = [index.recorder.select(column, index) for column in columns]
    return row


def pick(values: Sequence[T], index: float) -> T:
    """Return `values[index]`, also where `index` is a number of a recorded example.

    Raises `IndexError` for an index that is not from 0 to len(values) - 1.

    >>> from fastgrad import Value, pick
    >>> pick([Value(1.0), Value(2.0)], 0)
    Value(data=1.0, grad=0.0)
    """
    if not isinstance(index, Tracer):
        return values[_position(index, len(values))]
    chosen: Any = index.recorder.select(values, index)
    return chosen
