"""Models that are a table: a row of probabilities for each context of ids."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import NotFittedError
from ..text import build_dataset
from ..text.dataset import encode_context
from ._model import CharacterModel, log_of
from .ngram_counts import MOST_DRAWN, NgramCounts, counts_for, heat_map_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..text import Source, Vocab

# A gigabyte of probabilities; beyond that a table is the wrong model.
_MOST_CELLS = 2**27


class TableModel(CharacterModel["Source | NgramCounts"]):
    """A model of characters whose distributions are a table of shape (V**context_length, V).

    Row number: the context read as a number in base V, its first token the most significant. A
    row of zeros means that nothing is known after its context.
    """

    def __init__(self, order: int, vocab: Vocab | None) -> None:
        """Keep what is known before `fit`; the classes made from this one check it."""
        self._order = order
        self._vocab = vocab
        self._made: NDArray[np.float64] | None = None

    @property
    def order(self) -> int:
        """The length of the n-grams: 2 for bigrams, 3 for trigrams."""
        return self._order

    @property
    def context_length(self) -> int:
        """The number of characters before the next one that the model looks at: `order` - 1."""
        return self._order - 1

    @property
    def P(self) -> NDArray[np.float64]:  # noqa: N802 - the lecture's name
        """The probabilities, read-only, of shape (V,) * order: `P[i, j]` is that of j after i."""
        return self.table().reshape((len(self.vocab),) * self._order)

    def table(self) -> NDArray[np.float64]:
        """Return the distributions after all contexts, read-only: (V**context_length, V)."""
        # A file of a kilobyte may hold counts whose table takes a gigabyte: loading makes none.
        if self._made is None:
            table = self._make_table()
            table.flags.writeable = False
            self._made = table
        return self._made

    @abstractmethod
    def _make_table(self) -> NDArray[np.float64]:
        """Return the table, which `table` keeps."""

    def _pictures(self) -> list[str]:
        pictures = super()._pictures()
        try:
            if self._order == 2 and len(self.vocab) <= MOST_DRAWN:
                pictures.insert(0, heat_map_of(self.P, self.vocab.itos))
        except NotFittedError:
            pass  # A model without a table is shown by its settings.
        return pictures

    def num_parameters(self) -> int:
        """Return how many numbers the table has, V**order."""
        return len(self.vocab) ** self._order

    def _encode_context(self, context: str) -> NDArray[np.uint32]:
        return encode_context(context, self.vocab, self.context_length)

    def _distributions(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        check_width(contexts, self.context_length)
        return self.table()[self._rows(contexts)]

    def loss(
        self, texts: Source | NgramCounts, *, threads: int | None = None, progress: bool = False
    ) -> float:
        """Return the mean negative log-likelihood of a text, in nats per token.

        `texts` is a file's name, bytes, an iterable of str, or counts. The text is counted first,
        so that a file of any size takes no longer than counting it. The loss is `inf` where the
        text has an n-gram of probability 0, which `unseen` names; it is never nan.

        Raises `UnknownCharacterError` for a character that is not in the vocabulary.
        """
        counts = counts_for(texts, self.vocab, self.order, threads=threads, progress=progress)
        _, times, probs = self._probs(counts)
        if not probs.all():
            return math.inf
        # The zero turns -0.0, the loss where all is certain, into 0.0.
        return float(np.sum(times * -np.log(probs))) / counts.total + 0.0

    def unseen(self, texts: Source | NgramCounts) -> list[tuple[str, int]]:
        """Return the n-grams of a text that have probability 0, and how often each occurs.

        The most frequent come first. Where there are any, the loss of the text is `inf`.
        """
        counts = counts_for(texts, self.vocab, self.order)
        ids, times, probs = self._probs(counts)
        zero = probs == 0
        found = zip(ids[zero], times[zero], strict=True)
        return sorted(
            ((self.vocab.decode(gram), int(count)) for gram, count in found),
            key=lambda entry: -entry[1],
        )

    def token_log_probs(self, texts: Source) -> NDArray[np.float64]:
        """Return the natural logarithm of the probability of each token of a text: (T,).

        The tokens are the characters of each item and its end. It is `-inf` for probability 0.
        """
        return self._log_probs(*build_dataset(texts, self.vocab, self.context_length))

    def _log_probs(
        self, contexts: NDArray[np.uint32], targets: NDArray[np.uint32]
    ) -> NDArray[np.float64]:
        return log_of(self.table()[self._rows(contexts), targets])

    def _rows(self, contexts: NDArray[Any]) -> NDArray[np.intp]:
        """Return the row of each context: its ids, along the last axis, as digits in base V."""
        rows = np.zeros(contexts.shape[:-1], dtype=np.intp)
        for place in range(contexts.shape[-1]):
            rows = rows * len(self.vocab) + contexts[..., place]
        return rows

    def _probs(
        self, counts: NgramCounts
    ) -> tuple[NDArray[np.uint32], NDArray[np.integer[Any]], NDArray[np.float64]]:
        """Return the n-grams of a text, how often each occurs, and its probability."""
        ids, times = counts.nonzero()
        return ids, times, self.table()[self._rows(ids[:, :-1]), ids[:, -1]]


def check_width(contexts: NDArray[np.uint32], width: int) -> None:
    """Raise `ValueError` for contexts that are not of a length."""
    if contexts.shape[1] != width:
        raise ValueError(
            f"context has {contexts.shape[1]} tokens; expected at least {width}, id 0 in front of"
            " the start of an item"
        )


def check_cells(vocab: Vocab, order: int) -> None:
    """Raise `MemoryError` for a table that would not fit in memory."""
    if len(vocab) ** order > _MOST_CELLS:
        raise MemoryError(
            f"a model of order {order} over V = {len(vocab):,} tokens would have V**{order} ="
            f" {len(vocab) ** order:,} probabilities; expected at most {_MOST_CELLS:,}"
        )
