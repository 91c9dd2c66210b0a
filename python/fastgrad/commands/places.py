"""Where a model is, and the note of the text that it was made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._checks import escape
from .arguments import CommandError, make_folder
from .texts import Text, bundled

if TYPE_CHECKING:
    import argparse

__all__ = [
    "add_model",
    "has_model",
    "has_note",
    "load_model",
    "noted_text",
    "picture_path",
    "read_note",
    "text_note",
]

# A model knows characters and counts, but not the text. So that samples can be compared with the
# text, the model's note has a part that says where it was, which earlier versions left as a file. A
# model without one is as good.
_NOTE = ("text", "text.json")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that names a model."""
    parser.add_argument(
        "model", type=Path, metavar="DIR", help="folder that `train` wrote, or a model's file"
    )


def load_model(place: Path) -> Any:
    """Load the model of a folder, or of a file."""
    from ..models import load

    if not has_model(place):
        what = "model.safetensors in it" if place.is_dir() else "model"
        raise CommandError(
            f"{place}: there is no {what}; `fastgrad train bigram -o {place}` trains"
        )
    return load(place)


def has_model(place: Path) -> bool:
    """Tell whether there is a model in a folder, or in a file."""
    from ..models.saving import model_path

    return model_path(place).is_file()


def picture_path(out: Path | None, folder: Path, name: str) -> Path:
    """Say where a picture goes: to `out`, or as `name` to that folder, or to the model's."""
    path = out or folder
    if path.is_dir():
        path /= name
    elif not path.suffix:
        path = path.with_name(f"{path.name}.png")
    make_folder(path.parent, "-o/--out")
    return path


def text_note(text: Text, items: int, characters: str) -> dict[str, Any]:
    """Write down where the text of a model is."""
    return {
        "bundled": isinstance(text.source, bytes),
        "path": text.path,
        "items": items,
        "characters": characters,
    }


def read_note(place: Path, model: Any, part: str, file: str) -> Any:
    """Give a part of what was noted of a model; None where there is none.

    Earlier versions left notes as files beside the model.
    """
    if model.note is not None:
        return model.note.get(part)
    try:
        return json.loads(((place if place.is_dir() else place.parent) / file).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # What cannot be read is not there.


def has_note(place: Path, model: Any) -> bool:
    """Tell whether a model has a note of its text."""
    return read_note(place, model, *_NOTE) is not None


def noted_text(place: Path, model: Any) -> Text | None:
    """Find the text that a model was made from, where there is a note that holds true.

    A note in a file may be of another model than this one: that which was made last.
    """
    note = read_note(place, model, *_NOTE)
    try:
        if note["characters"] != model.vocab.characters:
            return None
        if hasattr(model, "counts") and note["items"] != model.counts.items:
            return None
        if note["bundled"]:
            return bundled()
        if note["path"] is not None and Path(note["path"]).is_file():
            return Text(note["path"], escape(note["path"]))
    except (OSError, ValueError, LookupError, TypeError):
        pass  # Whatever is wrong with it, it is only a note.
    return None
