"""The embeddings that a neural language model has learned, in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from .._checks import array, shorten
from .beside import write_beside
from .canvas import axes_for, finish, labels, legible, token_list
from .plane import far, settle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from .plane import View

__all__ = ["embedding_scatter"]

_FIRST, _TOKEN = "#d9822b", "#2f6db3"
# More tokens, and longer names, have no room for discs.
_MANY, _LONGEST = 64, 2
# Of a model of words the most frequent ones are drawn.
_WORDS = 500
# A disc's width in points, edge included, and how often discs that overlap are pushed.
_DISC, _LEADER = 17.0, "#777777"
_ROUNDS = 500
# The distance from the frame at which outliers are drawn inside it, so that an arrow fits.
_INSIDE_DISC, _INSIDE_DOT = 20.0, 12.0


class Embedded(Protocol):
    """The members of a neural language model that a picture uses."""

    @property
    def vocab(self) -> Any:
        """The tokens."""
        ...

    @property
    def embeddings(self) -> NDArray[np.floating[Any]]:
        """A row for each token."""
        ...


def embedding_scatter(
    model: Embedded | ArrayLike,
    tokens: Sequence[str] | None = None,
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    method: Literal["pca", "first"] = "pca",
) -> Axes:
    """Draw embeddings in the plane, where tokens that are used alike lie close; return the Axes.

    `model` is a neural language model, or an array with a row for each of the `tokens`, (N, m).
    "pca" draws the two directions in which the rows spread most (principal components), "first" the
    first two columns, as the lecture does for m = 2. Of a model, `tokens` chooses which ones are
    drawn: by default all characters, or the 500 most frequent words, whose rows are scaled to
    length 1 first.

    Up to 64 short tokens are discs, which move off their points, tied to them by a line, where they
    would overlap; the first one has a colour of its own. More tokens are dots, named in order as
    long as there is room. One to three tokens far off are drawn at the frame, so that the others
    are not squeezed into a corner; arrows point to them, and the label below says where they are.

    Where `path` is given, the picture is written to that file; otherwise a notebook shows it. `ax`
    are the Axes to draw on, those of a new figure if None.

    Raises `ValueError` where rows and tokens do not fit or a token is not in the vocabulary,
    `OSError` where the file cannot be written, `ImportError` without matplotlib.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "embeddings.png")
    ...     ax = embedding_scatter([[0.0, 0.0], [1.0, 0.5], [0.9, 0.6]], [".", "a", "b"], path=path)
    ...     os.path.getsize(path) > 1000
    True
    """
    if method not in ("pca", "first"):
        raise ValueError(f"method is {shorten(method)}; expected 'pca' or 'first'")
    rows, names, words = _rows(model, tokens)
    if words and method == "pca":
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    points, directions = principal(rows) if method == "pca" else _first(rows)
    names = labels(names)
    discs = not words and len(names) <= _MANY and max(map(len, names)) <= _LONGEST
    if title is None:
        title = f"Embeddings of the {len(names)} most frequent words" if words else "Embeddings"

    axes = axes_for(ax, path, *((7.6, 7.0) if discs else (9.6, 8.4)))
    axes.set(xlabel=directions[0], ylabel=directions[1])
    axes.set_title(legible(title), parse_math=False)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.07)
    axes.grid(color="#888888", alpha=0.28, linewidth=0.6)
    axes.set_axisbelow(True)
    inside = _INSIDE_DISC if discs else _INSIDE_DOT
    # No word is far off: rows are of length 1, and what lies apart is a group.
    outside = None if words else far(points)
    view = settle(axes, points, inside, outside, names, keep_layout=ax is None)
    (_draw_discs if discs else _draw_dots)(view, names)
    return finish(axes, path)


def _rows(model: Any, tokens: Sequence[str] | None) -> tuple[NDArray[np.float64], list[str], bool]:
    """Return the rows to draw, their names, and whether they are those of a model of words."""
    if not hasattr(model, "vocab"):
        if tokens is None:
            raise TypeError(
                f"model is {shorten(model)}; expected a neural language model, or an array with its"
                " tokens"
            )
        names = token_list(tokens)
        rows = array("model", model, f"embeddings of shape ({len(names)}, m)", np.float64)
        if rows.ndim != 2 or len(rows) != len(names) or not rows.size:
            raise ValueError(
                f"model has shape {rows.shape}; expected a row for each of {len(names)} tokens"
            )
        return rows, names, False
    if not hasattr(model, "embeddings"):
        raise TypeError(f"model is {shorten(model)}; expected one with embeddings, such as an NPLM")
    vocab = model.vocab
    words = hasattr(vocab, "unk_token")
    if tokens is None:
        # Words are in the order of their counts, after the tokens for unknown words and for ends.
        first = (1 + (vocab.eos_token is not None)) if words else 0
        chosen = list(vocab.itos[first : first + _WORDS] if words else vocab.itos)
    else:
        chosen = token_list(tokens)
    missing = [token for token in chosen if token not in vocab.stoi]
    if missing:
        raise ValueError(f"tokens has {shorten(missing[0])}, which is not in the vocabulary")
    ids = [vocab.stoi[token] for token in chosen]
    return np.asarray(model.embeddings, dtype=np.float64)[ids], chosen, words


def _draw_dots(view: View, names: list[str]) -> None:
    """Draw each token as a dot, and beside it its name where there is room for one."""
    tips = view.point_out(view.places)
    places = view.data(view.places)
    # The first token last, so that nothing lies on it.
    for part, colour in ((places[1:], _TOKEN), (places[:1], _FIRST)):
        view.axes.scatter(part[:, 0], part[:, 1], s=12, c=colour, edgecolors="none")
    write_beside(view, names, tips)


def _draw_discs(view: View, names: list[str]) -> None:
    """Draw each token as a disc with its name; discs that would overlap move off their points."""
    axes = view.axes
    points = view.data(view.points)[~view.outside]
    axes.scatter(points[:, 0], points[:, 1], s=7, c=_LEADER, edgecolors="none")
    half = _DISC / 2 * view.point
    spread = _spread(view.places, 2 * half, view.low + half, view.high - half)
    view.point_out(spread)
    places = view.data(spread)
    for point, place in zip(points, places[~view.outside], strict=True):
        axes.plot(*np.transpose([point, place]), color=_LEADER, linewidth=0.8, zorder=1)
    colours = [_FIRST] + [_TOKEN] * (len(places) - 1)
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
    return _two_columns(rows), ("first dimension", "second dimension")


def _two_columns(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the first two columns; what has only one lies on a line."""
    if points.shape[1] == 1:
        return np.column_stack([points[:, 0], np.zeros(len(points))])
    return points[:, :2]
