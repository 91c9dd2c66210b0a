"""Counts of the n-grams of a text."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, _display
from .._checks import ids as checked_ids
from .._checks import shorten, string, whole
from .._hints import hint_names, no_attribute
from .._tables import Table
from .._threads import thread_count
from ..text import UnknownCharacterError, Vocab
from ..text.vocab import check_vocab
from ._counting import count_files, count_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..text import Source

# Members as they are called elsewhere, and here.
_MEANT = {
    "table": "N",
    "counts": "N",
    "matrix": "N",
    "to_dict": "nonzero()",
    "shape": "N.shape",
    "P": "P of a BigramModel().fit(counts)",
    "update": "+, which adds counts up",
    "plot": "fastgrad.plots.bigram_heatmap",
    "entries": "nonzero()",
    "top": "most_common(k)",
    "over": "with_vocab(vocab)",
    "items": "num_items, or nonzero()",
    "keys": "nonzero()",
    "values": "nonzero()",
    "get": "counts[...]",
}

# The most tokens of a table that is made only to be shown.
MOST_DRAWN = 1_000


class NgramCounts:
    """Counts of the n-grams of a text of characters: `order` 2 counts bigrams, 3 trigrams.

    An item is padded with `order - 1` end-of-sequence tokens in front and one behind, so that one
    of L characters has L + 1 n-grams. Counts of parts add up to those of the whole, whatever the
    vocabulary of each part, and they pickle, so that any map-reduce tool can count in parts.

    `texts` is a file's name, "-", bytes or an iterable of str (see `fastgrad.text`). A file is
    streamed, so that it may be larger than memory. Large inputs are counted by `threads` threads,
    all cores where it is None. `progress` shows a bar at a terminal. `vocab` is the vocabulary to
    count with, that of the text where it is None.

    Large vocabularies are counted sparsely; only `N` needs memory for every possible n-gram. Arrays
    of counts are of int64, so that differences may be negative; they are of uint64 only where the
    text has 2**63 n-grams or more.

    Raises what `fastgrad.text.read_lines` raises, `ValueError` unless `order` is 2 or 3, and
    `UnknownCharacterError` where `vocab` lacks a character of the text.

    >>> counts = NgramCounts(["emma", "ava"])
    >>> counts
    NgramCounts(2 items, 9 bigrams of 5 tokens)
    >>> counts.most_common(2)
    [('a.', 2), ('.a', 1)]
    >>> counts["mm"], counts[".a"], counts["a", "v"], counts["ee"]
    (1, 1, 1, 0)
    >>> counts.N[counts.vocab.stoi["m"]].tolist()
    [0, 1, 0, 1, 0]

    A text counted in parts, as by a pool of processes or any map-reduce tool:

    >>> from concurrent.futures import ProcessPoolExecutor
    >>> parts = [["emma"], ["ava"]]
    >>> with ProcessPoolExecutor(2) as pool:  # doctest: +SKIP
    ...     total = sum(pool.map(NgramCounts, parts))
    >>> counts == sum(map(NgramCounts, parts))
    True
    """

    __slots__ = ("_counts", "_keys", "_table", "_times", "vocab")

    vocab: Vocab
    """The tokens counted; an n-gram is given by their ids."""

    @hint_names()
    def __init__(
        self,
        texts: Source,
        order: int = 2,
        *,
        vocab: Vocab | None = None,
        threads: int | None = None,
        progress: bool = False,
    ):
        """Count."""
        check_order(order)
        threads = thread_count(threads)
        if vocab is not None:
            check_vocab(vocab)
        counts = count_text(texts, order, threads, progress)
        self._set(counts if vocab is None else _over(counts, vocab))

    def _set(self, counts: _core.NgramCounts) -> None:
        self._counts = counts
        self._table: NDArray[np.integer[Any]] | None = None
        # Of `counts[gram]`: what occurs as numbers in base V, ascending, and how often.
        self._keys: NDArray[np.int64] | None = None
        self._times: NDArray[np.integer[Any]] | None = None
        self.vocab = Vocab(counts.characters)

    @classmethod
    def _of(cls, counts: _core.NgramCounts) -> NgramCounts:
        """Return the counts that the core has made."""
        made = cls.__new__(cls)
        made._set(counts)
        return made

    @classmethod
    def from_ids(cls, ids: NDArray[np.integer[Any]], vocab: Vocab, order: int = 2) -> NgramCounts:
        """Return counts of items given as ids, one or more 0 between them, as `encode_items`.

        Raises `ValueError` for an id that `vocab` has not.

        >>> from fastgrad.text import Vocab, encode_items
        >>> vocab = Vocab("abcd")
        >>> NgramCounts.from_ids(encode_items(["ab", "cab"], vocab), vocab).most_common(1)
        [('ab', 2)]
        """
        check_order(order)
        check_vocab(vocab)
        checked: Any = checked_ids("ids", ids, len(vocab))
        return cls._of(_core.count_ids(checked, vocab.characters, order))

    @classmethod
    @hint_names()
    def from_files(
        cls,
        paths: Iterable[str | os.PathLike[str]],
        order: int = 2,
        *,
        vocab: Vocab | None = None,
        comm: object = None,
        threads: int | None = None,
        progress: bool = False,
    ) -> NgramCounts:
        r"""Return the counts of several files together, on one process or on many.

        With `comm`, which may be what `fastgrad.distributed.as_comm` takes, each rank reads a share
        of the bytes, cut where a line begins, and has `threads` threads; all ranks call this with
        the same arguments, and get the same counts. They are exactly those of one process. A file
        that cannot be cut, because its name ends in .gz or it is a pipe, is read by one rank.

        Blank files count for nothing. Raises, on all ranks, what `NgramCounts` raises of a file on
        any of them, and `ValueError` where there are no files, all are blank, arguments differ
        between ranks, or "-" is to be shared out.

        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name, text in ("a.txt", "emma\n"), ("b.txt", "ava"):
        ...     _ = (folder / name).write_text(text)
        >>> counts = NgramCounts.from_files(sorted(folder.glob("*.txt")))
        >>> counts == NgramCounts(["emma", "ava"])
        True
        """
        from ..distributed import as_comm

        check_order(order)
        threads = thread_count(threads)
        if vocab is not None:
            check_vocab(vocab)
        counts = count_files(paths, order, threads, progress, as_comm(comm))
        return cls._of(counts if vocab is None else _over(counts, vocab))

    @property
    def order(self) -> int:
        """The length of the n-grams: 2 or 3."""
        return self._counts.order

    @property
    def num_items(self) -> int:
        """The number of items counted."""
        return self._counts.items

    @property
    def total(self) -> int:
        """The number of n-grams counted: the characters and the ends of all items."""
        return self._counts.total

    @property
    def N(self) -> NDArray[np.integer[Any]]:  # noqa: N802 - the lecture's name
        """All counts, read-only int64 of shape (V,) * order, V the size of the vocabulary.

        `N[i, j]` is how often token j follows token i. Raises `MemoryError` where there would be
        more than 2**27 numbers; `nonzero` always works.
        """
        if self._table is None:
            table = self._signed(self._counts.dense())
            table.flags.writeable = False
            self._table = table
        return self._table

    def nonzero(self) -> tuple[NDArray[np.uint32], NDArray[np.integer[Any]]]:
        """Return the ids of the n-grams that occur, and how often each does.

        The ids are (K, order) uint32 in lexicographic order, the counts (K,) int64.

        >>> ids, counts = NgramCounts(["aa"]).nonzero()
        >>> ids.tolist(), counts.tolist()
        ([[0, 1], [1, 0], [1, 1]], [1, 1, 1])
        """
        ids, times = self._counts.entries()
        return ids, self._signed(times)

    def __getitem__(self, gram: str | Sequence[str]) -> int:
        """Return how often an n-gram occurs, given by its tokens as one str or as several.

        Raises `UnknownCharacterError` (a `ValueError`) for a token that is not in the vocabulary,
        and `ValueError` unless there are as many as `order` says.

        >>> counts = NgramCounts(["emma", "ava"], order=3)
        >>> counts["emm"], counts["..a"], counts["a.."]
        (1, 1, 0)
        """
        ids = self._ids_of(gram)
        size = len(self.vocab)
        if self._keys is None or self._times is None:
            grams, self._times = self.nonzero()
            places = size ** np.arange(self.order - 1, -1, -1, dtype=np.int64)
            self._keys = grams.astype(np.int64) @ places
        key = 0
        for one in ids:
            key = key * size + one
        place = int(np.searchsorted(self._keys, key))
        found = place < len(self._keys) and self._keys[place] == key
        return int(self._times[place]) if found else 0

    # Without this, Python would try `counts[0]`, `counts[1]`, ... in a loop.
    __iter__ = None

    def most_common(self, k: int = 10) -> list[tuple[str, int]]:
        """Return the `k` most frequent n-grams, those of the same count in the order of their ids.

        Raises `TypeError` or `ValueError` for a `k` that is not an int of at least 0.
        """
        ids, counts = self._counts.top(min(whole("k", k), self.total))
        return [
            (self.vocab.decode(gram), int(count)) for gram, count in zip(ids, counts, strict=True)
        ]

    def with_vocab(self, vocab: Vocab) -> NgramCounts:
        """Return the same counts with the ids of a larger vocabulary.

        Raises `UnknownCharacterError` where `vocab` lacks a character.
        """
        check_vocab(vocab)
        return self if vocab == self.vocab else NgramCounts._of(_over(self._counts, vocab))

    def __add__(self, other: NgramCounts) -> NgramCounts:
        """Add counts, over the characters of both; `ValueError` where the orders differ."""
        if not isinstance(other, NgramCounts):
            return NotImplemented
        return NgramCounts._of(self._counts + other._counts)

    def __radd__(self, other: int) -> NgramCounts:
        """Let `sum` start with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, _MEANT)

    def __eq__(self, other: object) -> bool:
        """Compare order, characters, items and every count."""
        return self._counts == other._counts if isinstance(other, NgramCounts) else NotImplemented

    # Equal counts may have come about in different ways; nobody needs them as keys.
    __hash__ = None  # pyright: ignore[reportAssignmentType] - `object` declares a method

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return `N` for numpy."""
        return np.array(self.N, dtype=dtype, copy=True if copy is None else copy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by the counts."""
        return NgramCounts._of, (self._counts,)

    def __repr__(self) -> str:
        """Show how much was counted."""
        grams = "bigrams" if self.order == 2 else "trigrams"
        return (
            f"NgramCounts({self.num_items:,} items, {self.total:,} {grams}"
            f" of {len(self.vocab):,} tokens)"
        )

    def _repr_html_(self) -> str:
        """Show the counts in a notebook: bigrams as a heat map, others as a table."""
        if self.order == 2 and len(self.vocab) <= MOST_DRAWN:
            return _display.stacked(self, [heat_map_of(self.N, self.vocab.itos)])
        rows = [(gram, f"{count:,}") for gram, count in self.most_common(10)]
        table = Table("the most frequent", ("n-gram", "count"), rows, "<>")
        return _display.stacked(self, [table._repr_html_()])

    def _ids_of(self, gram: str | Sequence[str]) -> list[int]:
        """Return the ids of an n-gram's tokens; raise for what is none."""
        if isinstance(gram, (tuple, list)) and all(isinstance(token, str) for token in gram):
            gram = "".join(gram)
        gram, eos = string("gram", gram), self.vocab.eos_token
        if len(gram) != self.order:
            raise ValueError(
                f"gram is {shorten(gram)}; expected {self.order} tokens, {shorten(eos)} for the"
                " start and the end of an item"
            )
        for position, token in enumerate(gram):
            if token != eos and token not in self.vocab:
                raise UnknownCharacterError(token, position, gram, self.vocab.characters)
        return [self.vocab.stoi[token] for token in gram]

    def _signed(self, counts: NDArray[np.uint64]) -> NDArray[np.integer[Any]]:
        """Return counts as int64, whose differences may be negative, unless they may not fit."""
        return counts.view(np.int64) if self.total < 2**63 else counts


