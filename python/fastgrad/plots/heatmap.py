"""The table of a bigram model as a picture, as the makemore lectures draw it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .._checks import array, shorten, string
from .canvas import axes_for, figure_of, finish, labels, legible, token_list

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["bigram_heatmap"]

# The most tokens with which every cell is written into, fewer where many are written as codes, and
# the most that are drawn at all.
_WRITTEN, _WRITTEN_AS_CODES = 40, 16
_SHOWN = 60
# Inches.
_CELL, _SMALL_CELL, _MARGIN = 0.56, 0.2, 1.3
_LEAST_WRITTEN_CELL = 0.25
_POINTS_PER_INCH = 72
# On what is darker than this share of the darkest shade, text is white.
_DARK = 0.62


class _OfTokens(Protocol):
    """The members that counts and models share."""

    @property
    def vocab(self) -> Any:
        """The tokens of rows and columns."""
        ...

    @property
    def order(self) -> int:
        """The length of the n-grams, 2 for bigrams."""
        ...


class Counted(_OfTokens, Protocol):
    """The members of `fastgrad.models.NgramCounts` that a picture uses."""

    @property
    def N(self) -> NDArray[np.integer[Any]]:  # noqa: N802 - the lecture's name
        """The counts."""
        ...


class Estimated(_OfTokens, Protocol):
    """The members of a bigram model that a picture uses."""

    @property
    def P(self) -> NDArray[np.floating[Any]]:  # noqa: N802 - the lecture's name
        """The probabilities."""
        ...


def bigram_heatmap(
    counts: Counted | Estimated | ArrayLike,
    tokens: Sequence[str] | None = None,
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw a table of bigrams, the darker a cell, the more often its pair occurs; return the Axes.

    `counts` are `NgramCounts` of order 2, or a bigram model, whose probabilities are drawn, or an
    array of shape (V, V): row i, column j is the count or the probability of token j after token i.
    An array needs the V `tokens`. With up to 40 tokens (16, where many are written as codes) every
    cell shows its pair and its number; with more, the tokens stand at the margins; beyond 60, only
    the 60 most frequent ones are drawn, and the title says so. A token that is invisible, or that
    no font of `matplotlib.rcParams["font.family"]` has, is written as its code.

    Where `path` is given, the picture is written to that file, in the format that its end names;
    otherwise a notebook shows it. `ax` are the Axes to draw on, those of a new figure if None.

    Raises `TypeError` or `ValueError` for a table of another shape or of something else than
    numbers of at least 0, and for an order other than 2; `OSError` where the file cannot be
    written; `ImportError` without matplotlib.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "pairs.png")
    ...     ax = bigram_heatmap([[0, 3], [3, 1]], [".", "a"], path=path)
    ...     os.path.getsize(path) > 1000
    True

    The picture is that of Karpathy's lecture "The spelled-out intro to language modeling:
    building makemore".
    """
    table, names = _table(counts, tokens)
    whole = bool((table == np.floor(table)).all())
    if title is None:
        title = "Counts of bigrams" if whole else "Probabilities of the next token"
    title = string("title", title)
    if len(names) > _SHOWN:
        title += f" (the {_SHOWN} most frequent of {len(names):,} tokens)"
        table, names = _most_frequent(table, names)
    names = labels(names)
    short = sum(map(len, names)) <= 2 * len(names)
    if len(names) <= (_WRITTEN if short else _WRITTEN_AS_CODES):
        return _draw_written(table, names, path, ax, title, whole)
    return _draw_plain(table, names, path, ax, title, "count" if whole else "probability")


def _table(counts: Any, tokens: Sequence[str] | None) -> tuple[NDArray[np.float64], list[str]]:
    """Return the table and the names of its rows, of whatever was given."""
    if hasattr(counts, "vocab"):
        if counts.order != 2:
            raise ValueError(f"counts has order {counts.order}; expected 2, a table of bigrams")
        found = counts.N if hasattr(counts, "N") else counts.P
        names = list(counts.vocab.itos)
    elif tokens is None:
        raise TypeError(
            f"counts is {shorten(counts)}; expected NgramCounts, a bigram model, or an array with"
            " its tokens"
        )
    else:
        found, names = counts, token_list(tokens)
    table = array("counts", found, f"numbers of shape ({len(names)}, {len(names)})", np.float64)
    if table.shape != (len(names), len(names)) or not names:
        raise ValueError(
            f"counts has shape {table.shape} for {len(names)} tokens; expected a row and a column"
            " for each, and at least one"
        )
    wrong = table[~(np.isfinite(table) & (table >= 0))]
    if wrong.size:
        raise ValueError(f"counts holds {wrong[0]}; expected counts or probabilities")
    return table, names


