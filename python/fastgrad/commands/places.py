"""What is in the folder of a model: the model itself, and a note of the text it was made from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import CommandError, make_folder
from .texts import Text, bundled

if TYPE_CHECKING:
    import argparse

__all__ = [
    "add_model",
    "has_model",
    "has_note",
    "load_model",
    "note_text",
    "noted_text",
    "picture_path",
]

# The model file knows characters and counts, but not the text. So that samples can be compared
# with the text, the folder has a note of where it was. A model without one is as good.
_NOTE = "text.json"


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


def note_text(folder: Path, text: Text, items: int, characters: str) -> None:
    """Write down where the text of the folder's model is."""
    is_bundled = isinstance(text.source, bytes)
    note = {
        "bundled": is_bundled,
        "path": text.path,
        "items": items,
        "characters": characters,
    }
    fresh = folder / f"{_NOTE}.saving"
    fresh.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, folder / _NOTE)


def has_note(place: Path) -> bool:
    """Tell whether the folder of a model has a note of a text."""
    return ((place if place.is_dir() else place.parent) / _NOTE).is_file()


def noted_text(place: Path, model: Any) -> Text | None:
    """Find the text that a model was made from, where its folder has a note that holds true.

    A folder may hold other models than the one that was made last, which the note is about.
    """
    try:
        note = json.loads(((place if place.is_dir() else place.parent) / _NOTE).read_bytes())
        if model is None or note["characters"] != model.vocab.characters:
            return None
        if hasattr(model, "counts") and note["items"] != model.counts.items:
            return None
        if note["bundled"]:
            return bundled()
        if note["path"] is not None and Path(note["path"]).is_file():
            return Text(note["path"], note["path"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # Whatever is wrong with it, it is only a note.
    return None
