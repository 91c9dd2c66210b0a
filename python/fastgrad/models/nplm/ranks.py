"""A training run of a network whose steps several ranks make together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import _core
from ..._core import MICRO_BATCH
from . import kernels
from .examples import Prepared
from .run import NPLMRun

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...distributed import Comm
    from .kernels import OutputLayer, Reduction

REDUCTIONS = ("exact", "fast")
OUTPUT_LAYERS = ("whole", "sharded")


@dataclass
class RanksRun(NPLMRun):
    """A run of which every rank has the examples, the parameters and the optimizer's state.

    With `reduction` "exact" a rank computes the logits of a part of the vocabulary, and changes the
    rows of U, b and W (of C where it is tied) that belong to it; after a chunk of steps all ranks
    get the rows of each. With "fast" it takes a part of each mini-batch, and gradients are added.
    """

    output_layer: ClassVar[OutputLayer] = "whole"

    comm: Comm
    reduction: Reduction
    exchange_seconds: float = 0.0
    """The time that ranks took to exchange rows after the last chunk of steps."""

    @property
    def shards(self) -> dict[str, NDArray[Any]]:
        """Those of `arrays` of which each rank has other rows: none."""
        return {}

    def give_rows(self, best: dict[str, NDArray[Any]] | None) -> None:
        """Do nothing, as rank 0 has all rows."""

    def save(
        self,
        path: str | os.PathLike[str],
        arrays: dict[str, NDArray[Any]],
        config: dict[str, Any],
        *,
        keep_previous: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write a checkpoint, on rank 0 alone."""
        super().save(path, arrays, config, keep_previous=keep_previous)

    def settings(self) -> dict[str, Any]:
        """Return what has to be the same on all ranks, in words or as a digest."""
        model = self.model
        arrays = hashlib.blake2b(digest_size=16)
        shards = self.shards
        for name, array in sorted(self.arrays.items()):
            if name in shards:
                continue
            arrays.update(f"{name} {array.shape} {array.dtype.str}".encode())
            arrays.update(array.data)
        return {
            "fastgrad.__version__": _core.__version__,
            "the kind of CPU that the kernels run for": _core.__cpu__,
            "the size of the model": model._shape,
            "vocab": hashlib.blake2b(repr(list(model.vocab)).encode(), digest_size=16).hexdigest(),
            "reduction": self.reduction,
            "output_layer": self.output_layer,
            **self.to_config(),
            "the parameters at the start": arrays.hexdigest(),
        }

    def train(
        self,
        first_step: int,
        lrs: NDArray[np.float64],
        progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float64]:
        """Make as many steps as there are learning rates, on all ranks; return the losses."""
        parameters, state = self.model._parameters, self.state
        losses = kernels.train(
            self._own_rows(parameters),
            self._own_rows(state),
            self.train_examples,
            self.optimizer,
            lrs,
            batch_size=self.batch_size,
            first_step=first_step,
            seed=self.seed,
            dropout=self.dropout,
            threads=self.threads,
            progress=progress,
            comm=self.comm,
            reduction=self.reduction,
            vocab_size=self._vocab_size,
        )
        start = perf_counter()
        self._exchange_rows(parameters | state)
        self.exchange_seconds = perf_counter() - start
        return losses

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, to which each rank adds its part; on rank 0."""
        if self.dev_examples is None:
            return None
        contexts, targets = self.dev_examples
        groups = -(-len(targets) // MICRO_BATCH)
        first, end = (
            min(len(targets), groups * rank // self.comm.size * MICRO_BATCH)
            for rank in (self.comm.rank, self.comm.rank + 1)
        )
        losses = np.zeros(end - first)
        if end > first:
            # Of a running text, the ids before the first target belong to its context.
            width = len(contexts) - len(targets) if contexts.ndim == 1 else 0
            part = Prepared(contexts[first : end + width], targets[first:end])
            losses = kernels.losses(self.model._parameters, part, self.threads)
        parts = self.comm.gather(losses)
        return None if parts is None else _mean(np.concatenate(parts))

    @property
    def _vocab_size(self) -> int:
        return len(self.model.vocab)

    def _rows(self, rank: int) -> slice:
        return rows_of(self._vocab_size, rank, self.comm.size)

    def _own_rows(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return arrays with those rows of the output layer that this rank changes."""
        if self.reduction == "fast":
            return arrays
        shape, rows = self.model._shape_of(), self._rows(self.comm.rank)
        return {
            name: array[rows] if shape.is_output(name) else array for name, array in arrays.items()
        }

    def _exchange_rows(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Give all ranks the rows that each has changed."""
        if self.reduction == "fast":
            return
        for name, array in arrays.items():
            if self.model._shape_of().is_output(name):
                for rank in range(self.comm.size):
                    self.comm.broadcast(array[self._rows(rank)], rank)


def rows_of(vocab_size: int, rank: int, size: int) -> slice:
    """Return the rows of the output layer that a rank changes in exact training."""
    first, count = _core.nplm_shard(vocab_size, rank, size)
    return slice(first, first + count)


def _mean(losses: NDArray[np.float64]) -> float:
    """Return the mean of losses, added up as Rust does: micro-batch by micro-batch."""
    padded = np.zeros((-(-len(losses) // MICRO_BATCH), MICRO_BATCH))
    padded.flat[: len(losses)] = losses
    return float(padded.cumsum(axis=1)[:, -1].cumsum()[-1]) / len(losses)
