"""Curves over the steps of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from .._checks import amount, shorten
from .canvas import legible, new_figure

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

__all__ = ["loss_curve"]

_COLOURS = ("#2f6db3", "#d9822b", "#3a8f5c", "#8a5fb0", "#777777")


class Losses(Protocol):
    """What `fastgrad.training.History` has."""

    @property
    def loss(self) -> NDArray[np.float64]:
        """The loss of each step."""
        ...

    @property
    def dev_step(self) -> NDArray[np.int64]:
        """After how many steps the losses on dev were measured."""
        ...

    @property
    def dev_loss(self) -> NDArray[np.float64]:
        """The losses on dev."""
        ...

    def smooth(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give steps and mean losses."""
        ...


class Trained(Protocol):
    """A model that remembers its losses, as an array or a `Losses`."""

    @property
    def history(self) -> Any:
        """What its training saw."""
        ...


def loss_curve(
    history: ArrayLike | Mapping[str, ArrayLike] | Losses | Trained,
    path: str | PathLike[str],
    title: str = "Loss",
    goal: float | None = None,
    goal_name: str = "goal",
    log_steps: bool = False,
) -> None:
    """Save a PNG of how losses, in nats a symbol, went down while a model was trained.

    `history` is one curve, or several with a name each. A curve is an array of K losses, one a
    step from step 0 on, or an array of shape (2, K): steps above, losses below. It may also be a
    model that was trained, or a `fastgrad.training.History`, of which the losses on train are drawn
    as means of neighbours, and those on dev where there are any. `goal` is a loss
    to compare with, drawn as a line across. With `log_steps` steps are spaced by their logarithms,
    so that the first ones, where most happens, can be told apart. Losses that are not finite leave
    a gap.

    Raises ValueError for a curve of another shape or without a single loss, TypeError for what is
    no curve at all, OSError where the file cannot be written.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "loss.png")
    ...     loss_curve({"train": [3.3, 2.7, 2.5], "dev": [[0, 2], [3.3, 2.6]]}, path, goal=2.454)
    ...     os.path.getsize(path) > 1000
    True
    """
    goal = None if goal is None else amount("goal", goal)
    seen: Any = getattr(history, "history", history)
    if hasattr(seen, "dev_loss"):
        seen = _curves_of(seen)
    named = seen if isinstance(seen, Mapping) else {"": seen}
    curves = {name: _points(name, curve) for name, curve in named.items()}
    if not curves:
        raise ValueError("history is empty; expected at least one curve")

    figure = new_figure(7.6, 4.6)
    axes = figure.add_subplot()
    for i, (name, (steps, losses)) in enumerate(curves.items()):
        # A single step makes no line; a point shows it.
        marker = "o" if len(steps) == 1 else ""
        colour = _COLOURS[i % len(_COLOURS)]
        axes.plot(steps, losses, color=colour, linewidth=1.4, marker=marker, label=legible(name))
    if goal is not None:
        axes.axhline(goal, color="#333333", linewidth=0.9, linestyle="--", label=legible(goal_name))
    axes.set(xlabel="step", ylabel="loss, nats a symbol")
    axes.set_title(legible(title), parse_math=False)
    if log_steps:
        axes.set_xscale("symlog", linthresh=1.0)  # Linear up to step 1, since there is a step 0.
        axes.set_xlim(left=0.0)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    if any(curves) or goal is not None:
        for text in axes.legend(frameon=False).get_texts():
            text.set_parse_math(False)
    figure.savefig(path)


def _curves_of(history: Losses) -> dict[str, ArrayLike]:
    """Give the curves of a `fastgrad.training.History`."""
    if not len(history.loss):
        raise ValueError("history has no steps yet; expected that of a model that was trained")
    curves: dict[str, ArrayLike] = {"train, mean of mini-batches": history.smooth()}
    if len(history.dev_loss):
        curves["dev"] = (history.dev_step, history.dev_loss)
    return curves


def _points(name: str, curve: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        numbers = np.asarray(curve, dtype=np.float64)
    except (OverflowError, TypeError, ValueError):
        raise TypeError(
            f"the curve {shorten(name)} of history is {shorten(curve)}; expected numbers"
        ) from None
    if numbers.ndim == 1 and numbers.size:
        return np.arange(numbers.size, dtype=np.float64), numbers
    if numbers.ndim == 2 and len(numbers) == 2 and numbers.size:
        return numbers[0], numbers[1]
    raise ValueError(
        f"the curve {shorten(name)} of history has shape {numbers.shape}; expected"
        " (K,) losses, or (2, K)"
        " steps and losses"
    )
