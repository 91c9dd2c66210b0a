"""Errors that all ranks raise, whichever of them met it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._checks import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from .comm import Comm

_T = TypeVar("_T")


def together(comm: Comm, work: Callable[[], _T]) -> _T:
    """Return what `work` returns here; raise on all ranks what it raised on any.

    Where it raised on several, it is the error of the first of them. All ranks have to call this,
    and `work` must not wait for other ranks, which might have raised already.
    """
    result, error = None, None
    try:
        result = work()
    except Exception as raised:
        error = raised
    told = np.frombuffer(pickled(comm.rank, error), np.uint8)
    errors = comm.gather(told)
    first = next((one for one in errors if len(one)), None) if errors else None
    found: Any = comm.broadcast_object(None if first is None else first.tobytes())
    if found is not None:
        # A rank's own error has its traceback.
        own = error is not None and told.tobytes() == found
        everywhere = error if own and error is not None else pickle.loads(found)
        raise mark_on_all_ranks(everywhere)
    return result  # pyright: ignore[reportReturnType] - nothing was raised


def is_on_all_ranks(error: BaseException) -> bool:
    """Return whether all other ranks know of an error, or of the one that it was made of."""
    cause = error.__context__
    return getattr(error, "on_all_ranks", False) is True or (
        cause is not None and is_on_all_ranks(cause)
    )


def mark_on_all_ranks(error: BaseException) -> BaseException:
    """Note that all ranks know of an error, and raise it."""
    marked: Any = error
    marked.on_all_ranks = True
    return error


def same(comm: Comm, what: str, value: object) -> None:
    """Raise `ValueError` on all ranks unless all give the same value, compared by `repr`."""
    first = comm.broadcast_object(repr(value))

    def check() -> None:
        if repr(value) != first:
            raise ValueError(
                f"{what} is {cut(repr(value), 120)} on rank {comm.rank}, but {cut(first, 120)} on"
                " rank 0; expected the same on all ranks"
            )

    together(comm, check)


def pickled(rank: int, error: BaseException | None) -> bytes:
    """Return an error for other ranks, in words where it cannot be pickled; empty for none."""
    if error is None:
        return b""
    try:
        told = pickle.dumps(error)
        pickle.loads(told)
    except Exception:
        told = pickle.dumps(RuntimeError(f"rank {rank}: {type(error).__name__}: {error}"))
    return told
