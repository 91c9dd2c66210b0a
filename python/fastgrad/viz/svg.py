"""A picture of a graph as SVG text."""

from __future__ import annotations

import math
import unicodedata
from html import escape as escape_html
from itertools import pairwise
from typing import TYPE_CHECKING

from .. import _core

if TYPE_CHECKING:
    from .graph import Box, Edge, Picture

# Lengths in pixels of a font whose characters all have the same width.
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
SIZE, CHARACTER, LINE = 12, 7.3, 16
PAD, LINK, MARGIN = 8, 10, 16
LAYER_GAP, NODE_GAP = 36.0, 14.0

# Background, text, faint text, lines, box, op, positive, negative, not finite.
LIGHT = ("#ffffff", "#1f2328", "#59636e", "#8c959f", "#f6f8fa", "#ffffff", "#d9480f", "#1971c2", "#9c36b5")  # fmt: skip  # noqa: E501
DARK = ("#0d1117", "#e6edf3", "#9198a1", "#6e7681", "#161b22", "#21262d", "#ff8c42", "#4dabf7", "#da77f2")  # fmt: skip  # noqa: E501
# The attributes with which notebooks and sites choose light or dark, over the system's choice.
_LIGHT_PAGES = ('[data-jp-theme-light="true"]', '[data-theme="light"]', ".vscode-light")
_DARK_PAGES = ('[data-jp-theme-light="false"]', '[data-theme="dark"]', ".vscode-dark")


def style() -> str:
    """Return the style sheet of pictures: light, and dark where the reader prefers that."""
    shape = (
        f".fg text{{font:{SIZE}px {FONT}}}.fg .title{{font-weight:700}}.fg .end{{text-anchor:end}}"
        ".fg .mid{text-anchor:middle}.fg path{fill:none;stroke-width:1.3}"
        ".fg .more{stroke-dasharray:4 3}.fg .halo{paint-order:stroke;stroke-width:4px}"
        ".fg .opens{cursor:pointer}.fg .opens .title{text-decoration:underline}"
        ".fg .is-open rect{stroke-width:2.5}"
    )
    dark = "".join(f"{page} " + rule for rule in _rules(DARK) for page in _DARK_PAGES)
    light = "".join(f"{page} " + rule for rule in _rules(LIGHT) for page in _LIGHT_PAGES)
    return (
        shape
        + "".join(_rules(LIGHT))
        + f"@media(prefers-color-scheme:dark){{{''.join(_rules(DARK))}}}"
        + dark
        + light
    )


def _rules(colours: tuple[str, ...]) -> list[str]:
    page, ink, faint, line, box, op, positive, negative, odd = colours
    return [
        f".fg .page{{fill:{page}}}",
        f".fg text{{fill:{ink}}}",
        f".fg .faint{{fill:{faint}}}",
        f".fg .halo{{stroke:{page}}}",
        f".fg path{{stroke:{line}}}",
        f".fg .box{{fill:{box};stroke:{line}}}",
        f".fg .op{{fill:{op};stroke:{line}}}",
        f".fg .pos{{fill:{positive}}}",
        f".fg .neg{{fill:{negative}}}",
        f".fg .odd{{fill:{odd}}}",
    ]


