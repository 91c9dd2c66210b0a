"""A text of words as ids, and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._checks import ids as checked_ids
from .._checks import shorten, whole
from .._hints import hint_names, no_attribute
from .word_reading import Eos, Tokenizer, check_reading, read_tokens
from .word_vocab import WordVocab, check_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray

    from .reading import Source

    Ids: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]

# The end token of lines and of paragraphs, unless told otherwise.
_EOS_TOKENS = {"line": "</s>", "paragraph": "</p>", None: None}

# The most tokens that can be counted.
_MOST = 2**63 - 1
# Ids that are looked at at a time.
_BLOCK = 1 << 20


# Members as they are called elsewhere, and here.
_MEANT = {
    "tokens": "ids, or decode()",
    "words": "ids, or decode()",
    "vocab_size": "len(text.vocab)",
}


class WordText:
    """Running text as ids, or a part of one that knows what stands before it.

    Raises `ValueError` for no ids, or one that the vocabulary has not.

    >>> vocab = WordVocab(["<unk>", "the", "cat"])
    >>> text = WordText(vocab, [1, 2, 0])
    >>> len(text), text.counts.tolist(), text.decode()
    (3, [1, 1, 1], 'the cat <unk>')
    """

    __slots__ = ("_all", "_padding", "_start", "types", "vocab")

    vocab: WordVocab
    """The vocabulary of the ids."""
    types: int | None
    """The number of distinct tokens in the text that was read; None where it is not known."""

    def __init__(self, vocab: WordVocab, ids: ArrayLike, *, types: int | None = None):
        """Keep the ids in two bytes each where |V| is at most 65,536, otherwise in four."""
        width = np.uint16 if len(vocab) <= 1 << 16 else np.uint32
        checked = checked_ids("ids", ids, len(vocab), dtype=width)
        if not len(checked):
            raise ValueError("ids is empty; expected at least one")
        # A view at least, so that the caller's own array stays writable.
        kept = checked.view()
        kept.flags.writeable = False
        self.vocab = vocab
        self.types = types
        self._all: Ids = kept
        self._start = 0
        # The ids at the beginning that stand before the text: of those in a file, some do.
        self._padding = 0

    @property
    def ids(self) -> Ids:
        """The ids, read-only: (T,) uint16 where |V| is at most 65,536, otherwise uint32.

        Those of `open_tokens` are uint32.
        """
        return self._all[self._start :]

    def before(self, length: int) -> Ids:
        """Return the last `length` ids before this part, fewer where there are not as many."""
        return self._all[max(self._start - length, self._padding) : self._start]

    def _with_context(self, length: int, front: int) -> NDArray[np.uint32]:
        """Return the ids with the `length` ids before them, uint32; a view where that is possible.

        `front` stands for ids before the beginning of the text, as it does in files of tokens.
        """
        first = self._start - length
        if first >= 0:
            return self._all[first:].astype(np.uint32, copy=False)
        before = self.before(length)
        padding = np.full(length - len(before), front, dtype=np.uint32)
        return np.concatenate([padding, before, self.ids], dtype=np.uint32)

    @property
    def counts(self) -> NDArray[np.uint64]:
        """The number of times each id occurs: (V,)."""
        counts = np.zeros(len(self.vocab), dtype=np.uint64)
        for block in self._blocks():
            counts += np.bincount(block, minlength=len(counts)).astype(np.uint64)
        return counts

    @property
    def unk_rate(self) -> float:
        """The share of unknown words, `unk_token`, among the tokens."""
        return sum(int(np.count_nonzero(block == 0)) for block in self._blocks()) / len(self)

    def _blocks(self) -> Iterator[Ids]:
        """Return the ids block by block, so that those of a file need not fit into memory."""
        for start in range(0, len(self), _BLOCK):
            yield self.ids[start : start + _BLOCK]

    def split(self, *sizes: int | float) -> tuple[WordText, ...]:
        """Return parts of the text by position: so many tokens, the next so many, and the rest.

        A size that is a float is a share of all tokens, rounded down. Raises `ValueError` unless
        every part, the rest included, has a token.

        >>> text = WordText(WordVocab(["<unk>", "a"]), [1, 1, 0, 1, 0])
        >>> [part.ids.tolist() for part in text.split(2, 1)]
        [[1, 1], [0], [1, 0]]
        """
        wanted = [tokens_of(f"sizes[{i}]", size, len(self)) for i, size in enumerate(sizes)]
        if sum(wanted) >= len(self):
            raise ValueError(
                f"sizes is {shorten(sizes)}, {sum(wanted):,} tokens; expected fewer than the"
                f" text has, {len(self):,}"
            )
        cuts = [self._start, *(self._start + np.cumsum(wanted, dtype=np.int64)).tolist()]
        ends = [*cuts[1:], len(self._all)]
        return tuple(self._part(start, end) for start, end in zip(cuts, ends, strict=True))

    def decode(self, start: int = 0, stop: int | None = None) -> str:
        """Return the tokens from `start` up to `stop` as text, as `WordVocab.decode` does."""
        return self.vocab.decode(self.ids[start:stop])

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, _MEANT)

    def __len__(self) -> int:
        """Return the number of tokens, end tokens included."""
        return len(self._all) - self._start

    def __repr__(self) -> str:
        """Show the number of tokens, |V|, and the share of unknown words."""
        return f"WordText({len(self):,} tokens, |V| = {len(self.vocab):,}, {self.unk_rate:.1%} unk)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy with the ids before a part."""
        return made, (self.vocab, self._all, self._start, self.types, self._padding)

    def _part(self, start: int, end: int) -> WordText:
        return made(self.vocab, self._all[:end], start, None, self._padding)


