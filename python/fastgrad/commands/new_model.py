"""What all kinds of `fastgrad train` share: the folder of the model, and the report on the text."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import folder_name, make_folder
from .report import show

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from .texts import Text

__all__ = ["add_out", "made_folder", "show_items", "show_saved", "show_symbols", "told_on_ctrl_c"]

_OPTION = "-o/--out"


def add_out(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Declare the argument that names the folder of the model."""
    parser.add_argument(
        *_OPTION.split("/"),
        type=folder_name,
        required=required,
        metavar="DIR",
        help="folder for the model, made where it is missing; whenever model.safetensors is saved,"
        " the one before is kept as model.safetensors.previous",
    )


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make the folder where it is missing; a training that fails takes it away, if it is empty."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder, _OPTION)
    try:
        with told_on_ctrl_c(folder):
            yield
    except BaseException:
        for place in missing:
            try:
                place.rmdir()
            except OSError:  # Something is in it, which stays.
                break
        raise


@contextmanager
def told_on_ctrl_c(place: Path) -> Iterator[None]:
    """Say on Ctrl-C whether the model of a folder, or of a file, was saved since."""
    before = _stamp(place)
    try:
        yield
    except KeyboardInterrupt as stop:
        if str(stop):
            raise
        saved = "nothing was saved" if _stamp(place) == before else f"the model is saved in {place}"
        raise KeyboardInterrupt(f"interrupted; {saved}") from None


def _stamp(place: Path) -> tuple[int, int] | None:
    """Give what changes whenever a model is saved; None where there is none."""
    try:
        found = (place / "model.safetensors" if place.is_dir() else place).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def show_items(text: Text, count: int) -> None:
    """Tell which text was read, and how many items it has; of a small one, how many repeat."""
    show("text", text.name)
    items = f"{count:,}"
    if text.is_small:
        items += f", of which {count_duplicates(text.items()):,} repeat an earlier one"
    show("items", items)


def show_symbols(vocab: Any) -> None:
    """Tell what the model's vocabulary is."""
    characters = vocab.characters if vocab.characters.isprintable() else repr(vocab.characters)
    listed = characters if len(characters) <= 70 else f"{characters[:69]}…"
    show("characters", f"{len(vocab) - 1:,}: {listed}")
    if "\0" in vocab:
        show("", "with the NUL character: a text in UTF-16 is to be converted to UTF-8 first")
    show("symbols", f"V = {len(vocab):,}, with {vocab.eos_token!r} for start and end of an item")
    if (note := vocab.eos_note()) is not None:
        show("", note)


def show_saved(folder: Path) -> None:
    """Tell where the model is."""
    show("saved", str(folder / "model.safetensors"))
