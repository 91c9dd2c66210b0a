"""Training that goes wrong: the error, and the smoothed loss that tells it."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The smoothed loss moves by a fiftieth towards each step's loss: that of one mini-batch, which is
# noisy, does not end a run, and one of a thousand does.
_TOWARDS = 1 / 50
# A smoothed loss above this many times its start, and as many times ln V, has lost all learning.
_TOO_HIGH = 2.0


class DivergedError(FloatingPointError):
    """The loss, or a parameter, became nan or infinite, or the loss rose beyond all that is useful.

    The loss is too high where, smoothed, it is more than twice its start and twice ln V, the loss
    of equal probabilities. `step` is the step in which this was noticed, counted from 0, `lr` that
    step's learning rate, and `loss` the smoothed loss, or None for one that is not finite. Of a
    loss that is too high the model has the best parameters that were seen, at an evaluation or at
    the start; of one that is not finite the last whose loss was finite, or where that was above its
    start and above ln V, the best as well.
    """

    def __init__(self, step: int, lr: float, loss: float | None = None) -> None:
        """Keep what the message names."""
        super().__init__(step, lr, loss)
        self.step = step
        self.lr = lr
        self.loss = loss

    def __str__(self) -> str:
        """Return the message: step, learning rate, loss, and which parameters are left."""
        if self.loss is None:
            return (
                f"diverged: the loss became nan or infinite at step {self.step}, at lr"
                f" {self.lr:g}; the model has the last good parameters. A smaller lr may help"
            )
        return (
            f"diverged at step {self.step}, at lr {self.lr:g}: the smoothed loss rose to"
            f" {self.loss:.4g}, more than twice what it began with and that of equal"
            " probabilities; the model has the best parameters that were seen. A smaller lr may"
            " help"
        )


class Smoothed:
    """The smoothed loss of a run, and the limit above which it has diverged.

    It follows from the losses of all steps alone, and not from the chunks that they come in.
    """

    def __init__(self, uniform: float, losses: NDArray[np.float64]) -> None:
        """Take the loss of equal probabilities, and the losses of the steps made before."""
        self._uniform = uniform
        self.start: float | None = None
        self.loss: float | None = None
        self.limit = math.inf
        self.add(losses)

    def add(self, losses: NDArray[np.float64]) -> int | None:
        """Take the losses of more steps; return which of them is the first above the limit."""
        if not len(losses):
            return None
        values = losses.tolist()
        if self.loss is None:
            self.start = self.loss = values[0]
            self.limit = _TOO_HIGH * max(values[0], self._uniform)
        means = accumulate(values, _moved, initial=self.loss)
        for place, mean in enumerate(means, -1):
            if mean > self.limit:
                self.loss = mean
                return max(place, 0)
            self.loss = mean
        return None

    def is_high(self, loss: float) -> bool:
        """Return whether a loss is above the run's start and above that of equal probabilities."""
        return loss > self.limit / _TOO_HIGH

    @property
    def is_in_danger(self) -> bool:
        """True where the smoothed loss is high."""
        return self.loss is not None and self.is_high(self.loss)


def _moved(mean: float, loss: float) -> float:
    return mean + (loss - mean) * _TOWARDS
