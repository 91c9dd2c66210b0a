"""Items as arrays of ids, and as pairs of a context and the token that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._checks import cut, shorten, string, strings, whole
from .._hints import hint_names
from .reading import Source, read_lines
from .vocab import UnknownCharacterError, check_vocab

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .vocab import Vocab


# Rows of contexts made at a time.
_BLOCK = 1 << 18


def encode_items(items: Sequence[str], vocab: Vocab) -> NDArray[np.uint32]:
    """Return the ids of all items in one array, a 0 after each item: (N,) uint32.

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


@hint_names()
def build_dataset(
    texts: Source, vocab: Vocab, context_length: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return X and Y: the context of every token of a text, and the token.

    X is (N, context_length) and Y (N,), both uint32: Y[i] is the id of the token that follows the
    row X[i], oldest first. N is the number of characters and of the ends of items. In front of an
    item its context is filled with id 0, the end-of-sequence token. `texts` is a file's name,
    bytes, or an iterable of str. The function is that of Karpathy's lecture "Building makemore
    part 2: MLP".

    Raises what `encode_items` and `read_lines` raise, `ValueError` unless `context_length` is at
    least 1, and `MemoryError` with the sizes where there is not enough memory.

    >>> from fastgrad.text import Vocab
    >>> X, Y = build_dataset(["bo"], Vocab("bo"), context_length=3)
    >>> X.tolist(), Y.tolist()
    ([[0, 0, 0], [0, 0, 1], [0, 1, 2]], [1, 2, 0])
    """
    width = whole("context_length", context_length, least=1)
    following = encode_items(read_lines(texts), vocab)
    return contexts_before(following, width), following


def contexts_before(following: NDArray[np.uint32], width: int) -> NDArray[np.uint32]:
    """Return the context of each token of items, a 0 at the end of each: (N,) to (N, width)."""
    contexts = _zeros(len(following), width)
    before = np.concatenate([np.zeros(width, np.uint32), following])
    # Block by block, between which signals are checked.
    for start in range(0, len(following), _BLOCK):
        block = contexts[start : start + _BLOCK]
        # From the newest token back: everything before the start of an item is 0.
        for column in reversed(range(width)):
            older = before[start + column : start + column + len(block)]
            if column < width - 1:
                older = np.where(block[:, column + 1] == 0, 0, older)
            block[:, column] = older
    return contexts


def encode_context(start: str, vocab: Vocab, context_length: int) -> NDArray[np.uint32]:
    """Return the ids of the last characters of an item's start, padded with 0: (context_length,).

    End-of-sequence tokens in front, as an n-gram of counts shows them, change nothing. Raises
    `TypeError` for what is no str, and `UnknownCharacterError` for a character without an id.

    >>> from fastgrad.text import Vocab
    >>> [encode_context(start, Vocab("bo"), 2).tolist() for start in ("b", ".b", "....b", "bob")]
    [[0, 1], [0, 1], [0, 1], [2, 1]]
    """
    item = string("context", start).lstrip(vocab.eos_token)
    try:
        last = vocab.encode(item)[-context_length:]
    except UnknownCharacterError as error:
        position = start.index(error.character, len(start) - len(item))
        raise UnknownCharacterError(error.character, position, start, error.characters) from None
    ids = np.zeros(context_length, dtype=np.uint32)
    ids[context_length - len(last) :] = last
    return ids


def _zeros(rows: int, width: int) -> NDArray[np.uint32]:
    try:
        return np.zeros((rows, width), dtype=np.uint32)
    except (MemoryError, ValueError):  # numpy has a ValueError for what no address can reach.
        told = (
            f"not enough memory for {rows:,} contexts of length {width:,}:"
            f" {4 * rows * width:,} bytes"
        )
        raise MemoryError(cut(told)) from None
