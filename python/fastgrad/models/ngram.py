"""The counting model: probabilities are relative frequencies, smoothed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._checks import amount, shorten
from .._defaults import SMOOTHING
from .._hints import hint_names
from ..base import NotFittedError
from ..text import Vocab
from ..text.vocab import check_vocab
from ._table import TableModel, check_cells
from .ngram_counts import NgramCounts, check_order, counts_to_learn
from .saving import read_note

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from ..text import Source


class NgramModel(TableModel):
    """An n-gram model of characters: `order` 2 is a bigram model, 3 a trigram model.

    The probability of a token after a context is (N + s) / (R + s * V): N is how often the token
    followed the context, R how often the context occurred, s the `smoothing` ("add-one", or
    Laplace, where it is 1), V the size of the vocabulary. With s = 0, as in the lecture's first
    numbers, an n-gram that never occurred has probability 0, and after a context that never
    occurred every token has.

    `vocab` is the vocabulary; where it is None, `fit` takes that of its text. Raises `ValueError`
    for an order other than 2 or 3, and a smoothing that is negative or not finite.

    >>> model = NgramModel(order=2, smoothing=1.0).fit(["emma", "ava"])
    >>> model
    NgramModel(order=2, smoothing=1.0; 2 items, 9 bigrams of 5 tokens)
    >>> dict(zip(model.vocab, model.next_probs("em").round(3).tolist()))
    {'.': 0.143, 'a': 0.286, 'e': 0.143, 'm': 0.286, 'v': 0.143}
    >>> round(model.loss(["eva"]), 4)
    1.281
    >>> NgramModel(smoothing=0).fit(["emma", "ava"]).loss(["eva"])
    inf
    """

    kind = "bigram"

    @hint_names(vocab_size="vocab, a Vocab, or let fit take that of its text")
    def __init__(
        self, order: int = 2, smoothing: float = SMOOTHING, *, vocab: Vocab | None = None
    ) -> None:
        """Keep the settings."""
        check_order(order)
        if isinstance(smoothing, NgramCounts):
            raise TypeError("smoothing is NgramCounts; expected a number. fit takes counts")
        if vocab is not None:
            check_vocab(vocab)
        super().__init__(int(order), vocab)
        self._given = vocab
        self._smoothing = amount("smoothing", smoothing)
        self._counts: NgramCounts | None = None

    @property
    def smoothing(self) -> float:
        """The number that is added to each count."""
        return self._smoothing

    @property
    def counts(self) -> NgramCounts:
        """The counts that the probabilities come from; raises `NotFittedError` before `fit`."""
        if self._counts is None:
            raise NotFittedError(f"this {type(self).__name__} has no counts yet; call fit first")
        return self._counts

    @property
    def config(self) -> dict[str, Any]:
        """The settings: order and smoothing."""
        return {"order": self.order, "smoothing": self._smoothing}

    @hint_names(smoothing="smoothing in the constructor", order="order in the constructor")
    def fit(
        self,
        texts: Source | NgramCounts,
        *,
        threads: int | None = None,
        progress: bool = False,
    ) -> Self:
        """Count a text and return the model; a second call counts anew.

        `texts` is a file's name, bytes, an iterable of str, or `NgramCounts`, see there for
        `threads`, `progress` and errors. Raises `MemoryError` where the table of V**order
        probabilities would be too large.

        >>> counts = NgramCounts(["emma", "ava"])
        >>> model = NgramModel().fit(counts)
        >>> bool((model.P == NgramModel().fit(["emma", "ava"]).P).all())
        True
        """
        self._keep(counts_to_learn(texts, self._given, self.order, threads, progress))
        return self

    def _keep(self, counts: NgramCounts) -> None:
        size = len(counts.vocab)
        check_cells(counts.vocab, self.order)
        if not math.isfinite(self._smoothing * size):
            raise ValueError(
                f"smoothing is {shorten(self._smoothing)}, which is too large for {size} tokens"
            )
        self._counts, self._vocab, self._made = counts, counts.vocab, None

    def _make_table(self) -> NDArray[np.float64]:
        """Return (N + s) / (R + s * V), and 0 where both are 0."""
        size = len(self.counts.vocab)
        times = self.counts.N.reshape(-1, size)
        # Sums are of integers, and exact.
        contexts = times.sum(axis=1, dtype=np.uint64).astype(np.float64) + self._smoothing * size
        table = times.astype(np.float64)
        table += self._smoothing
        np.divide(table, contexts[:, None], out=table, where=contexts[:, None] > 0)
        return table

    def _to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        ids, times = self.counts.nonzero()
        config = {
            "order": self.order,
            "smoothing": self.smoothing,
            "items": self.counts.num_items,
            "vocab": self.vocab.to_config(),
        }
        return {"ids": ids, "counts": times.astype(np.uint64)}, config

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> NgramModel:
        vocab = Vocab.from_config(config["vocab"])
        counts = _core.NgramCounts.from_entries(
            config["order"], vocab.characters, config["items"], tensors["ids"], tensors["counts"]
        )
        _check_balance(counts)
        order, smoothing = config["order"], config["smoothing"]
        if order != 2 and issubclass(cls, BigramModel):
            raise ValueError(f"order is {shorten(order)}; NgramModel.load reads the file")
        model = BigramModel(smoothing) if order == 2 else NgramModel(order, smoothing)
        model._keep(NgramCounts._of(counts))
        model.note = read_note(config)
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by what the table is computed from."""
        return _restored, (type(self), self.config, self._given, self._counts, self.note)

    def __repr__(self) -> str:
        """Show the settings, and what was counted."""
        counted = "not fitted"
        if self._counts is not None:
            counted = repr(self._counts).removeprefix("NgramCounts(").removesuffix(")")
        settings = ", ".join(f"{name}={value}" for name, value in self.config.items())
        return f"{type(self).__name__}({settings}; {counted})"


class BigramModel(NgramModel):
    """An `NgramModel` of order 2.

    >>> BigramModel().fit(["emma", "ava"])
    BigramModel(smoothing=1.0; 2 items, 9 bigrams of 5 tokens)
    """

    @hint_names(order="NgramModel, which has an order", n="NgramModel, which has an order")
    def __init__(self, smoothing: float = SMOOTHING, *, vocab: Vocab | None = None) -> None:
        """Keep the settings."""
        super().__init__(2, smoothing, vocab=vocab)

    @property
    def config(self) -> dict[str, Any]:
        """The settings: smoothing."""
        return {"smoothing": self.smoothing}


def _restored(
    cls: type[NgramModel],
    config: dict[str, Any],
    vocab: Vocab | None,
    counts: NgramCounts | None,
    note: dict[str, Any] | None,
) -> NgramModel:
    """Return a model from its pickle."""
    model = cls(**config, vocab=vocab)
    if counts is not None:
        model._keep(counts)
    model.note = note
    return model


def _check_balance(counts: _core.NgramCounts) -> None:
    """Raise `ValueError` for counts that no text has: contexts are reached as often as left.

    The first n-1 tokens of an n-gram are the context left, the last n-1 the one reached. Items
    begin in the context of end-of-sequence tokens alone, and end in one whose last token is it.
    """
    ids, times = counts.entries()
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
