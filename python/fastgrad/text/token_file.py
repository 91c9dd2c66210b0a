"""Texts of words as files of ids, which need not fit into memory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .._checks import path_name, shorten
from .._files import write_atomically
from .._hints import hint_names
from .reading import Source
from .word_reading import Eos, Tokenizer, make_reader, read_into
from .word_text import WordText, check_limits, made, tokens_of
from .word_vocab import WordVocab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .._core import WordReader

# The ids in front of a text: longer contexts than these are copied in memory.
_PADDING = 256
# Tokens that are in memory at a time.
_BLOCK = 1 << 20
# Ids at both ends of a file that its vocabulary knows it by.
_EDGE = 4096


@hint_names()
def write_tokens(
    texts: Source,
    path: str | os.PathLike[str],
    *,
    vocab: WordVocab | None = None,
    train: int | float | None = None,
    vocab_size: int | None = None,
    min_count: int = 1,
    tokenizer: Tokenizer = "space",
    eos: Eos = None,
    unk_token: str = "<unk>",
    eos_token: str | None = None,
) -> WordText:
    """Write a text as ids to a file, and return it as `open_tokens` does.

    The ids are those of `read_words(texts, ...)`, or of `vocab.read(texts)` where `vocab` is given,
    which then stands for the other settings. The text is read in chunks: of it all, memory is
    needed only for each distinct token. While it is written, the folder of `path` needs room for
    the ids twice, 8 bytes a token.

    `path`, whose name should end in .npy, becomes a numpy array of uint32: 256 times the token that
    stands before a text (the end token, or where there is none, the one for unknown words), then
    the text. Its vocabulary is written beside it, with ".vocab.json" behind the name. Either file
    is written whole or not at all.

    Raises what `read_words` raises, and `OSError` where a file cannot be written.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "cats.npy")
    >>> write_tokens(b"the cat sat on the mat", path)
    WordText(6 tokens, |V| = 6, 0.0% unk)
    >>> open_tokens(path).decode()
    'the cat sat on the mat'
    """
    name = path_name("path", path)
    if vocab is not None and not isinstance(vocab, WordVocab):
        raise TypeError(f"vocab is {shorten(vocab)}; expected a WordVocab, as of `read_words`")
    if vocab is not None:
        given = {"train": train, "vocab_size": vocab_size, "eos": eos, "eos_token": eos_token}
        for setting, value in given.items():
            if value is not None:
                raise ValueError(f"{setting} is given, and vocab too; expected one of them")
        tokenizer, eos = vocab.tokenizer, vocab.eos
    limits = check_limits(vocab_size, min_count, eos, unk_token, eos_token)
    reader = make_reader(texts, tokenizer, eos)
    with tempfile.TemporaryFile(dir=os.path.dirname(name) or ".") as numbers:
        for _ in read_into(reader, texts):
            numbers.write(reader.take().data)
        types, tokens = reader.types, reader.tokens
        if vocab is None:
            part = tokens if train is None else tokens_of("train", train, tokens)
            ids, words = reader.vocabulary(
                _counts(numbers, part, tokens, reader), unk_token, limits.eos_token,
                max_size=limits.vocab_size, min_count=limits.min_count,
            )  # fmt: skip
            vocab = WordVocab(words, tokenizer=tokenizer, eos=eos)
        else:
            ids = reader.numbers(vocab.itos, 0, 1 if eos else None)
        edges = _Edges()

        def write(file: IO[bytes]) -> None:
            header = {"descr": "<u4", "fortran_order": False, "shape": (_PADDING + tokens,)}
            np.lib.format.write_array_header_1_0(file, header)
            padding = np.full(_PADDING, 1 if eos else 0, "<u4")
            for block in chain([padding], (ids[block] for block in _blocks(numbers, tokens))):
                edges.add(block)
                file.write(block.astype("<u4", copy=False).data)

        write_atomically(name, write)
    config = {"format": 1, "tokens": tokens, "padding": _PADDING, "edges": edges.digest()}
    config |= {"types": types, "vocab": vocab.to_config()}
    write_atomically(_vocab_path(name), json.dumps(config))
    return open_tokens(name)


def open_tokens(path: str | os.PathLike[str]) -> WordText:
    """Return the text of a file that `write_tokens` wrote; its ids stay on the disk.

    They are mapped into memory: the system reads what is used, and drops what it needs room for.
    All that takes a `WordText` takes this one. `WordNPLM.fit` reads the examples of its
    mini-batches where they are, and trains bit for bit as on the text in memory.

    Raises `OSError` where a file is missing, and `ValueError` for one that `write_tokens` has not
    written, or beside which there is the vocabulary of another one.
    """
    name = path_name("path", path)
    try:
        found: Any = np.lib.format.open_memmap(name, mode="r")
    except (EOFError, ValueError) as error:
        raise ValueError(f"{name} is no array of numpy: {error}") from None
    with open(_vocab_path(name), encoding="utf-8") as file:
        text = file.read()
    try:
        config: Any = json.loads(text)
        tokens, padding, types = config["tokens"], config["padding"], config["types"]
        vocab = WordVocab.from_config(config["vocab"])
        is_whole = config["format"] == 1 and found.shape == (padding + tokens,) and tokens > 0
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{_vocab_path(name)} is damaged: {error}") from None
    if not is_whole or found.dtype != np.dtype("<u4") or _edges_of(found) != config["edges"]:
        raise ValueError(
            f"{name} is not the file that {_vocab_path(name)} was written for; write both anew"
        )
    return made(vocab, np.asarray(found), padding, types, padding)


class _Edges:
    """A digest of the first and the last ids of a file, and of their number."""

    def __init__(self) -> None:
        self._first = self._last = np.zeros(0, np.uint32)
        self._size = 0

    def add(self, ids: NDArray[np.uint32]) -> None:
        missing = _EDGE - len(self._first)
        if missing > 0:
            self._first = np.concatenate([self._first, ids[:missing]])
        self._last = np.concatenate([self._last, ids[-_EDGE:]])[-_EDGE:]
        self._size += len(ids)

    def digest(self) -> str:
        digest = hashlib.blake2b(str(self._size).encode(), digest_size=16)
        for ids in (self._first, self._last):
            digest.update(ids.astype("<u4").data)
        return digest.hexdigest()


def _edges_of(ids: NDArray[np.uint32]) -> str:
    edges = _Edges()
    edges.add(ids)
    return edges.digest()


def _blocks(file: IO[bytes], tokens: int) -> Iterator[NDArray[np.uint32]]:
    """Return the numbers in a file block by block, from the first one on."""
    file.seek(0)
    while tokens > 0:
        block = np.frombuffer(file.read(4 * min(tokens, _BLOCK)), np.uint32)
        yield block
        tokens -= len(block)


def _counts(file: IO[bytes], part: int, tokens: int, reader: WordReader) -> NDArray[np.uint64]:
    """Return how often each number is among the first ones."""
    if part > tokens:
        raise ValueError(f"train is {part}; expected 1 to {tokens}, the tokens that the text has")
    counts = np.zeros(reader.types + 1, np.uint64)
    for block in _blocks(file, part):
        counts += np.bincount(block, minlength=len(counts)).astype(np.uint64)
    return counts


def _vocab_path(name: str) -> str:
    return f"{name}.vocab.json"
