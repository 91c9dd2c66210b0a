"""Recording: a function is called once with tracers for its numbers, and its graph is read.

While it runs, `Value` is patched: `.data` gives a tracer, a number that remembers where it came
from, and what a replay could not repeat is refused. Ops over lists write themselves out for a
patched `Value`, so the graph has scalar ops alone. A comparison of tracers is answered with the
numbers at hand and kept as a guard.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import random
import re
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from .._checks import shorten
from .._core import Recording, Value
from .arguments import is_real

__all__ = ["JitError", "Recorder", "Tracer", "current", "pick", "record", "take"]

T = TypeVar("T")

# The folder of this package's code.
PACKAGE = os.path.dirname(os.path.dirname(__file__))

# The passes over a recording, each of which can be left out.
PASSES = ("fold", "share", "sums", "matrices")

# Why a recording holds for one number only.
_FLOAT = "a plain float is made there, as float() and math.exp() do; Value(x).exp() makes none"
_WHOLE = (
    "a plain number is made there, as int(), round(), % and list[x] do; take and pick make none"
)

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

    `places` are the lines at which the function rested on a number, each with the reason, by the
    guards' numbers.
    """

    def __init__(self) -> None:
        self.inputs: list[Tracer] = []
        self.constants: list[Value] = []
        self.detached: list[tuple[Value, Value]] = []
        self.selected: list[tuple[Value, list[Value], Value]] = []
        self.highest: list[tuple[Value, list[Value]]] = []
        self.local_grads: list[tuple[Value, int, Value]] = []
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

    def guard(
        self, comparison: str, x: Any, y: Any, outcome: bool, why: str = "a comparison"
    ) -> bool:
        """Keep that a comparison of two numbers came out so, and return it."""
        left, right = self.value(x), self.value(y)
        place = f"{_caller()} ({why})"
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
    """Return a place in a list of a length; refuse what is none."""
    if isinstance(index, Value) and not isinstance(index, Tracer):
        raise TypeError(
            f"index is {shorten(index)}; expected a number: one of the example, or a Value's .data"
        )
    number: Any = index._number() if isinstance(index, Tracer) else index
    if is_real(number) and 0 <= number < length and number == int(number):
        return int(number)
    error = IndexError if is_real(number) else TypeError
    raise error(f"index is {shorten(number)}; expected a whole number below {length}")


def _caller() -> str:
    """Return the file and line of the code outside of this package that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Tracer(Value):
    """A number of a recorded program: a float that remembers where it came from.

    It has no gradient. Arithmetic with numbers gives tracers, arithmetic with Values gives Values.
    """

    recorder: Recorder

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Be a float for `isinstance`, as in a plain call; and a Value, for what takes Values."""
        return float

    def _max_of(self, values: Sequence[Any]) -> Tracer:
        """Return the largest of some numbers, for ops over lists: it is no branch."""
        nodes = [self.recorder.value(value) for value in values]
        made = self.recorder.tracer(max(_DATA.__get__(node) for node in nodes))
        self.recorder.highest.append((made, nodes))
        return made

    def _pick_from(self, values: Sequence[Any]) -> Any:
        """Return one of some Values, for ops over lists: the number is its place."""
        return self.recorder.select(values, self)

    def _whole(self) -> int:
        """Return the number for `_pick_from`, which must be whole."""
        number = self._number()
        if not number.is_integer():
            raise IndexError(f"cross_entropy: target is {number}; expected a whole number")
        return int(number)

    def _stands_for(self, made: Value, place: int | None) -> float:
        """Return the number for a new Value: its data, or its local gradient of an operand."""
        if place is None:
            self.recorder.detached.append((made, self))
        else:
            self.recorder.local_grads.append((made, place, self))
        return self._number()

    def _number(self) -> float:
        return _DATA.__get__(self)

    def _pinned(self, why: str) -> float:
        """Return the number for good: the recording then holds for this number only."""
        number = self._number()
        self.recorder.guard("is", self, number, True, why)
        return number

    def __float__(self) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._pinned(_FLOAT)

    def __int__(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return int(self._pinned(_WHOLE))

    def __trunc__(self) -> int:
        return int(self._pinned(_WHOLE))

    def __floor__(self) -> int:
        return math.floor(self._pinned(_WHOLE))

    def __ceil__(self) -> int:
        return math.ceil(self._pinned(_WHOLE))

    def __index__(self) -> int:
        number = self._pinned(_WHOLE)
        if not number.is_integer():
            raise TypeError(f"{number} cannot be an index; expected a whole number")
        return int(number)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._pinned(_WHOLE), digits)

    def __mod__(self, other: Any) -> Any:
        return self._pinned(_WHOLE) % other

    def __rmod__(self, other: Any) -> Any:
        return other % self._pinned(_WHOLE)

    def __divmod__(self, other: Any) -> Any:
        return divmod(self._pinned(_WHOLE), other)

    def __rdivmod__(self, other: Any) -> Any:
        return divmod(other, self._pinned(_WHOLE))

    def __floordiv__(self, other: Any) -> Any:
        return self._pinned(_WHOLE) // other

    def __rfloordiv__(self, other: Any) -> Any:
        return other // self._pinned(_WHOLE)

    def is_integer(self) -> bool:
        """Return true for a whole number."""
        return self._pinned(_WHOLE).is_integer()

    def __bool__(self) -> bool:
        return self.recorder.guard("==", self, 0.0, self._number() == 0.0) is False

    def __hash__(self) -> int:
        return hash(self._pinned("a key of a dict or set"))

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
    function: Callable[..., Any],
    numbers: Sequence[float],
    arguments: Callable[[Any], Any],
    names: Sequence[str],
    passes: Sequence[str],
) -> tuple[Recording, list[str]]:
    """Call a function with tracers of an example's numbers; return its program, and its places.

    `arguments` makes positional and named arguments of the tracers; `names` are those of the
    positional ones, `passes` those to do.
    """
    with _lock:
        recorder = Recorder()
        recorder.inputs = [recorder.tracer(number) for number in numbers]
        with _patched(recorder):
            positional, named = arguments(iter(recorder.inputs))
            try:
                output = function(*positional, **named)
            except AttributeError as error:
                _explain(error, dict(zip(names, positional, strict=False)) | named)
                raise
            except TypeError as error:
                _explain_type(error)
                raise
        if not isinstance(output, Value):
            if not is_real(output):
                raise JitError(f"the function returned {shorten(output)}; expected one Value")
            output = Value(output)
        del positional, named
        try:
            made = Recording(
                output,
                recorder.inputs,
                recorder.constants,
                recorder.detached,
                recorder.selected,
                recorder.highest,
                recorder.local_grads,
                recorder.guards,
                passes,
            )
        except TypeError as error:
            # An op that only Python can compute.
            raise JitError(str(error)) from None
        return made, recorder.places


