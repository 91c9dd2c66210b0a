"""The graph under a Value as boxes and edges to draw, folded where it is large."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .._checks import cut
from ..engine import Value
from .folding import Folding, fold_trees, label_of, with_leaves
from .written_out import Programs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The levels of folding, from little to much; "nothing" writes ops over lists out as scalar ops.
LEVELS = ("nothing", "ops", "neurons", "layers")
# The most Values that are looked at: a second's worth. More are counted as "more than".
MOST_WALKED = 100_000
# The most characters of a label or an op that a picture shows.
LONGEST_NAME = 32
_ORDERED = ("-", "/", "**")


@dataclass
class Box:
    """A node of a picture: a Value, several of them, or those left out."""

    kind: Literal["value", "folded", "more"]
    title: str
    lines: list[str] = field(default_factory=list[str])
    op: str = ""
    """The op that made the Value, with its number operands; "" for a leaf."""
    grad: float = 0.0
    """The gradient that gives the box its colour: of several the one farthest from 0."""
    inside: tuple[Value, ...] = ()
    """The Values that are drawn where the box is unfolded; empty where nothing is folded."""
    key: str = ""
    """The name of the picture of what is inside; "" without one."""


@dataclass
class Edge:
    """An edge from an operand's box to a result's."""

    tail: int
    head: int
    text: str = ""
    """The local derivative, where that is asked for."""
    place: str = ""
    """ "1" or "2" where it matters which operand comes first."""


@dataclass
class Picture:
    """Boxes and edges; the first box is that of the root."""

    boxes: list[Box]
    edges: list[Edge]
    has_gradients: bool
    level: str


class Walk:
    """The Values under some roots, breadth first: the nearest come first."""

    def __init__(
        self,
        roots: Sequence[Value],
        depth: int | None = None,
        *,
        scalars: bool = False,
        inside: bool = False,
    ) -> None:
        """Look at no more than MOST_WALKED Values, none of them more than `depth` ops from a root.

        With `scalars`, ops over lists are written out. `inside` a box only its Values, the roots,
        have operands.
        """
        self.values = list(roots)
        self.roots = len(self.values)
        self.inside = inside
        self.children: list[list[int]] = []
        """The operands of each Value by their numbers, each once, those looked at."""
        self.unseen = 0
        """The number of operands that were met and left out; there may be more behind them."""
        self.programs = Programs() if scalars else None
        self.operands: list[tuple[Value, ...]] = []
        """The operands of each Value, each once."""
        self.written_out: dict[int, Value] = {}
        """By number, the scalar op that is shown in the place of an op over lists."""
        self._parts: set[int] = set()
        self._folded: dict[tuple[str, int], Folding] = {}
        numbers = {id(root): number for number, root in enumerate(self.values)}
        most = MOST_WALKED
        depths = [0] * len(self.values)
        left_out: set[int] = set()
        for number, _ in enumerate(self.values):  # It grows as it goes.
            found: list[int] = []
            self.operands.append(self._operands_of(number))
            for child in self.operands[-1]:
                known = numbers.get(id(child))
                if known is None:
                    if len(self.values) >= most or (depth is not None and depths[number] >= depth):
                        left_out.add(id(child))
                        continue
                    known = numbers[id(child)] = len(self.values)
                    self.values.append(child)
                    depths.append(depths[number] + 1)
                found.append(known)
            self.children.append(found)
        self.unseen = len(left_out)
        if self.programs is not None:
            self.programs.send_gradients()

    def _operands_of(self, number: int) -> tuple[Value, ...]:
        """Return the operands of a Value, or of the scalar op that is shown in its place."""
        value = self.values[number]
        if self.is_outside(number):
            return ()
        is_part = id(value) in self._parts
        made = self.programs.written_out(value) if self.programs and not is_part else None
        if made is not None:
            self.written_out[number] = value = made
        if self.programs is None or not (is_part or made is not None):
            return value._prev
        operands: list[Value] = []
        for operand in value._prev:
            original = self.programs.original(operand)
            if original is None:
                self._parts.add(id(operand))
            operands.append(operand if original is None else original)
        return tuple(operands)

    def is_outside(self, number: int) -> bool:
        """Return whether a Value is an operand of the box that is drawn from the inside."""
        is_part = id(self.values[number]) in self._parts
        return self.inside and number >= self.roots and not is_part

    def maker(self, number: int) -> Value:
        """Return a Value, or the scalar op that is shown in its place."""
        return self.written_out.get(number, self.values[number])

    def size(self, level: str, max_nodes: int) -> int:
        """Return the number of boxes of all of it."""
        return len(set(self.folded(level, max_nodes).owners)) + (self.unseen > 0)

    def has_calls(self) -> bool:
        """Return whether any Value is an output of an op over lists."""
        return any(value._call_id is not None for value in self.values)

    def folded(self, level: str, max_nodes: int) -> Folding:
        """Return in whose box each Value is drawn."""
        if (level, max_nodes) not in self._folded:
            self._folded[level, max_nodes] = self._fold(level, max_nodes)
        return self._folded[level, max_nodes]

    def _fold(self, level: str, max_nodes: int) -> Folding:
        """Find in whose box each Value is drawn.

        Where neurons are folded, a leaf without a label belongs to the op over lists that alone
        uses it, as weights do; leaves that the same ones use are together. Where layers are, so are
        the outputs of one call. If that leaves too many boxes, plain ops are folded as well.
        """
        owners = list(range(len(self.values)))
        if level in ("nothing", "ops"):
            return Folding(owners)
        calls = [value._call_id for value in self.values]
        if level == "layers":
            first: dict[int, int] = {}
            owners = [i if call is None else first.setdefault(call, i)
                      for i, call in enumerate(calls)]  # fmt: skip
        plain = {number for number, call in enumerate(calls) if call is None}
        with_leaves(self, owners, not_into=plain)
        if len(set(owners)) + (self.unseen > 0) <= max_nodes:
            return Folding(owners)
        return fold_trees(self, level, max_nodes) or Folding(owners)


def picture_of(walk: Walk, level: str, max_nodes: int, edges: bool) -> Picture:
    """Choose what to draw of a walk: at most `max_nodes` boxes, folded by level."""
    return _Chosen(walk, level, max_nodes, edges).picture()


class _Chosen:
    """A walk on its way to a picture."""

    def __init__(self, walk: Walk, level: str, max_nodes: int, edges: bool) -> None:
        folded = walk.folded(level, max_nodes)
        self.walk, self.level, self.edges = walk, level, edges
        self.owners, self.inner = folded.owners, folded.inner
        members: dict[int, list[int]] = {}
        for number, owner in enumerate(folded.owners):
            members.setdefault(owner, []).append(number)
        # Values come with the nearest first, so that what is left out is farthest from the root.
        everything = len(members) <= max_nodes - (walk.unseen > 0)
        shown = list(members)[: len(members) if everything else max_nodes - 1]
        self.members = {owner: members[owner] for owner in shown}
        self.boxes = {owner: number for number, owner in enumerate(shown)}
        self.left_out = (
            walk.unseen
            + sum(len(members[owner]) for owner in members)
            - sum(map(len, self.members.values()))
        )
        values = (walk.values[i] for numbers in self.members.values() for i in numbers)
        self.has_gradients = any(value.grad != 0 for value in values)

    def picture(self) -> Picture:
        boxes = [self._box(owner, numbers) for owner, numbers in self.members.items()]
        edges = self._edges(len(boxes))
        if self.left_out:
            # Nobody has seen what lies behind the operands that were not looked at.
            is_all = not self.walk.unseen
            title = f"+ {self.left_out:,}{'' if is_all else ' or'} more"
            lines = {"neurons": ["folded by neuron"], "layers": ["folded by layer"]}
            boxes.append(Box("more", title, lines.get(self.level, [])))
        return Picture(boxes, edges, self.has_gradients, self.level)

    def _box(self, owner: int, numbers: list[int]) -> Box:
        """Describe the Values of one box."""
        values = [self.walk.values[number] for number in numbers]
        made = [value for value in values if value._op or value._children]
        outputs = [
            number for number, value in zip(numbers, values, strict=True)
            if number not in self.inner and (value._op or value._children)
        ]  # fmt: skip
        op = "" if self.walk.is_outside(numbers[0]) else self._op(outputs)
        inside = self._inside(values, made)
        parts = _parts(len(made) - len(outputs), len(values) - len(made))
        if len(values) == 1 or len(outputs) == 1:
            value = self.walk.values[outputs[0]] if outputs else values[0]
            lines = [f"data {value.data:.4g}", f"grad {self._grad(value)}"]
            kind = "value" if len(values) == 1 else "folded"
            if kind == "folded":
                lines.append(f"+ {parts}")
            return Box(kind, name_of(value), lines, op, value.grad, inside)
        shown = [self.walk.values[number] for number in outputs] or values
        title = f"{len(outputs):,} outputs" if outputs else parts
        lines = [f"data {_range(value.data for value in shown)}"]
        grads = [value.grad for value in shown]
        lines.append(f"grad {_range(grads) if self.has_gradients else '-'}")
        if outputs and parts:
            lines.append(f"+ {parts}")
        strongest = max(grads, key=lambda grad: math.inf if math.isnan(grad) else abs(grad))
        return Box("folded", title, lines, op, strongest, inside)

    def _op(self, outputs: Sequence[int]) -> str:
        """Write the op of the outputs of a box; those of a layer may have other number operands."""
        texts = {op_text(self.walk.maker(number)) for number in outputs}
        return texts.pop() if len(texts) == 1 else self.walk.values[outputs[0]]._op if texts else ""

    def _inside(self, values: list[Value], made: list[Value]) -> tuple[Value, ...]:
        """Return what is drawn where a box is unfolded."""
        if len(values) > 1:
            return tuple(made or values)
        is_call = values[0]._call_id is not None and self.level != "nothing"
        return (values[0],) if is_call and values[0]._children else ()

    def _grad(self, value: Value) -> str:
        return f"{value.grad:.4g}" if self.has_gradients else "-"

    def _edges(self, more: int) -> list[Edge]:
        """Join the boxes; operands that are left out come from the box of number `more`."""
        found: dict[tuple[int, int], Edge] = {}
        for owner, numbers in self.members.items():
            head = self.boxes[owner]
            for number in numbers:
                children = self.walk.children[number]
                tails = [self.boxes.get(self.owners[child], more) for child in children]
                if len(self.walk.operands[number]) > len(children):
                    tails.append(more)
                for tail in tails:
                    if tail != head and (tail, head) not in found:
                        found[tail, head] = Edge(tail, head)
                if len(numbers) == 1:
                    self._describe(number, children, head, found)
        return list(found.values())

    def _describe(
        self, number: int, children: Sequence[int], head: int, found: dict[tuple[int, int], Edge]
    ) -> None:
        """Write local derivatives and places to the edges from boxes of one Value."""
        value = self.walk.maker(number)
        # The operands of a scalar op in the place of another stand for those of the graph.
        names = {
            id(x): id(y) for x, y in zip(self.walk.operands[number], value._prev, strict=False)
        }
        slopes = slopes_of(value) if self.edges else {}
        both = value._op in _ORDERED and len(children) == 2
        for place, child in enumerate(children, 1):
            tail = self.boxes.get(child)
            if tail is None or self.owners[child] != child or len(self.members[child]) > 1:
                continue
            edge = found[tail, head]
            slope = slopes.get(names.get(id(self.walk.values[child]), 0))
            edge.text = "" if slope is None else f"{slope:.4g}"
            edge.place = str(place) if both else ""


def slopes_of(value: Value) -> dict[int, float]:
    """Return d(value)/d(operand) by the operand's id, over all places where it is used.

    Empty where nobody knows: for an op without derivatives, and for a rule of the user's own.
    """
    if has_own_rule(value):
        return {}
    slopes: dict[int, float] = {}
    for child, slope in zip(value._children, value._local_grads, strict=False):
        slopes[id(child)] = slopes.get(id(child), 0.0) + slope
    return slopes


def has_own_rule(value: Value) -> bool:
    """Return whether a callable was assigned to `_backward`."""
    return getattr(value._backward, "__name__", "") != "_propagate"


def op_text(value: Value, names: Sequence[str] | None = None) -> str:
    """Write what made a Value, with its number operands exactly and on their side.

    Without `names` of its operands a Value stands as a dot, and is left out where the op alone
    tells the same; "" for a leaf.

    >>> a = Value(2.0)
    >>> [op_text(v) for v in (5 - a, a - 5, 2 / a, a * 3, a**0.5, 2**a, a + a, a.max(1), a.tanh())]
    ['5 - ·', '· - 5', '2 / ·', '· * 3', '· ** 0.5', '2 ** ·', '· + ·', 'max(·, 1)', 'tanh']
    >>> op_text(a * Value(3.0)), op_text(a - a.exp(), ["a", "b"])
    ('*', 'a - b')
    """
    op = value._op
    operands = value._operands
    if len(operands) == 2 and value._call_id is None and (sign := _sign(op)):
        first, second = operands
        if names is None:
            if first is not second and isinstance(first, Value) and isinstance(second, Value):
                return sign
            names = ["·", "·"]
        left = iter(names)
        one, two = (next(left) if isinstance(x, Value) else number_text(x) for x in operands)
        if sign in ("max", "min"):
            return f"{sign}({one}, {two})"
        return f"{one} {sign} ({two})" if two.startswith("-") else f"{one} {sign} {two}"
    name = cut(op, LONGEST_NAME)
    return name if names is None or not operands else f"{name or 'op'}({', '.join(names)})"


def _sign(op: str) -> str:
    """Return the sign of an op of two operands, "" for another op."""
    if op.startswith("**"):
        return "**"
    return op if op in ("+", "-", "*", "/", "max", "min") else ""


def number_text(number: float) -> str:
    """Write a number exactly, as short as can be."""
    return repr(float(number)).removesuffix(".0")


def name_of(value: Value) -> str:
    """Return the label, shortened; "" without one."""
    return cut(label_of(value), LONGEST_NAME)


def _parts(ops: int, leaves: int) -> str:
    """Count what is folded into a box beside its outputs; "" for nothing."""
    counts = [
        f"{ops:,} op{'s' * (ops != 1)}" * bool(ops),
        ("1 leaf" if leaves == 1 else f"{leaves:,} leaves") * bool(leaves),
    ]
    return ", ".join(filter(None, counts))


def _range(numbers: Iterable[float]) -> str:
    """Write the least and the largest of some numbers."""
    found = list(numbers)
    if any(map(math.isnan, found)):
        return "nan"
    low, high = f"{min(found):.3g}", f"{max(found):.3g}"
    return low if low == high else f"{low} … {high}"
