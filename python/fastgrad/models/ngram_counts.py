"""How often each n-gram occurs in a text."""

from __future__ import annotations

import os
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import ids as checked_ids
from .._checks import path_name, shorten, string, thread_count, whole
from .._core import NgramCounts, count_bytes, count_ids, count_items, count_path
from ..text import NotUtf8Error, UnknownCharacterError, Vocab, name_of
from ..text.reading import check_iterable, opened
from ..text.vocab import check_vocab
from ._progress import bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..text import Source


class NgramCounts:
    """Counts of the n-grams of a text: of bigrams, or of trigrams where `order` is 3.

    An item is padded with `order - 1` boundaries in front and one behind, so that one of L
    characters has L + 1 n-grams. Counts of parts add up to those of the whole, whatever the
    alphabet of each part, and they pickle, so that any map-reduce tool can count in parts.

    Large alphabets are counted sparsely; only `table` needs memory for every possible n-gram.
    Arrays of counts are of int64, so that differences may be negative; they are of uint64 only
    where the text has 2**63 n-grams or more.

    >>> counts = NgramCounts(["emma", "ava"])
    >>> counts
    NgramCounts(2 items, 9 bigrams of 5 symbols)
    >>> counts.most_common(2)
    [('a.', 2), ('.a', 1)]
    >>> counts["mm"], counts[".a"], counts["av"], counts["ee"]
    (1, 1, 1, 0)
    >>> counts.table()[counts.vocab.encode("m")[0]].tolist()
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
    """The symbols counted; an n-gram is given by their ids."""

    def __init__(self, counts: NgramCounts):
        """Wrap what the counting functions of `_core` give; use `of` and `of_ids` instead."""
        if not isinstance(counts, NgramCounts):
            raise TypeError(
                f"counts is {shorten(counts)}; expected NgramCounts. NgramCounts counts"
            )
        self._counts = counts
        self._table: NDArray[np.integer[Any]] | None = None
        # Of `counts[gram]`: what occurs as numbers in base V, ascending, and how often.
        self._keys: NDArray[np.int64] | None = None
        self._times: NDArray[np.integer[Any]] | None = None
        self.vocab = Vocab(counts.characters)

    @classmethod
    def of(
        cls,
        source: Source,
        *,
        order: int = 2,
        threads: int | None = None,
        progress: bool = False,
    ) -> NgramCounts:
        r"""Count the n-grams of a source of text (see `fastgrad.text`).

        A path is streamed, so that a file may be larger than memory. Large inputs are counted by
        `threads` threads, all cores where it is None. `progress` shows a bar at a terminal.

        Raises what `fastgrad.text.read` raises, and `ValueError` unless `order` is 2 or 3, and
        `threads` None or 1 to 1024.

        >>> NgramCounts(b"emma\n", order=3).most_common(1)
        [('..e', 1)]
        """
        _check_order(order)
        thread_count(threads)
        try:
            return cls(_count(source, order, threads, progress))
        except UnicodeError as error:
            raise NotUtf8Error(str(error)) from None

    @classmethod
    def of_ids(cls, ids: NDArray[np.uint32], vocab: Vocab, order: int = 2) -> NgramCounts:
        """Count the n-grams of items given as ids, one or more 0 between them, as `encode_items`.

        Raises `ValueError` for an id that `vocab` has not.

        >>> from fastgrad.text import Vocab, encode_items
        >>> vocab = Vocab("abcd")
        >>> NgramCounts.from_ids(encode_items(["ab", "cab"], vocab), vocab).most_common(1)
        [('ab', 2)]
        """
        _check_order(order)
        check_vocab(vocab)
        return cls(count_ids(checked_ids("ids", ids, len(vocab)), vocab.characters, order))

    @property
    def order(self) -> int:
        """How long the n-grams are: 2 or 3."""
        return self._counts.order

    @property
    def items(self) -> int:
        """How many items were counted."""
        return self._counts.items

    @property
    def total(self) -> int:
        """How many n-grams were counted: the characters and the ends of all items."""
        return self._counts.total

    def table(self) -> NDArray[np.integer[Any]]:
        """Give all counts, read-only int64 of shape (V,) * order, V the size of the vocabulary.

        Row i, column j tells how often symbol j follows symbol i. Raises `MemoryError` where there
        would be more than 2**27 cells; `entries` always works.
        """
        if self._table is None:
            table = self._signed(self._counts.dense())
            table.flags.writeable = False
            self._table = table
        return self._table

    def entries(self) -> tuple[NDArray[np.uint32], NDArray[np.integer[Any]]]:
        """Give the n-grams that occur, as (K, order) ids in lexicographic order, and their counts.

        The counts are of int64 and shape (K,).

        >>> ids, counts = NgramCounts(["aa"]).nonzero()
        >>> ids.tolist(), counts.tolist()
        ([[0, 1], [1, 0], [1, 1]], [1, 1, 1])
        """
        ids, times = self._counts.entries()
        return ids, self._signed(times)

    def __getitem__(self, gram: str) -> int:
        """Tell how often an n-gram occurs, given by its symbols, the boundary by `vocab.eos_token`.

        Raises `UnknownCharacterError` (a `ValueError`) for a symbol that is not in the vocabulary,
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

    def top(self, k: int = 10) -> list[tuple[str, int]]:
        """Give the `k` most frequent n-grams, those of the same count in the order of their ids.

        Raises `TypeError` or `ValueError` for a `k` that is not an int of at least 0.
        """
        ids, counts = self._counts.most_common(min(whole("k", k), self.total))
        return [
            (self.vocab.decode(gram), int(count)) for gram, count in zip(ids, counts, strict=True)
        ]

    def over(self, vocab: Vocab) -> NgramCounts:
        """Give the same counts with the ids of a larger vocabulary.

        Raises `UnknownCharacterError` where `vocab` lacks a character.
        """
        check_vocab(vocab)
        if vocab == self.vocab:
            return self
        for character in self.vocab.characters:
            if character not in vocab:
                raise UnknownCharacterError(character)
        return NgramCounts(self._counts.with_characters(vocab.characters))

    def __add__(self, other: NgramCounts) -> NgramCounts:
        """Add counts, over the characters of both; `ValueError` where the orders differ."""
        if not isinstance(other, NgramCounts):
            return NotImplemented
        return NgramCounts(self._counts + other._counts)

    def __radd__(self, other: int) -> NgramCounts:
        """Let `sum` start with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __eq__(self, other: object) -> bool:
        """Compare order, characters, items and every count."""
        return self._counts == other._counts if isinstance(other, NgramCounts) else NotImplemented

    # Equal counts may have come about in different ways; nobody needs them as keys.
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Give `table` to numpy."""
        return np.array(self.table(), dtype=dtype, copy=True if copy is None else copy)

    def __reduce__(self) -> tuple[type[NgramCounts], tuple[NgramCounts]]:
        """Pickle and copy by the counts."""
        return NgramCounts, (self._counts,)

    def __repr__(self) -> str:
        """Tell how much was counted."""
        grams = "bigrams" if self.order == 2 else "trigrams"
        return (
            f"NgramCounts({self.items:,} items, {self.total:,} {grams}"
            f" of {len(self.vocab):,} symbols)"
        )

    def _ids_of(self, gram: str) -> list[int]:
        """Give the ids of an n-gram's symbols; refuse what is none."""
        boundary = self.vocab.eos_token
        if len(string("gram", gram)) != self.order:
            raise ValueError(
                f"gram is {shorten(gram)}; expected {self.order} symbols, {shorten(boundary)} for"
                " the boundary"
            )
        for position, symbol in enumerate(gram):
            if symbol != boundary and symbol not in self.vocab:
                raise UnknownCharacterError(symbol, position, gram)
        return [0 if symbol == boundary else int(self.vocab.encode(symbol)[0]) for symbol in gram]

    def _signed(self, counts: NDArray[np.uint64]) -> NDArray[np.integer[Any]]:
        """Give counts as int64, whose differences may be negative, unless they may not fit."""
        return counts.view(np.int64) if self.total < 2**63 else counts


