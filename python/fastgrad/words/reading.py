"""From a source to the reader of the core, piece by piece."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Literal, TypeAlias

from .._checks import path_name, shorten
from .._core import WordReader
from ..text import NotUtf8Error, Source, name_of
from ..text.reading import check_iterable, quote

Tokenizer: TypeAlias = Literal["space", "simple"]
Marks: TypeAlias = Literal["line", "paragraph"] | None

# What is read at a time. The core reads it in some milliseconds, after which Ctrl-C is answered.
_PIECE = 1 << 20


def check_ways(tokenizer: Tokenizer, marks: Marks) -> None:
    """Refuse what says neither how to cut a text nor what to mark in it."""
    if not isinstance(tokenizer, str) or tokenizer not in ("space", "simple"):
        raise ValueError(f"tokenizer is {shorten(tokenizer)}; expected 'space' or 'simple'")
    if marks is not None and (not isinstance(marks, str) or marks not in ("line", "paragraph")):
        raise ValueError(f"marks is {shorten(marks)}; expected None, 'line' or 'paragraph'")


def feed(source: Source, tokenizer: Tokenizer, marks: Marks) -> WordReader:
    """Read all of a source; what is left is to number it.

    Raises `OSError` where a file cannot be read, `NotUtf8Error` for a byte that is not UTF-8,
    `ValueError` where an item holds a newline, and `TypeError` for what is not a source.
    """
    check_ways(tokenizer, marks)
    name = name_of(source)
    reader = WordReader(name, tokenizer, marks)
    try:
        for piece in _pieces(source, name):
            reader.feed(piece)
        reader.end()
    except UnicodeError as error:
        raise NotUtf8Error(str(error)) from None
    return reader


def _pieces(source: Source, name: str) -> Iterator[bytes]:
    if isinstance(source, (str, os.PathLike)):
        return _pieces_of_file(path_name("source", source), name)
    if isinstance(source, bytes):
        return (source[start : start + _PIECE] for start in range(0, len(source), _PIECE))
    check_iterable(source)
    return _pieces_of_items(source)


def _pieces_of_file(path: str, name: str) -> Iterator[bytes]:
    if path == "-":
        yield from _read(sys.stdin.buffer)
    elif not path.endswith(".gz"):
        with open(path, "rb", buffering=0) as file:
            yield from _read(file)
    else:
        with gzip.open(path, "rb") as file:
            try:
                yield from _read(file)
            except (EOFError, zlib.error) as error:
                raise OSError(f"{name} is damaged: {error}") from None


def _read(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _pieces_of_items(items: Iterable[str]) -> Iterator[bytes]:
    lines: list[str] = []
    room = _PIECE
    for position, item in enumerate(items):
        lines.append(_line(item, position))
        room -= len(item) + 1
        if room <= 0:
            yield "".join(lines).encode()
            lines, room = [], _PIECE
    yield "".join(lines).encode()


def _line(item: str, position: int) -> str:
    """Give an item as a line; refuse what no line could hold."""
    if not isinstance(item, str):
        raise TypeError(f"item {position} is {shorten(item)}; expected a str")
    line = item.removesuffix("\n")
    if "\n" in line:
        raise ValueError(f"item {position}, {quote(item)}, holds a newline; expected one line")
    check_surrogates(f"item {position}, {quote(item)},", line)
    return line + "\n"


def check_surrogates(what: str, text: str) -> None:
    """Refuse characters that no UTF-8 text can hold."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{what} holds a lone surrogate at position {error.start}, which no UTF-8 text can hold"
        ) from None
