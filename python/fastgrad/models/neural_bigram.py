"""The neural bigram: one layer of weights that learns what counting knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..text import Vocab
from .saving import read_model, write_model
from .tables import TableModel

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


class NeuralBigram(TableModel):
    """A one-hot context times weights, through softmax: row `context` of the weights are logits.

    `weights` has shape (V, V), or (V**2, V) for trigrams, V the size of the vocabulary.

    Raises `ValueError` for weights of another shape, or not finite.
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
        """Copy the weights and compute the table."""
        if not isinstance(vocab, Vocab):
            raise TypeError(f"vocab is {vocab!r}; expected a Vocab")
        size = len(vocab)
        logits = np.array(weights, dtype=np.float64)
        if logits.shape not in ((size, size), (size * size, size)):
            raise ValueError(
                f"weights has shape {logits.shape}; expected ({size}, {size}) for bigrams or"
                f" ({size * size}, {size}) for trigrams"
            )
        if not np.isfinite(logits).all():
            raise ValueError("weights holds nan or infinity; expected finite numbers")
        logits.flags.writeable = False
        self.weights = logits
        self.history = np.zeros(0) if history is None else np.array(history, dtype=np.float64)
        super().__init__(vocab, 1 if len(logits) == size else 2, _softmax(logits))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and history to a checkpoint, exactly; see `fastgrad.checkpoint`.

        Where `path` is a folder, the file is `model.safetensors` in it.
        """
        tensors = {"weights": self.weights, "history": self.history}
        write_model(path, "neural bigram", tensors, {"vocab": self.vocab.to_config()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NeuralBigram:
        """Read a model that `save` wrote; `CheckpointError` for anything else."""
        return read_model(path, {"neural bigram": cls._from_parts})

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> NeuralBigram:
        weights, history = tensors["weights"], tensors["history"]
        if weights.dtype != np.float64 or history.dtype != np.float64 or history.ndim != 1:
            raise ValueError("weights or history are not of float64")
        return cls(Vocab.from_config(config["vocab"]), weights, history=history)

    def __repr__(self) -> str:
        """Tell how large the model is."""
        trained = f", {len(self.history) - 1:,} steps" if len(self.history) else ""
        return f"NeuralBigram(order {self.order}, {len(self.vocab)} symbols{trained})"


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give e**x over the sum of its row; the largest of each row is taken off against overflow."""
    table = np.exp(logits - logits.max(axis=1, keepdims=True))
    table /= table.sum(axis=1, keepdims=True)
    return table
