"""Looking for a learning rate, as the lecture does."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._checks import list_length, shorten, whole
from .._hints import hint_names, no_attribute

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    from ..base import AnyTexts, Trainable


# Members as they are called elsewhere, and here.
_MEANT = {
    "suggestion": "best()",
    "valley": "best()",
    "lowest": "best()",
    "rates": "lrs",
    "plot": "fastgrad.plots.lr_curve(sweep)",
}


class LRSweep(NamedTuple):
    """Learning rates and the losses they met: two arrays (steps made,) float64.

    `losses[k]` is the loss of mini-batch k, before its step with the learning rate `lrs[k]`.
    """

    lrs: NDArray[np.float64]
    losses: NDArray[np.float64]

    def __repr__(self) -> str:
        """Show what was tried, and what was found."""
        if not len(self.losses):
            return "LRSweep(0 learning rates)"
        tried = f"{len(self.lrs):,} learning rates from {self.lrs[0]:.4g} to {self.lrs[-1]:.4g}"
        return f"LRSweep({tried}; lowest loss at {self.best():.4g})"

    def smooth(self, width: int | None = None) -> NDArray[np.float64]:
        """Return each loss as the mean over `width` losses around it, a twentieth by default."""
        width = max(1, len(self.losses) // 20) if width is None else whole("width", width, least=1)
        kernel = np.ones(width)
        weights = np.convolve(np.ones(len(self.losses)), kernel, mode="same")
        return np.convolve(self.losses, kernel, mode="same") / weights

    def best(self) -> float:
        """Return the learning rate with the lowest smoothed loss, the valley of the lecture."""
        return float(self.lrs[int(np.argmin(self.smooth()))])

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, _MEANT)


@hint_names(low="min_lr", high="max_lr", start_lr="min_lr", end_lr="max_lr", num_iter="steps")
def lr_find(
    model: Trainable[AnyTexts],
    train: AnyTexts,
    min_lr: float = 1e-3,
    max_lr: float = 1.0,
    steps: int = 1000,
    *,
    batch_size: int | None = None,
    optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
    weight_decay: float = 0.0,
    seed: int = 0,
    threads: int | None = None,
) -> LRSweep:
    """Try learning rates from `min_lr` to `max_lr`, one a step, on a copy of the model.

    Their exponents are evenly spaced, as in the lecture (makemore, part 2): a good learning rate
    lies where the losses have come down and not yet begun to rise. Loss and learning rate go up
    together where steps become too large; a loss that is not finite ends the sweep there. The other
    settings are those of the model's `fit`. A model without a vocabulary takes that of `train`; it
    is left unchanged itself.

    Raises `ValueError` unless 0 < min_lr < max_lr, `TypeError` for what is no such model, and what
    `fit` raises for data and settings.

    >>> from fastgrad.models import NPLM
    >>> names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
    >>> model = NPLM(context_length=3, embedding_dim=10, hidden_dim=20)
    >>> sweep = lr_find(model, names, steps=300, batch_size=8)
    >>> sweep.lrs[[0, -1]].tolist(), 0.01 < sweep.best() < 1
    ([0.001, 1.0], True)
    """
    if not (hasattr(model, "_start") and hasattr(model, "copy")):
        raise TypeError(
            f"model is {shorten(model)}; expected one trained by steps, such as an NPLM"
        )
    for name, value in (("min_lr", min_lr), ("max_lr", max_lr)):
        if not isinstance(value, Real):
            raise TypeError(f"{name} is {shorten(value)}; expected a number")
    if not (math.isfinite(max_lr) and 0 < min_lr < max_lr):
        raise ValueError(
            f"min_lr is {shorten(min_lr)} and max_lr is {shorten(max_lr)};"
            " expected 0 < min_lr < max_lr"
        )
    steps = list_length("steps", steps, least=2)
    lrs = min_lr * (max_lr / min_lr) ** np.linspace(0.0, 1.0, steps)
    lrs[-1] = max_lr
    run = model.copy()._start(
        train,
        batch_size=batch_size,
        optimizer=optimizer,
        weight_decay=weight_decay,
        seed=seed,
        threads=threads,
    )
    losses = run.train(0, lrs)
    return LRSweep(lrs[: len(losses)], losses)
