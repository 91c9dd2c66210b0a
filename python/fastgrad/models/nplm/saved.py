"""The model in a file, with the training run that it may be in the middle of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ...text import Vocab
from ...training import Saved, checked_count, history_arrays, read_history, read_saved
from ..saving import write_model
from .optimizers import Optimizer
from .shape import Shape, checked_seed

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from .model import NPLM

    Model = TypeVar("Model", bound=NPLM)
    Arrays = dict[str, NDArray[Any]]

KIND = "nplm"
_REMEMBERED = "optimizer."


@dataclass(frozen=True)
class RunState:
    """A training run as a checkpoint holds it, less the examples, of which it has a digest."""

    loop: Saved
    optimizer: Optimizer
    remembered: Arrays
    batch: int
    seed: int
    train: str
    dev: str | None


def write(
    path: str | os.PathLike[str],
    model: NPLM,
    arrays: Arrays | None = None,
    training: dict[str, Any] | None = None,
) -> None:
    """Write a model to a checkpoint; with the arrays and settings of a run, if there is one."""
    config = {
        "vocab": model.vocab.to_config(),
        "shape": model.shape.to_config(),
        "stopped": model.history.stopped,
        "training": training,
    }
    tensors = model.parameters() | (arrays or history_arrays(model.history))
    write_model(path, KIND, tensors, config)


def read_run(
    kind: type[Model], tensors: Arrays, config: dict[str, Any]
) -> tuple[Model, RunState | None]:
    """Make the model, and the state of its run where there is one.

    Raises `KeyError`, `TypeError` or `ValueError` for what `write` has not written.
    """
    vocab = Vocab.from_config(config["vocab"])
    shape = Shape(len(vocab), **config["shape"])
    shape.check(tensors)
    model = kind._of(vocab, shape, {name: tensors[name] for name in shape.shapes})
    training = config["training"]
    if training is None:
        model._history = read_history(tensors, str(config["stopped"]))
        return model, None
    state = _read_state(shape, model.parameters(), tensors, training)
    model._history = state.loop.history
    return model, state


def _read_state(shape: Shape, parameters: Arrays, tensors: Arrays, training: Any) -> RunState:
    loop = read_saved(tensors, training)
    optimizer = Optimizer(**training["optimizer"])
    remembered = optimizer.state(parameters)
    for name, array in remembered.items():
        kind = name.partition(".")[0]
        shape.check(tensors, f"{_REMEMBERED}{kind}.")
        remembered[name] = tensors[_REMEMBERED + name]
        if loop.best is not None and loop.best[_REMEMBERED + name].shape != array.shape:
            raise ValueError(f"best.{_REMEMBERED}{name} does not fit the parameters")
    if loop.best is not None:
        shape.check(loop.best)
    return RunState(
        loop=loop,
        optimizer=optimizer,
        remembered=remembered,
        batch=checked_count("batch", training["batch"]),
        seed=checked_seed(training["seed"]),
        train=str(training["train"]),
        dev=training["dev"],
    )
