"""The counting model: probabilities are relative frequencies, smoothed where asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

<<<<<<< HEAD
from .._checks import MOST, amount, shorten, whole
from .._core import InterpolatedTable, KneserNeyTable
from ..words import WordText, WordVocab
from .word_model import WordModel, checked_contexts
=======
from .._checks import amount, shorten
from .._core import NgramCounts
from ..text import Vocab
from .counts import NgramCounts, counts_to_learn
from .saving import read_model, read_note, write_model
from .tables import TableModel, check_cells
>>>>>>> 82c234b (wip models)

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from ..text import Source


class BigramModel(TableModel):
    """A bigram model, or a trigram model where the counts are of order 3.

    The probability of a symbol after a context is (N + s) / (R + s * V): N is how often the symbol
    followed the context, R how often the context occurred, s the smoothing ("add-one", or Laplace,
    where it is 1), V the size of the vocabulary, boundary included. With s = 0 an n-gram that never
    occurred has probability 0, and after a context that never occurred everything has. That is the
    default here, as in the lecture; the command `fastgrad train bigram` smooths by 1 unless told
    otherwise.

    Raises `ValueError` for a smoothing that is negative or not finite, and `MemoryError` where the
    table of V**order probabilities would be too large.

    >>> model = BigramModel.fit(["emma", "ava"], smoothing=1.0)
    >>> model
    BigramModel(2 items, 9 bigrams of 5 symbols; smoothing 1.0)
    >>> dict(zip(model.vocab.itos, model.next_probs("em").round(3).tolist()))
    {'.': 0.143, 'a': 0.286, 'e': 0.143, 'm': 0.286, 'v': 0.143}
    >>> round(model.loss(["eva"]), 4)
    1.281
    >>> BigramModel.fit(["emma", "ava"]).loss(["eva"])
    inf
    """

    __slots__ = ("counts", "smoothing")

    counts: NgramCounts
    """What the probabilities come from."""
    smoothing: float
    """What is added to each count."""

    def __init__(self, counts: NgramCounts, smoothing: float = 0.0):
        """Check that there can be such a table, which is computed when it is first needed."""
        if not isinstance(counts, NgramCounts):
            raise TypeError(
                f"counts is {shorten(counts)}; expected NgramCounts. BigramModel.fit counts"
            )
        self.counts = counts
        self.smoothing = amount("smoothing", smoothing)
        check_cells(counts.vocab, counts.order)
        if not math.isfinite(self.smoothing * len(counts.vocab)):
            raise ValueError(
                f"smoothing is {shorten(smoothing)}, which is too large for"
                f" {len(counts.vocab)} symbols"
            )
        super().__init__(counts.vocab, counts.order - 1, lambda: _smoothed(counts, self.smoothing))

    @classmethod
    def fit(
        cls,
        source: Source | NgramCounts,
        *,
        smoothing: float = 0.0,
        order: int | None = None,
        threads: int | None = None,
        progress: bool = False,
    ) -> BigramModel:
        """Count a source of text, or take counts as they are, and make the model of them.

        `order` is 2 for bigrams (the default) or 3 for trigrams; counts have their own. Raises what
        `NgramCounts` raises, and what making the model of counts raises.

        >>> counts = NgramCounts(["emma", "ava"])
        >>> a, b = BigramModel.fit(counts, smoothing=1), BigramModel(counts, smoothing=1)
        >>> a.loss(["eva"]) == b.loss(["eva"])
        True
        """
        amount("smoothing", smoothing)  # Before the counting, which may take long.
        return cls(counts_to_learn(source, order, threads, progress), smoothing)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the counts and the smoothing to a checkpoint, exactly; see `fastgrad.checkpoint`.

        Where `path` is a folder, the file is `model.safetensors` in it.
        """
        ids, times = self.counts.nonzero()
        config = {
            "order": self.order,
            "smoothing": self.smoothing,
            "items": self.counts.items,
            "vocab": self.vocab.to_config(),
        }
        tensors = {"ids": ids, "counts": times.astype(np.uint64)}
        write_model(path, "bigram", tensors, config, self.note)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BigramModel:
        """Read a model that `save` wrote; `CheckpointError` for anything else."""
        return read_model(path, {"bigram": cls._from_parts})

