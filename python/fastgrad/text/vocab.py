"""The symbols of a text and their ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import ids as checked_ids
from .._checks import shorten, strings
from .reading import quote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BOUNDARIES = (".", "|", "#", "~", "^", "·", "•", "¶")
"""The symbols that may stand for the boundary: the first that the text does not hold."""

# Where a text holds all of these, a character that no script uses stands for the boundary.
_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


class UnknownCharacterError(ValueError):
    """A character is not in the vocabulary.

    `character` is the one; `position` is where it stands in `item`, from 0. Both are None where
    only a summary of the text was at hand, as in the loss of counts.

    >>> print(UnknownCharacterError("p", 3, "help"))
    character 'p' (U+0070) at position 3 of 'help' is not in the vocabulary
    """

    def __init__(self, character: str, position: int | None = None, item: str | None = None):
        """Keep what the message names."""
        super().__init__(character, position, item)
        self.character = character
        self.position = position
        self.item = item

    def __str__(self) -> str:
        """Name the character, its code point, and where it stands."""
        place = "" if self.item is None else f" at position {self.position} of {quote(self.item)}"
        code = f"U+{ord(self.character):04X}"
        return f"character {self.character!r} ({code}){place} is not in the vocabulary"


class Vocab:
    """The characters of a text and their ids: sorted by code point, from 1 on.

    Id 0 is the boundary: where an item begins and where it ends. It is shown as ".", or where the
    text itself holds ".", as the first of `BOUNDARIES` that the text does not hold, and in the
    last resort as a private-use character. `len` and ids count the boundary; `in` tells whether a
    character of a text has an id, which the boundary's symbol, not being of the text, has not.

    `characters` may come in any order and repeat; `ValueError` where there is none, or one that
    no item can hold (a newline, a lone surrogate).

    >>> vocab = Vocab("hello")
    >>> vocab
    Vocab('ehlo')
    >>> len(vocab), vocab.boundary, "h" in vocab, "." in vocab
    (5, '.', True, False)
    >>> vocab.encode("hole").tolist(), vocab.decode([2, 4, 3, 1, 0])
    ([2, 4, 3, 1], 'hole.')
    """

    __slots__ = ("_codes", "_ids", "boundary", "characters", "symbols")

    characters: str
    """All characters, sorted, without the boundary."""
    boundary: str
    """The symbol that stands for id 0."""
    symbols: tuple[str, ...]
    """What stands for each id: the boundary, then the characters."""

    def __init__(self, characters: Iterable[str]):
        """Sort the characters and choose a symbol for the boundary."""
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
        self.boundary = _boundary_beside(found)
        self.symbols = (self.boundary, *self.characters)
        self._codes = np.array([ord(symbol) for symbol in self.symbols], dtype="<u4")
        # From code point to id; 0, which no character has, for all others. The last entry stands
        # for every code point beyond the table.
        self._ids = np.zeros(int(self._codes.max()) + 2, dtype=np.uint32)
        self._ids[self._codes[1:]] = np.arange(1, len(self.symbols), dtype=np.uint32)

    @classmethod
    def of(cls, items: Iterable[str]) -> Vocab:
        """Make the vocabulary of items.

        >>> Vocab.of(["emma", "olivia"]).characters
        'aeilmov'
        """
        found: set[str] = set()
        for position, item in enumerate(strings("items", items)):
            if not isinstance(item, str):
                raise TypeError(f"items[{position}] is {shorten(item)}; expected a str")
            found.update(item)
        if not found:
            raise ValueError("items holds no character; expected at least one")
        return cls(found)

    def encode(self, item: str) -> NDArray[np.uint32]:
        """Give the ids of an item's characters, without any boundary: (len(item),) uint32.

        Raises `UnknownCharacterError` for the first character that has no id.
        """
        if not isinstance(item, str):
            raise TypeError(f"item is {shorten(item)}; expected a str")
        ids = self._look_up(item)
        if not ids.all():
            position = int(np.argmin(ids))
            raise UnknownCharacterError(item[position], position, item)
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """Give the text of ids, each boundary as its symbol.

        Raises `TypeError` unless they are integers, `ValueError` unless they are in one dimension,
        and for one that is not an id.
        """
        return self._codes[checked_ids("ids", ids, len(self))].tobytes().decode("utf-32-le")

    def boundary_note(self) -> str | None:
        """Say which symbol stands for the boundary, and why; None where it is the usual ".".

        >>> print(Vocab("a.b").boundary_note())
        The text holds '.', so '|' stands for the start and the end of an item.
        """
        if self.boundary == BOUNDARIES[0]:
            return None
        return (
            f"The text holds {BOUNDARIES[0]!r}, so {self.boundary!r} stands for the start and the"
            " end of an item."
        )

    def to_config(self) -> dict[str, Any]:
        """Describe the vocabulary in terms of JSON, for `from_config`."""
        return {"characters": self.characters}

    @classmethod
    def from_config(cls, config: Any) -> Vocab:
        """Make the vocabulary that `to_config` described; `ValueError` for anything else."""
        characters = config.get("characters") if isinstance(config, dict) else None
        if not isinstance(characters, str) or set(config) != {"characters"}:
            raise ValueError("the vocabulary is damaged; expected its characters and nothing else")
        vocab = cls(characters)
        if vocab.characters != characters:
            raise ValueError("the vocabulary is damaged: its characters are not sorted or repeat")
        return vocab

    def __len__(self) -> int:
        """Count the symbols, the boundary included."""
        return len(self.symbols)

    def __contains__(self, character: object) -> bool:
        """Tell whether a character of a text has an id."""
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
        """Give the id of each character, and 0 for one that has none."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        return self._ids[np.minimum(codes, len(self._ids) - 1)]


def check_vocab(vocab: object) -> None:
    """Refuse what is no vocabulary of characters."""
    if not isinstance(vocab, Vocab):
        raise TypeError(f"vocab is {shorten(vocab)}; expected a Vocab")


def _check_character(character: object) -> None:
    if not isinstance(character, str) or len(character) != 1:
        raise TypeError(f"characters holds {shorten(character)}; expected single characters")
    if character == "\n" or 0xD800 <= ord(character) < 0xE000:
        raise ValueError(f"characters holds {shorten(character)}, which no item can hold")


def _boundary_beside(characters: set[str]) -> str:
    spare = (chr(code) for codes in _PRIVATE_USE for code in codes)
    for symbol in (*BOUNDARIES, *spare) if characters.issuperset(BOUNDARIES) else BOUNDARIES:
        if symbol not in characters:
            return symbol
    raise ValueError("characters holds every symbol that could stand for the boundary")
