"""The decision boundary of a classifier of points in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import array, shorten
from .canvas import axes_for, figure_of, finish, legible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["decision_boundary"]

_NEGATIVE, _NEUTRAL, _POSITIVE = "#d9822b", "#faf8f4", "#2f6db3"
_PALE_NEGATIVE, _PALE_POSITIVE = "#eeb678", "#86b3e0"
_GRID = 180
_MARGIN = 0.4
_SHADES = np.linspace(-3, 3, 25)


def decision_boundary(
    model: Callable[[Any], Any],
    X: ArrayLike,
    y: ArrayLike,
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str = "Decision boundary",
) -> Axes:
    """Draw the scores of a model around points of two classes; return the Axes.

    `model` is an `MLP` with two inputs and one output, or any callable that takes one point
    `[x, y]` and returns its score, or an array of points (N, 2) and returns N scores. Scores are
    numbers or Values; the boundary is where they are 0. `X` are the points, (N, 2), and `y` their
    labels, (N,): two different numbers, such as 0 and 1 or -1 and 1, of which the larger belongs to
    positive scores. `path` and `ax` are those of `loss_curve`.

    Raises `ValueError` for points or labels of another shape, `TypeError` for a model that is not
    callable or whose scores are no numbers, `OSError` where the file cannot be written,
    `ImportError` without matplotlib.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "boundary.png")
    ...     ax = decision_boundary(lambda point: point[0], [[-1, 0], [1, 0]], [0, 1], path=path)
    ...     os.path.getsize(path) > 1000
    True
    """
    if not callable(model):
        raise TypeError(f"model is {shorten(model)}; expected a callable, such as an MLP")
    points: NDArray[np.float64] = array("X", X, "points of shape (N, 2)", np.float64)
    labels: NDArray[np.float64] = array("y", y, "N labels", np.float64)
    classes = np.unique(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"X has shape {points.shape} and y {labels.shape}; expected (N, 2) and (N,)"
        )
    if not len(points) or len(classes) > 2:
        raise ValueError(f"y has {len(classes)} different labels; expected one or two")
    low, high = points.min(axis=0) - _MARGIN, points.max(axis=0) + _MARGIN
    across, up = (np.linspace(float(low[i]), float(high[i]), _GRID) for i in range(2))
    # One line of the grid at a time: a graph of all its points would be large.
    rows = [np.column_stack([across, np.full(_GRID, height)]) for height in up]
    heights = np.array([_scores(model, row) for row in rows])

    axes = axes_for(ax, path, 7.6, 4.9)
    _draw_scores(axes, across, up, heights)
    # A single class is drawn as the one that its sign says.
    signs = np.where(labels == classes[-1], 1, -1) if len(classes) == 2 else np.sign(labels)
    names = {-1: f"y = {classes[0]:g}", 1: f"y = {classes[-1]:g}"}
    for sign, colour, marker in ((-1, _NEGATIVE, "o"), (1, _POSITIVE, "s")):
        chosen = points[(signs > 0) == (sign > 0)]
        if len(chosen):
            axes.scatter(
                chosen[:, 0],
                chosen[:, 1],
                s=38,
                c=colour,
                marker=marker,
                edgecolors="white",
                linewidths=0.9,
                zorder=3,
                label=names[sign],
            )
    axes.set(xlabel="x", ylabel="y")
    axes.set_title(legible(title), parse_math=False)
    axes.set_aspect("equal")
    axes.legend(loc="upper right", fontsize="small", framealpha=0.9)
    return finish(axes, path)


def _draw_scores(
    axes: Axes, across: NDArray[np.float64], up: NDArray[np.float64], heights: NDArray[np.float64]
) -> None:
    """Draw the scores as shades, the boundary as a line, scores of -1 and 1 as dashed lines."""
    from matplotlib.colors import LinearSegmentedColormap

    sides = LinearSegmentedColormap.from_list("sides", [_PALE_NEGATIVE, _NEUTRAL, _PALE_POSITIVE])
    filled = axes.contourf(across, up, heights, levels=_SHADES, cmap=sides, extend="both")
    # A line that no score reaches would be a warning.
    lines = [level for level in (-1, 0, 1) if heights.min() < level < heights.max()]
    if lines:
        axes.contour(
            across,
            up,
            heights,
            levels=lines,
            colors="#333333",
            linewidths=[1.8 if level == 0 else 0.8 for level in lines],
            linestyles=["solid" if level == 0 else "dashed" for level in lines],
        )
    figure_of(axes).colorbar(
        filled, ax=axes, label="score", ticks=range(-3, 4), aspect=25, pad=0.02, shrink=0.9
    )


def _scores(model: Callable[[Any], Any], points: NDArray[np.float64]) -> list[float]:
    """Return the score of each point: of all in one call where the model takes batches."""
    try:
        batch = list(model(points))
        if len(batch) == len(points):
            return [_number(score) for score in batch]
    except (TypeError, ValueError, IndexError, AttributeError, KeyError):
        pass  # a model of single points, which is called for each below
    return [_number(model(point)) for point in points.tolist()]


def _number(score: float | Sequence[Any]) -> float:
    """Return a score as a float: that of a number, a Value, or a list of one of them."""
    if isinstance(score, (list, tuple)) and len(score) == 1:
        score = score[0]
    data = getattr(score, "data", None)
    if isinstance(data, (int, float)):
        return float(data)
    try:
        return float(np.asarray(score, dtype=np.float64).reshape(()))
    except (TypeError, ValueError):
        raise TypeError(f"the model's score is {shorten(score)}; expected a number") from None
