"""Curves over the steps of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .._checks import amount, shorten
from .canvas import axes_for, finish, legible

if TYPE_CHECKING:
    from os import PathLike
    from typing import TypeGuard

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["loss_curve", "lr_curve"]

_COLOURS = ("#2f6db3", "#d9822b", "#3a8f5c", "#8a5fb0", "#777777")


class Losses(Protocol):
    """The members of `fastgrad.training.History` that a picture uses."""

    @property
    def loss(self) -> NDArray[np.float64]:
        """The loss of each step."""
        ...

    @property
    def dev_steps(self) -> NDArray[np.int64]:
        """The number of steps made before each loss on dev."""
        ...

    @property
    def dev_loss(self) -> NDArray[np.float64]:
        """The losses on dev."""
        ...

    def smooth(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return steps and mean losses."""
        ...


class Trained(Protocol):
    """A model that remembers its losses, as an array or a `Losses`."""

    @property
    def history(self) -> Any:
        """The losses of its training."""
        ...


class Sweep(Protocol):
    """The members of `fastgrad.training.LRSweep` that a picture uses."""

    @property
    def lrs(self) -> NDArray[np.float64]:
        """The learning rate of each step."""
        ...

    @property
    def losses(self) -> NDArray[np.float64]:
        """The loss of each step."""
        ...

    def smooth(self) -> NDArray[np.float64]:
        """Return smoothed losses."""
        ...

    def best(self) -> float:
        """Return the learning rate with the lowest smoothed loss."""
        ...


def loss_curve(
    history: ArrayLike | Mapping[str, ArrayLike] | Losses | Trained,
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str = "Loss",
    goal: float | None = None,
    goal_name: str = "goal",
    log_steps: bool = False,
) -> Axes:
    """Draw how losses, in nats per token, fell while a model was trained; return the Axes.

    `history` is a model that was trained, or its `fastgrad.training.History`: drawn are the losses
    of mini-batches, as means of neighbouring steps, and those on dev where there are any. It may
    also be a curve, or a dict of several by name: an array of K losses, one a step from step 0 on,
    or one of shape (2, K), steps and losses. `goal` is a loss to compare with, drawn as a line
    across. With `log_steps` the axis of steps is logarithmic. Losses that are not finite leave a
    gap.

    Where `path` is given, the picture is written to that file; otherwise a notebook shows it. `ax`
    are the Axes to draw on, those of a new figure if None.

    Raises `ValueError` for a curve of another shape or without a single loss, `TypeError` for what
    is no curve, `OSError` where the file cannot be written, `ImportError` without matplotlib.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "loss.png")
    ...     ax = loss_curve({"train": [3.3, 2.7, 2.5], "dev": [[0, 2], [3.3, 2.6]]}, path=path)
    ...     os.path.getsize(path) > 1000
    True
    """
    goal = None if goal is None else amount("goal", goal)
    seen: Any = getattr(history, "history", history)
    if seen is None:
        raise ValueError(
            f"history of {shorten(history)} is None; expected a model trained by steps"
        )
    if hasattr(seen, "dev_loss"):
        seen = _curves_of(seen)
    named = seen if _is_mapping(seen) else {"": seen}
    curves = {name: _points(name, curve) for name, curve in named.items()}
    if not curves:
        raise ValueError("history is empty; expected at least one curve")

    axes = axes_for(ax, path, 7.6, 4.6)
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for i, (name, (steps, losses)) in enumerate(curves.items()):
        # A single step makes no line; a point shows it.
        marker = "o" if len(steps) == 1 else ""
        colour = _COLOURS[i % len(_COLOURS)]
        axes.plot(steps, losses, color=colour, linewidth=1.4, marker=marker, label=legible(name))
    if goal is not None:
        axes.axhline(goal, color="#808080", linewidth=0.9, linestyle="--", label=legible(goal_name))
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.set_title(legible(title), parse_math=False)
    if log_steps:
        axes.set_xscale("symlog", linthresh=1.0)  # Linear up to step 1, since there is a step 0.
        axes.set_xlim(left=0.0)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#888888", alpha=0.28, linewidth=0.6)
    if any(curves) or goal is not None:
        for text in axes.legend(frameon=False).get_texts():
            text.set_parse_math(False)
    return finish(axes, path)


def lr_curve(
    sweep: Sweep,
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str = "Loss against learning rate",
) -> Axes:
    """Draw what `fastgrad.training.lr_find` tried, as the lecture does; return the Axes.

    Drawn are the loss of each mini-batch against its learning rate, the smoothed losses as a line,
    and the learning rate where they are lowest. `path` and `ax` are those of `loss_curve`.

    Raises `ValueError` for a sweep without steps, `TypeError` for what is no sweep, `OSError` where
    the file cannot be written, `ImportError` without matplotlib.
    """
    if not (hasattr(sweep, "lrs") and hasattr(sweep, "losses")):
        raise TypeError(f"sweep is {shorten(sweep)}; expected an LRSweep, as lr_find returns it")
    if not len(sweep.losses):
        raise ValueError("sweep has no steps; expected at least one")
    line, best = sweep.smooth(), sweep.best()

    axes = axes_for(ax, path, 7.6, 4.6)
    axes.plot(
        sweep.lrs, sweep.losses, color=_COLOURS[0], linewidth=0.7, alpha=0.35, label="mini-batches"
    )
    axes.plot(sweep.lrs, line, color=_COLOURS[0], linewidth=1.8, label="mean of neighbours")
    axes.axvline(best, color=_COLOURS[1], linewidth=1.2, linestyle="--", label=f"{best:.2g}")
    axes.set_xscale("log")
    # Keeps the valley visible where the losses at the end of a sweep are huge.
    low, high = float(sweep.losses.min()), float(np.percentile(sweep.losses, 90))
    high = max(min(high, 1.2 * float(line[: 1 + len(line) // 20].max())), low)
    margin = 0.3 * (high - low) + 1e-3
    axes.set_ylim(low - margin / 6, high + margin)
    axes.set(xlabel="learning rate", ylabel="loss (nats per token)")
    axes.set_title(legible(title), parse_math=False)
    axes.grid(color="#888888", alpha=0.28, linewidth=0.6)
    axes.legend(frameon=False)
    return finish(axes, path)


def _is_mapping(seen: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(seen, Mapping)


def _curves_of(history: Losses) -> dict[str, ArrayLike]:
    """Return the curves of a `fastgrad.training.History` by name."""
    if not len(history.loss):
        raise ValueError("history has no steps yet; expected that of a model that was trained")
    curves: dict[str, ArrayLike] = {"train, mean of mini-batches": history.smooth()}
    if len(history.dev_loss):
        curves["dev"] = (history.dev_steps, history.dev_loss)
    return curves


def _points(name: str, curve: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        numbers = np.asarray(curve, dtype=np.float64)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        raise TypeError(
            f"the curve {name!r} of history is {shorten(curve)}; expected numbers"
        ) from None
    if numbers.ndim == 1 and numbers.size:
        return np.arange(numbers.size, dtype=np.float64), numbers
    if numbers.ndim == 2 and len(numbers) == 2 and numbers.size:
        return numbers[0], numbers[1]
    raise ValueError(
        f"the curve {name!r} of history has shape {numbers.shape}; expected (K,) losses, or (2, K)"
        " steps and losses"
    )
