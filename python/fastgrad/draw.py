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

from ._checks import shorten
from .engine import Value

__all__ = ["dot", "svg"]

_OPERATION = "shape=oval, width=0.4, height=0.35, margin=0.02"

# Graphviz gives these a meaning of their own inside a label.
_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in '\\"{}|<>'} | {"\n": "\\n", "&": "&amp;"}
)


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
    """Draw the graph under `root` as SVG, with the `dot` program of Graphviz.

    Raises RuntimeError where that program is not installed or fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            "svg needs the program `dot`, which is not on the PATH; install Graphviz"
            " (https://graphviz.org), or save the text of fastgrad.draw.dot(root)"
            " and draw it elsewhere"
        )
    drawn = subprocess.run(
        [program, "-Tsvg"], input=dot(root), capture_output=True, encoding="utf-8", check=False
    )
    if drawn.returncode != 0:
        raise RuntimeError(f"{program} failed: {drawn.stderr.strip()}")
    return drawn.stdout


def _fields(node: Value) -> str:
    """Write what the box of a node says, its fields separated by bars."""
    label = str(node.label).translate(_ESCAPES)
    fields = [label] if label else []
    return "|".join([*fields, f"data {node.data:.6g}", f"grad {node.grad:.6g}"])