def width_of(text: str) -> float:
    """Return the width of a text; characters of East Asia take twice the room."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return CHARACTER * (len(text) + wide)


def text(x: float, y: float, string: str, kind: str = "") -> str:
    """Return a text whose line is around y."""
    class_ = f' class="{kind}"' if kind else ""
    return f'<text x="{_n(x)}" y="{_n(y + SIZE * 0.35)}"{class_}>{escape(string)}</text>'


def escape(string: str) -> str:
    """Escape a text for XML and HTML; two characters that XML does not have are left out."""
    return escape_html(string, quote=True).translate({0xFFFE: None, 0xFFFF: None})


def _n(x: float) -> str:
    return f"{x:.1f}".removesuffix(".0")


class Drawn:
    """A picture with a place for everything."""

    def __init__(self, picture: Picture) -> None:
        """Lay it out. A text on an edge is a node of the layout too, so that it gets room."""
        self.picture = picture
        sizes = [box_size(box) for box in picture.boxes]
        pairs: list[tuple[int, int]] = []
        self.texts: list[tuple[int, Edge]] = []
        for edge in picture.edges:
            if edge.text:
                middle = len(sizes)
                lines = _on_edge(edge).split("\n")
                sizes.append((max(map(width_of, lines)) + 6, LINE * len(lines)))
                self.texts.append((middle, edge))
                pairs += [(edge.tail, middle), (middle, edge.head)]
            else:
                pairs.append((edge.tail, edge.head))
        self.sizes, self.pairs = sizes, pairs
        self.centers, self.routes, self.size, self.crossings = _core.layout(
            sizes, pairs, LAYER_GAP, NODE_GAP
        )

    def svg(self, *, styled: bool = True) -> str:
        """Return the picture as SVG; one that is not styled stands on a page that has the style."""
        sheet = f"<style>{style()}</style>" if styled else ""
        legend = _legend(self.picture)
        width = max(self.size[0], legend[1]) + 2 * MARGIN
        height = self.size[1] + 2 * MARGIN + legend[2]
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="fg" width="{_n(width)}"'
            f' height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}" role="img"',
            # JupyterLab scales a picture down to its width: not to less than can be read.
            f' style="min-width:{_n(0.75 * width)}px">',
            f"<title>{escape(_summary(self.picture))}</title>{sheet}",
            f'<rect class="page" width="{_n(width)}" height="{_n(height)}" rx="6"/>',
            f'<g transform="translate({MARGIN} {MARGIN})">',
            self.edges(),
            self.boxes(),
            "</g>",
            f'<g transform="translate({MARGIN} {_n(self.size[1] + 2 * MARGIN)})">{legend[0]}</g>',
            "</svg>",
        ]
        return "".join(parts)

    def edges(self) -> str:
        """Return all edges and what stands on them."""
        parts = [self.path(number) for number in range(len(self.pairs))]
        for middle, edge in self.texts:
            x, y = self.centers[middle]
            parts.append(text(x, y, _on_edge(edge), "mid faint"))
        if not self.texts:
            routes = zip(self.picture.edges, self.routes, strict=True)
            parts += [_place(edge, route) for edge, route in routes if edge.place]
        return "".join(parts)

    def path(self, number: int) -> str:
        """Return a line of the layout: an edge, or its part before or behind a text."""
        return _path(self.routes[number], tip=self.pairs[number][1] < len(self.picture.boxes))

    def boxes(self) -> str:
        """Return all boxes."""
        strongest = _strongest(self.picture)
        return "".join(
            draw_box(box, self.centers[i], self.sizes[i], strongest, f"n{i}")
            for i, box in enumerate(self.picture.boxes)
        )


def box_size(box: Box) -> tuple[float, float]:
    """Return width and height of a box together with its op, which stands to its left."""
    lines = [box.title, *box.lines] if box.title else box.lines
    width = max(map(width_of, lines)) + 2 * PAD
    height = LINE * len(lines) + PAD
    stack = 4 if box.kind == "folded" else 0
    return width + _op_width(box) + stack, max(height, 26) + stack


def _op_width(box: Box) -> float:
    return max(width_of(box.op) + PAD + 4, 26) + LINK if box.op else 0.0


def draw_box(
    box: Box, center: tuple[float, float], size: tuple[float, float], strongest: float, name: str
) -> str:
    """Return a box: its op in an oval, then label, data and gradient, tinted by the gradient."""
    stack = 4 if box.kind == "folded" else 0
    x, y = center[0] - size[0] / 2, center[1] - size[1] / 2
    op, height = _op_width(box), size[1] - stack
    inside = f' data-inside="{box.key}"' if box.key else ""
    parts = [f'<g class="node {box.kind}" id="{name}"{inside}>']
    if box.op:
        middle = center[1]
        parts.append(
            f'<path d="M{_n(x + op - LINK)} {_n(middle)}h{LINK}"/><rect class="op" x="{_n(x)}"'
            f' y="{_n(middle - 13)}" width="{_n(op - LINK)}" height="26" rx="13"/>'
            + text(x + (op - LINK) / 2, middle, box.op, "mid title")
        )
    x, width = x + op, size[0] - op - stack
    place = f'width="{_n(width)}" height="{_n(height)}" rx="5"'
    if stack:
        parts.append(f'<rect class="box" x="{_n(x + 4)}" y="{_n(y + 4)}" {place}/>')
    dashed = " more" if box.kind == "more" else ""
    parts.append(f'<rect class="box{dashed}" x="{_n(x)}" y="{_n(y)}" {place}/>')
    if tint := _tint(box.grad, strongest):
        parts.append(f'<rect x="{_n(x)}" y="{_n(y)}" {place} {tint}/>')
    line = y + PAD / 2 + LINE / 2
    if box.title:
        parts.append(text(x + PAD, line, box.title, "title"))
        line += LINE
    for string in box.lines:
        name, _, number = string.partition(" ")
        if name in ("data", "grad"):
            parts.append(text(x + PAD, line, name, "faint"))
            parts.append(text(x + width - PAD, line, number, f"end {name}"))
        else:
            parts.append(text(x + PAD, line, string, "faint"))
        line += LINE
    return "".join([*parts, "</g>"])


def _tint(grad: float, strongest: float) -> str:
    """Return the colour of a gradient: how strong says its share of the strongest one."""
    if not math.isfinite(grad):
        return 'class="odd" fill-opacity=".6"'
    if grad == 0 or strongest == 0:
        return ""
    share = 0.08 + 0.52 * math.sqrt(abs(grad) / strongest)
    return f'class="{"pos" if grad > 0 else "neg"}" fill-opacity="{share:.2f}"'


def _strongest(picture: Picture) -> float:
    return max((abs(b.grad) for b in picture.boxes if math.isfinite(b.grad)), default=0.0)


def _path(route: list[tuple[float, float]], tip: bool) -> str:
    """Return an edge: level within layers, bent between them."""
    (x, y), *rest = route
    steps = [f"M{_n(x)} {_n(y)}"]
    is_level = False
    for to_x, to_y in rest:
        middle = (x + to_x) / 2
        if abs(to_y - y) < 0.05:
            if is_level:
                steps.pop()
            steps.append(f"H{_n(to_x)}")
        else:
            steps.append(f"C{_n(middle)} {_n(y)} {_n(middle)} {_n(to_y)} {_n(to_x)} {_n(to_y)}")
        is_level = abs(to_y - y) < 0.05
        x, y = to_x, to_y
    if tip:
        steps.append("m-5-3.5l5 3.5l-5 3.5")
    return f'<path d="{"".join(steps)}"/>'


def _place(edge: Edge, route: list[tuple[float, float]]) -> str:
    """Return the number of an operand, half-way along the last bend of its edge."""
    steps = list(pairwise(route))
    # At the end of their ways the edges of both operands run on one line.
    bends = [step for step in steps if abs(step[0][1] - step[1][1]) >= 0.05]
    longest = max(steps, key=lambda step: step[1][0] - step[0][0])
    (x, y), (to_x, to_y) = bends[-1] if bends else longest
    return text((x + to_x) / 2, (y + to_y) / 2, edge.place, "mid faint halo")


def _on_edge(edge: Edge) -> str:
    return f"{edge.place}: {edge.text}" if edge.place else edge.text


def _legend(picture: Picture) -> tuple[str, float, float]:
    """Return what colours and numbers mean, its width and its height."""
    lines: list[str] = []
    strongest = _strongest(picture)
    if strongest:
        lines.append("")
    elif not picture.has_gradients:
        lines.append("no gradient yet: backward() computes it")
    if any(edge.place for edge in picture.edges):
        lines.append("1, 2: first and second operand")
    if any("×" in edge.text for edge in picture.edges):
        lines.append("on an edge: local derivative × incoming gradient = added")
    elif any(edge.text for edge in picture.edges):
        lines.append("on an edge: d(result)/d(operand)")
    parts: list[str] = []
    width = 0.0
    for row, string in enumerate(lines):
        y = row * (LINE + 2) + LINE / 2
        if string:
            parts.append(text(0, y, string, "faint"))
            width = max(width, width_of(string))
        else:
            bar, used = _scale(y, strongest)
            parts.append(bar)
            width = max(width, used)
    return "".join(parts), width, len(lines) * (LINE + 2) + (MARGIN / 2 if lines else 0)


def _scale(y: float, strongest: float) -> tuple[str, float]:
    """Return the scale of gradients, and its width."""
    low, high = f"grad {-strongest:.3g}", f"{strongest:.3g}"
    x = width_of(low) + 8
    parts = [text(0, y, low, "faint")]
    for step in range(-5, 6):
        tint = _tint(step / 5 * strongest, strongest) or 'class="box"'
        parts.append(f'<rect x="{_n(x)}" y="{_n(y - 6)}" width="10" height="12" {tint}/>')
        x += 10
    parts.append(text(x + 8, y, high, "faint"))
    return "".join(parts), x + 8 + width_of(high)


def _summary(picture: Picture) -> str:
    """Return a sentence on the graph, for readers that do not see the picture."""
    root = picture.boxes[0]
    shown = sum(box.kind != "more" for box in picture.boxes)
    name = root.title or "a Value"
    return f"Graph of {name} ({', '.join(root.lines)}): {shown} boxes, {len(picture.edges)} edges"
