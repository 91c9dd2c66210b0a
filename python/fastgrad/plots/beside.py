"""Names beside dots: each within the frame, and none over another or over a dot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from .plane import View

__all__ = ["find_room", "write_beside"]

_TEXT, _SIZE = "#222222", 7.0
# Printer's points between a dot and its name, and around a name.
_ASIDE, _CLEAR = 2.5, 1.0
# Right of its dot or left, above or below: where a name is looked for first stands first.
_SIDES = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1)], dtype=np.float64)


def write_beside(
    view: View, names: Sequence[str], obstacles: NDArray[np.float64] | None = None
) -> None:
    """Write names beside the dots of a view, those first that stand first, as there is room.

    `obstacles` are more places in pixels, (M, 2), that no name may cover.
    """
    dots = view.places if obstacles is None else np.vstack([view.places, obstacles])
    sizes = _sizes(view.axes, names)
    aside, clear = _ASIDE * view.point, _CLEAR * view.point
    boxes = find_room(view.places, sizes, dots, view.low, view.high, aside, clear)
    for name, (left, bottom) in zip(names, view.data(boxes[:, :2]), strict=True):
        if np.isfinite(left):
            view.axes.text(
                left, bottom, name, va="bottom", fontsize=_SIZE, color=_TEXT, parse_math=False
            )


def find_room(
    places: NDArray[np.float64],
    sizes: NDArray[np.float64],
    dots: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    aside: float,
    clear: float,
) -> NDArray[np.float64]:
    """Find boxes of the given sizes, (N, 2), at the places, (N, 2), one after another.

    A box lies within `low` and `high`, right or left of its place by `aside`, above or below, and
    `clear` of the boxes before it and of all dots, (M, 2), but for the one at its place. Returns
    left, bottom, right and top of each, (N, 4), nan where there is no room.
    """
    boxes = np.full((len(places), 4), np.nan)
    for i, (place, size) in enumerate(zip(places, sizes, strict=True)):
        for side in _SIDES:
            near = place + side * (aside, 0)
            ends = np.array([near, near + side * size])
            left, right = ends.min(axis=0), ends.max(axis=0)
            within = (left >= low + clear).all() and (right <= high - clear).all()
            # Comparisons with nan are false: a box that was not found is in nobody's way.
            over = (boxes[:i, :2] < right + clear) & (boxes[:i, 2:] > left - clear)
            under = (dots > left - clear) & (dots < right + clear)
            if within and not over.all(axis=1).any() and not under.all(axis=1).any():
                boxes[i] = *left, *right
                break
    return boxes


def _sizes(axes: Axes, names: Sequence[str]) -> NDArray[np.float64]:
    """Measure names as they will be written, (N, 2), in pixels."""
    probe = axes.text(0, 0, "", fontsize=_SIZE, parse_math=False)
    sizes = np.empty((len(names), 2))
    for i, name in enumerate(names):
        probe.set_text(name)
        sizes[i] = probe.get_window_extent().size
    probe.remove()
    return sizes
