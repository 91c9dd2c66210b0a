"""The programs of a jitted function, to look at."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from .._checks import shorten
from .._core import Recording

__all__ = ["Program"]

# The keywords of C99 and Rust, and what the functions call.
_TAKEN = {
    *("abstract", "as", "async", "auto", "await", "become", "box", "break", "case", "char"),
    *("const", "continue", "cos", "crate", "default", "do", "double", "dyn", "else", "enum"),
    *("exp", "extern", "fabs", "final", "float", "fmax", "fn", "for", "gen", "goto", "if", "impl"),
    *("in", "inline", "int", "let", "log", "long", "loop", "macro", "main", "match", "mod", "move"),
    *("mut", "override", "pow", "priv", "pub", "ref", "register", "restrict", "return", "self"),
    *("Self", "short", "signed", "sin", "sizeof", "sqrt", "static", "struct", "super", "switch"),
    *("tanh", "trait", "true", "false", "try", "type", "typedef", "typeof", "union", "unsafe"),
    *("unsigned", "unsized", "use", "virtual", "void", "volatile", "where", "while", "yield"),
}


class Program:
    """A recorded program: `print` shows its instructions.

    `recorded` scalars were recorded and `nodes` are left of them, in `instructions` over vectors,
    each (section, name, results, shape): the section "once" is computed once for all examples,
    "batch" for each block of examples; the shape (rows, inner, columns) is of products of matrices
    only, else None. `num_params` and `num_inputs` count parameters and the numbers of an example,
    `bytes` is what the program takes in memory.
    """

    def __init__(self, recording: Recording, name: str) -> None:
        self._recording = recording
        self._name = name
        self.recorded, self.nodes, self.bytes, self.num_inputs, found = recording.describe()
        self.instructions: list[tuple[str, str, int, tuple[int, int, int] | None]] = found
        self.num_params = recording.num_params

    def __repr__(self) -> str:
        """Show the sizes, then a line an instruction, equal ones together."""
        lines = [
            f"Program of {self._name}: {_count(self.num_params, 'parameter')},"
            f" {_count(self.num_inputs, 'number')} an example",
            f"{_count(self.recorded, 'scalar')} recorded, {self.nodes:,} after simplifying,"
            f" {_count(len(self.instructions), 'instruction')}, {self.bytes:,} bytes"
            f" ({self.bytes / max(self.recorded, 1):.0f} a scalar)",
        ]
        for (section, name, results, shape), equal in groupby(self.instructions):
            count = len(list(equal))
            times = f" {count} times" if count > 1 else ""
            told = _count(results, "result") if shape is None else _product(shape)
            lines.append(f"  {section:<6}{name:<9}{told}{times}")
        return "\n".join(lines)

    def to_c(self, name: str = "program") -> str:
        """Return the program as a function in C99.

        `double NAME(const double *params, const double *inputs, double *gradients)` adds the
        gradient by each parameter to `gradients` and returns the output. Guards are left out.
        Raises `ValueError` for a name that is no identifier, or that C, Rust or math.h has.
        """
        return self._recording.source(_identifier(name), False)

    def to_rust(self, name: str = "program") -> str:
        """Return the program as a function in Rust; see `to_c`."""
        return self._recording.source(_identifier(name), True)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)


def _product(shape: tuple[int, int, int]) -> str:
    rows, inner, columns = shape
    return f"({rows}, {inner}) by ({inner}, {columns})"


def _identifier(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        raise ValueError(f"name is {shorten(name)}; expected an identifier")
    if name in _TAKEN:
        raise ValueError(f"name is {name!r}, which C or Rust has already; expected another one")
    return name
