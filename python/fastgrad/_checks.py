"""Checks of arguments that many functions share; errors name argument, value, what was expected.

A value stands in an error as `shorten` writes it, a name from a file as `escape` does. None of the
checks imports numpy before it is needed.
"""

from __future__ import annotations

import math
import os
import reprlib
from itertools import islice
from operator import index

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from numpy.typing import NDArray

__all__ = [
    "amount",
    "array",
    "check_temperature",
    "cut",
    "escape",
    "ids",
    "list_length",
    "lr_pairs",
    "path_name",
    "shorten",
    "string",
    "strings",
    "whole",
]

# The most that can be counted, and the most things that can have an address.
MOST, ADDRESSES = 2**63 - 1, 2**44

# The most characters of a value in a message: enough to recognise it.
_SHORTENED = 120
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxlong, _REPR.maxother = 3, 60, 60, _SHORTENED

# No system opens a longer one: it is a text, where the path of a text is asked for.
_LONGEST_PATH = 4096
_SEQUENCES = frozenset({list, tuple})
_PART = 100_000  # items of an iterable that are read without looking for a signal

# They turn the order of what follows around: a message could look like another one.
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def shorten(value: object) -> str:
    """Return `repr(value)` in at most 120 characters, whatever `value` is.

    >>> shorten("emma"), len(shorten("emma" * 1000)), shorten(list(range(1000)))
    ("'emma'", 60, '[0, 1, 2, 3, 4, 5, ...]')
    """
    try:
        text = _REPR.repr(value).replace("\n", " ")
    except Exception:  # A `repr` that fails, and an int of more digits than Python writes.
        bits = f" of {value.bit_length():,} bits" if type(value) is int else ""
        text = f"<{type(value).__name__}{bits}>"
    return cut(text, _SHORTENED)


def cut(text: str, most: int = 500) -> str:
    """Return a text from elsewhere for a message: escaped, its middle left out where it is long.

    >>> cut("emma" * 100, 13)
    'emmae...aemma'
    """
    half = (most - 3) // 2
    if len(text) <= most:
        text = escape(text)
        if len(text) <= most:
            return text
    # Escaping has made it longer, so each half is cut again.
    start, end = escape(text[:half])[:half], escape(text[-half:])[-half:]
    return f"{start}...{end}"


def escape(text: str, keep: str = "") -> str:
    r"""Replace the characters that steer a terminal, except those of `keep`, by Python's escapes.

    These are control characters, bidirectional controls, line separators and lone surrogates.
    Joiners and soft hyphens stay, which words are spelled with.

    >>> print(escape("\x1b[2Jemma\u202e"))
    \x1b[2Jemma\u202e
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if _steers(char) and char not in keep else char
        for char in text
    )


def _steers(char: str) -> bool:
    return (
        char < " "
        or "\x7f" <= char <= "\x9f"
        or char in "\u2028\u2029"
        or char in _BIDI_CONTROLS
        or "\ud800" <= char <= "\udfff"
        or "\U000e0000" <= char <= "\U000e007f"  # Tags, which no terminal shows.
    )


def whole(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """Refuse what is not an int, of this or another library, or is out of range.

    True and False are no numbers of anything.

    >>> whole("k", 2.0)
    Traceback (most recent call last):
    TypeError: k is 2.0; expected an int
    """
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} is {shorten(value)}; expected an int")
    if number < least:
        raise ValueError(f"{name} is {shorten(number)}; expected at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{name} is {shorten(number)}; expected at most {most}")
    return number


def amount(name: str, value: Any) -> float:
    """Refuse what is not a finite number of at least 0.

    >>> amount("smoothing", -1)
    Traceback (most recent call last):
    ValueError: smoothing is -1; expected a finite number of at least 0
    """
    try:
        finite = math.isfinite(value)
    except TypeError:
        raise TypeError(f"{name} is {shorten(value)}; expected a number") from None
    except OverflowError:  # An int that no float can hold.
        finite = False
    if not finite or value < 0:
        raise ValueError(f"{name} is {shorten(value)}; expected a finite number of at least 0")
    return float(value)


def lr_pairs(pairs: Iterable[tuple[int, float]]) -> tuple[list[int], list[float]]:
    """Return the steps and the learning rates of (step, lr) pairs; the first step must be 0.

    >>> lr_pairs([(0, 0.1), (100, 0.01)])
    ([0, 100], [0.1, 0.01])
    """
    starts: list[int] = []
    lrs: list[float] = []
    for position, pair in enumerate(pairs):
        try:
            start, lr = pair
            start = index(start)
        except (TypeError, ValueError):
            raise TypeError(
                f"lr[{position}] is {shorten(pair)}; expected a step and a learning rate"
            ) from None
        if start < 0 or (starts and start <= starts[-1]) or (not starts and start != 0):
            raise ValueError(
                f"lr[{position}] starts at step {shorten(start)}; expected 0 for the first and more"
                " for each one after"
            )
        starts.append(start)
        lrs.append(amount(f"lr[{position}]", lr))
    if not starts:
        raise ValueError("lr is empty; expected at least one pair of step and learning rate")
    return starts, lrs


def list_length(name: str, value: Any, least: int = 0) -> int:
    """Refuse what `whole` refuses, and raise `MemoryError` where no list could be so long."""
    number = whole(name, value, least, MOST)
    if number > ADDRESSES:
        raise MemoryError(f"{name} is {shorten(number)}; there is no memory for so many")
    return number


def string(name: str, value: Any) -> str:
    """Refuse what is not a str."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shorten(value)}; expected a str")
    return value


