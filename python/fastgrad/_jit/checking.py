"""The comparison of a replay with a plain call, for `jit(check=True)`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .._checks import shorten
from .._core import Value
from .recording import JitError

__all__ = ["compare"]

# The largest difference from a plain call: a replay adds sums in another order.
_TOLERANCES = {"float64": 1e-9, "float32": 1e-4}


def compare(
    function: Callable[[], Any],
    example: dict[str, Any],
    output: float,
    gradients: Sequence[float],
    params: Sequence[Value],
    dtype: str,
) -> None:
    """Raise `JitError` where a plain call gives another value, or other gradients by parameters.

    `function` makes the plain call, with the arguments that `example` names.
    """
    tolerance = _TOLERANCES[dtype]
    given = ", ".join(f"{name}={shorten(argument)}" for name, argument in example.items())

    def check(what: str, replayed: float, plain: float) -> None:
        is_nan = math.isnan(replayed) and math.isnan(plain)
        if is_nan or math.isclose(replayed, plain, rel_tol=tolerance, abs_tol=tolerance):
            return
        raise JitError(
            f"for {given or 'no arguments'}, {what} is {replayed} in the replay and {plain} in a"
            f" plain call, {abs(replayed - plain):.3g} apart; expected a function of arguments and"
            " parameters alone, but it may read what has changed since it was recorded (a variable,"
            " a Value that replaced another), draw random numbers, or make an op of numbers that"
            " are no longer those of its operands"
        )

    result = function()
    check("the value", output, result.data if isinstance(result, Value) else float(result))
    if isinstance(result, Value):
        for i, (param, plain) in enumerate(zip(params, _gradients(result, params), strict=True)):
            check(f"the gradient by parameters()[{i}], {shorten(param)},", gradients[i], plain)


def _gradients(output: Value, params: Sequence[Value]) -> list[float]:
    """Return the gradients of an output; leave `grad` of all that it depends on as it was."""
    reached: dict[int, Value] = {id(param): param for param in params}
    left = [output]
    while left:
        node = left.pop()
        if id(node) not in reached:
            reached[id(node)] = node
            left.extend(node._prev)
    before = [node.grad for node in reached.values()]
    for node in reached.values():
        node.grad = 0.0
    try:
        output.backward()
        return [param.grad for param in params]
    finally:
        for node, grad in zip(reached.values(), before, strict=True):
            node.grad = grad
