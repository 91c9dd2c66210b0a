"""The table of a bigram model as a picture, as the makemore lectures draw it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import PowerNorm

from .._checks import array, path_name, shorten, string
from .canvas import labels, legible, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["bigram_heatmap"]

# Up to so many symbols each cell is written into, fewer where many are written as codes; up to so
# many all are shown.
_WRITTEN, _WRITTEN_AS_CODES = 40, 16
_SHOWN = 60
# Inches, of which a written cell takes the most.
_CELL, _SMALL_CELL, _MARGIN = 0.56, 0.2, 1.3
_POINTS_PER_INCH = 72
# On what is darker than this share of the darkest shade, text is white.
_DARK = 0.62


def bigram_heatmap(
    table: ArrayLike,
    symbols: Sequence[str],
    path: str | PathLike[str],
    title: str = "How often one symbol follows another",
) -> None:
    """Save a PNG of a table of bigrams: the darker a cell, the more often its pair occurs.

    `table` has shape (V, V): row i, column j tells of symbol j after symbol i, as a count, or as
    a probability where the numbers are not whole. `symbols` are the V symbols. With up to 40 of
    them (16, where many are written as codes) every cell shows its pair and its number; with more,
    the symbols stand at the margins; beyond 60, only the 60 that occur most often are drawn, and
    the title says so. A symbol that is invisible, or that no font of
    `matplotlib.rcParams["font.family"]` has, is written as its code. The name of the file may end
    in another of matplotlib's formats.

    Raises TypeError or ValueError for a table of another shape or with something in it that is no
    number of at least 0, for symbols that are no str, and for a path whose end matplotlib does not
    know; OSError where the file cannot be written.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "pairs.png")
    ...     bigram_heatmap([[0, 3], [3, 1]], [".", "a"], path)
    ...     os.path.getsize(path) > 1000
    True

    The picture is that of Karpathy's lecture "The spelled-out intro to language modeling:
    building makemore".
    """
    shown, symbols = _checked(table, symbols)
    path, title = path_name("path", path), string("title", title)
    size = len(symbols)
    whole = bool((shown == np.floor(shown)).all())
    if size > _SHOWN:
        shown, symbols = _most_frequent(shown, symbols)
        title += f" (the {_SHOWN} most frequent of {size:,} symbols)"
    names = labels(symbols)
    short = sum(map(len, names)) <= 2 * len(names)
    if len(names) <= (_WRITTEN if short else _WRITTEN_AS_CODES):
        _draw_written(shown, names, path, title, whole)
    else:
        _draw_plain(shown, names, path, title, "count" if whole else "probability")


def _checked(table: ArrayLike, symbols: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
    names = _names(symbols)
    numbers = array("table", table, f"numbers of shape ({len(names)}, {len(names)})", np.float64)
    if numbers.ndim != 2 or numbers.shape != (len(names), len(names)) or not names:
        raise ValueError(
            f"table has shape {numbers.shape} for {len(names)} symbols; expected a row and a"
            " column for each, and at least one"
        )
    wrong = numbers[~(np.isfinite(numbers) & (numbers >= 0))]
    if wrong.size:
        raise ValueError(f"table holds {wrong[0]}; expected counts or probabilities")
    return numbers, names


def _names(symbols: Any) -> list[Any]:
    """Take any sequence of str."""
    names = list(symbols) if isinstance(symbols, Iterable) else [None]
    if all(isinstance(name, str) for name in names):
        return names
    raise TypeError(
        f"symbols is {shorten(symbols)}; expected a sequence of str, as `vocab.symbols` is"
    )


def _most_frequent(
    table: NDArray[np.float64], symbols: list[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Leave out all but the symbols that occur most often; those left keep their order."""
    order = np.argsort(-(table.sum(axis=0) + table.sum(axis=1)), kind="stable")
    kept = np.sort(order[:_SHOWN])
    return table[np.ix_(kept, kept)], [symbols[i] for i in kept]


def _draw_written(
    table: NDArray[np.float64], names: list[str], path: str | PathLike[str], title: str, whole: bool
) -> None:
    """Draw a table with the pair and its number in each cell."""
    side = max(len(names) * _CELL, 4.0)
    figure = new_figure(side + _MARGIN / 2, side + _MARGIN, dpi=100)
    axes = figure.add_subplot()
    darkest = _shade(axes, table, names)
    figure.suptitle(legible(title), fontsize=10 + side / 4, parse_math=False)
    axes.tick_params(labelsize=11)
    # The layout is made now, when there is little to lay out: the texts of the cells, which change
    # nothing about it, would be measured all over again, for half of the time that it takes.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)

    number = _short if whole else _share
    cells = [[_cell(a, b, number(table[i, j])) for j, b in enumerate(names)]
             for i, a in enumerate(names)]  # fmt: skip
    widest = max(len(line) for row in cells for cell in row for line in cell.split("\n"))
    # A capital letter is about 0.85 of the font's size wide; more than 10.5 points look clumsy.
    points = min(10.5, 0.95 * _CELL * _POINTS_PER_INCH / (0.85 * widest))
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            strength = table[i, j] / darkest
            axes.text(
                j,
                i,
                cell,
                color="white" if strength > _DARK else "#333333" if table[i, j] else "#aaaaaa",
                fontsize=points,
                ha="center",
                va="center",
                linespacing=1.25,
                parse_math=False,
            )
    figure.savefig(path)


def _draw_plain(
    table: NDArray[np.float64], names: list[str], path: str | PathLike[str], title: str, what: str
) -> None:
    """Draw a table with its symbols at the margins, and what the shades mean."""
    side = len(names) * _SMALL_CELL
    figure = new_figure(side + 2 * _MARGIN, side + _MARGIN, dpi=120)
    axes = figure.add_subplot()
    # Large alphabets have a few pairs that are far ahead: on roots, the others show as well.
    _shade(axes, table, names, power=0.5)
    axes.tick_params(labelsize=8)
    figure.suptitle(legible(title), fontsize=14, parse_math=False)
    figure.colorbar(axes.images[0], ax=axes, label=what, shrink=0.8, aspect=40, pad=0.02)
    figure.savefig(path)


def _shade(axes: Axes, table: NDArray[np.float64], names: list[str], power: float = 1.0) -> float:
    """Colour the cells and name rows and columns; return the number of the darkest shade."""
    darkest = float(table.max()) or 1.0
    axes.imshow(table, cmap="Blues", norm=PowerNorm(power, vmin=0.0, vmax=darkest))
    axes.set_xlabel("the symbol that follows", fontsize=12)
    axes.set_ylabel("the symbol before", fontsize=12)
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
