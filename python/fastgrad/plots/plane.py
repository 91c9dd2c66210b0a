"""Where the points of a plane lie on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["View", "settle"]


@dataclass(frozen=True)
class View:
    """Where points are drawn, in pixels: they, the frame, and the page stay as they are now."""

    axes: Axes
    places: NDArray[np.float64]
    """Where the points are, (N, 2)."""
    low: NDArray[np.float64]
    """The frame's lower left corner, (2,)."""
    high: NDArray[np.float64]
    """The frame's upper right corner, (2,)."""
    point: float
    """How many pixels a printer's point has."""

    def data(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert pixels, (N, 2), to the numbers on the axes."""
        return self.axes.transData.inverted().transform(pixels)


def settle(figure: Figure, axes: Axes, points: NDArray[np.float64]) -> View:
    """Fix the part of the plane that is drawn, as the axes' margins say around the points, (N, 2).

    Titles and labels of the axes must have been set.
    """
    axes.update_datalim(points)
    axes.autoscale_view()
    # From here on it is known, and stays, where a point lies on the page.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    axes.set_autoscale_on(False)
    low, high = np.asarray(axes.bbox.min), np.asarray(axes.bbox.max)
    return View(axes, axes.transData.transform(points), low, high, figure.dpi / 72)
