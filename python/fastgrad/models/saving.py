"""Models as checkpoints: which kind of model a file holds, and where it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .. import checkpoint
from .._checks import cut, escape, path_name, shorten
from ..checkpoint import CheckpointError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model = TypeVar("Model")
Note: TypeAlias = dict[str, Any]

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
    note: Note | None = None,
) -> None:
    """Save a model's arrays and configuration, with the name of its kind and its note."""
    noted = {} if note is None else {"note": note}
    checkpoint.save(model_path(path), tensors, {"model": kind, **config, **noted})


def read_note(config: Mapping[str, Any]) -> Note | None:
    """Return the note that was saved with a model; `TypeError` for one that is no dictionary."""
    note = config.get("note")
    if note is not None and not isinstance(note, dict):
        raise TypeError(f"note is {shorten(note)}; expected a dictionary")
    return note


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
    named = escape(str(file))
    if not isinstance(kind, str):
        arrays = shorten(sorted(tensors))
        raise CheckpointError(
            f"{named}: holds no model, only the arrays {arrays}; expected a model: {kinds}"
        )
    if kind not in makers:
        raise CheckpointError(f"{named}: holds a model {shorten(kind)}; expected {kinds}")
    try:
        return makers[kind](tensors, config)
    except KeyError as error:
        raise CheckpointError(f"{named}: damaged, {cut(str(error))} is missing") from None
    except (
        ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        raise CheckpointError(f"{named}: damaged: {cut(str(error))}") from None
