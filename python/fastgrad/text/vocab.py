"""The characters of a text and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import ids as checked_ids
from .._checks import shorten
from .._hints import HintedType, hint_names, no_attribute
from .reading import Source, quote, read_lines

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Members as they are called elsewhere, and here.
_MEANT = {
    "of": "from_texts",
    "from_words": "from_texts",
    "from_text": "from_texts",
    "build": "from_texts",
    "fit": "from_texts",
    "symbols": "itos",
    "tokens": "itos",
    "boundary": "eos_token",
    "char_to_id": "stoi",
    "token_to_id": "stoi",
    "id_to_token": "itos",
    "char_to_idx": "stoi",
    "idx_to_char": "itos",
    "from_file": "from_texts",
    "size": "len(vocab)",
    "vocab_size": "len(vocab)",
}

EOS_TOKENS = (".", "|", "#", "~", "^", "·", "•", "¶")
"""Candidates for the end-of-sequence token: the first that the text does not hold is taken."""

# Where a text holds all of these, the token is a character that no script uses.
_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


class UnknownCharacterError(ValueError):
    """A character is not in the vocabulary.

    `character` is the one; `position` is where it stands in `item`, from 0. Both are None where
    only a summary of the text was at hand, as in the loss of counts.

    >>> print(UnknownCharacterError("p", 3, "help"))
    character 'p' (U+0070) at position 3 of 'help' is not in the vocabulary
    """

    def __init__(
        self,
        character: str,
        position: int | None = None,
        item: str | None = None,
        characters: str = "",
    ):
        """Keep what the message names; `characters` are those of the vocabulary."""
        super().__init__(character, position, item, characters)
        self.character = character
        self.position = position
        self.item = item
        self.characters = characters

    def __str__(self) -> str:
        """Name the character, its code point, and where it stands."""
        place = "" if self.item is None else f" at position {self.position} of {quote(self.item)}"
        code = f"U+{ord(self.character):04X}"
        message = f"character {self.character!r} ({code}){place} is not in the vocabulary"
        if self.characters:
            message += f", which has {len(self.characters):,} characters: {quote(self.characters)}"
        for change, advice in ((str.lower, "lower-case"), (str.upper, "upper-case")):
            if change(self.character) in [*self.characters]:
                message += f"; {advice} the text?"
        return message


class Vocab(metaclass=HintedType):
    """The characters of a text and their ids: sorted by code point, from 1 on.

    Id 0 is the end-of-sequence token, which stands before the start and at the end of every item,
    as the lecture has it. It is ".", or where the text itself holds ".", the first of `EOS_TOKENS`
    that the text does not hold, and in the last resort a private-use character. `len`, `itos`,
    `stoi` and iteration include it; `in` tells whether a character of a text has an id.

    `characters` may come in any order and repeat. Raises `ValueError` where there is none, or one
    that no item can hold (a newline, a lone surrogate), `TypeError` for longer strings:
    `Vocab.from_texts` makes the vocabulary of texts.

    >>> vocab = Vocab("hello")
    >>> vocab
    Vocab('ehlo')
    >>> len(vocab), vocab.eos_token, "h" in vocab, "." in vocab
    (5, '.', True, False)
    >>> vocab.encode("hole").tolist(), vocab.decode([2, 4, 3, 1, 0])
    ([2, 4, 3, 1], 'hole.')
    """

    __slots__ = ("_codes", "_ids", "_stoi", "characters", "eos_token", "itos")
    _meant = _MEANT

    characters: str
    """All characters, sorted, without the end-of-sequence token."""
    eos_token: str
    """The token with id 0, which stands before the start and at the end of an item."""
    itos: tuple[str, ...]
    """The token of each id: the end-of-sequence token, then the characters."""

    @hint_names(
        texts="Vocab.from_texts(texts)",
        min_freq="min_count of read_words",
        specials="eos_token, which every Vocab has",
    )
    def __init__(self, characters: Iterable[str]):
        """Sort the characters and choose an end-of-sequence token."""
        if not isinstance(characters, Iterable):
            raise TypeError(f"characters is {shorten(characters)}; expected a str")
        # Of what may have no end, each is looked at before the next one is asked for.
        found: set[str] = set(characters) if isinstance(characters, str) else set()
        for character in list(found) or characters:
            _check_character(character)
            found.add(character)
        if not found:
            raise ValueError("characters is empty; expected at least one")
        self.characters = "".join(sorted(found))
        self.eos_token = _eos_token_beside(found)
        self.itos = (self.eos_token, *self.characters)
        self._codes = np.array([ord(token) for token in self.itos], dtype="<u4")
        # From code point to id; 0, which no character has, for all others. The last entry stands
        # for every code point beyond the table.
        self._ids = np.zeros(int(self._codes.max()) + 2, dtype=np.uint32)
        self._ids[self._codes[1:]] = np.arange(1, len(self.itos), dtype=np.uint32)
        self._stoi: dict[str, int] | None = None

    @classmethod
    def from_texts(cls, texts: Source) -> Vocab:
        """Return the vocabulary of the characters of a text.

        `texts` is a file's name, bytes, or an iterable of str, as everywhere (see `fastgrad.text`).
        Raises what `read_lines` raises.

        >>> Vocab.from_texts(["emma", "olivia"]).characters
        'aeilmov'
        """
        found: set[str] = set()
        for line in read_lines(texts):
            found.update(line)
        return cls(found)

    @property
    def stoi(self) -> dict[str, int]:
        """The id of each token, the inverse of `itos`."""
        if self._stoi is None:
            self._stoi = {token: id_ for id_, token in enumerate(self.itos)}
        return self._stoi

    def encode(self, item: str) -> NDArray[np.uint32]:
        """Return the ids of an item's characters, no token at its ends: (len(item),) uint32.

        Raises `UnknownCharacterError` for the first character that has no id.
        """
        if not isinstance(item, str):
            raise TypeError(f"item is {shorten(item)}; expected a str")
        ids = self._look_up(item)
        if not ids.all():
            position = int(np.argmin(ids))
            raise UnknownCharacterError(item[position], position, item, self.characters)
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of ids, in which id 0 is `eos_token`.

        Raises `TypeError` unless they are integers, `ValueError` unless they are in one dimension,
        and for one that is not an id.
        """
        return self._codes[checked_ids("ids", ids, len(self))].tobytes().decode("utf-32-le")

    def eos_note(self) -> str | None:
        """Return a sentence that names the end-of-sequence token; None where it is the usual ".".

        >>> print(Vocab("a.b").eos_note())
        The text holds '.', so '|' stands for the start and the end of an item.
        """
        if self.eos_token == EOS_TOKENS[0]:
            return None
        return (
            f"The text holds {EOS_TOKENS[0]!r}, so {self.eos_token!r} stands for the start and the"
            " end of an item."
        )

    def to_config(self) -> dict[str, Any]:
        """Return the vocabulary as JSON-able values, for `from_config`."""
        return {"characters": self.characters}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Vocab:
        """Return the vocabulary of a `to_config`; `ValueError` for anything else."""
        characters = config.get("characters") if isinstance(config, dict) else None
        if not isinstance(characters, str) or set(config) != {"characters"}:
            raise ValueError("the vocabulary is damaged; expected its characters and nothing else")
        vocab = cls(characters)
        if vocab.characters != characters:
            raise ValueError("the vocabulary is damaged: its characters are not sorted or repeat")
        return vocab

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, _MEANT)

    def __len__(self) -> int:
        """Return the number of tokens, the end-of-sequence token included."""
        return len(self.itos)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the tokens in the order of their ids."""
        return iter(self.itos)

    def __contains__(self, character: object) -> bool:
        """Return whether a character of a text has an id; `eos_token` is none of them."""
        return (
            isinstance(character, str)
            and len(character) == 1
            and bool(self._ids[min(ord(character), len(self._ids) - 1)])
        )

    def __eq__(self, other: object) -> bool:
        """Compare characters."""
        return self.characters == other.characters if isinstance(other, Vocab) else NotImplemented

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash((Vocab, self.characters))

    def __repr__(self) -> str:
        """Show the characters, of a large alphabet only the first."""
        return f"Vocab({quote(self.characters)})"

    def __reduce__(self) -> tuple[type[Vocab], tuple[str]]:
        """Pickle and copy by the characters."""
        return Vocab, (self.characters,)

    def _look_up(self, text: str) -> NDArray[np.uint32]:
        """Return the id of each character, and 0 for one that has none."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        return self._ids[np.minimum(codes, len(self._ids) - 1)]


def check_vocab(vocab: object) -> None:
    """Raise `TypeError` for what is no vocabulary of characters."""
    if not isinstance(vocab, Vocab):
        raise TypeError(f"vocab is {shorten(vocab)}; expected a Vocab")


def _check_character(character: object) -> None:
    if not isinstance(character, str) or len(character) != 1:
        raise TypeError(
            f"characters holds {shorten(character)}; expected single characters."
            " Vocab.from_texts makes the vocabulary of texts"
        )
    if character == "\n" or 0xD800 <= ord(character) < 0xE000:
        raise ValueError(f"characters holds {shorten(character)}, which no item can hold")


def _eos_token_beside(characters: set[str]) -> str:
    spare = (chr(code) for codes in _PRIVATE_USE for code in codes)
    for token in (*EOS_TOKENS, *spare) if characters.issuperset(EOS_TOKENS) else EOS_TOKENS:
        if token not in characters:
            return token
    raise ValueError("characters holds every character that could be the end-of-sequence token")