def made(vocab: WordVocab, ids: Ids, start: int, types: int | None, padding: int = 0) -> WordText:
    """Return a text of checked ids that begins at `start`, behind `padding` ids of none."""
    text = WordText.__new__(WordText)
    ids.flags.writeable = False
    text.vocab, text.types, text._all, text._start = vocab, types, ids, start
    text._padding = padding
    return text


class Limits(NamedTuple):
    """The limits of a vocabulary that a text decides, and its end token."""

    vocab_size: int | None
    min_count: int
    eos_token: str | None


def check_limits(
    vocab_size: int | None, min_count: int, eos: Eos, unk_token: str, eos_token: str | None
) -> Limits:
    """Return settings of `read_words`; raise `TypeError` or `ValueError` for wrong ones."""
    if vocab_size is not None:
        # The token for unknown words, the one for ends, and one word.
        vocab_size = whole("vocab_size", vocab_size, least=2 + (eos is not None), most=_MOST)
    min_count = whole("min_count", min_count, least=1, most=_MOST)
    check_token("unk_token", unk_token)
    eos_token = _EOS_TOKENS.get(eos) if eos_token is None else eos_token
    if eos_token is not None:
        check_token("eos_token", eos_token)
        if eos is None:
            raise ValueError(
                f"eos_token is {shorten(eos_token)}, but eos is None; expected 'line' or"
                " 'paragraph'"
            )
    return Limits(vocab_size, min_count, eos_token)


@hint_names(lower="texts, lowered before", lowercase="texts, lowered before")
def read_words(
    texts: Source,
    *,
    train: int | float | None = None,
    vocab_size: int | None = None,
    min_count: int = 1,
    tokenizer: Tokenizer = "space",
    eos: Eos = None,
    unk_token: str = "<unk>",
    eos_token: str | None = None,
) -> WordText:
    """Return a text as ids, with a vocabulary chosen by the counts of its first `train` tokens.

    A word keeps an id of its own if it is among those tokens at least `min_count` times, and among
    the most frequent ones where |V| is limited by `vocab_size`, which counts the tokens for unknown
    words and for ends; of equally frequent words those that occur first are kept, and have the
    smaller ids. All other words become `unk_token`. A `train` that is a float is a share of all
    tokens, rounded down, as in `WordText.split`; without it all tokens count.

    With `eos` a token stands at the end of each "line" that has tokens, or of each "paragraph"
    (lines without tokens separate them): `eos_token`, "</s>" or "</p>" unless told otherwise. Where
    the text itself holds `unk_token` or `eos_token`, these become "<unk2>", "<unk3>" and so on.

    `tokenizer` is "space" or "simple", see `fastgrad.text`.

    Raises `OSError` where a file cannot be read, `NotUtf8Error` (a `UnicodeError`, and so a
    `ValueError`) for a byte that is not UTF-8, `ValueError` where the text has no token, an item of
    an iterable holds a newline, or a limit cannot be met, and `TypeError` for what is no text.

    >>> text = read_words(["a b a", "b a"], eos="line", min_count=3)
    >>> text.vocab.itos, text.ids.tolist()
    (('<unk>', '</s>', 'a'), [2, 0, 2, 1, 0, 2, 1])
    """
    check_reading(tokenizer, eos)
    limits = check_limits(vocab_size, min_count, eos, unk_token, eos_token)
    reader = read_tokens(texts, tokenizer, eos)
    types = reader.types
    part = None if train is None else tokens_of("train", train, reader.tokens)
    ids, tokens = reader.choose(
        unk_token,
        limits.eos_token,
        train=part,
        max_size=limits.vocab_size,
        min_count=limits.min_count,
    )
    return WordText(WordVocab(tokens, tokenizer=tokenizer, eos=eos), ids, types=types)


def tokens_of(name: str, size: int | float, total: int) -> int:
    """Return how many tokens a number of them, or a share of `total`, comes to."""
    if isinstance(size, float) and not 0.0 < size < 1.0:
        raise ValueError(f"{name} is {shorten(size)}; expected an int, or a share between 0 and 1")
    if not isinstance(size, float):
        return whole(name, size, least=1, most=_MOST)
    if tokens := int(size * total):
        return tokens
    raise ValueError(f"{name} is {size!r}, 0 tokens; expected at least 1")
