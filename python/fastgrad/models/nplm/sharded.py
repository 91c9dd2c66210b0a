"""A training run on ranks that have a shard of the output layer each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checkpoint import Parts
from ...distributed.training import ending_all
from . import kernels
from .ranks import RanksRun

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

# The bytes of a message with rows, of which few are in memory at a time.
_MESSAGE = 2**22
# Rank 0's request when it needs no more rows.
_NO_MORE = (-1, 0, 0)


@dataclass
class ShardedRun(RanksRun):
    """A run of which a rank has its rows of the output layer, and no others.

    They are those of U, b and W, of C where it is tied, and of the optimizer's state for them. All
    other arrays are whole on every rank. Rank 0 asks for the rows of the others where it saves
    them, and never has them all.
    """

    output_layer = "sharded"

    @property
    def shards(self) -> Arrays:
        """Those of `arrays` of which each rank has other rows."""
        return self._shards_of(self.arrays)

    def _shards_of(self, arrays: Arrays) -> Arrays:
        shape = self.model._shape_of()
        return {name: array for name, array in arrays.items() if shape.is_output(name)}

    def _own_rows(self, arrays: Arrays) -> Arrays:
        return arrays

    def _exchange_rows(self, arrays: Arrays) -> None:
        """Exchange nothing."""

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, to whose softmax each rank adds its tokens."""
        if self.dev_examples is None:
            return None
        return kernels.loss(
            self.model._parameters, self.dev_examples, self.threads, self.comm, self._vocab_size
        )

    def save(
        self,
        path: str | os.PathLike[str],
        arrays: Arrays,
        config: dict[str, Any],
        *,
        keep_previous: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write a checkpoint on rank 0, while the others are in `give_rows`."""
        try:
            shards = sorted(self._shards_of(self.arrays | arrays).items())
            whole: dict[str, Any] = {
                name: self._whole(number, own, progress)
                for number, (name, own) in enumerate(shards)
            }
            super().save(path, arrays | whole, config, keep_previous=keep_previous)
        finally:
            with ending_all(self.comm):
                for rank in range(1, self.comm.size):
                    self.comm.send(np.array(_NO_MORE, np.int64), rank)

    def _whole(
        self, number: int, own: NDArray[Any], progress: Callable[[int], object] | None
    ) -> Parts:
        """Return an array with the rows of all ranks, which are asked for when they are written."""
        shape = (self._vocab_size, *own.shape[1:])
        return Parts(shape, own.dtype, partial(self._all_rows, number, own, progress))

    def _all_rows(
        self, number: int, own: NDArray[Any], progress: Callable[[int], object] | None
    ) -> Generator[NDArray[Any]]:
        yield own
        row_bytes = math.prod(own.shape[1:]) * own.itemsize
        if not row_bytes:  # There are no hidden units.
            return
        at_once = max(1, _MESSAGE // row_bytes)
        for rank in range(1, self.comm.size):
            rows = self._rows(rank)
            count = rows.stop - rows.start
            for first in range(0, count, at_once):
                if progress is not None:
                    progress(first)
                part = np.empty((min(at_once, count - first), *own.shape[1:]), own.dtype)
                with ending_all(self.comm):
                    self.comm.send(np.array((number, first, first + len(part)), np.int64), rank)
                    self.comm.receive(part, rank)
                yield part

    def give_rows(self, best: Arrays | None) -> None:
        """Send rank 0 the rows that it asks for, of the arrays and of the best ones so far."""
        copies = {} if best is None else {f"best.{name}": array for name, array in best.items()}
        shards = [array for _, array in sorted((self.shards | copies).items())]
        asked = np.empty(3, np.int64)
        while True:
            self.comm.receive(asked, 0)
            number, first, end = asked.tolist()
            if (number, first, end) == _NO_MORE:
                return
            self.comm.send(shards[number][first:end], 0)
