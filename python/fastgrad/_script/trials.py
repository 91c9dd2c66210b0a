"""The results of a class of scalars on sample numbers: data, gradients, texts, errors."""

from __future__ import annotations

import math
import re
import sys
from contextlib import suppress
from typing import Any

# Moderate numbers, kinks and poles, and places where clamps show.
_NUMBERS = (-30.0, -1.7, -0.4, 0.0, 1e-9, 0.6, 1.0, 2.3, 30.0)
_ARGUMENTS = (2, -1, 3, 0.5, 1.3)
_TOLERANCE = 1e-12
_NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")

# The results are numbers and texts, or an error, which starts with this.
Outcome = tuple[Any, ...]
_ERROR = "error"


def basis(cls: Any) -> tuple[Outcome, Outcome]:
    """Compute with `+`, `*` and `backward()`: nodes that are shared, gradients that add up.

    Returns data and gradients, and the text of a result. Raises what the class raises, and
    ValueError where it prints.
    """
    printed = sys.stdout.tell()
    a, b, c = cls(1.1), cls(-2.3), cls(0.7)
    start = [v.grad for v in (a, b, c)]
    d = a * b + c
    e = d * d + a * d + b
    f = (e + d) * (c + e)
    f.backward()
    inner = [v.grad for v in (a, b, c, d, e, f)]
    g = a * c + a
    g.backward()
    values = [v.data for v in (a, b, c, d, e, f, g)]
    a.grad = 0
    shown = _text(d * b)
    if sys.stdout.tell() != printed:
        raise ValueError("it prints")
    return (True, *start, *inner, *values, a.grad, b.grad, c.grad), (True, shown)


def trials(cls: Any, name: str, arity: int) -> list[Outcome]:
    """Call a method of no or one argument on sample numbers."""
    if arity == 0:
        return [_trial(cls, name, x, (), inner) for x in _NUMBERS for inner in (False, True)]
    return [
        _trial(cls, name, x, (cls(float(y)) if is_value else y,), inner=False)
        for x in _NUMBERS
        for y in _ARGUMENTS
        for is_value in (False, True)
    ]


def _trial(cls: Any, name: str, x: float, arguments: tuple[Any, ...], inner: bool) -> Outcome:
    """Return what a method gave: data, and gradients through a larger expression; or what it left.

    With `inner` it is called on the result of an op.
    """
    printed = sys.stdout.tell()
    try:
        leaf = cls(x)
        value = leaf * cls(1.0) if inner else leaf
        operands = [leaf, value, *(y for y in arguments if isinstance(y, cls))]
        for operand in operands:
            operand.grad = 0.25
            # A text may show a label; slots may have no place for one.
            with suppress(AttributeError):
                operand.label = "x"
        result = getattr(value, name)(*arguments)
        if isinstance(result, cls):
            for operand in operands:
                operand.grad = 0.0
            found = [result.data, _text(result)]
            (result * cls(3.0) + value * value).backward()
            found += [operand.grad for operand in operands]
        else:
            is_plain = result is None or isinstance(result, int | float | str)
            found = [result if is_plain else type(result).__name__]
            found += [number for operand in operands for number in (operand.data, operand.grad)]
    except Exception as error:
        return _ERROR, type(error).__name__
    if result is NotImplemented or any(isinstance(number, complex) for number in found):
        return (_ERROR,)
    return isinstance(result, cls), sys.stdout.tell() - printed, *found


def _text(value: Any) -> str | None:
    """Return the text of a value; None where that is an address."""
    if type(value).__repr__ is object.__repr__:
        return None
    value.grad = 0.0
    return repr(value)


def agrees(theirs: list[Outcome], ours: list[Outcome], least: int = 0) -> bool:
    """Return true if outcomes are equal where theirs are no errors, which `least` must not be."""
    pairs = [(a, b) for a, b in zip(theirs, ours, strict=True) if a[0] != _ERROR]
    return len(pairs) >= least and all(len(a) == len(b) and all(map(_same, a, b)) for a, b in pairs)


def _same(a: Any, b: Any) -> bool:
    """Compare numbers to a tolerance, those in texts too."""
    if isinstance(a, str) and isinstance(b, str):
        numbers = [[float(number) for number in _NUMBER.findall(text)] for text in (a, b)]
        words = [list(_NUMBER.sub("", text)) for text in (a, b)]
        if "{" in a:  # A set, whose order is that of addresses.
            for part in (*numbers, *words):
                part.sort()
        return (
            words[0] == words[1]
            and len(numbers[0]) == len(numbers[1])
            and all(map(_same, *numbers))
        )
    if not isinstance(a, float | int) or not isinstance(b, float | int):
        return a == b
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    is_nan = math.isnan(a) and math.isnan(b)
    return is_nan or math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
