"""What all pictures share: a figure of their own, and labels that any font can show."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["labels", "legible", "new_figure"]

# Longer labels, which words may need, are cut.
_LONGEST = 12


def new_figure(width: float, height: float, dpi: float = 150) -> Figure:
    """Make a figure of the given size in inches; a user's choice for pyplot stays as it is."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def labels(symbols: Iterable[str]) -> list[str]:
    """Write symbols so that each can be seen, and so that none is too long for its place."""
    written = (legible(symbol).replace(" ", "\N{OPEN BOX}") for symbol in symbols)
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
    # matplotlib looks for a glyph in each of these families in turn.
    families = (FontProperties(family=[name]) for name in rcParams["font.family"])
    return any(get_font(findfont(family)).get_char_index(ord(character)) for family in families)


def _code(character: str) -> str:
    code = ord(character)
    return repr(character)[1:-1] if code <= 0x7F else f"U+{code:04X}"
