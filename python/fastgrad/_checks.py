"""Checks of arguments that many functions share; errors name argument, value, what was expected.

None of them imports numpy before it is needed.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Iterable
from operator import index
from typing import Any

__all__ = ["amount", "array", "path_name", "string", "strings", "thread_count", "whole"]


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
        raise TypeError(f"{name} is {reprlib.repr(value)}; expected an int")
    if number < least:
        raise ValueError(f"{name} is {number}; expected at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{name} is {number}; expected at most {most}")
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
        raise TypeError(f"{name} is {reprlib.repr(value)}; expected a number") from None
    except OverflowError:  # An int that no float can hold.
        finite = False
    if not finite or value < 0:
        raise ValueError(f"{name} is {reprlib.repr(value)}; expected a finite number of at least 0")
    return float(value)


def thread_count(threads: int | None) -> int | None:
    """Refuse what is neither None nor an int of at least 1."""
    return None if threads is None else whole("threads", threads, least=1)


def string(name: str, value: Any) -> str:
    """Refuse what is not a str."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {reprlib.repr(value)}; expected a str")
    return value


def strings(name: str, values: Any) -> list[Any]:
    """Make a list of items, and refuse a single string, which would be taken for its characters.

    What the items are is not looked at.

    >>> strings("items", "emma")
    Traceback (most recent call last):
    TypeError: items is 'emma'; expected a list of str, as `read` gives it
    """
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Iterable):
        hint = ", as `read` gives it" if isinstance(values, str) else ""
        raise TypeError(f"{name} is {reprlib.repr(values)}; expected a list of str{hint}")
    return list(values)


def path_name(name: str, value: Any) -> str:
    """Give a path as a str; refuse what is none."""
    if isinstance(value, str | os.PathLike) and isinstance(found := os.fspath(value), str):
        return found
    raise TypeError(f"{name} is {reprlib.repr(value)}; expected a path: a str or os.PathLike")


def array(name: str, value: Any, expected: str, dtype: Any = None) -> Any:
    """Give a numpy array of what numpy can make one of; refuse the rest."""
    import numpy as np  # Here, since most checks need none of it.

    try:
        return np.asarray(value, dtype=dtype)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {reprlib.repr(value)}; expected {expected}") from None
