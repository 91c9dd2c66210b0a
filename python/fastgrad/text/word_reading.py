"""Reading a text of words with the reader of the core, chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from .._checks import shorten
from .._core import WordReader
from .reading import NotUtf8Error, Source, check_iterable, name_of, open_text, quote

Tokenizer: TypeAlias = Literal["space", "simple"]
Eos: TypeAlias = Literal["line", "paragraph"] | None

# Bytes read at a time. The core takes some milliseconds for them, then signals are checked.
_CHUNK = 1 << 20


def check_reading(tokenizer: Tokenizer, eos: Eos) -> None:
    """Raise `ValueError` for an unknown tokenizer, or an unknown place of end tokens."""
    if not isinstance(tokenizer, str) or tokenizer not in ("space", "simple"):
        raise ValueError(f"tokenizer is {shorten(tokenizer)}; expected 'space' or 'simple'")
    if eos is not None and (not isinstance(eos, str) or eos not in ("line", "paragraph")):
        raise ValueError(f"eos is {shorten(eos)}; expected None, 'line' or 'paragraph'")


def read_tokens(source: Source, tokenizer: Tokenizer, eos: Eos) -> WordReader:
    """Return a reader that has read all of a text and can number its tokens.

    Raises `OSError` where a file cannot be read, `NotUtf8Error` for a byte that is not UTF-8,
    `ValueError` where an item holds a newline, and `TypeError` for what is not a source.
    """
    reader = make_reader(source, tokenizer, eos)
    for _ in read_into(reader, source):
        pass
    return reader


def make_reader(source: Source, tokenizer: Tokenizer, eos: Eos) -> WordReader:
    """Return a reader that has not begun."""
    check_reading(tokenizer, eos)
    return WordReader(name_of(source), tokenizer, eos)


def read_into(reader: WordReader, source: Source) -> Iterator[None]:
    """Have a reader read a text to its end; pause after each chunk, and after the last token.

    Raises what `read_tokens` raises.
    """
    try:
        for chunk in _chunks(source):
            reader.feed(chunk)
            yield
        reader.end()
        yield
    except UnicodeError as error:
        raise NotUtf8Error(str(error)) from None


def _chunks(source: Source) -> Iterator[bytes]:
    if isinstance(source, (str, os.PathLike)):
        return _chunks_of_file(source)
    if isinstance(source, bytes):
        return (source[start : start + _CHUNK] for start in range(0, len(source), _CHUNK))
    check_iterable(source)
    return _chunks_of_items(source)


def _chunks_of_file(source: str | os.PathLike[str]) -> Iterator[bytes]:
    with open_text(source) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _chunks_of_items(items: Iterable[str]) -> Iterator[bytes]:
    lines: list[str] = []
    room = _CHUNK
    for position, item in enumerate(items):
        lines.append(_line(item, position))
        room -= len(item) + 1
        if room <= 0:
            yield "".join(lines).encode()
            lines, room = [], _CHUNK
    yield "".join(lines).encode()


def _line(item: str, position: int) -> str:
    """Return an item as a line; raise for what no line could hold."""
    if not isinstance(item, str):
        joined = "; a list of words becomes one by ' '.join" * isinstance(item, (list, tuple))
        raise TypeError(f"texts[{position}] is {shorten(item)}; expected a str{joined}")
    line = item.removesuffix("\n")
    if "\n" in line:
        raise ValueError(f"texts[{position}], {quote(item)}, holds a newline; expected one line")
    check_surrogates(f"texts[{position}], {quote(item)},", line)
    return line + "\n"


def check_surrogates(what: str, text: str) -> None:
    """Raise `ValueError` for characters that no UTF-8 text can hold."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{what} holds a lone surrogate at position {error.start}, which no UTF-8 text can hold"
        ) from None
