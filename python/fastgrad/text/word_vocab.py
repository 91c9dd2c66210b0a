"""The words of a text that have an id of their own, and the way from text to ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import as_list, shorten
from .._checks import ids as checked_ids
from .._core import WordReader
from .._hints import HintedType, hint_names, no_attribute
from .reading import NotUtf8Error, quote
from .word_reading import Eos, Tokenizer, check_reading, check_surrogates, read_tokens

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .reading import Source
    from .word_text import WordText


# The keys of a configuration, today and before.
_CONFIGS = ({"words", "tokenizer", "eos"}, {"words", "tokenizer", "marks"})

# Members as they are called elsewhere, and here.
_MEANT = {
    "of": "read_words(texts).vocab",
    "from_texts": "read_words(texts).vocab",
    "build": "read_words(texts).vocab",
    "symbols": "itos",
    "tokens": "itos",
    "words": "itos",
    "rare": "unk_token",
    "mark": "eos_token",
    "marks": "eos",
    "token_to_id": "stoi",
    "id_to_token": "itos",
    "lookup": "encode",
    "size": "len(vocab)",
    "vocab_size": "len(vocab)",
    "tokenize": "encode",
}


class WordVocab(metaclass=HintedType):
    """The words that have an id of their own, and how text is cut into tokens.

    Id 0 is `unk_token`, which stands for all words that have none. With `eos` "line" or
    "paragraph", id 1 is `eos_token`, which stands at the end of each line or paragraph. `itos` has
    the token of each id; those of `read_words` are sorted by count. `len` is |V|, all tokens
    counted; `in` tells whether a word has an id of its own.

    Raises `ValueError` for tokens that are fewer than two, not distinct, empty or hold whitespace.

    >>> vocab = WordVocab(["<unk>", "the", "cat"])
    >>> vocab.encode("the dog the cat").tolist()
    [1, 0, 1, 2]
    >>> vocab.decode([1, 2])
    'the cat'
    """

    __slots__ = ("_ids", "eos", "itos", "tokenizer")
    _meant = _MEANT

    itos: tuple[str, ...]
    """The token of each id."""
    tokenizer: Tokenizer
    """The way in which lines are cut into tokens."""
    eos: Eos
    """The unit that ends with `eos_token`: "line", "paragraph" or None."""

    @hint_names(
        eos_token="eos, and put the token second",
        unk_token="tokens, whose first stands for unknown words",
        min_freq="min_count of read_words",
        texts="read_words(texts).vocab",
    )
    def __init__(self, tokens: Iterable[str], *, tokenizer: Tokenizer = "space", eos: Eos = None):
        """Keep the tokens: first the one for unknown words, then the one for ends if any."""
        check_reading(tokenizer, eos)
        if isinstance(tokens, str) or not isinstance(tokens, Iterable):
            raise TypeError(f"tokens is {shorten(tokens)}; expected a list of str")
        self.itos = tuple(as_list(tokens))
        self.tokenizer = tokenizer
        self.eos = eos
        if len(self.itos) < 2:
            raise ValueError(f"tokens has {len(self.itos)} of them; expected at least 2")
        self._ids: dict[str, int] = {}
        for position, token in enumerate(self.itos):
            check_token(f"tokens[{position}]", token)
            if self._ids.setdefault(token, position) != position:
                raise ValueError(
                    f"tokens[{position}] is {quote(token)}, as tokens[{self._ids[token]}] is;"
                    " expected distinct tokens"
                )

    @property
    def stoi(self) -> dict[str, int]:
        """The id of each token, the inverse of `itos`."""
        return self._ids

    @property
    def unk_token(self) -> str:
        """The token for words without an id of their own, id 0."""
        return self.itos[0]

    @property
    def eos_token(self) -> str | None:
        """The token at the end of lines or paragraphs, id 1; None where there is none."""
        return self.itos[1] if self.eos else None

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a text's tokens, unknown words as 0: (T,) uint32, T may be 0.

        End tokens are put as in the text that the vocabulary was made of, except at the very end:
        the text may go on. It ends with one where its last line or paragraph has visibly ended.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is {shorten(text)}; expected a str")
        check_surrogates(f"text, {quote(text)},", text)
        reader = WordReader("the text", self.tokenizer, self.eos)
        try:
            reader.feed(text.encode())
        except UnicodeError as error:
            raise NotUtf8Error(str(error)) from None
        return self._number(reader).astype(np.uint32)

    def decode(self, ids: ArrayLike) -> str:
        """Return the tokens of ids, a space between them, a newline or two for an end token.

        Raises `TypeError` unless they are integers, `ValueError` unless they are in one dimension,
        and for one that is not an id.
        """
        lines: list[list[str]] = [[]]
        end = 1 if self.eos else None
        numbers: list[int] = checked_ids("ids", ids, len(self)).tolist()
        for number in numbers:
            if number == end:
                lines.append([])
            else:
                lines[-1].append(self.itos[number])
        return ("\n" if self.eos == "line" else "\n\n").join(map(" ".join, lines))

    def read(self, texts: Source) -> WordText:
        """Return a text as ids of this vocabulary, read as `read_words` reads.

        Raises what `read_words` raises.

        >>> vocab = WordVocab(["<unk>", "the", "cat"])
        >>> vocab.read(b"the cat sat").ids.tolist()
        [1, 2, 0]
        """
        from .word_text import WordText

        reader = read_tokens(texts, self.tokenizer, self.eos)
        types = reader.types
        return WordText(self, self._number(reader), types=types)

    def to_config(self) -> dict[str, Any]:
        """Return the vocabulary as JSON-able values, for `from_config`."""
        return {"words": list(self.itos), "tokenizer": self.tokenizer, "eos": self.eos}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WordVocab:
        """Return the vocabulary of a `to_config`; `ValueError` for anything else."""
        # Older files say "marks" for "eos".
        if not isinstance(config, dict) or set(config) not in _CONFIGS:
            raise ValueError("the vocabulary is damaged; expected words, tokenizer and eos")
        words: list[str] = config["words"]
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("the vocabulary is damaged; expected words to be a list of str")
        return cls(words, tokenizer=config["tokenizer"], eos=config.get("eos", config.get("marks")))

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, _MEANT)

    def __len__(self) -> int:
        """Return |V|, the number of tokens, those for unknown words and for ends included."""
        return len(self.itos)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the tokens in the order of their ids."""
        return iter(self.itos)

    def __contains__(self, word: object) -> bool:
        """Return whether a word has an id of its own."""
        return isinstance(word, str) and self._ids.get(word, 0) > (self.eos is not None)

    def __eq__(self, other: object) -> bool:
        """Compare tokens, tokenizer and end tokens."""
        return self._key() == other._key() if isinstance(other, WordVocab) else NotImplemented

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash((WordVocab, self._key()))

    def __repr__(self) -> str:
        """Show |V| and the first tokens."""
        shown = " ".join(self.itos[:8]) + (" …" if len(self) > 8 else "")
        return f"WordVocab({len(self):,} tokens: {shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by what is compared."""
        return WordVocab.from_config, (self.to_config(),)

    def _key(self) -> tuple[Any, ...]:
        return self.itos, self.tokenizer, self.eos

    def _number(self, reader: WordReader) -> NDArray[np.uint16] | NDArray[np.uint32]:
        return reader.encode(self.itos, 0, 1 if self.eos else None)


def check_token(name: str, token: str) -> None:
    """Raise `TypeError` or `ValueError` for what cannot be a token."""
    if not isinstance(token, str):
        raise TypeError(f"{name} is {shorten(token)}; expected a str")
    if token.split() != [token]:
        raise ValueError(f"{name} is {quote(token)}; expected a str without whitespace, not empty")
    check_surrogates(f"{name}, {quote(token)},", token)
