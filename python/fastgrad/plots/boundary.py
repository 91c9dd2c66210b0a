"""Which side of the plane a classifier gives to which class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from .canvas import new_figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["decision_boundary"]

_NEGATIVE, _NEUTRAL, _POSITIVE = "#d9822b", "#faf8f4", "#2f6db3"
_SIDES = LinearSegmentedColormap.from_list("sides", ["#eeb678", _NEUTRAL, "#86b3e0"])
_GRID = 180
_MARGIN = 0.4
_SHADES = np.linspace(-3, 3, 25)


def decision_boundary(
    score: Callable[[list[list[float]]], list[float]],
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    path: Path,
    title: str,
) -> None:
    """Save a PNG of what `score` says of the plane around 2-D `points` labelled -1 and 1.

    `score` answers a list of points with a number each, negative for the one class and positive
    for the other.
    """
    low, high = points.min(axis=0) - _MARGIN, points.max(axis=0) + _MARGIN
    across, up = (np.linspace(low[i], high[i], _GRID) for i in range(2))
    # One line of the grid at a time: a graph of all its points would be large.
    heights = np.array([score([[x, y] for x in across.tolist()]) for y in up.tolist()])

    figure = new_figure(7.6, 4.9)
    axes = figure.add_subplot()
    filled = axes.contourf(across, up, heights, levels=_SHADES, cmap=_SIDES, extend="both")
    axes.contour(
        across,
        up,
        heights,
        levels=[-1, 0, 1],
        colors="#333333",
        linewidths=[0.8, 1.8, 0.8],
        linestyles=["dashed", "solid", "dashed"],
    )
    for label, colour, marker in ((-1, _NEGATIVE, "o"), (1, _POSITIVE, "s")):
        chosen = points[labels == label]
        axes.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=38,
            c=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.9,
            zorder=3,
            label=f"class {label:+d}",
        )
    for style, width, name in (("-", 1.8, "boundary: score 0"), ("--", 0.8, "margin: score ±1")):
        axes.plot([], [], color="#333333", linewidth=width, linestyle=style, label=name)
    axes.set(title=title, xlabel="first coordinate", ylabel="second coordinate")
    axes.set_aspect("equal")
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    figure.colorbar(
        filled,
        ax=axes,
        label="score of the network",
        ticks=range(-3, 4),
        aspect=25,
        pad=0.02,
        shrink=0.9,
    )
    figure.savefig(path, bbox_inches="tight", pad_inches=0.1)
