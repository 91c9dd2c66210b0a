"""Backpropagation step by step, as one page that loads nothing."""

from __future__ import annotations

import json
import math
import pathlib
from typing import TYPE_CHECKING

from .._checks import cut, path_name, shorten, whole
from .._hints import no_attribute
from ..engine import Value
from .drawing import MEANT
from .graph import (
    LONGEST_NAME,
    Box,
    Edge,
    Picture,
    has_own_rule,
    name_of,
    number_text,
    op_text,
    slopes_of,
)
from .svg import LINE, Drawn, escape, text

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

# A larger graph would take longer than anybody waits.
_MOST_VALUES = 100_000
# Of an op over more operands only the first are shown.
_MOST_OPERANDS = 30
_MOST_BYTES = 300_000
# The height of the frame in a notebook, until the page inside tells its own.
_HEIGHT = 480

# A page inside another one sees the theme of the system, not that of the notebook or site, and
# only itself knows how high it is.
_FRAME = """(frame => {
  const {jpThemeLight, theme, vscodeThemeKind} = document.body.dataset;
  const isDark = jpThemeLight === "false" || theme === "dark" || /dark/.test(vscodeThemeKind);
  const isLight = jpThemeLight === "true" || theme === "light" || vscodeThemeKind;
  const name = isDark ? "dark" : isLight ? "light" : "";
  if (name) frame.srcdoc = frame.srcdoc.replace("<html", `<html data-theme="${name}"`);
  frame.onload = () => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = event => { frame.style.height = event.data + "px"; };
    frame.contentWindow.postMessage(name, "*", [port2]);
  };
})(document.currentScript.previousElementSibling)"""

# d(result)/d(operand), of one operand x and the result y, or of two operands.
_RULES = {
    "+": ("1", "1"),
    "-": ("1", "-1"),
    "*": ("{b}", "{a}"),
    "/": ("1/{b}", "-{a}/{b}²"),
    "**": ("{b}·{a}^({b}-1)", "{y}·ln {a}"),
    "max": ("1 if it is the larger, else 0",) * 2,
    "min": ("1 if it is the smaller, else 0",) * 2,
    "neg": ("-1",),
    "pos": ("1",),
    "abs": ("the sign of {a}",),
    "exp": ("{y}",),
    "log": ("1/{a}",),
    "sqrt": ("1/(2·{y})",),
    "sin": ("cos {a}",),
    "cos": ("-sin {a}",),
    "tanh": ("1 - {y}²",),
    "sigmoid": ("{y}·(1 - {y})",),
    "ReLU": ("1 if {a} > 0, else 0",),
}


class Explanation:
    """A page that goes through backpropagation; a notebook shows it."""

    def __init__(self, html: str) -> None:
        """Keep the page."""
        self.html = html

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, MEANT)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the page to a file, which any browser opens, and return the file's name."""
        name = path_name("path", path)
        from .._files import write_atomically  # Here, since most pages are never written.

        write_atomically(name, self.html.encode())
        return name

    def _repr_html_(self) -> str:
        """Show the page inside a notebook, light or dark as that is, and as high as it is."""
        # No sandbox: Chromium would run the frame in a process of its own, and leave it blank where
        # JupyterLab has made it out of sight.
        return (
            "<style>.fg-plain{display:none}</style>"
            '<p class="fg-plain">Trust this notebook to go through the steps.</p>'
            f'<iframe srcdoc="{escape(self.html)}"'
            f' style="width:100%;height:{_HEIGHT}px;border:0" title="backpropagation"></iframe>'
            f"<script>{_FRAME}</script>"
        )

    def __repr__(self) -> str:
        """Return the class and the size; the page itself is long."""
        return f"<Explanation of {len(self.html):,} bytes of HTML>"


