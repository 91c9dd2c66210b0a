"""Training runs on several ranks: rank 0 runs the loop, and the others make its steps with it.

Everything that is decided is decided on rank 0: the learning rate, when to evaluate, to save and to
stop. It tells the others what to do next; they follow until it says that the run is over, and then
have the same model.
"""

from __future__ import annotations

import pickle
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from .._checks import cut
from .together import is_on_all_ranks, mark_on_all_ranks, pickled

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from .comm import Comm


@dataclass(frozen=True)
class _Train:
    """Make steps; where the loop has put back other arrays, take those of rank 0 before."""

    first_step: int
    lrs: NDArray[np.float64]
    is_moved: bool


@dataclass(frozen=True)
class _Measure:
    """Measure the loss on the development text."""


@dataclass(frozen=True)
class _End:
    """Take the arrays of rank 0, which has this result, or has raised this error, pickled."""

    error: bytes
    result: Any


class SharedRun(Protocol):
    """A `fastgrad.base.TrainingRun` whose steps and losses all ranks compute together."""

    batch_size: int
    exchange_seconds: float

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parameters and what the optimizer remembers, the same on all ranks."""
        ...

    def train(
        self,
        first_step: int,
        lrs: NDArray[np.float64],
        progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float64]:
        """Make steps, on all ranks; an exception of `progress` on one of them interrupts all."""
        ...

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, on all ranks, or None where there is none."""
        ...

    def save(
        self,
        path: str | os.PathLike[str],
        arrays: dict[str, NDArray[Any]],
        config: dict[str, Any],
        *,
        keep_previous: bool = True,
    ) -> None:
        """Write a checkpoint."""
        ...


class Leader:
    """A run as rank 0 sees it, which has the other ranks do what it does."""

    def __init__(self, run: SharedRun, comm: Comm) -> None:
        """Begin where all ranks have the same arrays."""
        self._run = run
        self._comm = comm
        self._step: int | None = None
        self.batch_size = run.batch_size
        self.uniform_loss: float = getattr(run, "uniform_loss", float("inf"))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of rank 0."""
        return self._run.arrays

    @property
    def exchange_seconds(self) -> float:
        """The time that ranks took to exchange what the last chunk of steps had changed."""
        return self._run.exchange_seconds

    def train(self, first_step: int, lrs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make as many steps as there are learning rates, on all ranks; return the losses."""
        # The loop has put back other arrays where it does not go on from the last step.
        is_moved = self._step is not None and first_step != self._step
        with _ending_all(self._comm), _deferred_signals() as answer:
            self._comm.broadcast_object(_Train(first_step, lrs, is_moved))
            if is_moved:
                send_arrays(self._comm, self._run.arrays)
            losses = self._run.train(first_step, lrs, answer)
        self._step = first_step + len(losses)
        return losses

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, to which each rank adds its part."""
        with _ending_all(self._comm), _deferred_signals():
            self._comm.broadcast_object(_Measure())
            return self._run.dev_loss()

    def save(
        self,
        path: str | os.PathLike[str],
        arrays: dict[str, NDArray[Any]],
        config: dict[str, Any],
        *,
        keep_previous: bool = True,
    ) -> None:
        """Write a checkpoint, on rank 0 alone."""
        self._run.save(path, arrays, config, keep_previous=keep_previous)


def lead(run: SharedRun, comm: Comm, go: Callable[[Leader], Any], result: Callable[[], Any]) -> Any:
    """Run a loop on rank 0; at its end give the arrays, and `result`, to the other ranks.

    What the loop raises is raised on all ranks.
    """
    raised: BaseException | None = None
    try:
        go(Leader(run, comm))
    except BaseException as error:
        raised = error
        raise
    finally:
        with _ending_all(comm), _deferred_signals():
            told = raised
            if isinstance(told, KeyboardInterrupt):
                told = KeyboardInterrupt(*told.args)  # Without what only rank 0 can use.
            comm.broadcast_object(_End(pickled(0, told), result()))
            send_arrays(comm, run.arrays)
        if raised is not None:
            mark_on_all_ranks(raised)


def follow(run: SharedRun, comm: Comm, take: Callable[[Any], None]) -> None:
    """Do what rank 0 says until its loop has ended; take the result, then raise what it raised.

    Ctrl-C is for rank 0 to answer.
    """
    with _ending_all(comm), _ignored_signals():
        while not isinstance(command := _next_command(comm), _End):
            if isinstance(command, _Measure):
                run.dev_loss()
                continue
            if command.is_moved:
                send_arrays(comm, run.arrays)
            # After a Ctrl-C on rank 0 that rank will say what comes next.
            with suppress(KeyboardInterrupt):
                run.train(command.first_step, command.lrs)
        send_arrays(comm, run.arrays)
    take(command.result)
    if command.error:
        raise mark_on_all_ranks(pickle.loads(command.error))


def _next_command(comm: Comm) -> _Train | _Measure | _End:
    nothing: Any = None
    return comm.broadcast_object(nothing)


def send_arrays(comm: Comm, arrays: dict[str, NDArray[Any]]) -> None:
    """Copy the arrays of rank 0 to all ranks."""
    for name in sorted(arrays):
        comm.broadcast(arrays[name])


@contextmanager
def _ending_all(comm: Comm) -> Generator[None]:
    """End all ranks after an error that the others do not share: they would wait for ever."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if comm.size == 1 or is_on_all_ranks(error):
            raise
        fail(comm, error)


def fail(comm: Comm, error: BaseException) -> NoReturn:
    """Print an error, and end all ranks."""
    if not isinstance(error, (MemoryError, OSError)):
        traceback.print_exception(error)
    told = f"rank {comm.rank} of {comm.size}: {type(error).__name__}: {error}; all ranks end"
    sys.stderr.write(f"{cut(told, 500)}\n")
    comm.abort(1)


@contextmanager
def _deferred_signals() -> Generator[Callable[[int], None]]:
    """Answer Ctrl-C and SIGTERM at the end of the block, or where the function yielded is called.

    An exception between two messages would leave the other ranks waiting.
    """
    before: dict[int, Any] = {}
    came: list[int] = []

    def answer(_done: int = 0) -> None:
        while came:
            number = came.pop(0)
            before[number](number, None)

    # Only the main thread may say what signals do.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(number)):
                before[number] = handler
                signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield answer
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    answer()


@contextmanager
def _ignored_signals() -> Generator[None]:
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
