"""Pictures of graphs, for notebooks and files."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from .._checks import path_name, shorten, whole
from ..engine import Value
from .graph import LEVELS, Walk, picture_of
from .svg import Drawn

if TYPE_CHECKING:
    import os

# The most that a notebook gets of one picture, in all the ways of folding it.
_MOST_HTML = 300_000
_NAMES: dict[str, str] = {"nothing": "all", "neurons": "neurons", "layers": "layers"}


class Drawing:
    """A picture of a graph as it was when it was drawn; a notebook shows it."""

    def __init__(self, pictures: dict[str, str]) -> None:
        """Keep the SVG text for each way of folding, the one to show first."""
        self.pictures = pictures

    @property
    def svg(self) -> str:
        """The picture as SVG text."""
        return next(iter(self.pictures.values()))

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the picture to a file whose name ends in .svg or .html, and return the name.

        The page lets the reader choose how far the graph is folded.
        """
        name = path_name("path", path)
        if not name.endswith((".svg", ".html")):
            raise ValueError(f"path is {shorten(name)}; expected a name that ends in .svg or .html")
        from .._files import write_atomically  # Here, since most graphs are never written.

        page = '<!doctype html><meta charset="utf-8"><title>Graph</title>' + self._repr_html_()
        write_atomically(name, (self.svg if name.endswith(".svg") else page).encode())
        return name

    def _repr_svg_(self) -> str:
        """Show the picture in a notebook."""
        return self.svg

    def _repr_html_(self) -> str:
        """Show the picture with a choice of how far it is folded, without any script."""
        shown: list[str] = []
        size = 0
        for level in self.pictures:
            size += len(self.pictures[level])
            if not shown or size < _MOST_HTML:
                shown.append(level)
        if len(shown) == 1:
            return f'<div style="overflow-x:auto">{self.svg}</div>'
        # Two pictures on one page may look the same: then they may share a name as well.
        name = f"fg{zlib.crc32(self.svg.encode()):x}"
        rules = "".join(
            f"#{name}{i}:checked~.{name}{i}{{display:block}}" for i in range(len(shown))
        )
        choice = "".join(
            f'<input type="radio" name="{name}" id="{name}{i}"{" checked" if not i else ""}>'
            f'<label for="{name}{i}"> {level} </label>'
            for i, level in enumerate(shown)
        )
        parts = "".join(
            f'<div class="{name} {name}{i}">{self.pictures[level]}</div>'
            for i, level in enumerate(shown)
        )
        style = f"<style>.{name}{{display:none;overflow-x:auto}}{rules}</style>"
        return f"<div>{style}<small>show </small>{choice}{parts}</div>"

    def __repr__(self) -> str:
        """Return the class and the size; the SVG text itself is long."""
        return f"<{type(self).__name__} of {len(self.svg):,} bytes of SVG>"


def draw(
    root: Value,
    *,
    depth: int | None = None,
    max_nodes: int = 200,
    edges: bool = False,
    fold: str = "auto",
) -> Drawing:
    """Draw the graph under `root`, from operands on the left to the root on the right.

    Each Value is a box with its label, data and gradient, tinted by the gradient, and behind the
    op that made it, with number operands as they were written. Light or dark is what the reader's
    system or page prefers. With `edges`, each edge says d(result)/d(operand).

    `depth` is how many ops from the root are drawn (default: all), and `max_nodes` how many boxes
    (default: 200). A larger graph is folded: `fold` is "nothing", "neurons" (weights in the box of
    the op over lists that uses them), "layers" (the outputs of one call too), or the first of these
    that fits (default: "auto"). What still does not fit is counted, not drawn: a graph of any size
    is drawn in about a second. A notebook lets the reader choose among all that fit.

    >>> a = Value(2.0, label="a")
    >>> picture = draw(5 - a)
    >>> "5 - ·" in picture.svg, "no gradient yet" in picture.svg
    (True, True)
    """
    if not isinstance(root, Value):
        raise TypeError(f"root is {shorten(root)}; expected a Value, such as a loss")
    if depth is not None:
        depth = whole("depth", depth)
    max_nodes = whole("max_nodes", max_nodes, 2)
    if fold not in ("auto", *LEVELS):
        known = ", ".join(map(repr, ("auto", *LEVELS)))
        raise ValueError(f"fold is {shorten(fold)}; expected one of {known}")
    walk = Walk(root, depth)
    if fold != "auto":
        levels = [level for level in LEVELS if level == fold]
    else:
        # A level that changes nothing is not drawn twice.
        sizes = {walk.size(level): level for level in reversed(LEVELS)}
        fitting = [level for size, level in sizes.items() if size <= max_nodes]
        levels = fitting[::-1] or [LEVELS[-1]]
    pictures = {_NAMES[level]: Drawn(picture_of(walk, level, max_nodes, edges)).svg()
                for level in levels}  # fmt: skip
    return Drawing(pictures)


def to_svg(
    root: Value,
    *,
    depth: int | None = None,
    max_nodes: int = 200,
    edges: bool = False,
    fold: str = "auto",
) -> str:
    """Return the picture of `draw` as SVG text.

    >>> to_svg(Value(2.0) * 3.0).startswith("<svg")
    True
    """
    return draw(root, depth=depth, max_nodes=max_nodes, edges=edges, fold=fold).svg


def show(root: Value) -> dict[str, str]:
    """Return what a notebook shows of a Value: its text, and the picture of its graph."""
    drawing = draw(root)
    return {
        "text/plain": repr(root),
        "text/html": drawing._repr_html_(),
        "image/svg+xml": drawing.svg,
    }