def _most_frequent(
    table: NDArray[np.float64], names: list[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Return rows and columns of the most frequent tokens, in their order."""
    order = np.argsort(-(table.sum(axis=0) + table.sum(axis=1)), kind="stable")
    kept = np.sort(order[:_SHOWN])
    return table[np.ix_(kept, kept)], [names[i] for i in kept]


def _draw_written(
    table: NDArray[np.float64],
    names: list[str],
    path: str | PathLike[str] | None,
    ax: Axes | None,
    title: str,
    whole: bool,
) -> Axes:
    """Draw a table with the pair and its number in each cell."""
    side = max(len(names) * _CELL, 4.0)
    axes = axes_for(ax, path, side + _MARGIN / 2, side + _MARGIN, dpi=100)
    darkest = _shade(axes, table, names)
    axes.set_title(legible(title), fontsize=10 + side / 4, parse_math=False, pad=12)
    axes.tick_params(labelsize=11)
    figure = figure_of(axes)
    figure.draw_without_rendering()
    if ax is None:
        # The layout is final: it would measure the text of every cell again, for half of the time
        # that the picture takes.
        figure.set_layout_engine(None)
    cell = axes.get_window_extent().width / figure.dpi / len(names)
    if cell < _LEAST_WRITTEN_CELL:
        return finish(axes, path)

    number = _short if whole else _share
    cells = [[_cell(a, b, number(table[i, j])) for j, b in enumerate(names)]
             for i, a in enumerate(names)]  # fmt: skip
    widest = max(len(line) for row in cells for text in row for line in text.split("\n"))
    # A capital letter is about 0.85 of the font's size wide; more than 10.5 points look clumsy.
    points = min(10.5, 0.95 * min(cell, _CELL) * _POINTS_PER_INCH / (0.85 * widest))
    for i, row in enumerate(cells):
        for j, text in enumerate(row):
            strength = table[i, j] / darkest
            axes.text(
                j,
                i,
                text,
                color="white" if strength > _DARK else "#333333" if table[i, j] else "#aaaaaa",
                fontsize=points,
                ha="center",
                va="center",
                linespacing=1.25,
                parse_math=False,
            )
    return finish(axes, path)


def _draw_plain(
    table: NDArray[np.float64],
    names: list[str],
    path: str | PathLike[str] | None,
    ax: Axes | None,
    title: str,
    what: str,
) -> Axes:
    """Draw a table with its tokens at the margins, and a bar of shades."""
    side = len(names) * _SMALL_CELL
    axes = axes_for(ax, path, side + 2 * _MARGIN, side + _MARGIN, dpi=120)
    # Large alphabets have a few pairs that are far ahead: on roots, the others show as well.
    _shade(axes, table, names, power=0.5)
    axes.tick_params(labelsize=8)
    axes.set_title(legible(title), fontsize=14, parse_math=False, pad=12)
    figure_of(axes).colorbar(axes.images[0], ax=axes, label=what, shrink=0.8, aspect=40, pad=0.02)
    return finish(axes, path)


def _shade(axes: Axes, table: NDArray[np.float64], names: list[str], power: float = 1.0) -> float:
    """Colour the cells and name rows and columns; return the number of the darkest shade."""
    from matplotlib.colors import PowerNorm

    darkest = float(table.max()) or 1.0
    axes.imshow(table, cmap="Blues", norm=PowerNorm(power, vmin=0.0, vmax=darkest))
    axes.set_xlabel("next token", fontsize=12)
    axes.set_ylabel("token", fontsize=12)
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    if max(map(len, names)) > 2:
        axes.tick_params(axis="x", labelrotation=90)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(names)), names, parse_math=False)
        axis.set_tick_params(length=0)
    axes.spines[:].set_visible(False)
    return darkest


def _cell(first: str, second: str, number: str) -> str:
    """Write a cell: the pair above its number, codes of symbols one above the other."""
    joint = "" if len(first) == len(second) == 1 else "\n"
    return f"{first}{joint}{second}\n{number}"


def _short(count: float) -> str:
    """Write a count in at most four characters: 0, 9999, 12k, 1.2M, 350G, 1e15.

    >>> [_short(n) for n in (0, 9_999, 12_345, 999_999, 2.5e9, 1e15, 1.8e19)]
    ['0', '9999', '12k', '1.0M', '2.5G', '1e15', '2e19']
    """
    if count < 10_000:
        return f"{count:.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        scaled = count / size
        if scaled < 9.95:
            return f"{scaled:.1f}{unit}"
        if scaled < 999.5:
            return f"{scaled:.0f}{unit}"
    return f"{count:.0e}".replace("e+", "e")


def _share(probability: float) -> str:
    """Write a probability with two digits that count, without the zero before its point.

    >>> [_share(p) for p in (0.0, 1.0, 0.25, 0.0132, 0.0004)]
    ['0', '1.0', '.25', '.013', '<.001']
    """
    if probability == 0:
        return "0"
    if probability >= 0.995:
        return f"{probability:.1f}" if math.isfinite(probability) else "?"
    if probability < 0.0005:
        return "<.001"
    return f"{probability:.2f}"[1:] if probability >= 0.095 else f"{probability:.3f}"[1:]
