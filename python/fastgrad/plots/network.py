"""What a neural language model has learned of its symbols, and which rate to train it with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from .._checks import shorten
from .beside import write_beside
from .canvas import labels, new_figure
from .plane import far, settle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from .plane import View

__all__ = ["embedding_scatter", "rate_sweep"]

_BOUNDARY, _SYMBOL, _LINE = "#d9822b", "#2f6db3", "#d9822b"
# More symbols, and longer names, have no room for discs.
_MANY, _LONGEST = 64, 2
# A disc's width in points, edge included, and how often discs that overlap are pushed.
_DISC, _LEADER = 17.0, "#777777"
_ROUNDS = 500
# How far inside the frame what lies beyond it is drawn, so that an arrow has room.
_INSIDE_DISC, _INSIDE_DOT = 20.0, 12.0


def embedding_scatter(
    embeddings: ArrayLike,
    symbols: Sequence[str],
    path: str | PathLike[str],
    title: str = "Embeddings",
    method: Literal["pca", "first"] = "pca",
) -> None:
    """Save a PNG of symbols in the plane: those that are used alike lie close to each other.

    `embeddings` has a row for each of the symbols, (V, m). "first" draws the first two columns, as
    the lecture does for m = 2; "pca" the two directions in which the rows spread most (principal
    components; the same picture for m = 2, but turned). The first symbol, the boundary, has a
    colour of its own. Up to 64 symbols are discs, which move off their points, tied to them by a
    line, where they would overlap. More, or symbols that a font can only write as codes, are dots,
    named in order as long as there is room. One to three symbols far off are drawn at the frame,
    so that the others are not squeezed into a corner; arrows point to them, and the line below
    tells where they are.

    Raises ValueError where rows and symbols do not fit, OSError where the file cannot be written.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "embeddings.png")
    ...     embedding_scatter([[0.0, 0.0], [1.0, 0.5], [0.9, 0.6]], ".ab", path)
    ...     os.path.getsize(path) > 1000
    True
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.ndim != 2 or len(rows) != len(symbols) or not rows.size:
        raise ValueError(
            f"embeddings has shape {rows.shape}; expected a row for each of {len(symbols)} symbols"
        )
    if method not in ("pca", "first"):
        raise ValueError(f"method is {shorten(method)}; expected 'pca' or 'first'")
    points, directions = principal(rows) if method == "pca" else _first(rows)

    figure = new_figure(7.6, 7.0)
    axes = figure.add_subplot()
    axes.set(xlabel=directions[0], ylabel=directions[1])
    axes.set_title(title, parse_math=False)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.07)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    names = labels(symbols)
    discs = len(names) <= _MANY and max(map(len, names)) <= _LONGEST
    inside = _INSIDE_DISC if discs else _INSIDE_DOT
    view = settle(figure, axes, points, inside, far(points), names)
    (_draw_discs if discs else _draw_dots)(view, names)
    figure.savefig(path)


def _draw_dots(view: View, names: list[str]) -> None:
    """Draw each symbol as a dot, and beside it its name where there is room for one."""
    tips = view.point_out(view.places)
    places = view.data(view.places)
    # The boundary last, so that nothing lies on it.
    for part, colour in ((places[1:], _SYMBOL), (places[:1], _BOUNDARY)):
        view.axes.scatter(part[:, 0], part[:, 1], s=12, c=colour, edgecolors="none")
    write_beside(view, names, tips)


def _draw_discs(view: View, names: list[str]) -> None:
    """Draw each symbol as a disc with its name; discs that would overlap move off their points."""
    axes = view.axes
    points = view.data(view.points)[~view.outside]
    axes.scatter(points[:, 0], points[:, 1], s=7, c=_LEADER, edgecolors="none")
    half = _DISC / 2 * view.point
    spread = _spread(view.places, 2 * half, view.low + half, view.high - half)
    view.point_out(spread)
    places = view.data(spread)
    for point, place in zip(points, places[~view.outside], strict=True):
        axes.plot(*np.transpose([point, place]), color=_LEADER, linewidth=0.8, zorder=1)
    colours = [_BOUNDARY] + [_SYMBOL] * (len(places) - 1)
    size = (_DISC - 1) ** 2
    axes.scatter(places[:, 0], places[:, 1], s=size, c=colours, edgecolors="white", linewidths=1)
    for place, name in zip(places, names, strict=True):
        axes.annotate(
            name,
            place,
            ha="center",
            va="center",
            color="white",
            fontsize=7 if len(name) > 1 else 11,
            parse_math=False,
        )


