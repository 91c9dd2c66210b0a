"""Training runs on several ranks: rank 0 runs the loop, and the others make its steps with it.

Everything that is decided is decided on rank 0: the learning rate, when to evaluate, to save and to
stop. It tells the others what to do next; they follow until it says that the run is over, and then
have the same model.

Of a run that is sharded each rank has other rows of some arrays. What rank 0 does with the arrays,
copies, puts back and saves, all ranks do with their rows then. Arrays that all ranks have are
copied and saved by rank 0 alone, which sends them to the others where it puts them back.
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
from weakref import WeakSet

import numpy as np

from .._checks import cut
from ..training.snapshots import Snapshots
from .together import is_on_all_ranks, mark_on_all_ranks, pickled

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from ..training.snapshots import Snapshot
    from .comm import Comm

    Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Train:
    """Make steps."""

    first_step: int
    lrs: NDArray[np.float64]


@dataclass(frozen=True)
class _Measure:
    """Measure the loss on the development text."""


@dataclass(frozen=True)
class _Copy:
    """Copy the rows as they are after `step` steps; of the copies before keep those of `kept`."""

    step: int
    kept: frozenset[int]


@dataclass(frozen=True)
class _Put:
    """Put back what was copied after `step` steps."""

    step: int


@dataclass(frozen=True)
class _Save:
    """Send rank 0 the rows that it asks for, also those copied after `best` steps."""

    best: int | None


@dataclass(frozen=True)
class _End:
    """End with the result of rank 0, or with the error that it has raised, pickled."""

    error: bytes
    result: Any


class SharedRun(Protocol):
    """A `fastgrad.base.TrainingRun` whose steps and losses all ranks compute together."""

    batch_size: int
    exchange_seconds: float

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parameters and what the optimizer remembers: the same on all ranks, or `shards`."""
        ...

    @property
    def shards(self) -> dict[str, NDArray[Any]]:
        """Those of `arrays` of which each rank has other rows."""
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
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write a checkpoint, on rank 0, with the rows that it asks the others for.

        An exception of `progress` interrupts it.
        """
        ...

    def give_rows(self, best: Arrays | None) -> None:
        """Send rank 0 the rows of `shards`, and of the copies `best`, that it asks for."""
        ...


class Leader:
    """A run as rank 0 sees it, which has the other ranks do what it does.

    `best` is a snapshot that all ranks have read from a checkpoint.
    """

    def __init__(self, run: SharedRun, comm: Comm, best: Snapshot | None = None) -> None:
        """Begin where all ranks have the same arrays."""
        self._run = run
        self._comm = comm
        self.snapshots = _SharedSnapshots(run, comm, best)
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
        with ending_all(self._comm), deferred_signals() as answer:
            self._comm.broadcast_object(_Train(first_step, lrs))
            return self._run.train(first_step, lrs, answer)

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, to which each rank adds its part."""
        with ending_all(self._comm), deferred_signals():
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
        """Write a checkpoint, on rank 0; the others give it their rows."""
        if not self._run.shards:
            self._run.save(path, arrays, config, keep_previous=keep_previous)
            return
        with deferred_signals() as answer:
            with ending_all(self._comm):
                self._comm.broadcast_object(_Save(config.get("best_step")))
            self._run.save(path, arrays, config, keep_previous=keep_previous, progress=answer)


class _SharedSnapshots(Snapshots):
    """Snapshots of all ranks: each copies its rows, rank 0 the arrays that all have as well.

    The steps tell the other ranks' copies apart: those after the same number of steps are equal.
    """

    def __init__(self, run: SharedRun, comm: Comm, best: Snapshot | None) -> None:
        super().__init__(run.arrays)
        self._run = run
        self._comm = comm
        self._alive = WeakSet([] if best is None else [best])

    def copy(self, step: int) -> Snapshot:
        with ending_all(self._comm), deferred_signals():
            self._tell_copy(step, set(self._alive))
            snapshot = super().copy(step)
            self._alive.add(snapshot)
        return snapshot

    def take(self, snapshot: Snapshot, step: int) -> None:
        with ending_all(self._comm), deferred_signals():
            self._tell_copy(step, set(self._alive) - {snapshot})
            super().take(snapshot, step)

    def _tell_copy(self, step: int, kept: set[Snapshot]) -> None:
        if self._run.shards:
            steps = frozenset(snapshot.step for snapshot in kept)
            self._comm.broadcast_object(_Copy(step, steps))

    def put(self, snapshot: Snapshot) -> None:
        with ending_all(self._comm), deferred_signals():
            self._comm.broadcast_object(_Put(snapshot.step))
            super().put(snapshot)
            _send_whole(self._comm, self._run)


def lead(
    run: SharedRun,
    comm: Comm,
    go: Callable[[Leader], Any],
    result: Callable[[], Any],
    best: Snapshot | None = None,
) -> Any:
    """Run a loop on rank 0; at its end give the arrays, and `result`, to the other ranks.

    What the loop raises is raised on all ranks.
    """
    raised: BaseException | None = None
    try:
        go(Leader(run, comm, best))
    except BaseException as error:
        raised = error
        raise
    finally:
        with ending_all(comm), deferred_signals():
            told = raised
            if isinstance(told, KeyboardInterrupt):
                told = KeyboardInterrupt(*told.args)  # Without what only rank 0 can use.
            comm.broadcast_object(_End(pickled(0, told), result()))
            _send_whole(comm, run)
        if raised is not None:
            mark_on_all_ranks(raised)


def follow(
    run: SharedRun, comm: Comm, take: Callable[[Any], None], best: Snapshot | None = None
) -> None:
    """Do what rank 0 says until its loop has ended; take the result, then raise what it raised.

    Ctrl-C is for rank 0 to answer.
    """
    copies: dict[int, Arrays] = {}
    if best is not None:
        copies[best.step] = {name: best.arrays[name] for name in run.shards}
    with ending_all(comm), _ignored_signals():
        while not isinstance(command := _next_command(comm), _End):
            if isinstance(command, _Measure):
                run.dev_loss()
            elif isinstance(command, _Copy):
                copies = {step: copies[step] for step in command.kept}
                if command.step not in copies:
                    copies[command.step] = Snapshots(run.shards).copy(command.step).arrays
            elif isinstance(command, _Put):
                for name, array in run.shards.items():
                    np.copyto(array, copies[command.step][name])
                _send_whole(comm, run)
            elif isinstance(command, _Save):
                run.give_rows(None if command.best is None else copies[command.best])
            else:
                # After a Ctrl-C on rank 0 that rank will say what comes next.
                with suppress(KeyboardInterrupt):
                    run.train(command.first_step, command.lrs)
        _send_whole(comm, run)
    take(command.result)
    if command.error:
        raise mark_on_all_ranks(pickle.loads(command.error))


def _next_command(comm: Comm) -> _Train | _Measure | _Copy | _Put | _Save | _End:
    nothing: Any = None
    return comm.broadcast_object(nothing)


def _send_whole(comm: Comm, run: SharedRun) -> None:
    """Copy the arrays of rank 0 to all ranks, but for shards."""
    for name in sorted(run.arrays.keys() - run.shards.keys()):
        comm.broadcast(run.arrays[name])


@contextmanager
def ending_all(comm: Comm) -> Generator[None]:
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
def deferred_signals() -> Generator[Callable[[int], None]]:
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
