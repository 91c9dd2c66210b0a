"""What a training run has seen: losses and rates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .rates import Rates


@dataclass(frozen=True, eq=False)
class History:
    """What a training run has seen, step by step.

    `loss[k]` is the mean loss of the mini-batch of step k, before its update, and `rate[k]` the
    learning rate of that update: both (steps made,) float64. `dev_loss` holds the losses on the
    development text, (evaluations,) float64, and `dev_step` how many steps had been made by then,
    (evaluations,) int64; both are empty without such a text. `stopped` says why it ended.

    >>> import numpy as np
    >>> history = History(loss=np.array([3.0, 2.0, 2.0, 1.0]), rate=np.full(4, 0.1))
    >>> steps, means = history.smooth(2)
    >>> steps.tolist(), means.tolist()
    ([2, 4], [2.5, 1.5])
    >>> history
    History(4 steps; last loss 1.0000)
    """

    loss: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    rate: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    dev_step: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    dev_loss: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    stopped: str = ""

    def __repr__(self) -> str:
        """Tell how far it went, and how well."""
        steps = len(self.loss)
        parts = ["1 step" if steps == 1 else f"{steps:,} steps"]
        if steps:
            parts.append(f"last loss {self.loss[-1]:.4f}")
        if len(self.dev_loss):
            best = int(np.argmin(self.dev_loss))
            parts.append(f"best dev loss {self.dev_loss[best]:.4f} at {self.dev_step[best]:,}")
        if self.stopped:
            parts.append(self.stopped)
        return f"{type(self).__name__}({'; '.join(parts)})"

    @property
    def step(self) -> NDArray[np.int64]:
        """The number of each step, from 0: (steps made,) int64."""
        return np.arange(len(self.loss))

    def smooth(self, every: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give the mean loss of every `every` steps, as the lecture draws it.

        Returns how many steps had been made by the end of each stretch, and its mean; what is left
        over at the end has a mean of its own. By default there are about 200 stretches.
        """
        if every is not None and every < 1:
            raise ValueError(f"every is {every!r}; expected at least 1")
        width = every or max(1, len(self.loss) // 200)
        starts = np.arange(0, len(self.loss), width)
        ends = np.minimum(starts + width, len(self.loss))
        if not len(starts):
            return starts, np.empty(0)
        return ends, np.add.reduceat(self.loss, starts) / (ends - starts)


class Record:
    """A history while it grows."""

    def __init__(self, rates: Rates, history: History | None = None) -> None:
        """Start with nothing, or where an earlier part of the run has ended."""
        past = history or History()
        self.rates = rates
        self.steps = len(past.loss)
        self.dev_steps = past.dev_step.tolist()
        self.dev_losses = past.dev_loss.tolist()
        self.stopped = ""
        # Twice as long whenever it is full: how many steps there will be is a plan, no promise.
        self._losses = past.loss.copy()

    def add(self, losses: NDArray[np.float64]) -> None:
        """Take the losses of the steps that were just made."""
        end = self.steps + len(losses)
        if end > len(self._losses):
            longer = np.empty(max(end, 2 * len(self._losses), 1024))
            longer[: self.steps] = self._losses[: self.steps]
            self._losses = longer
        self._losses[self.steps : end] = losses
        self.steps = end

    def add_dev(self, loss: float) -> None:
        """Take a loss on the development text, after the steps made so far."""
        self.dev_steps.append(self.steps)
        self.dev_losses.append(loss)

    def cut(self, steps: int) -> None:
        """Forget what came after so many steps."""
        self.steps = min(self.steps, steps)
        while self.dev_steps and self.dev_steps[-1] > self.steps:
            self.dev_steps.pop()
            self.dev_losses.pop()

    def mean_since(self, step: int) -> float:
        """Give the mean loss of the steps from `step` on, of which there must be one."""
        return float(self._losses[step : self.steps].mean())

    def since_best(self) -> int:
        """Count the evaluations since the one with the lowest loss, which came first."""
        return len(self.dev_losses) - 1 - int(np.argmin(self.dev_losses))

    def history(self) -> History:
        """Give what was seen so far, as arrays of its own."""
        return History(
            loss=self._losses[: self.steps].copy(),
            rate=self.rates.part(0, self.steps),
            dev_step=np.array(self.dev_steps, dtype=np.int64),
            dev_loss=np.array(self.dev_losses, dtype=np.float64),
            stopped=self.stopped,
        )