def _spread(
    points: NDArray[np.float64],
    distance: float,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Push points apart, (N, 2), until no two are closer than `distance`, or nearly so.

    All stay between the corners `low` and `high`, where there must be room for them.
    """
    # Points in the same place have no direction apart; these, a golden angle each, are all unlike.
    angles = np.arange(len(points)) * (np.pi * (3 - 5**0.5))
    places = points + 1e-3 * distance * np.column_stack([np.cos(angles), np.sin(angles)])
    for _ in range(_ROUNDS):
        gaps = places[:, None] - places
        lengths = np.hypot(gaps[..., 0], gaps[..., 1])
        np.fill_diagonal(lengths, np.inf)
        missing = np.maximum(1.01 * distance - lengths, 0.0)
        if missing.max(initial=0.0) <= 0.01 * distance:
            break
        pushes = ((missing / lengths)[..., None] * gaps).sum(axis=1)
        # Their mean, not their sum, or a crowd would burst.
        places += 0.5 * pushes / np.maximum((missing > 0).sum(axis=1), 1)[:, None]
        places = np.clip(places, low, high)
    return places


def rate_sweep(
    rates: ArrayLike,
    losses: ArrayLike,
    path: str | PathLike[str],
    title: str = "Loss against learning rate",
    smooth: ArrayLike | None = None,
    chosen: float | None = None,
) -> None:
    """Save a PNG of the losses that rising rates met, as the lecture looks for its rate.

    `rates` and `losses` are (steps,) arrays; `smooth`, if given, is drawn as a line over the
    losses, and `chosen` is a rate to mark.

    Raises ValueError where the lengths differ or there is nothing to draw, OSError where the file
    cannot be written.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rates.png")
    ...     rate_sweep([0.001, 0.01, 0.1, 1.0], [3.3, 2.9, 2.4, 4.0], path, chosen=0.1)
    ...     os.path.getsize(path) > 1000
    True
    """
    across, up = (np.asarray(values, dtype=np.float64) for values in (rates, losses))
    if across.ndim != 1 or across.shape != up.shape or not across.size:
        raise ValueError(
            f"rates has shape {across.shape} and losses {up.shape}; expected (steps,) both"
        )
    line = up if smooth is None else np.asarray(smooth, dtype=np.float64)
    if line.shape != up.shape:
        raise ValueError(f"smooth has shape {line.shape}; expected {up.shape}")

    figure = new_figure(7.6, 4.6)
    axes = figure.add_subplot()
    axes.plot(across, up, color=_SYMBOL, linewidth=0.7, alpha=0.35, label="mini-batches")
    if smooth is not None:
        axes.plot(across, line, color=_SYMBOL, linewidth=1.8, label="mean of neighbours")
    if chosen is not None:
        axes.axvline(chosen, color=_LINE, linewidth=1.2, linestyle="--", label=f"{chosen:.2g}")
    axes.set_xscale("log")
    # Where a sweep ends in losses without bounds, the valley must still be seen.
    low, high = float(up.min()), float(np.percentile(up, 90))
    high = max(min(high, 1.2 * float(line[: 1 + len(line) // 20].max())), low)
    margin = 0.3 * (high - low) + 1e-3
    axes.set_ylim(low - margin / 6, high + margin)
    axes.set(xlabel="learning rate", ylabel="loss, nats a symbol")
    axes.set_title(title, parse_math=False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    figure.savefig(path)


def principal(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """Project rows on the two directions in which they spread most; name these."""
    centred = rows - rows.mean(axis=0)
    _, spreads, directions = np.linalg.svd(centred, full_matrices=False)
    # Of rows that are all the same, or lie on a line, there is rounding left to spread.
    real = spreads > 1e-12 * np.linalg.norm(rows)
    spreads, directions = spreads * real, directions * real[:, None]
    # A direction and its opposite are as good: the longest component decides, on every machine.
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    points = _two_columns(centred @ (directions * signs[:, None]).T)
    shares = 100 * spreads**2 / max(float((spreads**2).sum()), 1e-300)
    shares = np.append(shares, 0.0)[:2]
    names = tuple(
        f"{place} principal component, {share:.0f} % of the spread"
        for place, share in zip(("first", "second"), shares, strict=True)
    )
    return points, (names[0], names[1])


def _first(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str]]:
    return _two_columns(rows), ("first feature", "second feature")


def _two_columns(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the first two columns; what has only one lies on a line."""
    if points.shape[1] == 1:
        return np.column_stack([points[:, 0], np.zeros(len(points))])
    return points[:, :2]
