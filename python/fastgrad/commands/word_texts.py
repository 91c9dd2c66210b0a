"""The text of a word model on the command line: read, split by position, noted, found again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._checks import escape
from .arguments import CommandError, UsageError
from .places import read_note
from .texts import Text, text_of

if TYPE_CHECKING:
    import argparse

__all__ = [
    "Parts",
    "WordNote",
    "has_parts",
    "knows_words",
    "new_parts",
    "noted_parts",
    "parts_note",
    "text_of_words",
]

# As that of a network over characters.
_NOTE = ("run", "run.json")


@dataclass(frozen=True)
class Parts:
    """A text of words, cut by position into what is learned, what is measured, what is left."""

    text: Text
    whole: Any
    train: Any
    dev: Any
    test: Any


@dataclass(frozen=True)
class WordNote:
    """Where the text of a run is, and how it was cut; the model has its vocabulary."""

    path: str | None
    bundled: bool
    dev: float
    test: float
    level: str = "word"


def knows_words(model: Any) -> bool:
    """Tell whether a model is one of words."""
    from ..words import WordVocab

    return isinstance(model.vocab, WordVocab)


def text_of_words(file: str | None) -> Text:
    """Give the text of a command line's file, or the bundled plays where none was named."""
    if file is not None:
        return text_of(file)
    from ..datasets import shakespeare

    return Text(shakespeare(), "the fifteen plays that fastgrad carries, as no file was named")


def new_parts(options: argparse.Namespace, kept: Text | None = None) -> Parts:
    """Read the text that a command names, or that was `kept`; choose its vocabulary; cut it."""
    if options.dev + options.test >= 1:
        raise UsageError("arguments --dev and --test: expected shares that leave some to train on")
    text = text_of_words(options.file) if kept is None else kept
    from ..words import read_words

    whole = read_words(
        text.source,
        train=1.0 - options.dev - options.test,
        vocab_size=options.max_size,
        min_count=options.min_count,
        tokenizer=options.tokenizer,
        eos=None if options.marks == "none" else options.marks,
    )
    return _cut(text, whole, options.dev, options.test)


def parts_note(options: argparse.Namespace, text: Text) -> dict[str, Any]:
    """Write down where the text of a model is and how it was cut."""
    note = WordNote(text.path, isinstance(text.source, bytes), options.dev, options.test)
    return {"run": asdict(note)}


def has_parts(place: Path, model: Any) -> bool:
    """Tell whether a model has a note of a run over words."""
    return _read_note(place, model) is not None


def noted_parts(place: Path, model: Any) -> Parts | None:
    """Find the text of a model where its folder has a note that holds true, and cut it again."""
    note = _read_note(place, model)
    if note is None:
        return None
    if note.bundled:
        from ..datasets import shakespeare

        text = Text(shakespeare(), "the fifteen plays that fastgrad carries")
    elif note.path is not None and Path(note.path).is_file():
        text = Text(note.path, escape(note.path))
    else:
        return None
    return _cut(text, model.vocab.read(text.source), note.dev, note.test)


def _cut(text: Text, whole: Any, dev: float, test: float) -> Parts:
    try:
        parts = whole.split(1.0 - dev - test, dev)
    except ValueError:
        raise CommandError(
            f"{text.name}: {len(whole):,} tokens are too few to train on some and to keep --dev and"
            " --test"
        ) from None
    return Parts(text, whole, *parts)


def _read_note(place: Path, model: Any) -> WordNote | None:
    try:
        note = WordNote(**read_note(place, model, *_NOTE))
        is_path = note.path is None or isinstance(note.path, str)
        if is_path and note.level == "word" and 0 < note.dev < 1 and 0 < note.test < 1 - note.dev:
            return note
    except (ValueError, LookupError, TypeError):
        pass  # What cannot be read is not there.
    return None
