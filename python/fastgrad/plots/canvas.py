"""Shared by all pictures: the axes to draw on, and labels that any font can show."""

from __future__ import annotations

import unicodedata
from io import BytesIO
from os.path import splitext
from typing import TYPE_CHECKING

from .._checks import path_name, shorten, strings
from .._files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["axes_for", "figure_of", "finish", "labels", "legible", "token_list"]

# Longer labels, which words may need, are cut.
_LONGEST = 12


def axes_for(
    ax: Axes | None, path: str | PathLike[str] | None, width: float, height: float, dpi: float = 150
) -> Axes:
    """Return the axes to draw on: `ax` if it is given, otherwise those of a new figure.

    A figure that is only written to `path` is a figure of its own. Any other one is pyplot's, so
    that a notebook shows it and `matplotlib.pyplot.show()` does in a program.

    Raises `ImportError` where matplotlib is not installed, `TypeError` for an `ax` that is no Axes.
    """
    try:
        from matplotlib.axes import Axes
    except ModuleNotFoundError:
        raise ImportError("plots need matplotlib; pip install matplotlib") from None
    if ax is not None:
        if not isinstance(ax, Axes):
            raise TypeError(f"ax is of type {type(ax).__name__}; expected matplotlib Axes")
        return ax
    if path is None:
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height), layout="constrained").add_subplot()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path_name("path", path)
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def finish(ax: Axes, path: str | PathLike[str] | None) -> Axes:
    """Write the figure of the axes to `path` if there is one, whole or not at all; return the axes.

    The end of the name is the format; a name without one gets that of `savefig.format`.
    """
    if path is None:
        return ax
    from matplotlib import rcParams

    name, picture = path_name("path", path), BytesIO()
    if not (kind := splitext(name)[1][1:]):
        kind = rcParams["savefig.format"]
        name = f"{name.rstrip('.')}.{kind}"
    figure_of(ax).savefig(picture, format=kind)
    write_atomically(name, picture.getvalue())
    return ax


def figure_of(ax: Axes) -> Figure:
    """Return the figure of the axes, that of all where figures are parts of one."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("ax is on no figure; expected Axes of one")
    return figure


def token_list(tokens: Iterable[str]) -> list[str]:
    """Return tokens as a list, those of a str its characters; raise `TypeError` for others."""
    found = list(tokens) if isinstance(tokens, str) else strings("tokens", tokens)
    if not all(isinstance(token, str) for token in found):
        raise TypeError(f"tokens is {shorten(tokens)}; expected a list of str")
    return found


def labels(tokens: Iterable[str]) -> list[str]:
    """Write tokens so that each can be seen, and so that none is too long for its place."""
    written = (legible(token).replace(" ", "\N{OPEN BOX}") for token in tokens)
    return [label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…" for label in written]


def legible(text: str) -> str:
    r"""Write what is invisible, or in no font, as its code: no picture warns of a glyph.

    >>> legible("a b\t\u0301")
    'a b\\tU+0301'
    """
    return "".join(c if " " <= c <= "~" or _has_shape(c) else _code(c) for c in text)


def _has_shape(character: str) -> bool:
    # Control characters, separators, and marks that combine with what stands before them.
    if unicodedata.category(character)[0] in "CZM":
        return False
    from matplotlib import font_manager as fonts
    from matplotlib import rcParams

    # matplotlib looks for a glyph in each of these families in turn.
    families = (fonts.FontProperties(family=[name]) for name in rcParams["font.family"])
    return any(
        fonts.get_font(fonts.findfont(family)).get_char_index(ord(character)) for family in families
    )


def _code(character: str) -> str:
    code = ord(character)
    return repr(character)[1:-1] if code <= 0x7F else f"U+{code:04X}"
