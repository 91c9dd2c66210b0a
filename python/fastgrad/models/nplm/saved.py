"""The model in a file, with the training run that it may be in the middle of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..._checks import whole
from ...text import Vocab
from ...training import Saved, history_arrays, read_history, read_saved
from ...words import WordVocab
from ..saving import read_note, write_model
from .optimizers import Optimizer, checked_dropout
from .shape import MAX_SEED, Shape

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from .learner import Learner

    Model = TypeVar("Model", bound=Learner[Any])
    Arrays = dict[str, NDArray[Any]]

# The words of a vocabulary, one a line, are an array: they may be more than settings may hold.
_WORDS = "vocab.words"
_REMEMBERED = "optimizer."


@dataclass(frozen=True)
class RunState:
    """A training run as a checkpoint holds it, less the examples, of which it has a digest."""

    loop: Saved
    optimizer: Optimizer
    remembered: Arrays
    batch: int
    seed: int
    dropout: tuple[float, float]
    train: str
    dev: str | None


def write(
    path: str | os.PathLike[str],
    model: Learner[Any],
    arrays: Arrays | None = None,
    training: dict[str, Any] | None = None,
) -> None:
    """Write a model to a checkpoint; with the arrays and settings of a run, if there is one."""
    vocab, words = _vocab_parts(model.vocab)
    config = {
        "vocab": vocab,
        "shape": model.shape.to_config(),
        "stopped": model.history.stopped if training is None else training["stopped"],
        "training": training,
    }
    tensors = model.parameters() | words | (arrays or history_arrays(model.history))
    write_model(path, model.kind, tensors, config, model.note)


def read_run(
    kind: type[Model], tensors: Arrays, config: dict[str, Any]
) -> tuple[Model, RunState | None]:
    """Make the model, and the state of its run where there is one.

    Raises `KeyError`, `TypeError` or `ValueError` for what `write` has not written.
    """
    vocab = _read_vocab(config["vocab"], tensors)
    shape = Shape(len(vocab), **config["shape"])
    shape.check(tensors)
    model = kind._of(vocab, shape, {name: tensors[name] for name in shape.shapes})
    model.note = read_note(config)
    training = config["training"]
    if training is None:
        model._history = read_history(tensors, str(config["stopped"]))
        return model, None
    state = _read_state(shape, model.parameters(), tensors, training)
    model._history = state.loop.history
    return model, state


def _vocab_parts(vocab: Vocab | WordVocab) -> tuple[dict[str, Any], Arrays]:
    config = vocab.to_config()
    if isinstance(vocab, Vocab):
        return config, {}
    words = "\n".join(config.pop("words")).encode()
    return config, {_WORDS: np.frombuffer(words, dtype=np.uint8)}


def _read_vocab(config: Any, tensors: Arrays) -> Vocab | WordVocab:
    if _WORDS not in tensors:
        return Vocab.from_config(config)
    words = tensors[_WORDS]
    if words.dtype != np.uint8 or words.ndim != 1:
        raise ValueError(f"{_WORDS} is {words.shape} of {words.dtype}; expected (K,) of uint8")
    return WordVocab.from_config({**config, "words": words.tobytes().decode().split("\n")})


def _read_state(shape: Shape, parameters: Arrays, tensors: Arrays, training: Any) -> RunState:
    loop = read_saved(tensors, training)
    best = None if loop.best is None else loop.best.snapshot.arrays
    optimizer = Optimizer(**training["optimizer"])
    remembered = optimizer.state(parameters)
    for name, array in remembered.items():
        kind = name.partition(".")[0]
        shape.check(tensors, f"{_REMEMBERED}{kind}.")
        remembered[name] = tensors[_REMEMBERED + name]
        if best is not None and best[_REMEMBERED + name].shape != array.shape:
            raise ValueError(f"best.{_REMEMBERED}{name} does not fit the parameters")
    if best is not None:
        shape.check(best)
    return RunState(
        loop=loop,
        optimizer=optimizer,
        remembered=remembered,
        batch_size=whole("batch", training["batch"], least=1),
        seed=whole("seed", training["seed"], most=MAX_SEED),
        dropout=checked_dropout(training.get("dropout", 0.0)),
        train=str(training["train"]),
        dev=training["dev"],
    )
