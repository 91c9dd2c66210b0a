"""The number of threads of calls that do not name one."""

from __future__ import annotations

import os

from ._checks import MOST, whole
from ._core import environment

__all__ = ["get_num_threads", "set_num_threads", "thread_count"]

_VARIABLE = "FASTGRAD_NUM_THREADS"
# The most threads that a call takes.
_MOST_THREADS = 1024
_chosen: int | None = None


def set_num_threads(n: int | None) -> None:
    """Set the number of threads of all calls that do not name one; None is all cores.

    Before the first call it is what the environment variable FASTGRAD_NUM_THREADS says. Results are
    the same for any number.

    Raises `TypeError` or `ValueError` for what is not an int from 1 to 1024.
    """
    global _chosen
    _chosen = None if n is None else whole("n", n, least=1, most=_MOST_THREADS)
    os.environ.pop(_VARIABLE, None)


def get_num_threads() -> int:
    """Return the number of threads of calls that do not name one."""
    if (chosen := default_threads()) is not None:
        return chosen
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(threads: int | None) -> int | None:
    """Return the number of threads of a call, None for as many as pay."""
    if threads is None:
        return default_threads()
    return whole("threads", threads, least=1, most=MOST)


def default_threads() -> int | None:
    """Return the number that was set, or None for as many as pay."""
    if _chosen is not None:
        return _chosen
    text = environment(_VARIABLE)
    if not text:
        return None
    # Digits without end are no int: Python refuses to read them.
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if not digits or len(digits) > len(str(_MOST_THREADS)) or int(digits) > _MOST_THREADS:
        raise ValueError(
            f"{_VARIABLE} is {text[:60]!r}; expected a whole number from 1 to {_MOST_THREADS}"
        )
    return int(digits)
