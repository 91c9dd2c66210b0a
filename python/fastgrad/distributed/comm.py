"""The protocol by which ranks send arrays to each other, and the engines that carry them."""

from __future__ import annotations

import atexit
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from .._checks import shorten, whole

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from typing import NoReturn

    from numpy.typing import NDArray

_T = TypeVar("_T")

# The tag of point-to-point messages, so that they are not taken for a user's own.
_TAG = 2003

# Requests, which keep what they send, until it has arrived; they may outlive their `MPIComm`.
_sending: list[Any] = []


@runtime_checkable
class Comm(Protocol):
    """A group of `size` processes, of which this one has the number `rank`.

    Arrays are C-contiguous numpy arrays; where one is received into, all ranks give the same shape
    and dtype. All ranks call the collective methods (`allreduce`, `broadcast`, `gather`,
    `broadcast_object`), in the same order.
    """

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        ...

    @property
    def size(self) -> int:
        """The number of processes."""
        ...

    def allreduce(self, array: NDArray[Any]) -> None:
        """Replace the array of each rank by the sum over all ranks, the same bits on each."""
        ...

    def broadcast(self, array: NDArray[Any], root: int = 0) -> None:
        """Replace the array of each rank by that of `root`."""
        ...

    def gather(self, array: NDArray[Any], root: int = 0) -> list[NDArray[Any]] | None:
        """Return on `root` the array of each rank, on the others None.

        Shapes may differ, the dtype may not.
        """
        ...

    def send(self, array: NDArray[Any], to: int) -> None:
        """Send an array to a rank, without waiting until it is received.

        The array may be changed at once. Arrays from one rank to another arrive in order.
        """
        ...

    def receive(self, array: NDArray[Any], source: int) -> None:
        """Replace an array by the next one that a rank sends; wait for it."""
        ...

    def broadcast_object(self, value: _T, root: int = 0) -> _T:
        """Return on each rank the value that `root` gave, pickled; for small settings."""
        ...

    def abort(self, status: int) -> NoReturn:
        """End all ranks at once, with an exit status."""
        ...


class SelfComm:
    """A group of one process, which needs no engine.

    >>> comm = SelfComm()
    >>> total = np.array([1.0, 2.0])
    >>> comm.allreduce(total)
    >>> total.tolist(), [part.tolist() for part in comm.gather(total)]
    ([1.0, 2.0], [[1.0, 2.0]])
    """

    rank = 0
    size = 1

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self._sent: list[NDArray[Any]] = []

    def allreduce(self, array: NDArray[Any]) -> None:
        """Leave the array, which is the sum, as it is."""
        _check_array(array)

    def broadcast(self, array: NDArray[Any], root: int = 0) -> None:
        """Leave the array as it is."""
        _check_array(array, is_read=True)
        _check_rank("root", root, 1)

    def gather(self, array: NDArray[Any], root: int = 0) -> list[NDArray[Any]] | None:
        """Return a copy of the array, in a list."""
        _check_array(array, is_read=True)
        _check_rank("root", root, 1)
        return [array.copy()]

    def send(self, array: NDArray[Any], to: int) -> None:
        """Keep a copy of the array for `receive`."""
        _check_array(array, is_read=True)
        _check_rank("to", to, 1)
        self._sent.append(array.copy())

    def receive(self, array: NDArray[Any], source: int) -> None:
        """Replace an array by the oldest one sent; `ValueError` where nothing was."""
        _check_array(array)
        _check_rank("source", source, 1)
        if not self._sent:
            raise ValueError("nothing was sent; a process alone would wait for ever")
        if self._sent[0].nbytes != array.nbytes:
            raise _other_size(array, self._sent[0].nbytes)
        _bytes_of(array)[:] = _bytes_of(self._sent.pop(0))

    def broadcast_object(self, value: _T, root: int = 0) -> _T:
        """Return the value."""
        _check_rank("root", root, 1)
        return value

    def abort(self, status: int) -> NoReturn:
        """End the process at once."""
        _exit(status)


