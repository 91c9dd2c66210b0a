"""The neural bigram: one layer of weights that learns what counting knows."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import amount, array, list_length, shorten, whole
from .._core import bigram_loss_and_gradient, train_bigram
from ..text import Vocab
from ..training.divergence import DivergedError, Smoothed
from ._progress import bar
from .counts import BigramCounts, counts_to_learn
from .saving import read_model, read_note, write_model
from .tables import TableModel, check_cells

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from ..text import Source

# How often a bar is moved over a whole training.
_REPORTS = 100


class NeuralBigram(TableModel):
    """A one-hot context times weights, through softmax: row `context` of the weights are logits.

    `weights` has shape (V, V), or (V**2, V) for trigrams, V the size of the vocabulary.

    Trained without a penalty, it finds the relative frequencies that `BigramModel` counts; the
    penalty pulls rare contexts towards equal probabilities, as smoothing does.

    Raises `ValueError` for weights of another shape, or not finite.

    >>> import numpy as np
    >>> from fastgrad.text import Vocab
    >>> model = NeuralBigram(Vocab("ab"), np.zeros((3, 3)))
    >>> model
    NeuralBigram(order 2, 3 symbols)
    >>> bool(np.isclose(model.loss(["ab", "b"]), np.log(3)))
    True
    """

    __slots__ = ("history", "weights")

    weights: NDArray[np.float64]
    """The logits, read-only, of shape (V**context, V)."""
    history: NDArray[np.float64]
    """The loss before each step of training, the penalty included, and at the end: (steps + 1,)."""

    def __init__(
        self,
        vocab: Vocab,
        weights: NDArray[np.float64],
        *,
        history: NDArray[np.float64] | None = None,
    ):
        """Copy the weights; the table is computed when it is first needed."""
        if not isinstance(vocab, Vocab):
            raise TypeError(f"vocab is {shorten(vocab)}; expected a Vocab")
        size = len(vocab)
        logits = array("weights", weights, "an array of numbers", np.float64).copy()
        if logits.shape not in ((size, size), (size * size, size)):
            raise ValueError(
                f"weights has shape {logits.shape}; expected ({size}, {size}) for bigrams or"
                f" ({size * size}, {size}) for trigrams"
            )
        if not np.isfinite(logits).all():
            raise ValueError("weights holds nan or infinity; expected finite numbers")
        logits.flags.writeable = False
        self.weights = logits
        losses = [] if history is None else history
        self.history = np.array(array("history", losses, "the losses of steps", np.float64))
        super().__init__(vocab, 1 if len(logits) == size else 2, lambda: _softmax(logits))

    @classmethod
    def fit(
        cls,
        source: Source | BigramCounts,
        *,
        order: int | None = None,
        steps: int = 2000,
        lr: float | None = None,
        momentum: float = 0.0,
        penalty: float = 0.01,
        batch: int | None = None,
        seed: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> NeuralBigram:
        """Train on a source of text, or on counts, from weights of 0.

        Minimises the mean negative log-likelihood plus `penalty * mean(weights**2)` by gradient
        descent. Equal bigrams have equal losses, so that a step over all examples costs one
        softmax a context, however long the text is.

        With `lr` None steps are accelerated and need no rate; 2,000 of them come within 1e-6 of the
        optimum for the lecture's names. With a rate, each is `W -= lr * gradient`, as in the
        lecture (which takes 50), with Polyak's `momentum` where that is not 0. With `batch`, each
        step sees that many examples, drawn by `seed`, instead of all.

        `order` is 2 for bigrams (the default) or 3 for trigrams; counts have their own.

        Raises what `BigramCounts.of` raises, `ValueError` or `TypeError` for a setting that makes
        no sense, before anything is counted, and `DivergedError`, a `FloatingPointError`, where the
        rate is so high that the loss is no number any more, or rises to more than twice its start
        and twice ln V.

        >>> from fastgrad.models import BigramModel
        >>> model = NeuralBigram.fit(["emma", "ava"], penalty=0.0)
        >>> counted = BigramModel.fit(["emma", "ava"])
        >>> round(model.loss(["emma", "ava"]) - counted.loss(["emma", "ava"]), 3)
        0.0
        >>> model.history.shape
        (2001,)
        """
        settings = {
            "lr": None if lr is None else amount("lr", lr),
            "momentum": amount("momentum", momentum),
            "penalty": amount("penalty", penalty),
            "batch": None if batch is None else whole("batch", batch, least=1, most=2**32),
            "seed": whole("seed", seed, most=2**64 - 1),
        }
        steps = list_length("steps", steps)
        counts = counts_to_learn(source, order, threads, progress)
        check_cells(counts.vocab, counts.order)
        size = len(counts.vocab)
        weights = np.zeros((size ** (counts.order - 1), size))
        history = _train(weights, counts, steps, settings, progress)
        return cls(counts.vocab, weights, history=history)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and history to a checkpoint, exactly; see `fastgrad.checkpoint`.

        Where `path` is a folder, the file is `model.safetensors` in it.
        """
        tensors = {"weights": self.weights, "history": self.history}
        config = {"vocab": self.vocab.to_config()}
        write_model(path, "neural bigram", tensors, config, self.note)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NeuralBigram:
        """Read a model that `save` wrote; `CheckpointError` for anything else."""
        return read_model(path, {"neural bigram": cls._from_parts})

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> NeuralBigram:
        weights, history = tensors["weights"], tensors["history"]
        if weights.dtype != np.float64 or history.dtype != np.float64 or history.ndim != 1:
            raise ValueError("weights or history are not of float64")
        model = cls(Vocab.from_config(config["vocab"]), weights, history=history)
        model.note = read_note(config)
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by what the table is computed from."""
        return _made_again, (self.vocab, self.weights, self.history)

    def __repr__(self) -> str:
        """Tell how large the model is."""
        trained = f", {len(self.history) - 1:,} steps" if len(self.history) else ""
        return f"NeuralBigram(order {self.order}, {len(self.vocab)} symbols{trained})"


def _made_again(
    vocab: Vocab, weights: NDArray[np.float64], history: NDArray[np.float64]
) -> NeuralBigram:
    """Make a model from its pickle."""
    return NeuralBigram(vocab, weights, history=history)


def _train(
    weights: NDArray[np.float64],
    counts: BigramCounts,
    steps: int,
    settings: dict[str, Any],
    progress: bool,
) -> NDArray[np.float64]:
    """Train in place; return the losses before each step and after the last."""
    ids, found = counts.entries()
    times = found.astype(np.uint64)
    velocity = np.zeros_like(weights)
    history = np.empty(steps + 1)
    smoothed = Smoothed(math.log(len(counts.vocab)), history[:0])
    # What a step does depends on its number, and not on the call that it is part of.
    stride = max(1, steps // _REPORTS)
    with bar(progress, steps, "step", "training") as report:
        for first in range(0, steps, stride):
            some = min(stride, steps - first)
            try:
                losses = train_bigram(
                    weights, velocity, ids, times, steps=some, first_step=first, **settings
                )
            except FloatingPointError as error:
                raise _diverged(error, settings["lr"] or math.nan) from None
            if (place := smoothed.add(losses)) is not None:
                raise DivergedError(first + place, settings["lr"] or math.nan, smoothed.loss)
            history[first : first + some] = losses
            if report is not None:
                report(first + some, f"loss {losses[-1]:.4f}")
    history[steps] = bigram_loss_and_gradient(weights, ids, times, settings["penalty"])[0]
    return history


def _diverged(error: FloatingPointError, rate: float) -> DivergedError:
    """Make the error of Python's training loops of that of the core, which ends with the step."""
    found = re.search(r"at step (\d+)", str(error))
    return DivergedError(int(found[1]) if found else 0, rate)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give e**x over the sum of its row; the largest of each row is taken off against overflow."""
    with np.errstate(over="ignore", under="ignore"):  # Both end in a probability of 0.
        table = np.exp(logits - logits.max(axis=1, keepdims=True))
        table /= table.sum(axis=1, keepdims=True)
    return table
