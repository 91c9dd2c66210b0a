"""The model in a file, with the training run that it may be in the middle of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..._checks import whole
from ...training.resuming import Saved, history_arrays, read_history, read_saved
from ..saving import read_note, vocab_of, vocab_parts
from .optimizers import Optimizer, checked_dropout
from .shape import MAX_SEED, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .learner import Learner

    Model = TypeVar("Model", bound=Learner[Any])
    Arrays = dict[str, NDArray[Any]]
    # The rows of the output layer that a rank has, given how many there are.
    RowsOf = Callable[[int], slice]

_REMEMBERED = "optimizer."
# The settings that say how the parameters were drawn.
_DRAWN = ("init", "seed")


@dataclass(frozen=True)
class RunState:
    """A training run as a checkpoint holds it, less the examples, of which it has a digest."""

    loop: Saved
    optimizer: Optimizer
    remembered: Arrays
    batch_size: int
    seed: int
    dropout: tuple[float, float]
    train: str
    dev: str | None


def parts(
    model: Learner[Any], arrays: Arrays | None = None, training: dict[str, Any] | None = None
) -> tuple[Arrays, dict[str, Any]]:
    """Return a network as arrays and JSON-able values; with those of a run, if there is one."""
    vocab, words = vocab_parts(model.vocab)
    config = {
        "vocab": vocab,
        "shape": model._shape_of().to_config(),
        "drawn": {name: model._settings[name] for name in _DRAWN},
        "stopped": model.history.stopped if training is None else training["stopped"],
        "training": training,
    }
    return model._parameters | words | (arrays or history_arrays(model.history)), config


def read_run(
    kind: type[Model],
    tensors: Arrays,
    config: dict[str, Any],
    rows_of: RowsOf | None = None,
) -> tuple[Model, RunState | None]:
    """Return the model, and the state of its run where there is one.

    With `rows_of` the arrays, which are mapped into memory, are copied, and of the output layer
    only its rows. Raises `KeyError`, `TypeError` or `ValueError` for what `parts` has not made.
    """
    vocab = vocab_of(config["vocab"], tensors)
    shape = Shape.from_config(len(vocab), config["shape"])
    rows = None
    if rows_of is not None:
        rows = rows_of(len(vocab))
        tensors = {name: _copied(shape, name, array, rows) for name, array in tensors.items()}
    shape.check(tensors, rows=rows)
    model = kind._of(vocab, shape, {name: tensors[name] for name in shape.shapes})
    model.note = read_note(config)
    # Of older files it is not known how the parameters were drawn.
    model._settings |= {name: config.get("drawn", {}).get(name) for name in _DRAWN}
    training = config["training"]
    if training is None:
        model._history = read_history(tensors, str(config["stopped"]))
        return model, None
    state = _read_state(shape, rows, model._parameters, tensors, training)
    model._history = state.loop.history
    return model, state


def _batch_size(training: dict[str, Any]) -> Any:
    """Return the setting, which older files call otherwise."""
    return training["batch"] if "batch" in training else training["batch_size"]


def _copied(shape: Shape, name: str, array: NDArray[Any], rows: slice) -> NDArray[Any]:
    if not shape.is_output(name):
        return array.copy()
    if len(array) != shape.vocab_size:
        raise ValueError(f"{name} has {len(array)} rows; expected {shape.vocab_size}")
    return array[rows].copy()


def _read_state(
    shape: Shape, rows: slice | None, parameters: Arrays, tensors: Arrays, training: Any
) -> RunState:
    loop = read_saved(tensors, training)
    best = None if loop.best is None else loop.best.snapshot.arrays
    optimizer = Optimizer(**training["optimizer"])
    remembered = optimizer.state(parameters)
    for name, array in remembered.items():
        kind = name.partition(".")[0]
        shape.check(tensors, f"{_REMEMBERED}{kind}.", rows)
        remembered[name] = tensors[_REMEMBERED + name]
        if best is not None and best[_REMEMBERED + name].shape != array.shape:
            raise ValueError(f"best.{_REMEMBERED}{name} does not fit the parameters")
    if best is not None:
        shape.check(best, rows=rows)
    return RunState(
        loop=loop,
        optimizer=optimizer,
        remembered=remembered,
        batch_size=whole("batch_size", _batch_size(training), least=1),
        seed=whole("seed", training["seed"], most=MAX_SEED),
        dropout=checked_dropout(training.get("dropout", 0.0)),
        train=str(training["train"]),
        dev=training["dev"],
    )
