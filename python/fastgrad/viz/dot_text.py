"""The graph under a Value in Graphviz's DOT language, as micrograd's notebook has it."""

from __future__ import annotations

import shutil
import subprocess

from .._checks import path_name, shorten
from ..engine import Value
from .drawing import Drawing, draw
from .graph import op_text

# The formats of `render`: svg is drawn here, the others by Graphviz.
_FORMATS = ("svg", "png", "pdf", "ps", "eps", "jpg", "gif", "webp", "dot", "plain")

_OPERATION = "shape=oval, width=0.4, height=0.35, margin=0.02"

# Graphviz gives these a meaning of their own inside a label.
_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in '\\"{}|<>'} | {"\n": "\\n", "&": "&amp;"}
)


class DotDrawing(Drawing):
    """A picture that has its graph as DOT text too, in `source`."""

    def __init__(self, source: str, picture: Drawing) -> None:
        """Keep both."""
        super().__init__(picture.pictures)
        self.source = source

    def render(self, filename: str = "graph", format: str = "svg", *, view: bool = False) -> str:
        """Write the picture to "<filename>.<format>", and return the file's name.

        SVG is drawn by fastgrad; png, pdf, ps, eps, jpg, gif, webp, dot and plain by the program
        `dot` of Graphviz. Raises `ValueError` for another format, and `RuntimeError` where that
        program is needed and is not installed or fails.
        """
        path = path_name("filename", filename)
        if type(format) is not str or format not in _FORMATS:
            known = ", ".join(map(repr, _FORMATS))
            raise ValueError(f"format is {shorten(format)}; expected one of {known}")
        if not path.endswith(f".{format}"):
            path = path_name("filename", f"{path}.{format}")
        from .._files import write_atomically  # Here, since most graphs are never written.

        picture = self.svg.encode() if format == "svg" else _run_dot(self.source, format)
        write_atomically(path, picture)
        if view:
            import webbrowser

            webbrowser.open(path)
        return path

    def __repr__(self) -> str:
        """Show the DOT text."""
        return self.source


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR") -> DotDrawing:
    """Return the graph under `root` as a drawing, as micrograd's notebook calls it.

    A notebook shows the picture of `fastgrad.viz.draw`; `source` is the text of `dot`, which
    Graphviz draws in another style. `rankdir` is "LR" for left to right or "TB" for top to bottom,
    of the text; `format` is there for programs that give it, `DotDrawing.render` takes it too.

    >>> draw_dot(Value(2.0) * 3.0).source.startswith("digraph")
    True
    """
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir is {shorten(rankdir)}; expected 'LR' or 'TB'")
    source = dot(root).replace("rankdir=LR", f"rankdir={rankdir}", 1)
    return DotDrawing(source, draw(root))


def dot(root: Value) -> str:
    """Write the graph under `root` in Graphviz's DOT language, from left to right.

    Each Value is a box with its label, if it has one, its data and its gradient; each operation is
    an oval between its operands and its result. Nodes are numbered as they are found from the
    root, so the same graph always gives the same text.

    >>> a = Value(2.0, label='a')
    >>> b = a * -3.0
    >>> b.backward()
    >>> print(dot(b))
    digraph {
      rankdir=LR
      node [fontname="Helvetica", fontsize=11]
      n0 [shape=record, label="{data -6|grad 1}"]
      n0_op [shape=oval, width=0.4, height=0.35, margin=0.02, label="· * (-3)"]
      n0_op -> n0
      n1 -> n0_op
      n1 [shape=record, label="{a|data 2|grad -3}"]
    }
    """
    if not isinstance(root, Value):
        raise TypeError(f"root is {shorten(root)}; expected a Value, such as a loss")
    lines = ["digraph {", "  rankdir=LR", '  node [fontname="Helvetica", fontsize=11]']
    numbers = {id(root): 0}
    found = [root]
    for node in found:  # grows as it goes: a graph may be deeper than Python's own stack
        name = f"n{numbers[id(node)]}"
        lines.append(f'  {name} [shape=record, label="{{{_fields(node)}}}"]')
        if node._op or node._prev:
            op = op_text(node).translate(_ESCAPES)
            lines.append(f'  {name}_op [{_OPERATION}, label="{op}"]')
            lines.append(f"  {name}_op -> {name}")
        for operand in node._prev:
            if id(operand) not in numbers:
                numbers[id(operand)] = len(numbers)
                found.append(operand)
            lines.append(f"  n{numbers[id(operand)]} -> {name}_op")
    return "\n".join([*lines, "}"])


def _run_dot(source: str, format: str) -> bytes:
    """Return a picture of a DOT text."""
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            f"format {shorten(format)} needs the program `dot`, which is not on the PATH; install"
            " Graphviz (https://graphviz.org), or use 'svg'"
        )
    drawn = subprocess.run(
        [program, f"-T{format}"], input=source.encode(), capture_output=True, check=False
    )
    if drawn.returncode != 0:
        raise RuntimeError(f"{program} failed: {drawn.stderr.decode(errors='replace').strip()}")
    return drawn.stdout


def _fields(node: Value) -> str:
    """Write what the box of a node says, its fields separated by bars."""
    label = str(node.label).translate(_ESCAPES)
    fields = [label] if label else []
    return "|".join([*fields, f"data {node.data:.6g}", f"grad {node.grad:.6g}"])
