"""A training run of a command: its text and parts, its notes, Ctrl-C, its result, and going on."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .arguments import CommandError
from .places import noted_text, read_note, text_note
from .report import show
from .texts import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..models import NPLM

__all__ = ["LOG", "RunNote", "keep_input", "parts_of", "resume", "saved_on_ctrl_c", "show_result"]

LOG = "log.jsonl"
# The part of a model's note, besides that of the text, which earlier versions left as a file: how
# the text was split, so that a run can go on with the same parts.
_NOTE = ("run", "run.json")
# What came from standard input, which cannot be read again.
_INPUT = "text.txt"


@dataclass(frozen=True)
class RunNote:
    """What a run cannot tell from its checkpoint: how the text was split."""

    split: str
    seed: int
    batch: int
    group_duplicates: bool = False

    def whole(self, text: Text, items: int, characters: str) -> dict[str, Any]:
        """Give the note of a model: this, and where its text is."""
        return {"text": text_note(text, items, characters), "run": asdict(self)}

    @classmethod
    def read(cls, place: Path, model: Any) -> RunNote | None:
        """Give the note of a model, or None where there is none that makes sense."""
        note = read_note(place, model, *_NOTE)
        try:
            if note["split"] in ("random", "lecture", "none") and type(note["seed"]) is int:
                # Older notes do not tell of repeats, which were not kept together then.
                together = bool(note.get("group_duplicates", False))
                return cls(note["split"], note["seed"], int(note["batch"]), together)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            pass  # What cannot be read is not there.
        return None


def keep_input(folder: Path) -> Text:
    """Copy standard input to the folder of a run, so that it can be read again to go on.

    The text of an earlier run stays: as long as this one is not saved, that one can go on.
    """
    from .._files import write_atomically
    from ..text import read

    data = sys.stdin.buffer.read()
    read(data)  # What is no text is not kept.
    kept = folder / _INPUT
    if kept.exists() and not _holds(kept, data):
        kept = kept.with_stem(f"{kept.stem}-{sha256(data).hexdigest()[:8]}")
    if not _holds(kept, data):
        write_atomically(kept, data)
    return Text(str(kept), f"standard input, kept in {kept}")


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def parts_of(
    items: list[str], method: str, seed: int, *, group_duplicates: bool
) -> tuple[list[str], list[str] | None]:
    """Split items as a command's options say; the test part is left alone."""
    if method == "none":
        return items, None
    from ..text import split

    try:
        if method == "lecture":
            parts = split(items, method="makemore")
        else:
            parts = split(items, seed=seed, group_duplicates=group_duplicates)
    except ValueError as error:
        raise CommandError(f"{error}; `--split none` trains on all of them") from None
    return parts.train, parts.dev


@contextmanager
def saved_on_ctrl_c(folder: Path) -> Iterator[None]:
    """Say what Ctrl-C has left, and how to go on with it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        # An `Interrupted`, whose module need not be loaded for this, once training has begun.
        done = getattr(stop, "done", None)
        if done is None:
            raise
        advice = f"{done}; nothing of this was saved"
        if getattr(stop, "saved", False):
            advice = f"{done}, which are saved: `fastgrad train --resume {folder}`"
        raise KeyboardInterrupt(advice) from None
    except ArithmeticError as error:  # A DivergedError, whose module need not be loaded for this.
        raise CommandError(
            f"{error}, as --lr; --resume would come to the same step. {folder} has these"
            " parameters, and what it had before, if anything, as *.previous"
        ) from None


def resume(place: Path, before: NPLM) -> None:
    """Go on with the training run of a folder, or of a model's file in it, where `before` is."""
    from ..checkpoint import CheckpointError

    folder = place if place.is_dir() else place.parent
    text, note = noted_text(folder, before), RunNote.read(place, before)
    if note is None:
        raise CommandError(f"{folder}: there is no note of how a training run began")
    if text is None:
        raise CommandError(f"{folder}: the text of the training run is not there any more")
    together = note.group_duplicates
    train, dev = parts_of(text.items(), note.split, note.seed, group_duplicates=together)
    made = len(before.history.loss)
    show("text", text.name)
    show("model", repr(before))
    show("resumed", f"after {made:,} steps")
    start = perf_counter()
    with saved_on_ctrl_c(place):
        try:
            model = type(before).resume(place, train, dev, progress=True, log=folder / LOG)
        except CheckpointError:
            raise
        except ValueError as error:
            raise CommandError(f"{place}: {error}; has {text.name} changed?") from None
    steps = len(model.history.loss) - made
    show_result(model, train, dev, perf_counter() - start, steps, note.batch)
    show("saved", str(place / "model.safetensors" if place.is_dir() else place))


def show_result(
    model: Any, train: list[str], dev: list[str] | None, seconds: float, steps: int, batch: int
) -> None:
    """Tell losses, beside those of bigrams counted on the same items."""
    from ..models import BigramModel

    speed = steps * batch / max(seconds, 1e-9)
    stopped = "" if model.history.stopped == "finished" else f"; {model.history.stopped}"
    speed_told = f"{steps:,} in {seconds:.1f} s, {speed:,.0f} examples a second"
    show("steps", (speed_told if steps else "none were left to make") + stopped)
    bigrams = BigramModel.fit(train, smoothing=1.0)
    for name, what in (("loss", model), ("bigrams", bigrams)):
        measured = f"train {what.loss(train):.4f}"
        # The bigrams know no symbol that only dev has; the network knows those of the whole text.
        if dev is not None and set("".join(dev)) <= set(what.vocab.characters):
            measured += f", dev {what.loss(dev):.4f}"
        show(name, f"{measured} nats a symbol")
