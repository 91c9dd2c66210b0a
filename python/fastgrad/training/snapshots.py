"""Copies of what training changes, so that it can be taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


@dataclass
class Snapshot:
    """The arrays after some number of steps."""

    step: int
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, arrays: Arrays, step: int) -> Snapshot:
        """Copy the arrays."""
        return cls(step, {name: array.copy() for name, array in arrays.items()})

    def take(self, arrays: Arrays, step: int) -> None:
        """Copy the arrays into this snapshot's own memory."""
        for name, array in arrays.items():
            np.copyto(self.arrays[name], array)
        self.step = step

    def put(self, arrays: Arrays) -> None:
        """Set the arrays to what they were."""
        for name, array in arrays.items():
            np.copyto(array, self.arrays[name])


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

    def __init__(self, arrays: Arrays, step: int) -> None:
        """Copy the arrays as they are at the start."""
        self._arrays = arrays
        self.newer = Snapshot.of(arrays, step)
        self.older = Snapshot.of(arrays, step)

    def take(self, step: int) -> None:
        """Copy the arrays into the memory of the older snapshot.

        An interrupt half-way leaves the newer one as it was.
        """
        spare, kept = self.older, self.newer
        spare.take(self._arrays, step)
        self.newer, self.older = spare, kept

    def before(self, step: int) -> Snapshot:
        """Return the newest snapshot that was made after `step` steps or fewer."""
        return self.newer if self.newer.step <= step else self.older
