"""The graph under a Value as text, for a terminal."""

from __future__ import annotations

from .._checks import shorten, whole
from ..engine import Value
from .graph import name_of, op_text


def tree(root: Value, *, depth: int | None = None, max_nodes: int = 200) -> str:
    """Return the graph under `root` as lines of text, each operand below its result.

    A Value that several others use is written once, with its operands; later it is only named, by
    its label or by the number of its line. `depth` is how many ops from the root are written
    (default: all), `max_nodes` how many lines (default: 200); the last line counts the rest.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> c = (a * b + 10) / a
    >>> c.backward()
    >>> print(tree(c))
    /  data 2  grad 1
    ├─ · + 10  data 4  grad 0.5
    │  └─ *  data -6  grad 0.5
    │     ├─ a  data 2  grad -2.5
    │     └─ b  data -3  grad 1
    └─ a  (above)
    """
    if not isinstance(root, Value):
        raise TypeError(f"root is {shorten(root)}; expected a Value, such as a loss")
    deepest = None if depth is None else whole("depth", depth)
    max_nodes = whole("max_nodes", max_nodes, 1)
    lines: list[str] = []
    numbers: dict[int, int] = {}
    # The stack: a Value, the text before it, the text before its operands, its depth.
    waiting = [(root, "", "", 0)]
    while waiting and len(lines) < max_nodes:
        value, start, below, level = waiting.pop()
        if id(value) in numbers:
            name = name_of(value) or f"{op_text(value)} of line {numbers[id(value)]}".lstrip()
            lines.append(f"{start}{name}  (above)")
            continue
        numbers[id(value)] = len(lines) + 1
        name = " = ".join(filter(None, (name_of(value), op_text(value))))
        numbers_text = f"data {value.data:.4g}  grad {value.grad:.4g}"
        operands = value._prev
        is_cut = deepest is not None and level >= deepest and bool(operands)
        lines.append(start + "  ".join(filter(None, (name, numbers_text, "…" if is_cut else ""))))
        if not is_cut:
            branches = [("├─ ", "│  ")] * (len(operands) - 1) + [("└─ ", "   ")]
            waiting += [
                (operand, below + mark, below + line, level + 1)
                for operand, (mark, line) in zip(operands, branches, strict=False)
            ][::-1]
    if waiting:
        lines.append(f"… {len(waiting):,} more operands and what lies below them")
    return "\n".join(lines)
