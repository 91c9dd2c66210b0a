"""Looking for a learning rate, as the lecture does."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._checks import shorten, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..models.base import Examples, Trainable


class LRSweep(NamedTuple):
    """Rates and the losses they met: two arrays (steps made,) float64.

    `losses[k]` is the loss of mini-batch k, before its update at `rates[k]`.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]

    def __repr__(self) -> str:
        """Tell what was tried, and what was found."""
        if not len(self.losses):
            return "LRSweep(0 rates)"
        tried = f"{len(self.rates):,} rates from {self.rates[0]:.4g} to {self.rates[-1]:.4g}"
        return f"LRSweep({tried}; lowest loss at {self.best():.4g})"

    def smooth(self, width: int | None = None) -> NDArray[np.float64]:
        """Give each loss as the mean over `width` losses around it, a twentieth by default."""
        width = max(1, len(self.losses) // 20) if width is None else whole("width", width, least=1)
        kernel = np.ones(width)
        weights = np.convolve(np.ones(len(self.losses)), kernel, mode="same")
        return np.convolve(self.losses, kernel, mode="same") / weights

    def lowest(self) -> float:
        """Give the rate at which the smoothed losses are lowest, the valley of the lecture."""
        return float(self.rates[int(np.argmin(self.smooth()))])


def lr_find(
    model: Trainable,
    train: Examples,
    low: float = 1e-3,
    high: float = 1.0,
    steps: int = 1000,
    **options: Any,
) -> LRSweep:
    """Try rates from `low` to `high`, one a step, on a copy of the model.

    Their exponents are evenly spaced, as in the lecture (makemore, part 2): a good rate lies where
    the losses have come down and not yet begun to rise. Loss and rate go up together where steps
    become too large; a loss that is not finite ends the sweep there. `options` are those of the
    model's training: batch, optimizer, seed and so on.

    Raises `ValueError` unless 0 < low < high, `TypeError` for what is no such model, and what the
    model says of data and options.

    >>> from fastgrad.models.nplm import NPLM
    >>> from fastgrad.text import Vocab
    >>> names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
    >>> model = NPLM(Vocab.from_texts(names), hidden_dim=20)
    >>> sweep = lr_find(model, names, steps=300, batch_size=8)
    >>> sweep.lrs[[0, -1]].tolist(), 0.01 < sweep.best() < 1
    ([0.001, 1.0], True)
    """
    if not (hasattr(model, "start") and hasattr(model, "copy")):
        raise TypeError(
            f"model is {shorten(model)}; expected one that can be trained, such as an NPLM"
        )
    for name, value in (("low", low), ("high", high)):
        if not isinstance(value, Real):
            raise TypeError(f"{name} is {shorten(value)}; expected a number")
    if not (math.isfinite(high) and 0 < low < high):
        raise ValueError(
            f"low is {shorten(low)} and high is {shorten(high)}; expected 0 < low < high"
        )
    steps = whole("steps", steps, least=2)
    rates = low * (high / low) ** np.linspace(0.0, 1.0, steps)
    rates[-1] = high
    run = model.copy().start(train, **options)
    losses = run.train(0, rates)
    return LRSweep(rates[: len(losses)], losses)
