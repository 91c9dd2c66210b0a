"""The part of a plane that a picture shows, and what becomes of points far outside of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .canvas import figure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["View", "far", "settle"]

# At most 3 points, and at most a tenth of all, count as outliers.
_FEW = 3
# An outlier is at least this many times as far from the median as every other point.
_FURTHER = 1.5
_ARROW = "#777777"


def far(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points, (N, 2), are outliers that would squeeze the others into a corner: (N,).

    Outliers are at most three, and at most a tenth of all, each more than 1.5 times as far from
    the median as all others.

    >>> far(np.array([[x, 0.0] for x in [1, 2, 3, 4, 5, 6, 7, 8, 9, 30]])).nonzero()[0].tolist()
    [9]
    """
    distances = np.hypot(*(points - np.median(points, axis=0)).T)
    furthest = np.sort(distances)[::-1]
    for count in range(min(_FEW, len(points) // 10), 0, -1):
        # If all others coincide (distance 0), there are no outliers.
        if furthest[count - 1] > _FURTHER * furthest[count] > 0:
            return distances >= furthest[count - 1]
    return np.zeros(len(points), dtype=bool)


@dataclass(frozen=True)
class View:
    """Points, frame and page in pixels, as they are when the view is made."""

    axes: Axes
    points: NDArray[np.float64]
    """The positions of the points, (N, 2), some perhaps outside the frame."""
    places: NDArray[np.float64]
    """The positions at which they are drawn, (N, 2)."""
    outside: NDArray[np.bool_]
    """True for points that are drawn elsewhere than their position, (N,)."""
    low: NDArray[np.float64]
    """The frame's lower left corner, (2,)."""
    high: NDArray[np.float64]
    """The frame's upper right corner, (2,)."""
    point: float
    """The number of pixels in a typographic point."""

    def data(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert pixels, (N, 2), to the numbers on the axes."""
        return self.axes.transData.inverted().transform(pixels)

    def point_out(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw arrows from the places, (N, 2), of points outside to the frame; give the tips."""
        ways = (self.points - places)[self.outside]
        ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-300)
        starts = places[self.outside]
        # The distance of each from the side of the frame that it meets.
        room = np.where(ways > 0, self.high - starts, starts - self.low)
        with np.errstate(divide="ignore"):
            tips = starts + ways * (room / np.abs(ways)).min(axis=1, keepdims=True)
        for start, tip in zip(self.data(starts), self.data(tips), strict=True):
            arrow = {"arrowstyle": "-|>", "color": _ARROW, "shrinkA": 0, "shrinkB": 0}
            self.axes.annotate("", tip, xytext=start, arrowprops=arrow, zorder=1)
        return tips


def settle(
    axes: Axes,
    points: NDArray[np.float64],
    inside: float = 0.0,
    outside: NDArray[np.bool_] | None = None,
    names: Sequence[str] = (),
    *,
    keep_layout: bool = True,
) -> View:
    """Fix the part of the plane that is drawn, as the axes' margins say around the points, (N, 2).

    It is chosen without points that are `outside`, (N,). Each of those that are not in it has its
    place at the frame where it is nearest, `inside` printer's points from it; where it is is told
    below the picture, so `names`, one a point, must be legible. Titles and labels of the axes must
    have been set. With `keep_layout` the figure's layout is final from here on.
    """
    gone = np.zeros(len(points), dtype=bool) if outside is None else outside
    figure, label = figure_of(axes), axes.get_xlabel()
    if gone.any():  # room for a line below
        axes.set_xlabel(f"{label}\n ")
    axes.update_datalim(points[~gone])
    axes.autoscale_view()
    # From here on it is known, and stays, where a point lies on the page.
    figure.draw_without_rendering()
    if keep_layout:
        figure.set_layout_engine("none")
    else:
        # A layout that changes later changes the box, and not the limits.
        axes.set_adjustable("box")
    axes.set_autoscale_on(False)
    low, high = np.asarray(axes.bbox.min), np.asarray(axes.bbox.max)
    pixels, point = axes.transData.transform(points), figure.dpi / 72
    gone = gone & ((pixels < low) | (pixels > high)).any(axis=1)
    edge = inside * point
    places = np.where(gone[:, None], np.clip(pixels, low + edge, high - edge), pixels)
    if gone.any():
        told = [f"{names[i]} at ({x:.3g}, {y:.3g})" for i, (x, y) in enumerate(points) if gone[i]]
        axes.set_xlabel(f"{label}\nbeyond the frame: {', '.join(told)}", parse_math=False)
    return View(axes, pixels, places, gone, low, high, point)
