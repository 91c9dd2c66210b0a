"""Which Values of a large graph share a box: leaves with their users, trees of ops, layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from ..engine import Value
    from .graph import Walk

# They end a neuron, so that they are not folded into what uses them.
_ACTIVATIONS = ("tanh", "ReLU", "sigmoid")


@dataclass
class Folding:
    """By number, the Value in whose box each one is drawn: itself or an earlier one."""

    owners: list[int]
    inner: set[int] = field(default_factory=set[int])
    """The Values that only another one of their box uses, such as the products of a neuron."""


def label_of(value: Value) -> str:
    """Return the label as text."""
    return str(value.label)


def with_leaves(
    walk: Walk, owners: list[int], *, not_into: Container[int] = (), labelled: bool = False
) -> None:
    """Put each leaf into the box that alone uses it; leaves that the same boxes use get one box.

    Leaves that a box of `not_into` uses stay apart, and those with a label unless `labelled`.
    """
    users: dict[int, set[int]] = {}
    for head, children in enumerate(walk.children):
        for child in children:
            if not walk.children[child]:
                users.setdefault(child, set()).add(owners[head])
    together: dict[frozenset[int], int] = {}
    for number, heads in users.items():
        value = walk.values[number]
        is_leaf = not (value._children or value._op) and (labelled or not label_of(value))
        if is_leaf and not any(head in not_into for head in heads):
            alone = next(iter(heads)) if len(heads) == 1 else number
            owners[number] = together.setdefault(frozenset(heads), alone)


def fold_trees(walk: Walk, level: str, max_nodes: int) -> Folding | None:
    """Fold plain ops: a result that is used once goes into the box of the op that uses it.

    A neuron that is written out is such a tree of products and sums, with its activation on top.
    At the level of layers, trees of one height that end in the same op are one box. What has a
    label stays apart if there is room for it. Returns None for fewer than three trees.
    """
    for labelled in (False, True):
        tops = _tops(walk, labelled=labelled)
        inner = {number for number, top in enumerate(tops) if number != top}
        trees = sum(bool(children) for children in walk.children) - len(inner)
        if trees < 3:
            return None
        owners = _layers(walk, tops, labelled=labelled) if level == "layers" else tops
        with_leaves(walk, owners, labelled=labelled)
        if len(set(owners)) + (walk.unseen > 0) <= max_nodes:
            break
    return Folding(owners, inner)


def _tops(walk: Walk, *, labelled: bool) -> list[int]:
    """Return the op at the top of the tree that each Value is in."""
    users = [0] * len(walk.values)
    tops = list(range(len(walk.values)))
    for head, children in enumerate(walk.children):
        for child in children:
            users[child] += 1
            tops[child] = head
    for number, value in enumerate(walk.values):  # Its only user comes before it.
        is_op = bool(walk.children[number]) and value._call_id is None
        stays = value._op in _ACTIVATIONS or (label_of(value) and not labelled)
        tops[number] = tops[tops[number]] if is_op and users[number] == 1 and not stays else number
    return tops


def _layers(walk: Walk, tops: list[int], *, labelled: bool) -> list[int]:
    """Return the first of the trees that have the height and the op of each Value's tree."""
    heights = _heights(walk, tops)
    first: dict[tuple[int, str], int] = {}
    owners: list[int] = []
    for top in tops:
        value = walk.values[top]
        is_folded = walk.children[top] and (labelled or not label_of(value))
        owners.append(first.setdefault((heights[top], value._op), top) if is_folded else top)
    return owners


def _heights(walk: Walk, tops: list[int]) -> list[int]:
    """Return the largest number of trees below the tree of each Value, one after the other."""
    waiting = [0] * len(walk.values)
    for children in walk.children:
        for child in children:
            waiting[child] += 1
    order = [number for number, users in enumerate(waiting) if not users]
    for number in order:  # It grows as it goes: users first.
        for child in walk.children[number]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    heights = [-1] * len(walk.values)
    for number in reversed(order):
        for child in walk.children[number]:
            height = heights[child] + (tops[child] != tops[number])
            heights[number] = max(heights[number], height)
    return heights
