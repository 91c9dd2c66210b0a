"""Jitted functions in files: their programs and parameters, without the Python function."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import checkpoint
from .._checks import cut, escape, path_name, shorten
from .._core import Recording, Value
from ..checkpoint import CheckpointError
from .arguments import NUMBER, STATIC, Structure
from .recording import PASSES

__all__ = ["load", "save"]

_KIND = "jit"


def save(
    path: str | os.PathLike[str],
    programs: dict[Structure, list[Recording]],
    name: str,
    dtype: str,
    passes: tuple[str, ...],
) -> None:
    """Write the programs of all structures, and the parameters' numbers, as a checkpoint."""
    params: list[Value] = []
    places: dict[int, int] = {}
    arrays: dict[str, Any] = {}
    structures: list[Any] = []
    for structure, recordings in programs.items():
        for recording in recordings:
            number = len(structures)
            arguments, keywords = structure
            structures.append([_to_json(arguments), [*keywords]])
            for param in recording.params:
                if places.setdefault(id(param), len(params)) == len(params):
                    params.append(param)
            found = recording.arrays()
            found["params"] = np.array([places[id(p)] for p in recording.params], dtype=np.uint32)
            arrays |= {f"{number}.{key}": array for key, array in found.items()}
    arrays["data"] = np.array([param.data for param in params])
    settings = {"name": name, "dtype": dtype, "passes": [*passes]}
    checkpoint.save(path, arrays, {"kind": _KIND, **settings, "structures": structures})


def load(
    path: str | os.PathLike[str],
) -> tuple[dict[Structure, list[Recording]], str, str, tuple[str, ...]]:
    """Read what `save` has written; the parameters are new Values."""
    tensors, config = checkpoint.load(path)
    named = escape(path_name("path", path))
    if config.get("kind") != _KIND:
        raise CheckpointError(f"{named}: holds no jitted function")
    try:
        params: list[Value] = [Value(number) for number in tensors["data"].tolist()]
        programs: dict[Structure, list[Recording]] = {}
        passes = tuple(config["passes"])
        for number, (arguments, keywords) in enumerate(config["structures"]):
            start = f"{number}."
            arrays: dict[str, Any] = {
                key.removeprefix(start): array
                for key, array in tensors.items()
                if key.startswith(start)
            }
            own: list[Value] = [params[place] for place in arrays.pop("params").tolist()]
            recording = Recording.from_arrays(arrays, own, passes)
            structure = _from_json(arguments), tuple(map(str, keywords))
            programs.setdefault(structure, []).append(recording)
        if config["dtype"] not in ("float64", "float32"):
            raise CheckpointError(f"{named}: damaged: dtype is {cut(str(config['dtype']))}")
        if not set(passes) <= set(PASSES):
            raise CheckpointError(f"{named}: damaged: passes are {cut(str(passes))}")
        return programs, str(config["name"]), config["dtype"], passes
    except KeyError as error:
        raise CheckpointError(f"{named}: damaged, {cut(str(error))} is missing") from None
    except (LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{named}: damaged: {cut(str(error))}") from None


def _to_json(structure: Any) -> Any:
    if structure == NUMBER:
        return NUMBER
    if len(structure) == 2 and structure[0] == STATIC:
        if not isinstance(structure[1], str | bool | None):
            raise TypeError(
                f"a program was recorded for {shorten(structure[1])}; expected numbers, strings"
                " and None, which a file can hold"
            )
        return {STATIC: structure[1]}
    return [_to_json(item) for item in structure]


def _from_json(structure: Any) -> Any:
    if structure == NUMBER:
        return NUMBER
    if isinstance(structure, dict):
        return (STATIC, structure[STATIC])
    return tuple(_from_json(item) for item in structure)
