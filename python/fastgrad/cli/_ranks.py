"""Commands that several processes run together, with --mpi: the first one speaks and saves."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING

from click.exceptions import Exit

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..distributed import Comm

# The ranks that would wait for this one for ever: its command has failed, and they do not know.
_waiting: list[Comm] = []


@contextmanager
def ranks(mpi: bool) -> Generator[Comm]:
    """Yield the processes that run a command; without --mpi this one alone.

    What the others would print is dropped. What all ranks raise, the first one tells. What one rank
    raises, it tells, and `end` ends all.
    """
    from ..distributed import as_comm, mpi_world
    from ..distributed.together import is_on_all_ranks

    comm = mpi_world() if mpi else as_comm(None)
    try:
        with (
            open(os.devnull, "w") as nowhere,
            redirect_stdout(nowhere) if comm.rank else nullcontext(),
        ):
            yield comm
    except Exit:
        raise
    except BaseException as error:
        if comm.size > 1 and not is_on_all_ranks(error):
            _waiting.append(comm)
        elif comm.rank > 0:
            raise Exit(0) from None
        raise


def end(code: int) -> None:
    """End all ranks with an exit code where the command of this one has failed by itself."""
    if _waiting:
        _waiting[0].abort(code)
