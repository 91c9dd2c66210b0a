"""Pictures of graphs, for notebooks and files."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

from .._checks import path_name, shorten, whole
from .._hints import no_attribute
from ..engine import Value
from .graph import LEVELS, Walk, picture_of
from .svg import Drawn, style

if TYPE_CHECKING:
    import os

    from .graph import Picture

# The most that a notebook gets of one picture, in all the ways of folding it.
_MOST_HTML = 300_000
# The page itself is light or dark as its pictures are.
_HEAD = (
    '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<title>Graph</title>"
)
# Their outputs are neurons.
_LAYERS = ("affine", "linear")
_NAMES: dict[str, str] = {
    "nothing": "scalars",
    "ops": "ops",
    "neurons": "neurons",
    "layers": "layers",
}

# A click on a folded box shows what is inside below the picture, a second click hides it. Pictures
# in that panel have folded boxes too, whose panels come below.
_SCRIPT = """(root => {
  const hint = document.createElement("small");
  hint.textContent = " click what is underlined to unfold it";
  const prepare = (picture, level) => picture.querySelectorAll("[data-inside]").forEach(box => {
    const source = root.querySelector(`template[data-of="${box.dataset.inside}"]`);
    if (!source) return;
    if (!hint.isConnected) root.insertBefore(hint, root.querySelector(".fg-picture"));
    box.classList.add("opens");
    box.setAttribute("tabindex", 0);
    box.setAttribute("role", "button");
    box.setAttribute("aria-expanded", false);
    const toggle = () => {
      const was = box.classList.contains("is-open");
      root.querySelectorAll(".fg-inside").forEach(panel => {
        if (panel.level > level) { panel.box.classList.remove("is-open"); panel.remove(); }
      });
      if (was) return box.setAttribute("aria-expanded", false);
      const panel = document.createElement("div");
      Object.assign(panel, {className: "fg-inside", level: level + 1, box});
      panel.style.overflowX = "auto";
      panel.append(source.content.cloneNode(true));
      root.append(panel);
      box.classList.add("is-open");
      box.setAttribute("aria-expanded", true);
      prepare(panel, level + 1);
    };
    box.onclick = toggle;
    box.onkeydown = event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
    };
  });
  root.querySelectorAll(":scope>.fg-picture").forEach(picture => prepare(picture, 0));
})(document.currentScript.parentNode)"""

# Members as they are called elsewhere, and here.
_SHOWN = "save(path), or leave it as the last line of a notebook's cell"
MEANT = {
    "render": "save(path)",
    "write": "save(path)",
    "to_file": "save(path)",
    "draw": _SHOWN,
    "show": _SHOWN,
    "view": _SHOWN,
    "display": _SHOWN,
    "source": "fastgrad.viz.draw_dot(v).source",
    "to_svg": "svg",
}


class Drawing:
    """A picture of a graph as it was when it was drawn; a notebook shows it."""

    def __init__(self, pictures: dict[str, str], insides: dict[str, str] | None = None) -> None:
        """Keep the SVG text for each way of folding, the one to show first; and of what is folded.

        `insides` has the picture of what is inside of a box by the box's key.
        """
        self.pictures = pictures
        self.insides = insides or {}

    @property
    def svg(self) -> str:
        """The picture as SVG text."""
        return next(iter(self.pictures.values()))

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the picture to a file whose name ends in .svg or .html, and return the name.

        The page lets the reader choose how far the graph is folded, and unfold a single box.
        """
        name = path_name("path", path)
        if not name.endswith((".svg", ".html")):
            raise ValueError(f"path is {shorten(name)}; expected a name that ends in .svg or .html")
        from .._files import write_atomically  # Here, since most graphs are never written.

        page = _HEAD + self._page()
        write_atomically(name, (self.svg if name.endswith(".svg") else page).encode())
        return name

    def _repr_svg_(self) -> str:
        """Show the picture in a notebook."""
        return self.svg

    def _repr_html_(self) -> str:
        """Show the picture with a choice of how far it is folded.

        A notebook that is not trusted drops style, script and SVG: it shows an image instead, and
        not the texts of the rest, as a datalist stays hidden where no style shows it.
        """
        image = base64.b64encode(self.svg.encode()).decode()
        plain = f'<img class="fg-plain" src="data:image/svg+xml;base64,{image}" alt="graph">'
        return self._page(plain)

    def _page(self, plain: str = "") -> str:
        """Return the HTML of a choice among the pictures; the script only unfolds single boxes."""
        shown: list[str] = []
        size = 0
        for level in self.pictures:
            size += len(self.pictures[level])
            if not shown or size < _MOST_HTML:
                shown.append(level)
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
        # The style sheet of the first picture is for all.
        sheet = f"<style>{style()}</style>"
        parts = "".join(
            f'<div class="fg-picture {name} {name}{i}">'
            f"{self.pictures[level].replace(sheet, '', 1) if i else self.svg}</div>"
            for i, level in enumerate(shown)
        )
        if len(shown) == 1:
            rules, choice = f".{name}{{display:block}}", ""
        rules = (
            f".fg-plain,.{name}{{display:none}}.{name}{{overflow-x:auto}}"
            f".fg-graph{{display:block}}{rules}"
        )
        insides = ""
        for key, picture in self.insides.items():
            if size + len(picture) < _MOST_HTML:
                size += len(picture)
                insides += f'<template data-of="{key}">{picture}</template>'
        script = f"<script>{_SCRIPT}</script>" if insides else ""
        choice = f"<small>show </small>{choice}" if choice else ""
        return (
            f'<div><style>{rules}</style>{plain}<datalist class="fg-graph">{choice}{parts}{insides}'
            f"{script}</datalist></div>"
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, MEANT)

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
    (default: 200). `fold` says how much one box stands for:

    - "nothing": every product and sum has a box, also those inside of neurons and other ops over
      lists (unless an operand's data has changed since, so that the parts would not add up);
    - "ops": an op over lists is one box, as it is one Value;
    - "neurons": weights are in the box of the op over lists that uses them;
    - "layers": so are the outputs of one call;
    - "auto", the default: the first of "ops", "neurons", "layers" that fits.

    Where neurons and layers do not fit, a network of plain ops is folded as well: an op whose
    result is used once goes into the box of the op that uses it, and those of one depth are a
    layer. What still does not fit is counted, not drawn: a graph of any size is drawn in about a
    second. A notebook lets the reader choose among all that fit, and a click on a folded box
    unfolds it.

    >>> a = Value(2.0, label="a")
    >>> picture = draw(5 - a)
    >>> "5 - ·" in picture.svg, "no gradient yet" in picture.svg
    (True, True)
    """
    return Drawing(*_draw(root, depth, max_nodes, edges, fold, with_insides=True))


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
    return Drawing(*_draw(root, depth, max_nodes, edges, fold, with_insides=False)).svg


def _draw(
    root: Value, depth: int | None, max_nodes: int, edges: bool, fold: str, *, with_insides: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the pictures by their ways of folding, and those of what is inside of boxes."""
    if not isinstance(root, Value):
        raise TypeError(f"root is {shorten(root)}; expected a Value, such as a loss")
    if depth is not None:
        depth = whole("depth", depth)
    max_nodes = whole("max_nodes", max_nodes, 2)
    if fold not in ("auto", *LEVELS):
        known = ", ".join(map(repr, ("auto", *LEVELS)))
        raise ValueError(f"fold is {shorten(fold)}; expected one of {known}")
    walk = Walk([root], depth)
    scalars = None
    if fold == "nothing" or (fold == "auto" and with_insides and walk.has_calls()):
        scalars = Walk([root], depth, scalars=True)
    if fold != "auto":
        levels = [fold]
    else:
        # A level that changes nothing is not drawn twice.
        sizes = {walk.size(level, max_nodes): level for level in ("layers", "neurons", "ops")}
        fitting = [level for size, level in sizes.items() if size <= max_nodes]
        levels = fitting[::-1] or ["layers"]
        if scalars and scalars.size("nothing", max_nodes) <= max_nodes and scalars.written_out:
            levels.append("nothing")
    pictures = {
        level: picture_of(
            scalars if scalars and level == "nothing" else walk, level, max_nodes, edges
        )
        for level in levels
    }
    insides = _Insides(max_nodes, edges)
    if with_insides:
        for level in levels[::-1]:  # There is room for those of the most folded picture at least.
            insides.find(pictures[level])
    drawn = {_NAMES[level]: Drawn(picture).svg() for level, picture in pictures.items()}
    return drawn, insides.draw()


class _Insides:
    """The insides of folded boxes, each to be drawn once."""

    def __init__(self, max_nodes: int, edges: bool) -> None:
        self.max_nodes, self.edges = max_nodes, edges
        self.keys: dict[tuple[int, ...], str] = {}
        self.found: list[tuple[Value, ...]] = []

    def find(self, picture: Picture) -> None:
        """Give a key to each box that something is folded in."""
        for box in sorted(picture.boxes, key=lambda box: len(box.inside)):  # Small ones first.
            if box.inside:
                ids = tuple(map(id, box.inside))
                if ids not in self.keys:
                    self.keys[ids] = str(len(self.found))
                    self.found.append(box.inside)
                box.key = self.keys[ids]

    def draw(self) -> dict[str, str]:
        """Return the pictures by their keys, as many as a page may have."""
        drawn: dict[str, str] = {}
        size = 0
        for number, values in enumerate(self.found):  # It grows as it goes.
            if (picture := self._picture(values)) is None:
                continue
            self.find(picture)
            drawn[str(number)] = Drawn(picture).svg(styled=False)
            size += len(drawn[str(number)])
            if size > _MOST_HTML:
                break
        return drawn

    def _picture(self, values: tuple[Value, ...]) -> Picture | None:
        """Return the neurons of a layer, the plain ops of a tree, or the scalar ops of another op.

        None where there is nothing inside.
        """
        is_plain = values[0]._call_id is None or values[0]._op.startswith(_LAYERS)
        level = "neurons" if len(values) > 1 and is_plain else "nothing"
        walk = Walk(values, scalars=level == "nothing", inside=True)
        if level == "nothing" and not walk.written_out and len(values) == 1:
            return None
        return picture_of(walk, level, self.max_nodes, self.edges)


def show(root: Value) -> dict[str, str]:
    """Return what a notebook shows of a Value: its text, and the picture of its graph."""
    drawing = draw(root)
    return {
        "text/plain": repr(root),
        "text/html": drawing._repr_html_(),
        "image/svg+xml": drawing.svg,
    }
