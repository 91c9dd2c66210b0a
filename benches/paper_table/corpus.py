"""The corpus: its three parts, and what there is to say of them."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastgrad.text import WordText, name_of, read_words

if TYPE_CHECKING:
    from fastgrad.text import Source

__all__ = ["PARTS", "Corpus"]

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Corpus:
    """A text of words, split by position as the paper does."""

    name: str
    text: WordText
    parts: dict[str, WordText]

    @classmethod
    def read(cls, source: Source, train: int, valid: int, vocabulary: int) -> Corpus:
        """Read a text whose tokens are separated by whitespace.

        The first `train` tokens choose the vocabulary, whose size `vocabulary` counts the symbol
        for rare words too. Raises `OSError` for a file that cannot be read, `ValueError` where the
        text has no token left to test with, and what `read_words` raises.
        """
        text = read_words(source, train=train, vocab_size=vocabulary)
        if len(text) <= train + valid:
            raise ValueError(
                f"the text has {len(text):,} tokens; expected more than {train + valid:,},"
                f" {train:,} to train, {valid:,} to validate, and the rest to test"
            )
        parts: dict[str, WordText] = dict(zip(PARTS, text.split(train, valid), strict=True))
        # In which folder the file was is nobody's business.
        return cls(os.path.basename(name_of(source)), text, parts)

    def facts(self) -> dict[str, Any]:
        """Describe the corpus in terms of JSON, the ids by a checksum."""
        parts = {
            name: {"tokens": len(part), "rare": part.unk_rate} for name, part in self.parts.items()
        }
        return {
            "name": self.name,
            "tokens": len(self.text),
            "types": self.text.types,
            "vocabulary": len(self.text.vocab),
            "checksum": f"{zlib.crc32(self.text.ids.astype('<u4').tobytes()):08x}",
            "parts": parts,
        }
