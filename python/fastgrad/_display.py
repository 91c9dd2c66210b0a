"""Small pictures for notebooks as HTML that loads nothing: heat maps and curves.

Text has the colour of the page around it, and shades are transparent, so that light and dark pages
show both alike.
"""

from __future__ import annotations

import math
from html import escape as escape_html

from ._checks import escape

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["curves", "heat_map", "stacked", "text"]

_BLUE, _ORANGE = "#228be6", "#e8590c"
_CELL, _MARGIN = 19, 26
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 520, 200, 56, 22
_FONT = 'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="12" fill="currentColor"'


def text(string: str) -> str:
    """Return a text for HTML and XML, control characters written out.

    >>> text("<b>")
    '&lt;b&gt;'
    """
    return escape_html(escape(string), quote=True).translate({0xFFFE: None, 0xFFFF: None})


def stacked(first: object, parts: Iterable[str]) -> str:
    """Return the text of an object above parts of HTML."""
    return "\n".join([f"<div><code>{text(repr(first))}</code></div>", *parts])


def heat_map(numbers: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Return a square table as SVG: the darker a cell, the larger its number.

    The shade is that of the square root, which shows small numbers too. A cell tells its row,
    column and number when the mouse rests on it.

    >>> heat_map([[0, 3], [3, 1]], ["a", "b"]).count("<rect")
    3
    """
    most = max((number for row in numbers for number in row), default=0.0)
    side = _MARGIN + _CELL * len(names)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" {_FONT}>']
    for i, name in enumerate(names):
        at = _MARGIN + _CELL * (i + 0.5)
        short = text(name[:2])
        parts.append(f'<text x="{_MARGIN - 8}" y="{at + 4}" text-anchor="end">{short}</text>')
        parts.append(f'<text x="{at}" y="{_MARGIN - 8}" text-anchor="middle">{short}</text>')
        for j, number in enumerate(numbers[i]):
            if number > 0:
                shade = math.sqrt(number / most)
                parts.append(
                    f'<rect x="{_MARGIN + _CELL * j}" y="{_MARGIN + _CELL * i}" width="{_CELL - 1}"'
                    f' height="{_CELL - 1}" fill="{_BLUE}" fill-opacity="{shade:.2f}">'
                    f"<title>{text(name)} {text(names[j])}: {number:,.5g}</title></rect>"
                )
    return "".join([*parts, "</svg>"])


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_name: str,
    right: float | None = None,
) -> str:
    """Return up to two curves as SVG, each of its x and y; what is not finite is left out.

    The x axis goes from 0 to `right` (default: the largest x).

    >>> curves({"loss": ([0, 1, 2], [3.0, 2.0, 1.5])}, "steps").count("<polyline")
    1
    """
    lines = {
        name: [(float(x), float(y)) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        for name, (xs, ys) in series.items()
    }
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    right = right or max(x for x, _ in points) or 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    room = (high - low) or 1.0
    width, height = _WIDTH - _LEFT - 10, _HEIGHT - _BOTTOM - 24

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / right * width, 24 + (high - y) / room * height

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" {_FONT}>',
        f'<path d="M{_LEFT} 20V{24 + height + 4}H{_WIDTH - 6}" fill="none" stroke="currentColor"'
        ' stroke-opacity=".4"/>',
    ]
    for y in {low, high}:
        place = at(0, y)[1] + 4
        parts.append(f'<text x="{_LEFT - 6}" y="{place:.1f}" text-anchor="end">{y:.4g}</text>')
    parts.append(
        f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 4}" text-anchor="end">{right:,.0f} {text(x_name)}'
        "</text>"
    )
    for (name, line), colour, x in zip(lines.items(), (_BLUE, _ORANGE), (_LEFT, 200), strict=False):
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        parts.append(f'<text x="{x + 8}" y="14" style="fill:{colour}">{text(name)}</text>')
        parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
        if len(line) <= 30:
            dots = (at(*point) for point in line)
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in dots
            ]
    return "".join([*parts, "</svg>"])
