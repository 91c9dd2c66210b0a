"""Values of several kinds beside each other: a line for each thing, a dot for each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from fastgrad.plots.canvas import axes_for, finish, legible

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

__all__ = ["dot_chart"]

_COLOURS = ("#2f6db3", "#d9822b", "#3a8f5c", "#8a5fb0")


def dot_chart(
    names: Sequence[str],
    values: Mapping[str, Sequence[float | None]],
    path: str | PathLike[str],
    title: str = "",
    label: str = "",
    remarks: Sequence[str] | None = None,
    mark: float | None = None,
) -> None:
    """Save a PNG with a line for each of the `names`, from top to bottom, and dots on it.

    `values` has a number for each name, or None, under the name of each kind: the first kind is
    drawn as discs, the others as rings. `label` names the axis, `remarks` stand at the right end
    of the lines, `mark` is a value to draw a line at.

    Raises ValueError where the lengths differ or there is nothing to draw, OSError where the file
    cannot be written.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "dots.png")
    ...     dot_chart(["a", "b"], {"ours": [0.8, 1.0], "theirs": [None, 0.9]}, path, mark=1.0)
    ...     os.path.getsize(path) > 1000
    True
    """
    found = {kind: _numbers(kind, row, len(names)) for kind, row in values.items()}
    if not names or not any(np.isfinite(row).any() for row in found.values()):
        raise ValueError("values holds no finite number; expected at least one")
    if remarks is not None and len(remarks) != len(names):
        raise ValueError(f"remarks has {len(remarks)} of them; expected one for each of the names")

    axes = axes_for(None, path, 7.6, 1.4 + 0.3 * len(names))
    lines = np.arange(len(names), dtype=np.float64)
    if mark is not None:
        axes.axvline(mark, color="#333333", linewidth=0.9, linestyle="--")
    # The rings last: where both are at one place, both are seen.
    for i, (kind, row) in enumerate(found.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        face, size = (colour, 46) if i == 0 else ("none", 70)
        axes.scatter(row, lines, s=size, c=face, edgecolors=colour, linewidths=1.5,
                     label=legible(kind), zorder=3)  # fmt: skip
    axes.set_yticks(lines, [legible(name) for name in names])
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    for line, remark in zip(lines, remarks or (), strict=False):
        axes.annotate(legible(remark), (1.0, line), xycoords=("axes fraction", "data"),
                      xytext=(6, 0), textcoords="offset points", va="center", fontsize=9,
                      color="#333333", parse_math=False, annotation_clip=False)  # fmt: skip
    axes.set_xlabel(legible(label), parse_math=False)
    axes.set_title(legible(title), parse_math=False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    # Outside, or its dots would be taken for dots of the lines that they happen to be on.
    legend = axes.figure.legend(loc="outside lower center", ncols=len(found), frameon=False)
    for entry in legend.get_texts():
        entry.set_parse_math(False)
    finish(axes, path)


def _numbers(kind: str, row: Sequence[float | None], count: int) -> NDArray[np.float64]:
    numbers = np.array([np.nan if value is None else value for value in row], dtype=np.float64)
    if numbers.shape != (count,):
        raise ValueError(
            f"values has {len(row)} numbers of {kind!r}; expected one for each of the {count} names"
        )
    return numbers