def strings(name: str, values: Iterable[Any]) -> list[Any]:
    """Make a list of items, and refuse a single string, which would be taken for its characters.

    What the items are is not looked at.

    >>> strings("items", "emma")
    Traceback (most recent call last):
    TypeError: items is 'emma'; expected a list of str, as `read_lines` returns it
    """
    if isinstance(values, str | bytes | bytearray) or not hasattr(values, "__iter__"):
        hint = ", as `read_lines` returns it" if isinstance(values, str) else ""
        raise TypeError(f"{name} is {shorten(values)}; expected a list of str{hint}")
    return as_list(values)


def as_list(items: Iterable[Any]) -> list[Any]:
    """Return the items as a list; where they have no end, Ctrl-C is answered, as `list` does not.

    >>> as_list(range(3))
    [0, 1, 2]
    """
    if type(items) in _SEQUENCES:
        return list(items)
    found: list[Any] = []
    iterator = iter(items)
    # Python looks for a signal between two parts.
    while part := list(islice(iterator, _PART)):
        found += part
    return found


def path_name(name: str, value: str | os.PathLike[str]) -> str:
    """Return a path as a str; refuse what is none."""
    if isinstance(value, str | os.PathLike) and isinstance(found := os.fspath(value), str):
        if len(found) > _LONGEST_PATH:
            raise ValueError(
                f"{name} is {shorten(found)}, of {len(found):,} characters; expected a path"
            )
        return found
    raise TypeError(f"{name} is {shorten(value)}; expected a path: a str or os.PathLike")


def array(name: str, value: Any, expected: str, dtype: Any = None) -> NDArray[Any]:
    """Return a numpy array of what numpy can make one of; refuse the rest."""
    import numpy as np  # Here, since most checks need none of it.

    try:
        return np.asarray(value, dtype=dtype)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        # A RuntimeError is numpy's answer to a sequence that changes while it is read.
        raise TypeError(f"{name} is {shorten(value)}; expected {expected}") from None


def ids(name: str, value: Any, size: int, *, dims: int = 1, dtype: Any = "uint32") -> NDArray[Any]:
    """Return ids as a C-contiguous array of `dtype`, whatever integers they come as.

    Raises `TypeError` for what are no integers, bool among them, and `ValueError` for another
    number of dimensions than `dims`, or an id that is not below `size`.

    >>> ids("ids", [0, 2], 3).dtype
    dtype('uint32')
    >>> ids("ids", [0, -1], 3)
    Traceback (most recent call last):
    ValueError: ids[1] is -1; expected at least 0 and less than 3
    """
    import numpy as np

    expected = f"an array of integers of {dims} dimension{'s' * (dims != 1)}"
    found = array(name, value, expected)
    if found.size == 0 and not isinstance(value, np.ndarray):
        found = found.astype(np.uint32)  # An empty list says nothing of its type.
    if found.dtype.kind == "O" and found.ndim == dims:
        for place, item in np.ndenumerate(found):  # An int of a list that no array holds.
            whole(name + _place(place), item, most=size - 1)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {found.dtype!s:.60}; expected {expected}")
    if found.ndim != dims:
        raise ValueError(f"{name} has shape {found.shape}; expected {expected}")
    wrong = found >= size
    if found.dtype.kind == "i":
        wrong |= found < 0
    if wrong.any():
        place = np.unravel_index(int(np.argmax(wrong)), found.shape)
        raise ValueError(
            f"{name}{_place(place)} is {found[place]}; expected at least 0 and less than {size}"
        )
    return np.ascontiguousarray(found, dtype=dtype)


def _place(indices: Iterable[Any]) -> str:
    return f"[{', '.join(str(int(i)) for i in indices)}]"


def check_temperature(value: Any) -> float:
    """Return a temperature, a number of at least 0 or infinity."""
    error: type[Exception] = ValueError
    try:
        if not math.isnan(value) and value >= 0:
            return float(value) + 0.0  # Never -0.0.
    except TypeError:
        error = TypeError
    except OverflowError:  # An int that no float can hold.
        if value > 0:
            return math.inf
    raise error(f"temperature is {shorten(value)}; expected a number of at least 0") from None
