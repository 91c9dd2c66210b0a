"""Items as arrays of ids, and as pairs of context and following symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._checks import cut, shorten, string, strings, whole
from .vocab import UnknownCharacterError, check_vocab

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .vocab import Vocab


# Rows of contexts made at a time.
_BLOCK = 1 << 18


def encode_items(items: Sequence[str], vocab: Vocab) -> NDArray[np.uint32]:
    """Give the ids of all items in one array, a 0 after each item: (N,) uint32.

    N is the number of characters plus the number of items. Raises `UnknownCharacterError` for the
    first character without an id, and `ValueError` for an item that is empty.

    >>> from fastgrad.text import Vocab
    >>> encode_items(["ada", "bo"], Vocab("abdo")).tolist()
    [1, 3, 1, 0, 2, 4, 0]
    """
    check_vocab(vocab)
    items = strings("items", items)
    try:
        joined = "\n".join([*items, ""])
    except TypeError:
        _refuse_others(items)
        raise
    # A newline, which no vocabulary holds, is looked up as 0, as is every unknown character.
    ids = vocab._look_up(joined)
    zeros = np.flatnonzero(ids == 0)
    lengths = np.diff(zeros, prepend=-1)
    if len(zeros) != len(items):
        _refuse_unknown(items, vocab)
    if not (lengths > 1).all():
        raise ValueError(f"items[{int(np.argmin(lengths))}] is ''; expected at least a character")
    return ids


def _refuse_others(items: Sequence[object]) -> None:
    for position, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(f"items[{position}] is {shorten(item)}; expected a str")


def _refuse_unknown(items: Sequence[str], vocab: Vocab) -> None:
    for item in items:
        vocab.encode(item)


def windows(
    items: Sequence[str], vocab: Vocab, context: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Give every symbol of the items, their ends included, with the `context` symbols before it.

    Returns X (N, context) and Y (N,), both uint32: Y[i] is the symbol that follows the row X[i],
    oldest symbol first. In front of an item stand as many boundaries as the context is long.

    Raises what `encode_items` raises, `ValueError` unless `context` is at least 1, and
    `MemoryError` with the sizes where there is not enough memory.

    >>> from fastgrad.text import Vocab
    >>> X, Y = windows(["bo"], Vocab("bo"), context=3)
    >>> X.tolist(), Y.tolist()
    ([[0, 0, 0], [0, 0, 1], [0, 1, 2]], [1, 2, 0])
    """
    width = whole("context", context, least=1)
    following = encode_items(items, vocab)
    contexts = _zeros(len(following), width)
    before = np.concatenate([np.zeros(width, np.uint32), following])
    # Block by block, so that Ctrl-C is answered soon.
    for start in range(0, len(following), _BLOCK):
        block = contexts[start : start + _BLOCK]
        # From the newest symbol back: where one is a boundary, all before it are.
        for column in reversed(range(width)):
            older = before[start + column : start + column + len(block)]
            if column < width - 1:
                older = np.where(block[:, column + 1] == 0, 0, older)
            block[:, column] = older
    return contexts, following


def encode_context(start: str, vocab: Vocab, context: int) -> NDArray[np.uint32]:
    """Give the last `context` symbols of an item's start, boundaries in front: (context,) uint32.

    Boundaries are there anyway, so whether `start` shows some of them, as an n-gram of counts does,
    makes no difference. Raises `TypeError` for what is no str, and `UnknownCharacterError` for a
    character without an id, the boundary's symbol behind another character among them.

    >>> from fastgrad.text import Vocab
    >>> [encode_context(start, Vocab("bo"), 2).tolist() for start in ("b", ".b", "....b", "bob")]
    [[0, 1], [0, 1], [0, 1], [2, 1]]
    """
    item = string("context", start).lstrip(vocab.boundary)
    try:
        last = vocab.encode(item)[-context:]
    except UnknownCharacterError as error:
        position = start.index(error.character, len(start) - len(item))
        raise UnknownCharacterError(error.character, position, start) from None
    ids = np.zeros(context, dtype=np.uint32)
    ids[context - len(last) :] = last
    return ids


def _zeros(rows: int, width: int) -> NDArray[np.uint32]:
    try:
        return np.zeros((rows, width), dtype=np.uint32)
    except (MemoryError, ValueError):  # numpy has a ValueError for what no address can reach.
        told = (
            f"not enough memory for the contexts of {rows:,} symbols, each of {width:,} symbols:"
            f" {4 * rows * width:,} bytes"
        )
        raise MemoryError(cut(told)) from None
