"""Models as checkpoints: which kind of model a file holds, and where it is."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import checkpoint
from .._checks import path_name
from ..checkpoint import CheckpointError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model = TypeVar("Model")

# The file in a folder that a command line's `-o out/` names.
_FILE = "model.safetensors"


def model_path(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Give the file that holds a model: `path`, or where it is a folder, the file in it.

    Raises `TypeError`, with the argument's `name`, for what is no path.
    """
    place = Path(path_name(name, path))
    return place / _FILE if place.is_dir() else place


def write_model(
    path: str | os.PathLike[str],
    kind: str,
    tensors: Mapping[str, NDArray[Any]],
    config: Mapping[str, Any],
) -> None:
    """Save a model's arrays and configuration, with the name of its kind."""
    checkpoint.save(model_path(path), tensors, {"model": kind, **config})


def read_model(
    path: str | os.PathLike[str],
    makers: Mapping[str, Callable[[dict[str, NDArray[Any]], dict[str, Any]], Model]],
) -> Model:
    """Read a checkpoint and let the maker of its kind of model make the model.

    Raises `CheckpointError`, with the file's name, also for a checkpoint that holds no model or one
    of another kind, and for what the maker refuses.
    """
    file = model_path(path)
    tensors, config = checkpoint.load(file)
    kinds = ", ".join(makers)
    kind = config.get("model")
    if not isinstance(kind, str):
        arrays = reprlib.repr(sorted(tensors))
        raise CheckpointError(
            f"{file}: holds no model, only the arrays {arrays}; expected a model: {kinds}"
        )
    if kind not in makers:
        raise CheckpointError(f"{file}: holds a model {kind!r}; expected {kinds}")
    try:
        return makers[kind](tensors, config)
    except KeyError as error:
        raise CheckpointError(f"{file}: damaged, {error} is missing") from None
    except (ArithmeticError, MemoryError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: damaged: {error}") from None