<<<<<<< HEAD
        The iterations end once one has gained less than `tolerance` nats per token. Weights of
        bins that the validation text has no token in stay equal.

        Raises `TypeError` for a training text that is no `WordText`, `ValueError` for a validation
        text of another vocabulary, a setting out of range, or `sentences` of a text without marks.
        """
        _check_text("train", train)
        tolerance = amount("tolerance", tolerance)
        max_iterations = whole("max_iterations", max_iterations, least=1, most=MOST)
        eos = _eos(train, sentences)
        table = InterpolatedTable(train.ids, len(train.vocab), eos)
        model = cls(train.vocab, 2, table, eos is not None)
        ids, start = model._text(validation)
        model.losses = model._table.fit(ids, start, tolerance=tolerance, iterations=max_iterations)
        model._tokens = len(train)
        return model

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights of 1/V, p1, p2 and p3 in each bin: (bins, 4)."""
        return self._table.weights

    def bin_of(self, frequency: int) -> int:
        """Give the bin of contexts that were seen so often."""
        return max(
            math.ceil(-math.log((1 + whole("frequency", frequency, most=MOST)) / self._tokens)), 0
        )
=======
    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> BigramModel:
        vocab = Vocab.from_config(config["vocab"])
        counts = NgramCounts.from_entries(
            config["order"], vocab.characters, config["items"], tensors["ids"], tensors["counts"]
        )
        _refuse_impossible(counts)
        model = cls(NgramCounts(counts), config["smoothing"])
        model.note = read_note(config)
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by what the table is computed from."""
        return BigramModel, (self.counts, self.smoothing)
>>>>>>> 82c234b (wip models)

    def __repr__(self) -> str:
        """Tell what was counted, and the smoothing."""
        counted = repr(self.counts).removeprefix("NgramCounts(").removesuffix(")")
        return f"BigramModel({counted}; smoothing {self.smoothing})"


def _smoothed(counts: NgramCounts, smoothing: float) -> NDArray[np.float64]:
    """Give (N + s) / (R + s * V), and 0 where both are 0; shape (V**context, V)."""
    size = len(counts.vocab)
    times = counts.table().reshape(-1, size)
    # Sums are of integers, and exact.
    contexts = times.sum(axis=1, dtype=np.uint64).astype(np.float64) + smoothing * size
    table = times.astype(np.float64)
    table += smoothing
    np.divide(table, contexts[:, None], out=table, where=contexts[:, None] > 0)
    return table


def _refuse_impossible(counts: NgramCounts) -> None:
    """Refuse counts that no text has: each context is reached as often as it is left.

    The first n-1 symbols of an n-gram are the context left, the last n-1 the one reached. Items
    begin in the context of boundaries alone, and end in one whose last symbol is the boundary.
    """
    ids, times = counts.nonzero()
    keys = ids.astype(np.uint64)
    base = np.uint64(len(counts.characters) + 1)
    left, reached = keys[:, 0], keys[:, -1]
    if counts.order == 3:
        left, reached = left * base + keys[:, 1], keys[:, 1] * base + reached
    reached = np.where(keys[:, -1] == 0, 0, reached)
    contexts, places = np.unique(np.concatenate([left, reached]), return_inverse=True)
    balance = np.zeros(len(contexts), dtype=np.uint64)
    # Within uint64, where what is taken from 0 comes back around, sums stay exact.
    np.add.at(balance, places[: len(times)], times)
    np.subtract.at(balance, places[len(times) :], times)
    if balance.any():
        raise ValueError("the counts are not those of any text")
