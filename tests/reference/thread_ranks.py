"""Ranks that are threads of one process: a `fastgrad.distributed.Comm` that needs no engine."""

import copy
import functools
import queue
import threading

import numpy as np


class Group:
    """What the ranks of a group share."""

    def __init__(self, size):
        self.size = size
        self.slots = [None] * size
        self.meeting = threading.Barrier(size)
        self.queues = {(a, b): queue.Queue() for a in range(size) for b in range(size)}


class ThreadComm:
    """The communicator of one rank; `abort` breaks the group, so that all ranks raise."""

    def __init__(self, group, rank):
        self._group = group
        self.rank = rank
        self.size = group.size
        self.sent_bytes = 0

    def _exchange(self, value):
        self._group.slots[self.rank] = value
        self._group.meeting.wait(60)
        values = list(self._group.slots)
        self._group.meeting.wait(60)
        return values

    def allreduce(self, array):
        self.sent_bytes += array.nbytes
        array[...] = functools.reduce(np.add, self._exchange(array.copy()))

    def broadcast(self, array, root=0):
        self.sent_bytes += array.nbytes if self.rank == root else 0
        found = self._exchange(array.copy() if self.rank == root else None)[root]
        if self.rank != root:
            array[...] = found

    def gather(self, array, root=0):
        values = self._exchange(array.copy())
        return values if self.rank == root else None

    def send(self, array, to):
        self.sent_bytes += array.nbytes
        self._group.queues[self.rank, to].put(array.copy())

    def receive(self, array, source):
        array[...] = self._group.queues[source, self.rank].get(timeout=60)

    def broadcast_object(self, value, root=0):
        return copy.deepcopy(self._exchange(value)[root])

    def abort(self, status):
        self._group.meeting.abort()
        raise SystemExit(status)


def run_threads(size, work):
    """Call `work(comm)` on ranks; return what each returned, or the exception that it raised."""
    group = Group(size)
    results = [None] * size

    def run(rank):
        try:
            results[rank] = work(ThreadComm(group, rank))
        except BaseException as error:
            results[rank] = error
            if not isinstance(error, Exception):
                group.meeting.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


def bits(model):
    """Return the parameters of a network as bytes, and what its training was like."""
    found = {name: getattr(model, name, None) for name in ("C", "H", "d", "U", "b", "W", "P")}
    arrays = {name: array.tobytes() for name, array in found.items() if array is not None}
    history = model.history
    return arrays, history.loss.tolist(), history.dev_loss.tolist(), history.stopped
