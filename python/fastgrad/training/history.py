"""The losses and learning rates of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _display
from .._checks import shorten
from .._hints import no_attribute
from .learning_rates import LearningRates

if TYPE_CHECKING:
    from collections.abc import Mapping

# The number of update-to-data ratios that a history keeps of each array, roughly.
_RATIOS = 200
# Members as they are called elsewhere, and here.
_MEANT = {
    "losses": "loss",
    "lossi": "loss",
    "train_loss": "loss",
    "val_loss": "dev_loss",
    "lrs": "lr",
    "plot": "fastgrad.plots.loss_curve(history)",
}


@dataclass(frozen=True, eq=False)
class History:
    """The losses and learning rates of a training run, step by step.

    `loss[k]` is the mean loss of the mini-batch of step k, before its update, and `lr[k]` the
    learning rate of that update: both (steps made,) float64. `dev_loss` holds the losses on the
    development text, (evaluations,) float64, and `dev_steps` how many steps had been made by then,
    (evaluations,) int64; both are empty without such a text. `stopped` says why it ended.

    `update_ratio` has the update-to-data ratio of each array by name where `fit` was asked for it:
    the standard deviation of a step's update divided by that of the parameter after it, as in the
    lecture, of the steps `update_steps`, both (K,); it is nan where a parameter has no spread.

    >>> import numpy as np
    >>> history = History(loss=np.array([3.0, 2.0, 2.0, 1.0]), lr=np.full(4, 0.1))
    >>> steps, means = history.smooth(2)
    >>> steps.tolist(), means.tolist()
    ([2, 4], [2.5, 1.5])
    >>> history
    History(4 steps; last loss 1.0000)
    """

    loss: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    lr: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    dev_steps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    dev_loss: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    stopped: str = ""
    update_steps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    update_ratio: dict[str, NDArray[np.float64]] = field(
        default_factory=dict[str, NDArray[np.float64]]
    )

    def __repr__(self) -> str:
        """Show how far it went, and how well."""
        steps = len(self.loss)
        parts = ["1 step" if steps == 1 else f"{steps:,} steps"]
        if steps:
            parts.append(f"last loss {self.loss[-1]:.4f}")
        if len(self.dev_loss):
            best = int(np.argmin(self.dev_loss))
            parts.append(f"best dev loss {self.dev_loss[best]:.4f} at {self.dev_steps[best]:,}")
        if self.stopped:
            parts.append(self.stopped)
        return f"{type(self).__name__}({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """Show the curves of the losses in a notebook."""
        return _display.stacked(self, [self._curves()])

    def _curves(self) -> str:
        steps, means = self.smooth()
        series = {"loss": (steps.tolist(), means.tolist())}
        if len(self.dev_loss):
            series["dev loss"] = self.dev_steps.tolist(), self.dev_loss.tolist()
        return _display.curves(series, "steps")

    @property
    def steps(self) -> int:
        """The number of steps made."""
        return len(self.loss)

    def smooth(self, every: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the mean loss of every `every` steps, as the lecture draws it.

        Returns how many steps had been made by the end of each stretch, and its mean; what is left
        over at the end has a mean of its own. By default there are about 200 stretches.
        """
        if every is not None and every < 1:
            raise ValueError(f"every is {shorten(every)}; expected at least 1")
        width = every or max(1, len(self.loss) // 200)
        starts = np.arange(0, len(self.loss), width)
        ends = np.minimum(starts + width, len(self.loss))
        if not len(starts):
            return starts, np.empty(0)
        return ends, np.add.reduceat(self.loss, starts) / (ends - starts)

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, _MEANT)


def ratio_interval(steps: int) -> int:
    """Return the number of steps from one recorded update-to-data ratio to the next."""
    return max(1, steps // _RATIOS)


def update_ratios(
    before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]
) -> dict[str, float]:
    """Return the update-to-data ratio of each array after a step."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: float(
                np.divide(np.std(array - before[name], dtype=float), np.std(array, dtype=float))
            )
            for name, array in after.items()
        }


class Record:
    """A history while it grows."""

    def __init__(self, lrs: LearningRates, history: History | None = None) -> None:
        """Start with nothing, or where an earlier part of the run has ended."""
        past = history or History()
        self.lrs = lrs
        self.steps = len(past.loss)
        self.stopped = ""
        # Pairs of (steps made, loss), each appended at once, so that an interrupt leaves no half.
        self._dev = list(zip(past.dev_steps.tolist(), past.dev_loss.tolist(), strict=True))
        # Twice as long whenever it is full: how many steps there will be is a plan, no promise.
        self._losses = past.loss.copy()
        # The step and the ratio of each array.
        self._ratios = [
            (step, {name: float(ratios[i]) for name, ratios in past.update_ratio.items()})
            for i, step in enumerate(past.update_steps.tolist())
        ]

    @property
    def losses(self) -> NDArray[np.float64]:
        """The loss of each step made so far."""
        return self._losses[: self.steps]

    @property
    def last_dev_step(self) -> int:
        """The number of steps made before the last evaluation on dev."""
        return self._dev[-1][0] if self._dev else 0

    def add(self, losses: NDArray[np.float64]) -> None:
        """Add the losses of the steps that were just made."""
        end = self.steps + len(losses)
        if end > len(self._losses):
            longer = np.empty(max(end, 2 * len(self._losses), 1024))
            longer[: self.steps] = self._losses[: self.steps]
            self._losses = longer
        self._losses[self.steps : end] = losses
        self.steps = end

    def add_dev(self, loss: float) -> None:
        """Add a loss on the development text, after the steps made so far."""
        self._dev.append((self.steps, loss))

    def add_ratios(self, ratios: dict[str, float]) -> None:
        """Add the update-to-data ratios of the step that was made last."""
        self._ratios.append((self.steps - 1, ratios))

    def cut(self, steps: int) -> None:
        """Forget the steps after the first so many."""
        self.steps = min(self.steps, steps)
        while self._ratios and self._ratios[-1][0] >= steps:
            self._ratios.pop()

    def cut_dev(self, steps: int) -> None:
        """Forget the dev losses that were looked at after more than so many steps."""
        while self._dev and self._dev[-1][0] > steps:
            self._dev.pop()

    def mean_since(self, step: int) -> float:
        """Return the mean loss of the steps from `step` on, of which there must be one."""
        return float(self._losses[step : self.steps].mean())

    def is_lowest(self, dev_loss: float | None) -> bool:
        """Return whether a dev loss is lower than all before it."""
        return dev_loss is not None and all(dev_loss < loss for _, loss in self._dev)

    def since_best(self) -> int:
        """Count the evaluations since the one with the lowest loss, which came first."""
        losses = [loss for _, loss in self._dev]
        return len(losses) - 1 - int(np.argmin(losses)) if losses else 0

    def history(self) -> History:
        """Return what was seen so far, as arrays of its own."""
        names = self._ratios[0][1] if self._ratios else {}
        return History(
            loss=self.losses.copy(),
            lr=self.lrs.part(0, self.steps),
            dev_steps=np.array([step for step, _ in self._dev], dtype=np.int64),
            dev_loss=np.array([loss for _, loss in self._dev], dtype=np.float64),
            stopped=self.stopped,
            update_steps=np.array([step for step, _ in self._ratios], dtype=np.int64),
            update_ratio={
                name: np.array([ratios[name] for _, ratios in self._ratios]) for name in names
            },
        )
