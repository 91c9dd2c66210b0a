"""Examples to learn from: contexts of ids, and the token that follows each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..._checks import ids as checked_ids
from ..._checks import shorten
from ...text import build_dataset, encode_items, read_lines
from ...text.dataset import contexts_before

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from numpy.typing import NDArray
    from typing_extensions import TypeIs

    from ...base import Examples
    from ...text import Source, Vocab

    CharacterTexts: TypeAlias = Source | Examples


# The number of tokens of a text that are made examples of at a time, unless a step needs more.
_BLOCK = 2**20
# The number of contexts that are put side by side at a time.
_CONTEXTS = 2**16


class Prepared(NamedTuple):
    """Contexts and what follows each (N,), both uint32 and in one piece of memory.

    Contexts are (N, c), or where they are those of a running text, each a token further on than
    the one before it, the tokens of that text, (N + c - 1,).
    """

    contexts: NDArray[np.uint32]
    targets: NDArray[np.uint32]

    def digest(self) -> str:
        """Return a short text that differs for other examples, or the same in another order."""
        contexts = self.contexts
        if contexts.ndim == 1:
            width = len(contexts) + 1 - len(self.targets)
            contexts = np.lib.stride_tricks.sliding_window_view(contexts, width)
        digest = hashlib.blake2b(digest_size=16)
        for array in (contexts, self.targets):
            digest.update(repr(array.shape).encode())
            for start in range(0, len(array), _CONTEXTS):
                part = array[start : start + _CONTEXTS]
                digest.update(np.ascontiguousarray(part, dtype="<u4").data)
        return digest.hexdigest()


def is_pair(source: CharacterTexts | None) -> TypeIs[Examples]:
    """Return whether examples were made before: a pair of arrays."""
    return isinstance(source, tuple) and any(isinstance(part, np.ndarray) for part in source)


def prepare(source: CharacterTexts, vocab: Vocab, context: int, name: str) -> Prepared:
    """Read a source of text into examples, or check those that were made before.

    Raises what `fastgrad.text.build_dataset` raises, and for a pair of arrays `TypeError` or
    `ValueError` where they are not contexts and ids of this vocabulary.
    """
    if is_pair(source):
        return prepare_pair(source, len(vocab), context, name)
    return Prepared(*build_dataset(source, vocab, context))


def in_blocks(source: CharacterTexts, vocab: Vocab, context: int, name: str) -> Iterator[Prepared]:
    """Return the examples of a source in blocks, so that those of a long text need not be held.

    Raises what `prepare` raises, for a block when it comes.
    """
    if isinstance(source, tuple):
        yield prepare(source, vocab, context, name)
        return
    block: list[str] = []
    tokens = 0
    for item in read_lines(source):
        block.append(item)
        tokens += len(item) + 1
        if tokens >= _BLOCK:
            yield _from_items(block, vocab, context)
            block, tokens = [], 0
    if block:
        yield _from_items(block, vocab, context)


def _from_items(items: list[str], vocab: Vocab, context: int) -> Prepared:
    """Return the examples of items that `read_lines` has checked."""
    # Not `build_dataset`, which would check them once more: that takes as long as encoding them.
    targets = encode_items(items, vocab)
    return Prepared(contexts_before(targets, context), targets)


def prepare_pair(pair: tuple[Any, ...], vocab_size: int, context: int, name: str) -> Prepared:
    """Check examples that were made before; see `prepare`."""
    if len(pair) != 2:
        raise ValueError(f"{name} is a tuple of {len(pair)}; expected contexts and targets")
    prepared = checked_examples(*pair, vocab_size, context, (f"{name}[0]", f"{name}[1]"))
    if not len(prepared.targets):
        raise ValueError(f"{name} is empty; expected at least one example")
    return prepared


def checked_examples(
    contexts: Any, targets: Any, vocab_size: int, context: int, names: tuple[str, str]
) -> Prepared:
    """Return contexts (N, context) and targets (N,) as ids; raise for what are none."""
    contexts = checked_contexts(contexts, vocab_size, context, names[0])
    targets = checked_ids(names[1], targets, vocab_size)
    if targets.shape != contexts.shape[:1]:
        raise ValueError(
            f"{names[1]} has shape {targets.shape}; expected ({len(contexts)},), an id a context"
        )
    return Prepared(contexts, targets)


def _holds_text(given: Any) -> bool:
    """Return whether something is a text, or a list that begins with one."""
    is_list = isinstance(given, (list, tuple)) and len(cast("list[Any]", given)) > 0
    return isinstance(cast("list[Any]", given)[0] if is_list else given, (str, bytes))


def checked_contexts(array: Any, vocab_size: int, context: int, name: str) -> NDArray[np.uint32]:
    """Return contexts as an array of ids; raise for what is not (B, context) of them."""
    if _holds_text(array):
        raise TypeError(
            f"{name} is {shorten(array)}, a text; expected ids (N, {context}), which"
            " fastgrad.text.build_dataset makes of texts"
        )
    contexts = checked_ids(name, array, vocab_size, dims=2)
    if contexts.shape[1] != context:
        raise ValueError(f"{name} has shape {contexts.shape}; expected (N, {context})")
    return contexts