def explain(root: Value, *, max_nodes: int = 100) -> Explanation:
    """Return a page that goes through `root.backward()` one node at a time.

    At each step one node sends its gradient to its operands: each edge shows the local derivative
    times the incoming gradient, and what that adds to. The page says the op's formula with its
    numbers, and why this node comes now. Buttons, slider, arrow keys and space go through it.

    The page has everything in it, loads nothing and is smaller than 300 kB. It works from a file
    (`explain(v).save("steps.html")`) and inside a notebook. Gradients are those of one call of
    `backward()` from zero; those of the graph do not change. Of a larger graph than `max_nodes`
    Values (default: 100) the first steps are shown.

    Raises `ValueError` for a graph of more than 100,000 Values.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> page = explain((a * b).tanh())
    >>> "http" in page.html, len(page.html) < 300_000
    (False, True)
    """
    if not isinstance(root, Value):
        raise TypeError(f"root is {shorten(root)}; expected a Value, such as a loss")
    most = whole("max_nodes", max_nodes, 2)
    pass_ = _Pass(root)
    html = _Page(pass_, most).html()
    while len(html.encode()) > _MOST_BYTES and most > 2:
        most = max(2, min(most, len(pass_.order)) // 2)
        html = _Page(pass_, most).html()
    return Explanation(html)


class _Pass:
    """The steps of backward: its order, and the gradients that each node adds."""

    def __init__(self, root: Value) -> None:
        self.order = _backward_order(root)
        numbers = {id(value): number for number, value in enumerate(self.order)}
        self.operands = [[numbers[id(child)] for child in value._prev] for value in self.order]
        self.users: list[list[int]] = [[] for _ in self.order]
        self.slopes: list[list[float | None]] = []
        self.sent: list[list[float]] = []
        grads = [1.0] + [0.0] * (len(self.order) - 1)
        for number, value in enumerate(self.order):
            for child in self.operands[number]:
                self.users[child].append(number)
            sent, slopes = _sent(value, grads[number])
            self.sent.append(sent)
            self.slopes.append(slopes)
            for child, amount in zip(self.operands[number], sent, strict=True):
                grads[child] += amount
        self.grads = grads


def _backward_order(root: Value) -> list[Value]:
    """Return the Values in the order in which `backward()` comes to them: the core's, in Python."""
    order: list[Value] = []
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        value, is_done = stack.pop()
        if is_done:
            order.append(value)
        elif id(value) not in seen:
            seen.add(id(value))
            if len(seen) > _MOST_VALUES:
                raise ValueError(
                    f"root is a graph of more than {_MOST_VALUES:,} Values; expected a smaller one"
                )
            stack.append((value, True))
            stack += [(child, False) for child in value._prev if id(child) not in seen]
    return order[::-1]


def _sent(value: Value, grad: float) -> tuple[list[float], list[float | None]]:
    """Return what a Value of that gradient adds to each operand, and the local derivatives."""
    if not has_own_rule(value):
        slopes = slopes_of(value)
        found = [slopes.get(id(child), 0.0) for child in value._prev]
        return [slope * grad for slope in found], [*found]
    # Only calling a rule of the user's own tells what it sends.
    kept = [(node, node.grad) for node in (value, *value._prev)]
    try:
        for node, _ in kept:
            node.grad = 0.0
        value.grad = grad
        value._backward()
        sent = [child.grad for child in value._prev]
    finally:
        for node, former in kept:
            node.grad = former
    return sent, [None] * len(sent)


class _Page:
    """The first steps of a pass, as a page."""

    def __init__(self, pass_: _Pass, most: int) -> None:
        self.pass_ = pass_
        order, operands = pass_.order, pass_.operands
        self.shown = [0]
        places = {0: 0}
        self.steps: list[int] = []
        for number in range(len(order)):
            if not operands[number] or number not in places:
                continue
            fresh = [c for c in operands[number][:_MOST_OPERANDS] if c not in places]
            if len(self.shown) + len(fresh) > most and self.steps:
                break
            for child in fresh:
                places[child] = len(self.shown)
                self.shown.append(child)
            self.steps.append(number)
        self.places = places
        self.names = self._names()
        finite = [abs(pass_.grads[n]) for n in self.shown if math.isfinite(pass_.grads[n])]
        self.strongest = max(finite, default=0.0)

    def _names(self) -> dict[int, str]:
        """Name what is shown by its label, or by a number in the order of the forward pass."""
        count = 0
        names: dict[int, str] = {}
        for number in sorted(self.shown, reverse=True):
            names[number] = name_of(self.pass_.order[number])
            if not names[number]:
                count += 1
                names[number] = f"v{count}"
        return names

    def html(self) -> str:
        edges = [(step, child) for step in self.steps for child in self._operands(step)]
        drawn = _Steps(self._picture(edges))
        title = f"Backpropagation from {self.names[0]}, step by step"
        page = pathlib.Path(__file__).with_name("steps.html").read_text(encoding="utf-8")
        # This would end the script element.
        data = json.dumps(self._data(edges), separators=(",", ":")).replace("<", "\\u003c")
        svg = drawn.svg().replace(' xmlns="http://www.w3.org/2000/svg"', "")
        parts = {"{title}": escape(title), "{svg}": svg, "{data}": data}
        return "".join(_filled(page, parts))

    def _operands(self, step: int) -> list[int]:
        return [c for c in self.pass_.operands[step][:_MOST_OPERANDS] if c in self.places]

    def _picture(self, edges: Sequence[tuple[int, int]]) -> Picture:
        boxes: list[Box] = []
        for number in self.shown:
            value = self.pass_.order[number]
            # As wide as the widest gradient on the way.
            lines = [f"data {value.data:.4g}", f"grad {_widest(self._sums(number))}"]
            op = op_text(value)
            boxes.append(Box("value", self.names[number], lines, op))
        drawn = [
            Edge(self.places[child], self.places[step], "\n".join(self._product(step, child)))
            for step, child in edges
        ]
        return Picture(boxes, drawn, True, "nothing")

    def _sums(self, number: int) -> list[str]:
        """Write what a node's gradient is on its way, from one user to the next."""
        total, sums = (1.0 if number == 0 else 0.0), ["-"]
        if number == 0:
            sums.append("1")
        for user in self.pass_.users[number]:
            place = self.pass_.operands[user].index(number)
            total += self.pass_.sent[user][place]
            sums.append(_n(total))
        return sums

    def _slope(self, step: int, child: int) -> str:
        slope = self.pass_.slopes[step][self.pass_.operands[step].index(child)]
        return "own rule" if slope is None else _n(slope)

    def _added(self, step: int, child: int) -> float:
        return self.pass_.sent[step][self.pass_.operands[step].index(child)]

    def _product(self, step: int, child: int) -> tuple[str, str]:
        """Write local derivative times incoming gradient, and what that is."""
        slope = self._slope(step, child)
        incoming = _n(self.pass_.grads[step])
        return f"{slope} × {incoming}", f"= {_n(self._added(step, child))}"

    def _data(self, edges: Sequence[tuple[int, int]]) -> dict[str, Any]:
        numbers = {edge: number for number, edge in enumerate(edges)}
        sums = [1.0] + [0.0] * (len(self.shown) - 1)
        steps: list[dict[str, Any]] = []
        for step in self.steps:
            sent: list[dict[str, Any]] = []
            for child in self._operands(step):
                place = self.places[child]
                sums[place] += self._added(step, child)
                sent.append(
                    {
                        "id": numbers[step, child],
                        "to": place,
                        "name": self.names[child],
                        "rule": self._rule(step, child),
                        "slope": self._slope(step, child),
                        "incoming": _n(self.pass_.grads[step]),
                        "added": _n(self._added(step, child)),
                        "sum": self._shade(sums[place]),
                    }
                )
            steps.append({"node": self.places[step], "edges": sent} | self._words(step, sent))
        return {
            "nodes": [self.names[number] for number in self.shown],
            "edges": [
                {
                    "slope": self._slope(step, child),
                    "product": self._product(step, child)[0],
                    "added": _n(self._added(step, child)),
                }
                for step, child in edges
            ],
            "start": self._shade(1.0),
            "steps": steps,
            "opening": self._opening(),
            "closing": self._closing(),
        }

    def _shade(self, grad: float) -> tuple[str, float | str]:
        """Write a gradient, and its share of the strongest one, which gives the colour."""
        if not math.isfinite(grad):
            return _n(grad), "odd"
        share = grad / self.strongest if self.strongest else 0.0
        return _n(grad), round(max(-1.0, min(1.0, share)), 3)

    def _words(self, step: int, sent: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the text of a step: its formula with numbers, and the reason for its place."""
        value, name = self.pass_.order[step], self.names[step]
        children = self._operands(step)
        hidden = len(self.pass_.operands[step]) - len(children)
        # Those of an op over lists with the plain numbers; `op_text` writes these for other ops.
        is_call = value._call_id is not None
        operands = [x for x in value._operands if is_call or isinstance(x, Value)][:_MOST_OPERANDS]
        names = [self._operand_name(x) for x in operands]
        data = [
            _in_formula(x.data, value) if isinstance(x, Value) else number_text(x) for x in operands
        ]
        formula = f"{name} = {_formula(value, names)}"
        if len(names) <= 6:
            formula += f" = {_formula(value, data)} = {_n(value.data)}"
        users = [self.names[user] for user in self.pass_.users[step] if user in self.names]
        if step == 0:
            why = f"{name} comes first: d{name}/d{name} = 1, whatever it was computed from."
        else:
            used = (
                "uses {0} and has sent its part"
                if len(users) == 1
                else ("use {0} and have all sent their parts")
            )
            why = (
                f"Why now: {_listed(users)} {used.format(name)}, so nothing will be added to the"
                f" gradient of {name} any more."
            )
        again = [edge["name"] for edge in sent if edge["sum"][0] != edge["added"]]
        after: list[str] = []
        if again:
            after.append(
                f"Added to what was there before: {_listed(again)}. Gradients of all uses sum up."
            )
        if hidden:
            after.append(f"{hidden:,} more operands are not shown.")
        grad = _n(self.pass_.grads[step])
        return {
            "title": formula,
            "lines": [f"Its gradient, the incoming one, is {grad}. {why}"],
            "after": after,
        }

    def _operand_name(self, child: Value | float) -> str:
        if not isinstance(child, Value):
            return number_text(child)
        for number in self.shown:
            if self.pass_.order[number] is child:
                return self.names[number]
        return "…"

    def _rule(self, step: int, child: int) -> str:
        """Write the formula of a local derivative with the names of operands."""
        value = self.pass_.order[step]
        if has_own_rule(value):
            return "the rule assigned to _backward"
        key = "**" if value._op.startswith("**") else value._op
        operands = value._operands
        rules = _RULES.get(key) if value._call_id is None else None
        names = [self._operand_name(x) for x in operands]
        if rules is None or len(rules) != len(operands):
            return f"d{self.names[step]}/d{self.names[child]}"
        here = self.pass_.order[child]
        a, b = names[0], names[-1]
        found = [rule.format(a=a, b=b, y=self.names[step])
                 for rule, x in zip(rules, operands, strict=True) if x is here]  # fmt: skip
        return " + ".join(found)

    def _opening(self) -> dict[str, Any]:
        name = self.names[0]
        return {
            "title": f"How does {name} = {_n(self.pass_.order[0].data)} change with each Value?",
            "lines": [
                f"The forward pass is done: every data is there. Backward begins at {name}, whose"
                f" gradient d{name}/d{name} is 1, and goes against the arrows.",
                "A node sends to each operand: local derivative × its own gradient, by the chain"
                " rule. It does so once its own gradient is complete, after all that use it. That"
                " is the order: results before operands, the reverse of a topological order.",
            ],
        }

    def _closing(self) -> dict[str, Any]:
        left = len(self.pass_.order) - len(self.shown)
        steps = sum(1 for operands in self.pass_.operands if operands) - len(self.steps)
        lines = [
            "Each gradient says by how much the result changes if that Value grows by a little:"
            " change ≈ gradient × growth."
        ]
        if steps:
            lines.append(f"+ {left:,} more Values, whose {steps:,} steps are not shown.")
        return {"title": "Every gradient that is shown is complete" if not steps else
                "These were the first steps", "lines": lines}  # fmt: skip


class _Steps(Drawn):
    """A picture whose edges change from step to step."""

    def edges(self) -> str:
        """Return each edge with its texts as a group that a script finds by its number."""
        parts: list[str] = []
        for number, (middle, _) in enumerate(self.texts):
            x, y = self.centers[middle]
            half = self.sizes[middle][0] / 2
            paths = [self.path(i) for i, pair in enumerate(self.pairs) if middle in pair]
            paths.append(f'<path d="M{x - half:.1f} {y:.1f}h{2 * half:.1f}"/>')
            # Above the line and below it.
            lines = "".join(text(x, y + (i - 0.5) * LINE, "", "mid") for i in range(2))
            parts.append(f'<g class="edge" id="e{number}">{"".join(paths)}{lines}</g>')
        return "".join(parts)


def _filled(page: str, parts: dict[str, str]) -> list[str]:
    """Cut a template at its places and put in the parts, which may hold anything."""
    found: list[str] = []
    for place, part in parts.items():
        before, page = page.split(place, 1)
        found += [before, part]
    return [*found, page]


def _formula(value: Value, names: Sequence[str]) -> str:
    if len(names) > 6:
        names = [*names[:5], "…"]
    if value._call_id is None:
        return op_text(value, names)
    return f"{cut(value._op, LONGEST_NAME)}({', '.join(names)})"


def _in_formula(number: float, value: Value) -> str:
    """Write a number as an operand of an op, in brackets where it follows or precedes a sign."""
    is_between_signs = value._op[:1] in ("+", "-", "*", "/")
    return f"({_n(number)})" if number < 0 and is_between_signs else _n(number)


def _n(number: float) -> str:
    return f"{number + 0.0:.4g}"  # A sum with 0.0 is never -0.0.


def _widest(texts: Sequence[str]) -> str:
    return max(texts, key=len)


def _listed(names: Sequence[str]) -> str:
    """Write names with an "and" before the last one; of many only the first."""
    if len(names) > 6:
        return f"{', '.join(names[:5])} and {len(names) - 5:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
