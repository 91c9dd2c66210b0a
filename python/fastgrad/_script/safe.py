"""Which methods may be called on sample numbers: those that compute and do nothing else."""

from __future__ import annotations

import builtins
import dis
from enum import EnumType
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MISSING = object()

_MODULES = {
    *("math", "cmath", "numpy", "collections", "functools", "graphlib", "itertools", "operator"),
    "typing",
}
_BUILTINS = {
    *("abs", "bool", "callable", "complex", "dict", "divmod", "enumerate", "filter", "float"),
    *("frozenset", "getattr", "hasattr", "hash", "id", "int", "isinstance", "issubclass", "iter"),
    *("len", "list", "map", "max", "min", "next", "pow", "print", "range", "repr", "reversed"),
    *("round", "set", "sorted", "str", "sum", "super", "tuple", "type", "zip", "NotImplemented"),
}


def foreign_name(
    function: Any, names: Mapping[str, Any], varying: frozenset[str], known: frozenset[str]
) -> str | None:
    """Return a name that a function uses and that makes calling it unsafe, or None.

    `names` are the function's globals. Mathematics is safe, constants are unless they are
    `varying`, and so are functions beside it that use nothing else; `known` names are taken to be.
    """
    if not isinstance(function, FunctionType):
        return getattr(function, "__name__", "an unknown object")
    # A function in another one uses variables of that.
    used = {*_used(function.__code__), *function.__code__.co_freevars} - {"__class__"}
    for name in sorted(used - known):
        value = names.get(name, _MISSING)
        if value is _MISSING:
            if not _is_safe_builtin(name):
                return name
        elif isinstance(value, FunctionType) and value.__globals__ is names:
            inner = foreign_name(value, names, varying, known | {name})
            if inner is not None:
                return inner
        elif name in varying or not _is_safe(value):
            return name
    return None


def _used(code: CodeType) -> Iterator[str]:
    """Yield the globals, builtins and modules of a function, and of those inside it."""
    for step in dis.get_instructions(code):
        if step.opname == "STORE_GLOBAL":
            yield f"global {step.argval}"
        elif step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME"):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _used(constant)


def _is_safe_builtin(name: str) -> bool:
    value = getattr(builtins, name, None)
    is_error = isinstance(value, type) and issubclass(value, Exception)
    return is_error or name in _BUILTINS or name.split(".")[0] in _MODULES


def _is_safe(value: Any) -> bool:
    """Return true for constants, and for modules and functions of mathematics."""
    if value is None or isinstance(value, int | float | str | tuple):
        return True
    if isinstance(value, ModuleType):
        where = value.__name__
    elif isinstance(value, EnumType):
        return True
    else:
        where = getattr(value, "__module__", "")
    return str(where).split(".")[0] in _MODULES
