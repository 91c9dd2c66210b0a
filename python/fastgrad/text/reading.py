"""Reading a text, whatever kind of source it is, into a list of lines."""

from __future__ import annotations

import errno
import gzip
import os
import sys
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import IO, Any, TypeAlias

from .._checks import path_name, shorten

Source: TypeAlias = str | os.PathLike[str] | bytes | Iterable[str]

# The most characters of an item that messages show; it may be a book.
_LONGEST_QUOTE = 60


# Likely kinds of a file that is not UTF-8, by the first byte that UTF-8 cannot have.
_SIGNS = {
    "0x8b at offset 1 ": "looks like gzip; unpack it first",
    "0xb5 at offset 1 ": "looks like zstd; unpack it first",
    "0xfd at offset 0 ": "looks like xz; unpack it first",
    "0xff at offset 0 ": "looks like UTF-16; convert it to UTF-8 first",
    "0xfe at offset 0 ": "looks like UTF-16; convert it to UTF-8 first",
}


class NotUtf8Error(UnicodeError):
    """A byte of a text is not UTF-8; the message names file, line and byte offset.

    Where these tell of a packed file or another encoding, the message says so.

    >>> print(NotUtf8Error("a.gz, line 1: byte 0x8b at offset 1 is not UTF-8"))
    a.gz, line 1: byte 0x8b at offset 1 is not UTF-8 (this looks like gzip; unpack it first)
    """

    def __init__(self, message: str):
        """Keep the message, and what is known about such files."""
        hints = [
            f" (this {hint})" for sign, hint in _SIGNS.items()
            if message.endswith(f" {sign}is not UTF-8")
        ]  # fmt: skip
        super().__init__("".join([message, *hints]))


def name_of(source: Source) -> str:
    """Return how a message names a text."""
    if isinstance(source, (str, os.PathLike)):
        return "standard input" if os.fspath(source) == "-" else str(os.fspath(source))
    return "the text" if isinstance(source, bytes) else "texts"


def read_lines(texts: Source) -> list[str]:
    r"""Return the lines of a text that are not blank, without whitespace around them.

    Raises `OSError` where a file cannot be opened, `NotUtf8Error` (a `UnicodeError`, and so a
    `ValueError`) for a byte that is not UTF-8, `ValueError` where the text has no line or a str
    of an iterable holds a newline, and `TypeError` for what is no text.

    >>> read_lines(["Ada", "  Bo \n", ""])
    ['Ada', 'Bo']
    >>> read_lines(b"Ada\nB\xf6\n")
    Traceback (most recent call last):
    fastgrad.text.reading.NotUtf8Error: the text, line 2: byte 0xf6 at offset 5 is not UTF-8
    """
    if isinstance(texts, (str, os.PathLike)):
        data = read_bytes(texts)
        lines = decode(data, name_of(texts)).split("\n")
    elif isinstance(texts, bytes):
        lines = decode(texts, name_of(texts)).split("\n")
    else:
        lines = _checked_items(texts)
    items = [item for line in lines if (item := line.strip())]
    if not items:
        raise ValueError(f"{name_of(texts)} is empty; expected at least one line that is not blank")
    return items


def read_bytes(source: str | os.PathLike[str]) -> bytes:
    """Return what is in a file, unpacked where its name ends in .gz; "-" is standard input."""
    with open_text(source) as file:
        return file.read()


@contextmanager
def open_text(source: str | os.PathLike[str]) -> Generator[IO[bytes] | gzip.GzipFile]:
    """Open a file, which is unpacked where its name ends in .gz; "-" is standard input.

    Raises `OSError` where it is missing, and for a .gz that is damaged when it is read.
    """
    path = path_name("texts", source)
    if path == "-":
        yield sys.stdin.buffer
    elif not path.endswith(".gz"):
        with opened(source), open(path, "rb", buffering=0) as file:
            yield file
    else:
        with opened(source), gzip.open(path, "rb") as file:
            try:
                yield file
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise OSError(f"{path} is damaged: {error}") from None


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8, less a byte order mark; offsets in messages count from the file's start."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotUtf8Error(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} at offset {error.start}"
            " is not UTF-8"
        ) from None


@contextmanager
def opened(source: str | os.PathLike[str]) -> Generator[None]:
    """Add to the error of a missing file that a str is taken for the name of a file."""
    try:
        if os.fspath(source) == "":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "")
        yield
    except FileNotFoundError as error:
        if not isinstance(source, str):
            raise
        hint = "a str is the name of a file: for a literal text give a list of str, or bytes"
        message = f"{error.strerror}; {hint}"
        raise FileNotFoundError(error.errno, message, source) from None


def check_iterable(source: Iterable[Any]) -> None:
    """Raise `TypeError` for what is no text."""
    if not isinstance(source, Iterable) or isinstance(source, bytearray | memoryview):
        raise TypeError(
            f"texts is {shorten(source)}; expected a file's name, '-' for standard input, bytes, or"
            " an iterable of str"
        )


def _checked_items(items: Iterable[str]) -> list[str]:
    """Return items without their final newlines; raise for what no file could hold."""
    check_iterable(items)
    lines: list[str] = []
    for position, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(f"texts[{position}] is {shorten(item)}; expected a str")
        line = item.removesuffix("\n")
        if not position:  # A file opened as plain UTF-8 gives its byte order mark as well.
            line = line.removeprefix("\ufeff")
        if "\n" in line:
            raise ValueError(
                f"texts[{position}] is {quote(line)}, with a newline in it; expected one line each"
            )
        if not line.isascii():
            _refuse_surrogates(line, position)
        lines.append(line)
    return lines


def _refuse_surrogates(item: str, position: int) -> None:
    try:
        item.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"texts[{position}], {quote(item)}, holds a lone surrogate at position {error.start},"
            " which no UTF-8 text can hold"
        ) from None


def quote(item: str) -> str:
    """Return an item as a message shows it, only the start of a long one."""
    return repr(item) if len(item) <= _LONGEST_QUOTE else repr(item[:_LONGEST_QUOTE]) + "…"
