"""Where texts and models are, and what a model's note says of the text that it was made from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from .._checks import escape

if TYPE_CHECKING:
    from collections.abc import Callable

# Larger files are streamed and not looked at item by item, which would take memory and patience.
_LARGE = 2**25


@dataclass(frozen=True)
class Text:
    """A text to count or to measure."""

    source: str | bytes | tuple[str, ...]
    """The text as the library's functions take it: a path, "-", the text itself, or paths."""
    name: str
    """The name of the text in messages."""

    @property
    def is_small(self) -> bool:
        """True where the text can be read again, into memory."""
        paths = self._paths
        # A pipe has no size, and is empty when it has been read.
        return all(map(os.path.isfile, paths)) and sum(map(os.path.getsize, paths)) <= _LARGE

    def items(self) -> list[str]:
        """Read the text item by item; standard input only once."""
        from ..text.reading import decode, read_bytes, read_lines

        if isinstance(self.source, tuple):
            # Files may be blank, but not all of them.
            texts = (decode(read_bytes(path), path) for path in self.source)
            return read_lines(line for text in texts for line in text.split("\n"))
        return read_lines(self.source)

    def counts(self, order: int, comm: Any = None) -> Any:
        """Count n-grams: of files, together with other ranks if there are any."""
        from ..models import NgramCounts

        if isinstance(self.source, tuple) or (self._paths and comm is not None and comm.size > 1):
            return NgramCounts.from_files(self._paths, order, comm=comm, progress=True)
        return NgramCounts(self.source, order, progress=True)

    @property
    def _paths(self) -> tuple[str, ...]:
        if isinstance(self.source, bytes):
            return ()
        return self.source if isinstance(self.source, tuple) else (self.source,)

    def where(self) -> dict[str, Any]:
        """Return what is noted of a model's text, so that it is found again."""
        found = [] if "-" in self._paths else [os.path.abspath(path) for path in self._paths]
        return {
            "bundled": isinstance(self.source, bytes),
            "path": found if len(found) > 1 else next(iter(found), None),
        }

    def note(self, items: int, vocab: Any) -> dict[str, Any]:
        """Return what is noted of the text of a model of characters."""
        return {**self.where(), "items": items, "characters": vocab.characters}


def bundled(words: bool = False) -> Text:
    """Return the names, or the plays, that the package carries."""
    from ..datasets import names_bytes, shakespeare

    if words:
        return Text(shakespeare(), "the fifteen plays that fastgrad carries")
    return Text(names_bytes(), "the 32,469 names that fastgrad carries")


def text_of(file: str | None, *, words: bool = False) -> Text:
    """Return the text of a command line's file, or a bundled one where none was named."""
    if file is None:
        text = bundled(words)
        return Text(text.source, f"{text.name}, as no file was named")
    if file == "-":
        return Text(file, "standard input")
    os.stat(file)  # Raises for what is missing before anything is made.
    return Text(file, file)


def texts_of(files: tuple[str, ...]) -> Text:
    """Return the text of a command line's files, or a bundled one where none was named."""
    if len(files) < 2:
        return text_of(files[0] if files else None)
    names = [text_of(file).name for file in files]
    return Text(files, f"{len(files)} files: {', '.join(names)}")


def make_folder(folder: Path, option: str) -> None:
    """Make the folder of an option where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{option}: cannot make {folder}: {error.strerror}") from None


def folder_of(place: Path) -> Path:
    """Return the folder that a model is in: `place` itself, or that of the file."""
    return place if place.is_dir() else place.parent


def has_model(place: Path) -> bool:
    """Return whether there is a model in a folder, or in a file."""
    from ..models.saving import model_path

    return model_path(place).is_file()


def load_model(
    place: Path,
    command: str = "fastgrad train bigram",
    read: Callable[[Path], Any] | None = None,
) -> Any:
    """Load the model of a folder, or of a file; by `read` in place of `fastgrad.models.load`."""
    from ..models import load

    if not has_model(place):
        what = "model.safetensors in it" if place.is_dir() else "model"
        raise click.ClickException(
            f"{place}: there is no {what}; `{command} -o {place}` trains one"
        )
    return (read or load)(place)


def knows_words(model: Any) -> bool:
    """Return whether a model is one of words."""
    from ..text import WordVocab

    return isinstance(model.vocab, WordVocab)


def read_note(place: Path, model: Any, part: str) -> dict[str, Any]:
    """Return a part of what was noted of a model, "text" or "run"; empty where there is none.

    Earlier versions left notes as files beside the model.
    """
    if model.note is not None:
        note = model.note.get(part)
    else:
        try:
            note = json.loads((folder_of(place) / f"{part}.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            note = None  # What cannot be read is not there.
    return cast("dict[str, Any]", note) if isinstance(note, dict) else {}


def noted_text(place: Path, model: Any) -> Text | None:
    """Return the text that a model was made from, where there is a note that holds true.

    A note in a file may be of another model than this one: that which was made last.
    """
    words = knows_words(model)
    note = read_note(place, model, "run" if words else "text")
    if not words:
        is_of_model = note.get("characters") == model.vocab.characters
        if hasattr(model, "counts"):
            is_of_model = is_of_model and note.get("items") == model.counts.num_items
        if not is_of_model:
            return None
    if note.get("bundled"):
        return bundled(words)
    found = note.get("path")
    listed = cast("list[object]", found) if isinstance(found, list) else [found]
    paths = tuple(path for path in listed if isinstance(path, str) and os.path.isfile(path))
    if not paths or len(paths) < len(listed):
        return None
    source = paths if len(paths) > 1 else next(iter(paths))
    return Text(source, escape(", ".join(paths)))
