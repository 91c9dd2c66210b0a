"""Copies of what training changes, so that it can be taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


@dataclass(eq=False)
class Snapshot:
    """The arrays after some number of steps."""

    step: int
    arrays: dict[str, NDArray[Any]]


class Snapshots:
    """The way in which the arrays of a run are copied and put back."""

    def __init__(self, arrays: Arrays) -> None:
        """Keep the arrays, not yet copied."""
        self._arrays = arrays

    def copy(self, step: int) -> Snapshot:
        """Copy the arrays."""
        return Snapshot(step, {name: array.copy() for name, array in self._arrays.items()})

    def take(self, snapshot: Snapshot, step: int) -> None:
        """Copy the arrays into a snapshot's own memory."""
        for name, array in self._arrays.items():
            np.copyto(snapshot.arrays[name], array)
        snapshot.step = step

    def put(self, snapshot: Snapshot) -> None:
        """Set the arrays to what they were."""
        for name, array in self._arrays.items():
            np.copyto(array, snapshot.arrays[name])


@dataclass(frozen=True)
class Best:
    """The arrays with the lowest loss so far; its loss is None where no step has told it yet."""

    snapshot: Snapshot
    loss: float | None


class LastTwo:
    """The snapshots after the last two chunks of steps.

    The newer one is where an interrupted chunk is taken back to. The older one is for a loss that
    fails at the first step of a chunk, where the parameters in the newer one are at fault.
    """

    def __init__(self, snapshots: Snapshots, step: int) -> None:
        """Copy the arrays as they are at the start."""
        self._snapshots = snapshots
        self.newer = snapshots.copy(step)
        self.older = snapshots.copy(step)

    def take(self, step: int) -> None:
        """Copy the arrays into the memory of the older snapshot.

        An interrupt half-way leaves the newer one as it was.
        """
        spare, kept = self.older, self.newer
        self._snapshots.take(spare, step)
        self.newer, self.older = spare, kept

    def before(self, step: int) -> Snapshot:
        """Return the newest snapshot that was made after `step` steps or fewer."""
        return self.newer if self.newer.step <= step else self.older
