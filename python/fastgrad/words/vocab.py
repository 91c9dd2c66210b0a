"""Which words have an id, and the way from text to ids and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import ids as checked_ids
from .._checks import shorten
from .._core import WordReader
from ..text import NotUtf8Error
from ..text.reading import quote
from .reading import Marks, Tokenizer, check_surrogates, check_ways, feed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..text import Source
    from .text import WordText


class WordVocab:
    """The words that have an id of their own, and how text is cut into words.

    Id 0 is `rare`, the symbol for all words that have none. Where the ends of lines or paragraphs
    are marked, id 1 is `mark`. `symbols` holds one string an id; those of `read_words` are sorted
    by count. `len` is |V|, all symbols counted; `in` tells whether a word has an id of its own.

    Raises `ValueError` for symbols that are fewer than two, not distinct, empty or hold whitespace.

    >>> vocab = WordVocab(["<rare>", "the", "cat"])
    >>> vocab.encode("the dog the cat").tolist()
    [1, 0, 1, 2]
    >>> vocab.decode([1, 2])
    'the cat'
    """

    __slots__ = ("_ids", "marks", "symbols", "tokenizer")

    symbols: tuple[str, ...]
    """What stands for each id."""
    tokenizer: Tokenizer
    """How lines are cut into tokens."""
    marks: Marks
    """What is marked at its end: each line, each paragraph, or nothing."""

    def __init__(
        self, symbols: Iterable[str], *, tokenizer: Tokenizer = "space", marks: Marks = None
    ):
        """Keep the symbols: that for rare words first, then the mark if there is one."""
        check_ways(tokenizer, marks)
        if isinstance(symbols, str) or not isinstance(symbols, Iterable):
            raise TypeError(f"symbols is {shorten(symbols)}; expected a list of str")
        self.symbols = tuple(symbols)
        self.tokenizer = tokenizer
        self.marks = marks
        if len(self.symbols) < 2:
            raise ValueError(f"symbols has {len(self.symbols)} of them; expected at least 2")
        self._ids: dict[str, int] = {}
        for position, symbol in enumerate(self.symbols):
            check_symbol(f"symbols[{position}]", symbol)
            if self._ids.setdefault(symbol, position) != position:
                raise ValueError(
                    f"symbols[{position}] is {quote(symbol)}, as symbols[{self._ids[symbol]}] is;"
                    " expected distinct symbols"
                )

    @property
    def rare(self) -> str:
        """The symbol for words without an id of their own, id 0."""
        return self.symbols[0]

    @property
    def mark(self) -> str | None:
        """The symbol at the end of lines or paragraphs, id 1; None where there is none."""
        return self.symbols[1] if self.marks else None

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Give the ids of a text's tokens, rare words as 0: (T,) uint32, T may be 0.

        Marks are put as in the text that the vocabulary was made of, but for one at the very end:
        the text may go on. It ends with a mark where its line or paragraph has ended visibly.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is {shorten(text)}; expected a str")
        check_surrogates(f"text, {quote(text)},", text)
        reader = WordReader("the text", self.tokenizer, self.marks)
        try:
            reader.feed(text.encode())
        except UnicodeError as error:
            raise NotUtf8Error(str(error)) from None
        return self._number(reader).astype(np.uint32)

    def decode(self, ids: ArrayLike) -> str:
        """Give the symbols of ids, a space between them; a mark becomes the end that it marks.

        Raises `TypeError` unless they are integers, `ValueError` unless they are in one dimension,
        and for one that is not an id.
        """
        lines: list[list[str]] = [[]]
        mark = 1 if self.marks else None
        for number in checked_ids("ids", ids, len(self)).tolist():
            if number == mark:
                lines.append([])
            else:
                lines[-1].append(self.symbols[number])
        return ("\n" if self.marks == "line" else "\n\n").join(map(" ".join, lines))

    def read(self, source: Source) -> WordText:
        """Read a text whose ids are to be those of this vocabulary, as `read_words` reads.

        Raises what `read_words` raises.

        >>> vocab = WordVocab(["<rare>", "the", "cat"])
        >>> vocab.read(b"the cat sat").ids.tolist()
        [1, 2, 0]
        """
        from .text import WordText

        reader = feed(source, self.tokenizer, self.marks)
        types = reader.types
        return WordText(self, self._number(reader), types=types)

    def to_config(self) -> dict[str, Any]:
        """Describe the vocabulary in terms of JSON, for `from_config`."""
        return {"words": list(self.symbols), "tokenizer": self.tokenizer, "marks": self.marks}

    @classmethod
    def from_config(cls, config: Any) -> WordVocab:
        """Make the vocabulary that `to_config` described; `ValueError` for anything else."""
        if not isinstance(config, dict) or set(config) != {"words", "tokenizer", "marks"}:
            raise ValueError("the vocabulary is damaged; expected words, tokenizer and marks")
        words = config["words"]
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("the vocabulary is damaged; expected words to be a list of str")
        return cls(words, tokenizer=config["tokenizer"], marks=config["marks"])

    def __len__(self) -> int:
        """Count the symbols, that for rare words and the mark included."""
        return len(self.symbols)

    def __contains__(self, word: object) -> bool:
        """Tell whether a word has an id of its own."""
        return isinstance(word, str) and self._ids.get(word, 0) > (self.marks is not None)

    def __eq__(self, other: object) -> bool:
        """Compare symbols, and how text is cut and marked."""
        return self._key() == other._key() if isinstance(other, WordVocab) else NotImplemented

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash((WordVocab, self._key()))

    def __repr__(self) -> str:
        """Show the size and the first symbols."""
        shown = " ".join(self.symbols[:8]) + (" …" if len(self) > 8 else "")
        return f"WordVocab({len(self):,} symbols: {shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by what is compared."""
        return WordVocab.from_config, (self.to_config(),)

    def _key(self) -> tuple[Any, ...]:
        return self.symbols, self.tokenizer, self.marks

    def _number(self, reader: WordReader) -> NDArray[np.uint16] | NDArray[np.uint32]:
        return reader.encode(self.symbols, 0, 1 if self.marks else None)


def check_symbol(name: str, symbol: str) -> None:
    """Refuse what cannot stand for a token."""
    if not isinstance(symbol, str):
        raise TypeError(f"{name} is {shorten(symbol)}; expected a str")
    if symbol.split() != [symbol]:
        raise ValueError(f"{name} is {quote(symbol)}; expected a str without whitespace, not empty")
    check_surrogates(f"{name}, {quote(symbol)},", symbol)
