"""Words in the plane, as a neural language model sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .beside import write_beside
from .canvas import labels, new_figure
from .network import principal
from .plane import settle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import ArrayLike

__all__ = ["word_scatter"]

_DOT = "#2f6db3"


def word_scatter(
    embeddings: ArrayLike,
    words: Sequence[str],
    path: str | PathLike[str],
    title: str = "Words",
) -> None:
    """Save a PNG of words in the plane: those that are used alike lie close to each other.

    `embeddings` has a row for each of the words, (N, m), the most important words first. Drawn are
    the two directions in which directions of rows spread most (principal components of rows of
    length 1). A word is written beside its dot where there is room: within the frame, on no dot,
    and on no word before it. The dots of the others stay without.

    Raises ValueError where rows and words do not fit, OSError where the file cannot be written.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "words.png")
    ...     word_scatter([[0.0, 1.0], [1.0, 0.5], [0.9, 0.6]], ["and", "king", "queen"], path)
    ...     os.path.getsize(path) > 1000
    True
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.ndim != 2 or len(rows) != len(words) or not rows.size:
        raise ValueError(
            f"embeddings has shape {rows.shape}; expected a row for each of {len(words)} words"
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    points, names = principal(rows / np.maximum(lengths, 1e-300))

    figure = new_figure(9.6, 8.4)
    axes = figure.add_subplot()
    axes.scatter(points[:, 0], points[:, 1], s=5, c=_DOT, linewidths=0)
    axes.set(xlabel=names[0], ylabel=names[1])
    axes.set_title(title, parse_math=False)
    axes.margins(0.05)
    axes.grid(color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    # No word is far off: rows are of length 1, and what lies apart is a group.
    write_beside(settle(figure, axes, points), labels(words))
    figure.savefig(path)