class MPIComm:
    """A `Comm` over a communicator of mpi4py, such as `MPI.COMM_WORLD`.

    An allreduce of floats gives the same bits on all ranks, but other ones for another number of
    ranks, as the order of a sum is MPI's to choose.
    """

    def __init__(self, comm: Any) -> None:
        """Keep the communicator."""
        self._mpi: Any = import_module("mpi4py.MPI")
        self._comm = comm
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def allreduce(self, array: NDArray[Any]) -> None:
        """Replace the array of each rank by the sum over all ranks."""
        _check_array(array)
        self._comm.Allreduce(self._mpi.IN_PLACE, array)

    def broadcast(self, array: NDArray[Any], root: int = 0) -> None:
        """Replace the array of each rank by that of `root`."""
        _check_array(array, is_read=self.rank == root)
        _check_rank("root", root, self.size)
        self._comm.Bcast(array, root)

    def gather(self, array: NDArray[Any], root: int = 0) -> list[NDArray[Any]] | None:
        """Return on `root` the array of each rank, on the others None."""
        _check_array(array, is_read=True)
        _check_rank("root", root, self.size)
        shapes: list[tuple[int, ...]] | None = self._comm.gather(array.shape, root)
        if shapes is None:
            self._comm.Gatherv(array, None, root)
            return None
        sizes = [int(np.prod(shape)) for shape in shapes]
        together = np.empty(sum(sizes), array.dtype)
        self._comm.Gatherv(array, [together, sizes], root)
        parts = np.split(together, np.cumsum(sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def send(self, array: NDArray[Any], to: int) -> None:
        """Send a copy of the array; it is kept until it has been received."""
        _check_array(array, is_read=True)
        _check_rank("to", to, self.size)
        _sending[:] = [request for request in _sending if not request.Test()]
        _sending.append(self._comm.Isend(array.copy(), to, _TAG))

    def receive(self, array: NDArray[Any], source: int) -> None:
        """Replace an array by the next one that a rank sends; wait for it."""
        _check_array(array)
        _check_rank("source", source, self.size)
        status = self._mpi.Status()
        self._comm.Recv(array, source, _TAG, status)
        found = status.Get_count(self._mpi.BYTE)
        if found != array.nbytes:
            raise _other_size(array, found)

    def broadcast_object(self, value: _T, root: int = 0) -> _T:
        """Return on each rank the value that `root` gave."""
        _check_rank("root", root, self.size)
        return self._comm.bcast(value, root)

    def abort(self, status: int) -> NoReturn:
        """End all ranks at once, with an exit status."""
        _flush()
        self._comm.Abort(status)
        _exit(status)  # Abort does not return; a communicator of somebody else's might.


class TorchComm:
    """A `Comm` over `torch.distributed` with its backend gloo; `group` None is the default group.

    Raises `RuntimeError` unless `torch.distributed.init_process_group` has been called.
    """

    def __init__(self, group: Any = None) -> None:
        """Keep the group."""
        self._torch: Any = import_module("torch")
        self._dist: Any = import_module("torch.distributed")
        if not self._dist.is_initialized():
            raise RuntimeError(
                "torch.distributed has no process group; call init_process_group('gloo') first"
            )
        self._group = group
        self.rank: int = self._dist.get_rank(group)
        self.size: int = self._dist.get_world_size(group)
        # A thread keeps each message and waits for it: gloo does not say what has arrived.
        self._sender: ThreadPoolExecutor | None = None

    def _tensor(self, array: NDArray[Any]) -> Any:
        """Return the memory of an array as a tensor of bytes."""
        flat = _bytes_of(array)
        return self._torch.from_numpy(flat if flat.flags.writeable else flat.copy())

    def _global(self, rank: int) -> int:
        """Return the number of a rank in the default group, which torch wants to hear."""
        return rank if self._group is None else self._dist.get_global_rank(self._group, rank)

    def allreduce(self, array: NDArray[Any]) -> None:
        """Replace the array of each rank by the sum over all ranks."""
        _check_array(array)
        # Sums of unsigned numbers are, bit for bit, those of signed ones.
        signed = array.view(f"i{array.itemsize}") if array.dtype.kind == "u" else array
        self._dist.all_reduce(self._torch.from_numpy(signed), group=self._group)

    def broadcast(self, array: NDArray[Any], root: int = 0) -> None:
        """Replace the array of each rank by that of `root`."""
        _check_array(array, is_read=self.rank == root)
        _check_rank("root", root, self.size)
        self._dist.broadcast(self._tensor(array), self._global(root), group=self._group)

    def gather(self, array: NDArray[Any], root: int = 0) -> list[NDArray[Any]] | None:
        """Return on `root` the array of each rank, on the others None."""
        _check_array(array, is_read=True)
        _check_rank("root", root, self.size)
        # torch gathers tensors of one size only.
        shapes: list[Any] = [None] * self.size
        self._dist.all_gather_object(shapes, array.shape, group=self._group)
        if self.rank != root:
            self.send(array, root)
            return None
        parts = [np.empty(shape, array.dtype) for shape in shapes]
        parts[root][...] = array
        for rank, part in enumerate(parts):
            if rank != root:
                self.receive(part, rank)
        return parts

    def send(self, array: NDArray[Any], to: int) -> None:
        """Send a copy of the array; it is kept until it has been received."""
        _check_array(array, is_read=True)
        _check_rank("to", to, self.size)
        tensor = self._tensor(array.copy())
        work = self._dist.isend(tensor, self._global(to), group=self._group)
        if self._sender is None:
            from concurrent.futures import ThreadPoolExecutor

            self._sender = ThreadPoolExecutor(1, "fastgrad-send")
        self._sender.submit(_wait, work, tensor)

    def receive(self, array: NDArray[Any], source: int) -> None:
        """Replace an array by the next one that a rank sends; wait for it."""
        _check_array(array)
        _check_rank("source", source, self.size)
        self._dist.recv(self._tensor(array), self._global(source), group=self._group)

    def broadcast_object(self, value: _T, root: int = 0) -> _T:
        """Return on each rank the value that `root` gave."""
        _check_rank("root", root, self.size)
        values = [value]
        self._dist.broadcast_object_list(values, self._global(root), group=self._group)
        return values[0]

    def abort(self, status: int) -> NoReturn:
        """End this process at once; the launcher, such as torchrun, ends the others."""
        _exit(status)


def as_comm(comm: object) -> Comm:
    """Return a `Comm` for a communicator of mpi4py, for torch.distributed, or a `Comm` as it is.

    `torch.distributed` itself stands for its default group; None is a group of this process alone.

    Raises `TypeError` for anything else.

    >>> as_comm("world")
    Traceback (most recent call last):
    TypeError: comm is 'world'; expected a communicator of mpi4py, such as MPI.COMM_WORLD, \
torch.distributed or one of its groups, or a fastgrad.distributed.Comm
    """
    if comm is None:
        return SelfComm()
    # Whoever has such an object has imported the package that it is of.
    mpi, torch = _imported("mpi4py.MPI"), _imported("torch.distributed")
    if mpi is not None and isinstance(comm, mpi.Intracomm):
        return MPIComm(comm)
    if torch is not None and (comm is torch or isinstance(comm, torch.ProcessGroup)):
        return TorchComm(None if comm is torch else comm)
    if not isinstance(comm, type) and isinstance(comm, Comm):
        size = whole("comm.size", comm.size, least=1)
        whole("comm.rank", comm.rank, most=size - 1)
        return comm
    raise TypeError(
        f"comm is {shorten(comm)}; expected a communicator of mpi4py, such as MPI.COMM_WORLD,"
        " torch.distributed or one of its groups, or a fastgrad.distributed.Comm"
    )


def mpi_world() -> MPIComm:
    """Return all processes that `mpiexec` has started; without it, this process alone.

    Raises `ImportError` where mpi4py is not installed, or finds no MPI.
    """
    try:
        mpi = import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f'MPI needs mpi4py and an MPI library; pip install "fastgrad[mpi]" ({error})'
        ) from None
    return MPIComm(mpi.COMM_WORLD)


def _imported(name: str) -> Any:
    """Return a module if somebody has imported it."""
    return sys.modules.get(name)


def _check_array(array: NDArray[Any], *, is_read: bool = False) -> None:
    """Raise unless an array can be sent, or received into, where it is."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"array is {shorten(array)}; expected a numpy array")
    if array.dtype.hasobject:
        raise TypeError(f"array has dtype {array.dtype}; expected one of plain numbers")
    if not array.flags.c_contiguous:
        raise ValueError("array is not C-contiguous; expected numpy.ascontiguousarray of it")
    if not (is_read or array.flags.writeable):
        raise ValueError("array is read-only; expected one that can be written to")


def _check_rank(name: str, rank: object, size: int) -> None:
    whole(name, rank, most=size - 1)


def _other_size(array: NDArray[Any], found: int) -> ValueError:
    return ValueError(f"array has {array.nbytes:,} bytes; expected the {found:,} that were sent")


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


@atexit.register
def _wait_for_all() -> None:
    """Wait until all that was sent has arrived, before its memory is freed."""
    for request in _sending:
        request.Wait()


def _wait(work: Any, _kept: Any) -> None:
    work.wait()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _exit(status: int) -> NoReturn:
    _flush()
    os._exit(status)
