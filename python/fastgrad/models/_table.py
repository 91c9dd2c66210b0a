"""What models over tables share: a row of probabilities for each context of ids."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from ..text.windows import encode_context
from .counts import NgramCounts, counts_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..text import Source, Vocab
    from .saving import Note

# A gigabyte of probabilities; beyond that a table is the wrong model.
_MOST_CELLS = 2**27


class TableModel:
    """A language model that is a table of shape (V**context, V), each row a distribution.

    Row number: the context read as a number in base V, its first symbol the most significant. A
    row of zeros means that nothing is known after its context.
    """

    __slots__ = ("_made", "_make", "context", "note", "vocab")

    vocab: Vocab
    """The symbols, and the way from text to ids and back."""
    context: int
    """How many symbols before the next one the model looks at; 1 for a bigram."""
    note: Note | None
    """What was noted about where the model came from, plain JSON, saved with it; or None."""

    def __init__(self, vocab: Vocab, context: int, make: Callable[[], NDArray[np.float64]]):
        """Keep what computes the table, which is called when the table is first needed."""
        self.vocab = vocab
        self.context_length = context
        self.note = None
        self._make = make
        self._made: NDArray[np.float64] | None = None

    @property
    def order(self) -> int:
        """How long the n-grams are: 2 for a bigram model, 3 for a trigram model."""
        return self.context_length + 1

    @property
    def _table(self) -> NDArray[np.float64]:
        # A file of a kilobyte may hold counts whose table takes a gigabyte: loading makes none.
        if self._made is None:
            table = self._make()
            table.flags.writeable = False
            self._made = table
        return self._made

    def table(self) -> NDArray[np.float64]:
        """Give the distributions after all contexts, read-only, of shape (V**context, V)."""
        return self._table

    def probabilities(self, context: str = "") -> NDArray[np.float64]:
        """Give the distribution of the symbol after `context`, the start of an item; shape (V,).

        Only the last symbols of `context` count. Boundaries in front, written as `vocab.eos_token`,
        change nothing: "..a" is "a". All are 0 where nothing is known after them.
        """
        ids = encode_context(context, self.vocab, self.context_length)
        return self._table[self._rows(ids)].copy()

    def next_probs(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of ids: (B, context) to (B, V)."""
        ids = _checks.ids("contexts", contexts, len(self.vocab), dims=2)
        if ids.shape[1] != self.context_length:
            raise ValueError(f"contexts has shape {ids.shape}; expected (B, {self.context_length})")
        return self._table[self._rows(ids)]

    def loss(
        self, source: Source | NgramCounts, *, threads: int | None = None, progress: bool = False
    ) -> float:
        """Give the mean negative log-likelihood of a text, in nats per symbol.

        The text is counted first, and counts are a source as well, so that a file of any size
        takes no longer than counting it. The loss is `inf` where the text has an n-gram of
        probability 0, which `unseen` names; it is never nan.

        Raises `UnknownCharacterError` for a character that is not in the vocabulary.
        """
        counts = counts_for(source, self.vocab, self.order, threads=threads, progress=progress)
        _, times, chances = self._chances(counts)
        if not chances.all():
            return math.inf
        # The zero turns -0.0, the loss where all is certain, into 0.0.
        return float(np.sum(times * -np.log(chances))) / counts.total + 0.0

    def perplexity(
        self, source: Source | NgramCounts, *, threads: int | None = None, progress: bool = False
    ) -> float:
        """Give e to the power of the loss: as many equal choices would be as hard to guess."""
        loss = self.loss(source, threads=threads, progress=progress)
        # Of a loss above 709 the exponential is beyond what a float can hold.
        return math.exp(loss) if loss < 709 else math.inf

    def unseen(self, source: Source | NgramCounts) -> list[tuple[str, int]]:
        """Give the n-grams of a text that have probability 0, with how often each occurs.

        The most frequent come first. Where there are any, the loss of the text is `inf`.
        """
        counts = counts_for(source, self.vocab, self.order)
        ids, times, chances = self._chances(counts)
        zero = chances == 0
        found = zip(ids[zero], times[zero], strict=True)
        return sorted(
            ((self.vocab.decode(gram), int(count)) for gram, count in found),
            key=lambda entry: -entry[1],
        )

    def log_probability(self, item: str) -> float:
        """Give the natural logarithm of an item's probability, its end included.

        `-inf` where it has an n-gram of probability 0.
        """
        characters = self.vocab.encode(item)
        ids = np.zeros(self.context_length + len(characters) + 1, dtype=np.int64)
        ids[self.context_length : -1] = characters
        grams = np.lib.stride_tricks.sliding_window_view(ids, self.order)
        chances = self._table[self._rows(grams[:, :-1]), grams[:, -1]]
        return math.fsum(np.log(chances)) if chances.all() else -math.inf

    def sample(self, n: int = 10, **options: Any) -> list[str]:
        """Make up `n` items; the options are those of `fastgrad.sampling.sample`."""
        from ..sampling import sample

        return sample(self, n, **options)

    def _rows(self, contexts: NDArray[Any]) -> NDArray[np.intp]:
        """Give the row of each context: its ids, along the last axis, as digits in base V."""
        rows = np.zeros(contexts.shape[:-1], dtype=np.intp)
        for place in range(contexts.shape[-1]):
            rows = rows * len(self.vocab) + contexts[..., place]
        return rows

    def _chances(
        self, counts: NgramCounts
    ) -> tuple[NDArray[np.uint32], NDArray[np.integer[Any]], NDArray[np.float64]]:
        """Give the n-grams of a text, how often each occurs, and how likely each is."""
        ids, times = counts.nonzero()
        return ids, times, self._table[self._rows(ids[:, :-1]), ids[:, -1]]


def check_cells(vocab: Vocab, order: int) -> None:
    """Refuse a table that would not fit in memory."""
    if len(vocab) ** order > _MOST_CELLS:
        raise MemoryError(
            f"a model of order {order} over V = {len(vocab):,} symbols would have V**{order} ="
            f" {len(vocab) ** order:,} probabilities; expected at most {_MOST_CELLS:,}"
        )