def random_states() -> tuple[Any, ...]:
    """Return the states of the global generators of `random` and of `numpy.random`, if imported."""
    numpys = sys.modules.get("numpy.random")
    return random.getstate(), numpys and pickle.dumps(numpys.get_state(legacy=False))


def _explain(error: AttributeError, arguments: dict[str, Any]) -> None:
    """Raise `JitError` where an argument lacks an attribute that it has in a plain call."""
    lacking: Any = error.obj
    if isinstance(lacking, Tracer):
        kind = "a number"
    elif type(lacking) is list:
        kind = f"a list of {len(cast(list[Any], lacking))} items"
    else:
        return
    places = [_place_in(argument, error.obj, name) for name, argument in arguments.items()]
    name = next(filter(None, places), "what is made of the arguments")
    raise JitError(
        f"{name} is {kind} in a jitted function, without {error.name!r}; expected what floats and"
        " lists have: of an array of shape (B, n) each example is a list of n numbers"
    ) from error


# Python's messages for an op on a list or a tracer, where a plain call has an array or a float.
_OF_TYPES = re.compile(r"'(list|Tracer)'|\blist \[|sequence by non-int|concatenate list")


def _explain_type(error: TypeError) -> None:
    """Raise `JitError`, with the line, where an op cannot take a list or a tracer."""
    if isinstance(error, JitError) or not _OF_TYPES.search(told := str(error)):
        return
    library = os.path.dirname(os.__file__)
    lines = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((PACKAGE, library))
    ]
    raise JitError(
        f"{lines[-1] if lines else 'in the function'}: {told.replace('Tracer', 'number')}; in a"
        " jitted function an array is a list, and a number remembers where it came from: expected"
        " + - * / ** of numbers, and the ops over lists of fastgrad.engine, as dot(x, w)"
    ) from error


def _place_in(argument: Any, item: object, name: str) -> str | None:
    """Return where an argument holds an item, as `name[0]`."""
    if argument is item:
        return name
    if not isinstance(argument, list):
        return None
    inner = enumerate(cast(list[Any], argument))
    return next(filter(None, (_place_in(x, item, f"{name}[{i}]") for i, x in inner)), None)


def take(table: Sequence[Sequence[T]], index: float) -> list[T]:
    """Return a copy of row `index` of a table of Values.

    In a function under `jit`, `index` may be a number of the example: the recorded program then
    takes the row that the example asks for, where `table[index]` would hold for one row only.

    Raises `IndexError` for a number that is not from 0 to len(table) - 1, `TypeError` for what is
    no number and for a table without rows, `ValueError` where rows have several lengths.

    >>> from fastgrad import Value, take
    >>> take([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]], 1)
    [Value(data=3.0, grad=0.0), Value(data=4.0, grad=0.0)]
    """
    place = _position(index, len(table))
    if isinstance(table[place], Value) or not isinstance(table[place], Sequence | np.ndarray):
        raise TypeError(
            f"table[{place}] is {shorten(table[place])}; expected a row of Values: for one Value of"
            " a list there is pick"
        )
    if not isinstance(index, Tracer):
        return list(table[place])
    lengths = {len(row) for row in table}
    if len(lengths) > 1:
        raise ValueError(f"table has rows of lengths {sorted(lengths)}; expected one length")
    row: list[Any] = [index.recorder.select(column, index) for column in zip(*table, strict=True)]
    return row


def pick(values: Sequence[T], index: float) -> T:
    """Return `values[index]`, also where `index` is a number of a recorded example.

    Raises `IndexError` for a number that is not from 0 to len(values) - 1, `TypeError` for what is
    no number.

    >>> from fastgrad import Value, pick
    >>> pick([Value(1.0), Value(2.0)], 0)
    Value(data=1.0, grad=0.0)
    """
    if not isinstance(index, Tracer):
        return values[_position(index, len(values))]
    chosen: Any = index.recorder.select(values, index)
    return chosen
