"""Models as checkpoints: which kind of model a file holds, and where it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from .. import checkpoint
from .._checks import cut, escape, path_name, shorten
from ..checkpoint import CheckpointError
from ..text import Vocab, WordVocab

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model = TypeVar("Model")
Note: TypeAlias = dict[str, Any]

# The file in a folder that a command line's `-o out/` names.
_FILE = "model.safetensors"
# The words of a vocabulary, one a line, are an array: they may be more than settings may hold.
_WORDS = "vocab.words"


def model_path(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Return the file that holds a model: `path`, or where that is a folder, the file in it.

    A path that ends in a separator is a folder, even one that is not there yet. Raises `TypeError`,
    with the argument's `name`, for what is no path.
    """
    given = path_name(name, path)
    place = Path(given)
    return place / _FILE if place.is_dir() or given.endswith(("/", os.sep)) else place


def write_model(
    path: str | os.PathLike[str],
    kind: str,
    tensors: Mapping[str, NDArray[Any] | checkpoint.Parts],
    config: Mapping[str, Any],
    note: Note | None = None,
    *,
    keep_previous: bool = True,
) -> None:
    """Save a model's arrays and configuration, with the name of its kind and its note."""
    noted = {} if note is None else {"note": note}
    file = model_path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    settings = {"model": kind, **config, **noted}
    checkpoint.write(file, tensors, settings, keep_previous=keep_previous)


def read_note(config: Mapping[str, Any]) -> Note | None:
    """Return the note that was saved with a model; `TypeError` for one that is no dictionary."""
    note: Note | None = config.get("note")
    if note is not None and not isinstance(note, dict):
        raise TypeError(f"note is {shorten(note)}; expected a dictionary")
    return note


def read_model(
    path: str | os.PathLike[str],
    makers: Mapping[str, Callable[[dict[str, NDArray[Any]], dict[str, Any]], Model]],
    *,
    mapped: bool = False,
) -> Model:
    """Return the model of a checkpoint, made by the maker of its kind.

    `mapped` gives the maker arrays that are in the file still.

    Raises `CheckpointError`, with the file's name, also for a checkpoint that holds no model or one
    of another kind, and for what the maker refuses.
    """
    file = model_path(path)
    tensors, config = (checkpoint.load_mapped if mapped else checkpoint.load)(file)
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


def vocab_parts(vocab: Vocab | WordVocab) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a vocabulary as JSON-able values and arrays."""
    config = vocab.to_config()
    if isinstance(vocab, Vocab):
        return config, {}
    words = "\n".join(config.pop("words")).encode()
    return config, {_WORDS: np.frombuffer(words, dtype=np.uint8)}


def vocab_of(config: Any, tensors: Mapping[str, NDArray[Any]]) -> Any:
    """Return the vocabulary of its parts; raise `ValueError` for what are none."""
    if _WORDS not in tensors:
        return Vocab.from_config(config)
    words = tensors[_WORDS]
    if words.dtype != np.uint8 or words.ndim != 1:
        raise ValueError(f"{_WORDS} is {words.shape} of {words.dtype}; expected (K,) of uint8")
    return WordVocab.from_config({**config, "words": words.tobytes().decode().split("\n")})