def counts_for(
    source: Source | NgramCounts,
    vocab: Vocab,
    order: int,
    *,
    threads: int | None = None,
    progress: bool = False,
) -> NgramCounts:
    """Count a text, or take counts as they are, in the terms of a model.

    Raises `UnknownCharacterError` for a character that the model does not know.
    """
    if isinstance(source, NgramCounts):
        if source.order != order:
            raise ValueError(f"source has counts of order {source.order}; expected {order}")
        return source.with_vocab(vocab)
    counts = NgramCounts(source, order=order, threads=threads, progress=progress)
    return counts.with_vocab(vocab)


def counts_to_learn(
    source: Source | NgramCounts, order: int | None, threads: int | None, progress: bool
) -> NgramCounts:
    """Count a text, of bigrams unless told otherwise, or take counts, whose order is their own."""
    if not isinstance(source, NgramCounts):
        order = 2 if order is None else order
        return NgramCounts(source, order=order, threads=threads, progress=progress)
    if order not in (None, source.order):
        raise ValueError(f"order is {shorten(order)}; expected {source.order}, that of the counts")
    return source


def _count(source: Source, order: int, threads: int | None, progress: bool) -> NgramCounts:
    """Let the core count, each kind of source in its own way."""
    if isinstance(source, (str, os.PathLike)):
        path = path_name("source", source)
        what = f"counting {name_of(source)}"
        with opened(source), bar(progress, _size_of(path), "B", what) as report:
            return count_path(path, order, threads, report)
    if isinstance(source, bytes):
        with bar(progress, len(source), "B", "counting") as report:
            return count_bytes(source, order, threads, report)
    check_iterable(source)
    return count_items(source, order, threads)


def _check_order(order: int) -> None:
    expected = f"order is {shorten(order)}; expected 2 for bigrams or 3 for trigrams"
    try:
        known = index(order) in (2, 3)
    except TypeError:
        raise TypeError(expected) from None
    if not known:
        raise ValueError(expected)


def _size_of(path: str) -> int | None:
    """Give a file's size for the bar, None where there is none to know."""
    try:
        return os.stat(path).st_size or None
    except OSError:
        return None
