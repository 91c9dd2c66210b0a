"""Arguments of a jitted function: their structure, and the numbers in them."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from .._checks import shorten
from .._core import Value, read_examples

__all__ = [
    "NUMBER",
    "STATIC",
    "Structure",
    "is_real",
    "parameter_names",
    "read_example",
    "rebuild_all",
    "split_batch",
]

# The structure of an argument: NUMBER, a tuple of the structures of a list's items, or a pair
# of STATIC and an object that is not a number.
NUMBER = "number"
STATIC = "static"
# That of an example: the structures of its arguments, and the names of those given by keyword,
# which come last.
Structure: TypeAlias = tuple[tuple[Any, ...], tuple[str, ...]]


def parameter_names(function: Any, count: int) -> list[str]:
    """Return the names of a function's first positional parameters, those in `*args` too."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # Builtins may have no signature.
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "arguments")
    return names + [f"{rest}[{i}]" for i in range(count - len(names))]


def is_real(argument: Any) -> bool:
    """Return true for a float, an int, and those of numpy."""
    return isinstance(argument, numbers.Real)


def _read(argument: Any, name: str) -> Any:
    """Return a float, a list of items, or the pair of what belongs to the structure.

    Numbers are floats, ints and those of numpy; lists, tuples, and arrays of any library keep their
    shape.
    Anything else belongs to the structure, and must be hashable.
    """
    if isinstance(argument, bool | str | bytes | type(None)):
        return (STATIC, argument)
    if is_real(argument):
        return float(argument)
    if isinstance(argument, list | tuple):
        return [*cast(Any, argument)]
    if isinstance(argument, Value):
        raise TypeError(
            f"{name} is {shorten(argument)}; expected numbers: a jitted function finds the Values"
            " that it closes over by itself"
        )
    if hasattr(argument, "__array__"):
        return np.asarray(argument).tolist()
    try:
        hash(argument)
    except TypeError:
        raise TypeError(
            f"{name} is {shorten(argument)}; expected numbers, lists or arrays of them, or what"
            " can be hashed"
        ) from None
    return (STATIC, argument)


def rebuild(structure: Any, found: Iterator[Any]) -> Any:
    """Return the argument of a structure, with the next numbers in it."""
    if structure == NUMBER:
        return next(found)
    if len(structure) == 2 and structure[0] == STATIC:
        return structure[1]
    return [rebuild(item, found) for item in structure]


def rebuild_all(structure: Structure, found: Iterator[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the named arguments of an example's structure."""
    structures, keywords = structure
    arguments = [rebuild(item, found) for item in structures]
    count = len(arguments) - len(keywords)
    return arguments[:count], dict(zip(keywords, arguments[count:], strict=True))


def read_example(
    arguments: tuple[Any, ...], names: list[str], keywords: tuple[str, ...]
) -> tuple[Structure, Any]:
    """Return the structure of one example and its row, float64 (1, numbers)."""
    found = read_examples(arguments, names, keywords, _read)
    assert found is not None, "one example has no length"
    [(structure, (_, rows))] = found[1].items()
    return structure, rows


def split_batch(
    arguments: tuple[Any, ...], names: list[str], keywords: tuple[str, ...]
) -> tuple[int, dict[Structure, tuple[Any, Any]]]:
    """Return the number of examples, and their rows by structure; `names` are for messages.

    Lists, tuples and arrays hold an item an example; a number or anything else is the same for
    all. The last arguments are those given by keyword. The dict maps the structure of an example to
    (numbers of the examples, rows): their places in the batch (n,), and their numbers as float64
    (n, numbers of an example).
    """
    found = read_examples(arguments, names, keywords, _read, _column)
    if found is None:
        raise _no_batch(arguments, names)
    return found


def _column(argument: Any) -> Any:
    """Return a list or an array of float64 where an argument has an item an example."""
    if hasattr(argument, "__array__"):
        array = np.asarray(argument)
        if array.ndim and array.dtype.kind in "iuf":
            return np.ascontiguousarray(array, dtype=np.float64)
        return array.tolist()
    return [*cast(Any, argument)] if isinstance(argument, list | tuple) else argument


def _no_batch(arguments: Sequence[Any], names: Sequence[str]) -> Exception:
    """Return the error for arguments that hold no items, or different numbers of them."""
    columns = zip(names, map(_column, arguments), strict=True)
    lengths = {
        name: len(cast(Any, column))
        for name, column in columns
        if isinstance(column, list | np.ndarray)
    }
    if set(lengths.values()) == {0}:
        return ValueError("the batch is empty; expected at least one example")
    if lengths:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        return ValueError(f"arguments have lengths {told}; expected an item an example in each")
    given = zip(names, arguments, strict=False)
    told = ", ".join(f"{name} is {shorten(argument)}" for name, argument in given)
    return TypeError(
        f"{told or 'no argument is given'}; expected a batch: a list or an array of an item an"
        " example"
    )