def counts_for(
    source: Source | NgramCounts,
    vocab: Vocab,
    order: int,
    *,
    threads: int | None = None,
    progress: bool = False,
) -> NgramCounts:
    """Return the counts of a text, or counts as they are, with the vocabulary of a model.

    Raises `UnknownCharacterError` for a character that the model does not know.
    """
    if isinstance(source, NgramCounts):
        if source.order != order:
            raise ValueError(f"texts are counts of order {source.order}; expected {order}")
        return source.with_vocab(vocab)
    return NgramCounts(source, order, vocab=vocab, threads=threads, progress=progress)


def counts_to_learn(
    source: Source | NgramCounts,
    vocab: Vocab | None,
    order: int,
    threads: int | None,
    progress: bool,
) -> NgramCounts:
    """Return the counts of a text, or counts as they are, with a vocabulary if one is given."""
    if not isinstance(source, NgramCounts):
        return NgramCounts(source, order, vocab=vocab, threads=threads, progress=progress)
    return counts_for(source, source.vocab if vocab is None else vocab, order)


def _over(counts: _core.NgramCounts, vocab: Vocab) -> _core.NgramCounts:
    """Return counts with the ids of another vocabulary; raise where it lacks a character."""
    for character in counts.characters:
        if character not in vocab:
            raise UnknownCharacterError(character, characters=vocab.characters)
    return counts.with_characters(vocab.characters)


def check_order(order: int) -> None:
    """Raise `TypeError` or `ValueError` for an order other than 2 or 3."""
    expected = f"order is {shorten(order)}; expected 2 for bigrams or 3 for trigrams"
    try:
        known = index(order) in (2, 3)
    except TypeError:
        raise TypeError(expected) from None
    if not known:
        raise ValueError(expected)


def heat_map_of(table: NDArray[Any], names: Sequence[str]) -> str:
    """Return a square table as a heat map, of a large one the rows with the largest sums."""
    most = 40
    kept = np.sort(np.argsort(-table.sum(axis=1), kind="stable")[:most])
    note = "" if len(names) <= most else f"<div>{most} of {len(names):,} tokens</div>"
    rows = table[np.ix_(kept, kept)].tolist()
    return note + _display.heat_map(rows, [names[int(i)] for i in kept])
