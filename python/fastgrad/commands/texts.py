"""Where a command's text is from: a file, standard input, or the names that the package carries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .arguments import file_name

if TYPE_CHECKING:
    import argparse

__all__ = ["Text", "add_file", "bundled", "text_of"]

# Larger files are streamed and not looked at item by item, which would take memory and patience.
_LARGE = 2**25


@dataclass(frozen=True)
class Text:
    """A text to count or to measure."""

    source: str | bytes
    """What the library's functions take: a path, "-", or the text itself."""
    name: str
    """How messages speak of it."""

    @property
    def path(self) -> str | None:
        """The file's absolute path; None where the text is no file."""
        if isinstance(self.source, bytes) or self.source == "-":
            return None
        return os.path.abspath(self.source)

    @property
    def is_small(self) -> bool:
        """Whether the text can be read again, into memory."""
        if isinstance(self.source, bytes):
            return True
        # A pipe has no size, and is empty when it has been read.
        return os.path.isfile(self.source) and os.path.getsize(self.source) <= _LARGE

    def items(self) -> list[str]:
        """Read the text item by item; standard input only once."""
        from ..text import read

        return read(self.source)


def add_file(
    parser: argparse.ArgumentParser,
    use: str,
    default: str = "32,469 first names, which the package carries",
) -> None:
    """Declare the argument that names the text."""
    parser.add_argument(
        "file",
        nargs="?",
        type=file_name,
        metavar="FILE",
        help=f"text {use}, UTF-8, one item a line; - is standard input (default: {default})",
    )


def bundled() -> Text:
    """Give the names that the package carries."""
    from ..datasets import names_bytes

    data = names_bytes()
    count = data.count(b"\n")
    return Text(data, f"the {count:,} names that fastgrad carries")


def text_of(file: str | None) -> Text:
    """Give the text of a command line's file, or the bundled names where none was named."""
    if file is None:
        names = bundled()
        return Text(names.source, f"{names.name}, as no file was named")
    if file == "-":
        return Text(file, "standard input")
    os.stat(file)  # So that what is missing is said before anything is made.
    return Text(file, file)
