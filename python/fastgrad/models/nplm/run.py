"""A network while it is trained: its data, its optimizer, and one call a chunk of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..._checks import shorten
from ..saving import write_model
from . import kernels, saved

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray

    from .examples import Prepared
    from .learner import Learner
    from .optimizers import Optimizer


def steps_of(examples: int, epochs: float | None, batch_size: int) -> int:
    """Return how many steps draw as many examples as there are, `epochs` times.

    >>> steps_of(1000, epochs=2, batch_size=300)
    8
    """
    if isinstance(epochs, bool) or not isinstance(epochs, (int, float)):
        raise TypeError(f"epochs is {shorten(epochs)}; expected a number")
    if not math.isfinite(epochs) or epochs <= 0:
        raise ValueError(f"epochs is {shorten(epochs)}; expected a finite number above 0")
    steps = math.ceil(examples / batch_size) * float(epochs)
    if steps > 2.0**62:
        raise ValueError(f"epochs is {shorten(epochs)}, {steps:g} steps; expected at most 2**62")
    return max(1, round(math.ceil(examples / batch_size) * epochs))


@dataclass
class NPLMRun:
    """A run that `fastgrad.training` trains: see `fastgrad.base.TrainingRun`.

    Which examples make up a mini-batch follows from the seed and the number of the step alone, so
    these two are all the random state there is.
    """

    model: Learner[Any]
    train_examples: Prepared
    dev_examples: Prepared | None
    optimizer: Optimizer
    state: dict[str, NDArray[Any]]
    batch_size: int
    seed: int
    dropout: tuple[float, float]
    threads: int | None

    @property
    def uniform_loss(self) -> float:
        """The loss of equal probabilities, ln V: what has learned nothing."""
        return math.log(len(self.model.vocab))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parameters and what the optimizer remembers, as `C` and `optimizer.mean.C`."""
        remembered = {f"optimizer.{name}": array for name, array in self.state.items()}
        return self.model._parameters | remembered

    def train(self, first_step: int, lrs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make as many steps as there are learning rates; return the losses."""
        return kernels.train(
            self.model._parameters,
            self.state,
            self.train_examples,
            self.optimizer,
            lrs,
            batch_size=self.batch_size,
            first_step=first_step,
            seed=self.seed,
            dropout=self.dropout,
            threads=self.threads,
        )

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, or None where there is none."""
        if self.dev_examples is None:
            return None
        return kernels.loss(self.model._parameters, self.dev_examples, self.threads)

    def save(
        self,
        path: str | os.PathLike[str],
        arrays: dict[str, NDArray[Any]],
        config: dict[str, Any],
        *,
        keep_previous: bool = True,
    ) -> None:
        """Write a checkpoint from which `resume` goes on."""
        tensors, settings = saved.parts(self.model, self.arrays | arrays, self.to_config() | config)
        kind, note = self.model.kind, self.model.note
        write_model(path, kind, tensors, settings, note, keep_previous=keep_previous)

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able values; of the examples only a digest."""
        return {
            "batch_size": self.batch_size,
            "seed": self.seed,
            "optimizer": self.optimizer.to_config(),
            "dropout": list(self.dropout),
            "train": self._digests[0],
            "dev": self._digests[1],
        }

    @cached_property
    def _digests(self) -> tuple[str, str | None]:
        """The digests of the examples, which take long where these are many."""
        dev = self.dev_examples
        return self.train_examples.digest(), None if dev is None else dev.digest()
