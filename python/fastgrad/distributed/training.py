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
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from .together import is_on_all_ranks, pickled

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from .comm import Comm


class SharedRun(Protocol):
    """A `fastgrad.base.TrainingRun` whose steps and losses all ranks compute together."""

    batch_size: int

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

    def train(self, first_step: int, lrs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make as many steps as there are learning rates, on all ranks; return the losses."""
        # The loop has put back other arrays where it does not go on from the last step.
        is_moved = self._step is not None and first_step != self._step
        with _ending_all(self._comm), _deferred_signals() as answer:
            self._comm.broadcast_object(("train", first_step, lrs, is_moved))
            if is_moved:
                send_arrays(self._comm, self._run.arrays)
            losses = self._run.train(first_step, lrs, answer)
        self._step = first_step + len(losses)
        return losses

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, to which each rank adds its part."""
        with _ending_all(self._comm), _deferred_signals():
            self._comm.broadcast_object(("dev_loss",))
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
    error: BaseException | None = None
    try:
        go(Leader(run, comm))
    except BaseException as raised:
        error = raised
        raise
    finally:
        with _ending_all(comm), _deferred_signals():
            if isinstance(error, KeyboardInterrupt):
                error = KeyboardInterrupt(*error.args)  # What rank 0 adds to it is of no use there.
            comm.broadcast_object(("end", pickled(0, error), result()))
            send_arrays(comm, run.arrays)


def follow(run: SharedRun, comm: Comm, take: Callable[[Any], None]) -> None:
    """Do what rank 0 says until its loop has ended; take the result, then raise what it raised.

    Ctrl-C is for rank 0 to answer.
    """
    with _ending_all(comm), _ignored_signals():
        while True:
            what, *arguments = comm.broadcast_object(())
            if what == "train":
                first_step, lrs, is_moved = arguments
                if is_moved:
                    send_arrays(comm, run.arrays)
                try:
                    run.train(first_step, lrs)
                except KeyboardInterrupt:
                    continue  # It was interrupted on rank 0, which will say what comes next.
            elif what == "dev_loss":
                run.dev_loss()
            else:
                error, result = arguments
                send_arrays(comm, run.arrays)
                break
    take(result)
    if error:
        raise pickle.loads(error)


def send_arrays(comm: Comm, arrays: dict[str, NDArray[Any]]) -> None:
    """Copy the arrays of rank 0 to all ranks."""
    for name in sorted(arrays):
        comm.broadcast(arrays[name])


@contextmanager
def _ending_all(comm: Comm) -> Iterator[None]:
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
    """Tell of an error, and end all ranks."""
    told = "".join(traceback.format_exception(error))
    sys.stderr.write(f"{told}rank {comm.rank} of {comm.size} has failed; all ranks end\n")
    comm.abort(1)


@contextmanager
def _deferred_signals() -> Iterator[Callable[[int], None]]:
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
def _ignored_signals() -> Iterator[None]:
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
