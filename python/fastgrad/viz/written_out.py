"""Ops over lists as the scalar ops that they stand for, so that pictures can show them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import engine
from ..engine import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

# An op over more operands stays as it is.
_MOST_OPERANDS = 100_000
_ACTIVATIONS = {"": "", "ReLU": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}


class _StandIn(Value):
    """Stands for an operand. As it has an addition of its own, the core writes out ops over it."""

    def __add__(self, other: Value | float) -> Value:
        """Add as any Value does."""
        return super().__add__(other)


class Programs:
    """The programs of the calls over lists of a graph, each made when it is first asked for."""

    def __init__(self) -> None:
        """Start without any."""
        self._made: dict[tuple[int, int], list[Value] | None] = {}
        self._outputs: list[tuple[Value, Value]] = []
        """Results of programs, each beside the Value of the graph that it stands for."""
        self._originals: dict[int, Value] = {}
        self._kept: list[Value] = []  # An id means an object only as long as that is alive.

    def written_out(self, value: Value) -> Value | None:
        """Return the last scalar op of an output of a call over lists.

        None for another Value, for an op of the user's own, and where operands have changed since,
        so that the program would compute another number.
        """
        call = value._call_id
        if call is None or not value._children:
            return None
        shares = value._op in ("softmax", "log_softmax", "rms_norm")
        key = (call, 0 if shares else value._output)
        if key not in self._made:
            self._made[key] = self._run(value)
        outputs = self._made[key]
        if outputs is None:
            return None
        output = outputs[value._output if shares else 0]
        is_same = output.data == value.data or (math.isnan(output.data) and math.isnan(value.data))
        if not is_same or not output._children or id(output) in self._originals:
            return None
        self._outputs.append((output, value))
        return output

    def original(self, value: Value) -> Value | None:
        """Return the Value of the graph that an operand of a program stands for, if it does."""
        return self._originals.get(id(value))

    def send_gradients(self) -> None:
        """Compute the gradients of all parts of the programs from those of their results."""
        outputs = [output for output, _ in self._outputs]
        grads = [value.grad for _, value in self._outputs]
        Value(0.0, outputs, "seed", local_grads=grads).backward()

    def _run(self, value: Value) -> list[Value] | None:
        """Return the results of the call that made a Value, on stand-ins of its operands."""
        operands = value._operands
        if len(operands) > _MOST_OPERANDS:
            return None
        stand_ins = {id(x): _StandIn(x.data) for x in operands if isinstance(x, Value)}
        for x in operands:
            if isinstance(x, Value):
                self._originals[id(stand_ins[id(x)])] = x
        self._kept += stand_ins.values()
        replaced = [stand_ins[id(x)] if isinstance(x, Value) else x for x in operands]
        try:
            return _call(value._op, replaced)
        except (ArithmeticError, ValueError):  # What has changed since is refused by a scalar op.
            return None


def _call(op: str, operands: Sequence[Value | float]) -> list[Value] | None:
    """Call an op over lists by its name; None for a name that is not known."""
    name, _, activation = op.partition("+")
    half = len(operands) // 2
    if name == "sum" and not activation:
        return [engine.sum(operands)]
    if name in ("dot", "affine", "linear") and activation in _ACTIVATIONS:
        w, x = operands[:half], operands[half : 2 * half]
        z = engine.affine(w, x, operands[-1]) if len(operands) % 2 else engine.dot(w, x)
        return [getattr(z, _ACTIVATIONS[activation])() if activation else z]
    if name == "softmax":
        return engine.softmax(operands)
    if name == "log_softmax":
        return engine.log_softmax(operands)
    if op == "rms_norm":
        *x, eps = operands
        return engine.rms_norm(x, float(eps)) if not isinstance(eps, Value) else None
    if op == "cross_entropy":
        *logits, target = operands
        is_target = not isinstance(target, Value)
        return [engine.cross_entropy(logits, int(target))] if is_target else None
    return None
