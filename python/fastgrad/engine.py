"""Values that remember how they were computed, and functions over lists of them.

A `Value` holds one float. Arithmetic with Values builds a graph; `backward()` walks it once and
adds the derivative of the result by every node to that node's `grad`:

>>> from fastgrad.engine import Value
>>> a = Value(-4.0)
>>> b = Value(2.0)
>>> c = (a * b + b**3).relu() + a / b
>>> c.data
-2.0
>>> c.backward()
>>> a.grad, b.grad
(0.5, 1.0)

A second `backward()` adds again, so clear gradients between steps: `c.zero_grad()` clears the
whole graph under `c`, a module's or an optimizer's `zero_grad()` its parameters.

Everything the graph knows can be read: `_prev` holds the operands, `_op` the name of the
operation. Any attribute may be set on a Value, `label` is one that `fastgrad.viz` shows.

The functions over lists give what the written-out program gives, but make one node (or one an
output) where that program makes one an operation, and are faster by about as much:

>>> from fastgrad.engine import affine, cross_entropy, softmax
>>> w = [Value(0.5), Value(-1.0)]
>>> affine(w, [2.0, 3.0], 1.0)
Value(data=-1.0, grad=0.0)
>>> [p.data for p in softmax([Value(1.0), Value(1.0)])]
[0.5, 0.5]
>>> loss = cross_entropy(w, 1)
>>> loss.backward()
>>> w[0].grad + w[1].grad
0.0

`sum`, `max` and `min` have the names of Python's own, so import them by another name or from
the module: `from fastgrad import engine`, then `engine.sum(values)`.
"""

from ._core import (
    Value,
    affine,
    cross_entropy,
    dot,
    linear,
    log_softmax,
    rms_norm,
    softmax,
)

# Re-exports by name, but not in __all__: a star import must not replace the builtins.
from ._core import max as max
from ._core import min as min
from ._core import sum as sum
from ._hints import Elsewhere

__all__ = [
    "Value",
    "affine",
    "cross_entropy",
    "dot",
    "linear",
    "log_softmax",
    "rms_norm",
    "softmax",
]

_PICTURE = "fastgrad.viz.draw(v), or leave v as the last line of a notebook's cell"
# Members of a Value as they are called elsewhere, and here.
for _name, _meant in {
    "draw": _PICTURE,
    "plot": _PICTURE,
    "show": _PICTURE,
    "draw_dot": "fastgrad.viz.draw_dot(v)",
    "explain": "fastgrad.viz.explain(v)",
    "tree": "fastgrad.viz.tree(v)",
    "detach": "v.data, a float without gradient",
    "numpy": "v.data, a float",
}.items():
    setattr(Value, _name, Elsewhere(_name, _meant))


def _members(self: Value) -> list[str]:
    """Return what `dir` does, without the names that are elsewhere."""
    kind = type(self)
    names = object.__dir__(self)
    return [name for name in names if not isinstance(getattr(kind, name, None), Elsewhere)]


Value.__dir__ = _members
