"""Arguments of a jitted function: their structure, and the numbers in them."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np

from .._checks import shorten
from .._core import Value

__all__ = ["flatten", "is_real", "parameter_names", "rebuild", "split_batch"]

# The structure of an argument: NUMBER, a tuple of the structures of a list's items, or a pair
# of STATIC and an object that is not a number.
NUMBER = "number"
STATIC = "static"


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


def flatten(argument: Any, found: list[float], name: str) -> Any:
    """Append the numbers of one argument to `found`; return its structure.

    Numbers are floats, ints and those of numpy; lists, tuples, and arrays of any library keep their
    shape.
    Anything else belongs to the structure, and must be hashable.
    """
    if type(argument) in (float, int):
        found.append(float(argument))
        return NUMBER
    if type(argument) in (list, tuple):
        return tuple([flatten(item, found, name) for item in argument])
    if isinstance(argument, bool | str | bytes | type(None)):
        return (STATIC, argument)
    if is_real(argument):
        found.append(float(argument))
        return NUMBER
    if isinstance(argument, np.ndarray):
        return flatten(argument.tolist(), found, name)
    if isinstance(argument, list | tuple):
        return flatten([*cast(Any, argument)], found, name)
    if isinstance(argument, Value):
        raise TypeError(
            f"{name} is {shorten(argument)}; expected numbers: a jitted function finds the Values"
            " that it closes over by itself"
        )
    if hasattr(argument, "__array__"):
        return flatten(np.asarray(argument), found, name)
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
    if len(structure) == 2 and structure[0] is STATIC:
        return structure[1]
    return [rebuild(item, found) for item in structure]


def split_batch(
    arguments: Sequence[Any], names: Sequence[str]
) -> tuple[int, dict[tuple[Any, ...], tuple[Any, Any]]]:
    """Return the number of examples, and their rows by structure; `names` are for messages.

    Lists, tuples and arrays hold an item an example; a number or anything else is the same for
    all. The dict maps the structure of an example to (numbers of the examples, rows): their places
    in the batch (n,), and their numbers as float64 (n, numbers of an example).
    """
    arguments = [
        np.asarray(argument) if hasattr(argument, "__array__") else argument
        for argument in arguments
    ]
    if (regular := _regular(arguments)) is not None:
        return regular
    lengths = {
        name: len(cast(Any, argument))
        for name, argument in zip(names, arguments, strict=False)
        if isinstance(argument, list | tuple)
        or (isinstance(argument, np.ndarray) and argument.ndim)
    }
    if not lengths:
        given = zip(names, arguments, strict=False)
        told = ", ".join(f"{name} is {shorten(argument)}" for name, argument in given)
        raise TypeError(
            f"{told or 'no argument is given'}; expected a batch: a list or an array of an item an"
            " example"
        )
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"arguments have lengths {told}; expected an item an example in each")
    size = next(iter(lengths.values()))
    if size == 0:
        raise ValueError("the batch is empty; expected at least one example")
    places: dict[Any, list[int]] = {}
    rows: dict[Any, list[list[float]]] = {}
    for i in range(size):
        row: list[float] = []
        structure = tuple(
            flatten(argument[i] if name in lengths else argument, row, name)
            for name, argument in zip(names, arguments, strict=False)
        )
        places.setdefault(structure, []).append(i)
        rows.setdefault(structure, []).append(row)
    return size, {
        structure: (
            np.array(places[structure]),
            np.array(rows[structure], dtype=np.float64).reshape(len(places[structure]), -1),
        )
        for structure in places
    }


def _regular(arguments: Sequence[Any]) -> tuple[int, dict[Any, Any]] | None:
    """Return the batch without a loop over examples, where all arguments are arrays of numbers."""
    columns: list[Any] = []
    structures: list[Any] = []
    size = len(arguments[0]) if arguments and type(arguments[0]) is np.ndarray else 0
    if not arguments:
        return None
    for argument in arguments:
        if (
            type(argument) is not np.ndarray
            or argument.dtype.kind not in "iuf"
            or argument.ndim == 0
            or len(argument) != size
            or size == 0
        ):
            return None
        structure: Any = NUMBER
        for length in reversed(argument.shape[1:]):
            structure = (structure,) * length
        structures.append(structure)
        columns.append(argument.reshape(size, -1))
    rows = np.concatenate(columns, axis=1, dtype=np.float64)
    return size, {tuple(structures): (np.arange(size), rows)}
