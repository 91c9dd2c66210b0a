"""Pictures of graphs: as text in Graphviz's language, or as SVG where Graphviz is installed.

>>> from fastgrad.engine import Value
>>> from fastgrad.draw import dot
>>> a = Value(2.0, label='a')
>>> b = a * -3.0
>>> b.backward()
>>> print(dot(b))
digraph {
  rankdir=LR
  node [fontname="Helvetica", fontsize=11]
  n0 [shape=record, label="{data -6|grad 1}"]
  n0_op [shape=oval, width=0.4, height=0.35, margin=0.02, label="*"]
  n0_op -> n0
  n1 -> n0_op
  n1 [shape=record, label="{a|data 2|grad -3}"]
}
"""

from __future__ import annotations

import shutil
import subprocess

from ._checks import path_name, shorten
from .engine import Value

__all__ = ["Drawing", "dot", "draw_dot", "svg"]

_OPERATION = "shape=oval, width=0.4, height=0.35, margin=0.02"

# Graphviz gives these a meaning of their own inside a label.
_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in '\\"{}|<>'} | {"\n": "\\n", "&": "&amp;"}
)


class Drawing:
    """A graph as micrograd's `draw_dot` returns it: its DOT text, and files of it."""

    def __init__(self, source: str) -> None:
        """Keep the text."""
        self.source = source

    def render(self, filename: str = "graph", format: str = "svg", *, view: bool = False) -> str:
        """Write a picture with the `dot` program of Graphviz, and return the file's name.

        Raises `RuntimeError` where that program is not installed or fails.
        """
        path = path_name("filename", f"{filename}.{format}")
        from ._files import write_atomically  # Here, since most graphs are never drawn.

        write_atomically(path, _run_dot(self.source, format))
        if view:
            import webbrowser

            webbrowser.open(path)
        return path

    def _repr_svg_(self) -> str | None:
        """Show the picture in a notebook where Graphviz is installed."""
        if shutil.which("dot") is None:
            return None
        return _run_dot(self.source, "svg").decode()

    def __repr__(self) -> str:
        """Show the DOT text."""
        return self.source


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR") -> Drawing:
    """Return the graph under `root` as a drawing, as micrograd's notebook calls it.

    `rankdir` is "LR" for left to right or "TB" for top to bottom; `format` is there for programs
    that give it, `Drawing.render` takes it too.

    >>> draw_dot(Value(2.0) * 3.0).source.startswith("digraph")
    True
    """
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir is {shorten(rankdir)}; expected 'LR' or 'TB'")
    return Drawing(dot(root).replace("rankdir=LR", f"rankdir={rankdir}", 1))


def dot(root: Value) -> str:
    """Write the graph under `root` in Graphviz's DOT language, from left to right.

    Each Value is a box with its label, if it has one, its data and its gradient; each operation is
    an oval between its operands and its result. Nodes are numbered as they are found from the
    root, so the same graph always gives the same text.
    """
    if not isinstance(root, Value):
        raise TypeError(f"root is {shorten(root)}; expected a Value")
    lines = ["digraph {", "  rankdir=LR", '  node [fontname="Helvetica", fontsize=11]']
    numbers = {id(root): 0}
    found = [root]
    for node in found:  # grows as it goes: a graph may be deeper than Python's own stack
        name = f"n{numbers[id(node)]}"
        lines.append(f'  {name} [shape=record, label="{{{_fields(node)}}}"]')
        if node._op or node._prev:
            op = str(node._op).translate(_ESCAPES)
            lines.append(f'  {name}_op [{_OPERATION}, label="{op}"]')
            lines.append(f"  {name}_op -> {name}")
        for operand in node._prev:
            if id(operand) not in numbers:
                numbers[id(operand)] = len(numbers)
                found.append(operand)
            lines.append(f"  n{numbers[id(operand)]} -> {name}_op")
    return "\n".join([*lines, "}"])


def svg(root: Value) -> str:
    """Return the graph under `root` as SVG, drawn by the `dot` program of Graphviz.

    Raises `RuntimeError` where that program is not installed or fails.
    """
    return _run_dot(dot(root), "svg").decode()


def _run_dot(source: str, format: str) -> bytes:
    """Return a picture of a DOT text."""
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            "drawing needs the program `dot`, which is not on the PATH; install Graphviz"
            " (https://graphviz.org), or save the text of fastgrad.draw.dot(root)"
            " and draw it elsewhere"
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
