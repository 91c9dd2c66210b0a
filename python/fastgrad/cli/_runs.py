"""Training runs: their folder and text, their notes, Ctrl-C, their result, and going on."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from .._checks import escape
from ._places import (
    Text,
    folder_of,
    knows_words,
    load_model,
    make_folder,
    noted_text,
    plays,
    read_note,
    text_note,
)
from ._report import show

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def made_folder(folder: Path) -> Generator[None]:
    """Make the folder where it is missing; a training that fails removes it, if it is empty."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder, "-o/--out")
    try:
        with _told(folder):
            yield
    except BaseException:
        for place in missing:
            with suppress(OSError):  # What something is in stays.
                place.rmdir()
        raise


@contextmanager
def _told(place: Path) -> Generator[None]:
    """Say on Ctrl-C whether the model of a folder, or of a file, was saved, and where."""
    before = _stamp(place)
    try:
        yield
    except KeyboardInterrupt as stop:
        # Of an `Interrupted`, whose module need not be loaded for this.
        done = getattr(stop, "done", "interrupted")
        told = f"{done}; nothing of this was saved"
        if getattr(stop, "saved", False):
            told = f"{done}, which are saved: `fastgrad train --resume {place}`"
        elif done == "interrupted":
            was_saved = _stamp(place) != before
            left = f"the model is saved in {place}" if was_saved else "nothing was saved"
            told = f"{done}; {left}"
        raise KeyboardInterrupt(told) from None


def _stamp(place: Path) -> tuple[int, int] | None:
    """Return what changes whenever a model is saved; None where there is none."""
    try:
        found = (place / "model.safetensors" if place.is_dir() else place).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def keep_input(folder: Path) -> Text:
    """Copy standard input to the folder of a run, so that it can be read again to go on.

    The text of an earlier run stays: as long as this one is not saved, that one can go on.
    """
    from .._files import write_atomically
    from ..text import read_lines

    data = sys.stdin.buffer.read()
    read_lines(data)  # What is no text is not kept.
    kept = folder / "text.txt"
    if kept.exists() and kept.read_bytes() != data:
        kept = kept.with_stem(f"{kept.stem}-{sha256(data).hexdigest()[:8]}")
    write_atomically(kept, data)
    return Text(str(kept), f"standard input, kept in {kept}")


@dataclass(frozen=True)
class Items:
    """A text of items, and how it is split into those to train on and those to measure."""

    text: Text
    items: list[str]
    train: list[str]
    dev: list[str] | None

    @classmethod
    def split(cls, text: Text, method: str, seed: int, group_duplicates: bool) -> Items:
        """Split a text as a command's options say; the test part is left alone."""
        items = text.items()
        if method == "none":
            return cls(text, items, items, None)
        from ..text import split

        try:
            if method == "makemore":
                parts = split(items, method="makemore")
            else:
                parts = split(items, seed=seed, group_duplicates=group_duplicates)
        except ValueError as error:
            raise click.ClickException(f"{error}; `--split none` trains on all of them") from None
        return cls(text, items, parts.train, parts.dev)

    def note(self, vocab: Any, method: str, seed: int, group_duplicates: bool) -> dict[str, Any]:
        """Return what a run cannot tell from its checkpoint: its text, and how that was split."""
        run = {"split": method, "seed": seed, "group_duplicates": group_duplicates}
        return {"text": text_note(self.text, len(self.items), vocab.characters), "run": run}

    @classmethod
    def noted(cls, place: Path, model: Any) -> Items | None:
        """Return the text of a model's run, split as it was; None where the text is gone."""
        note = read_note(place, model, "run")
        try:
            # Earlier versions said lecture, and knew no groups.
            method = "makemore" if note["split"] == "lecture" else note["split"]
            seed, together = note["seed"], bool(note.get("group_duplicates", False))
        except (ValueError, LookupError, TypeError, AttributeError):
            method, seed, together = None, None, False
        if method not in ("random", "makemore", "none") or type(seed) is not int:
            raise click.ClickException(f"{folder_of(place)}: no note says how the run began")
        text = noted_text(place, model)
        return None if text is None else cls.split(text, method, seed, together)

    def show_result(self, model: Any) -> None:
        """Show losses, beside those of bigrams counted on the same items."""
        from ..models import BigramModel

        bigrams = BigramModel().fit(self.train)
        for name, what in (("loss", model), ("bigrams", bigrams)):
            measured = f"train {what.loss(self.train):.4f}"
            # The bigrams know no token that only dev has; the network knows those of all the text.
            if self.dev is not None and set("".join(self.dev)) <= set(what.vocab.characters):
                measured += f", dev {what.loss(self.dev):.4f}"
            show(name, f"{measured} nats per token")


@dataclass(frozen=True)
class Words:
    """A text of words, cut by position into what is trained on, measured, and left alone."""

    text: Text
    whole: Any
    train: Any
    dev: Any
    test: Any

    def show_result(self, model: Any) -> None:
        """Show the perplexity on dev, beside that of counted 5-grams."""
        from ..models import Mixture

        counted = counted_words(self.train)
        both = Mixture([model, counted]).fit(self.dev)
        show("perplexity", f"dev {model.perplexity(self.dev):.1f}: the network")
        show("", f"dev {counted.perplexity(self.dev):.1f}: Kneser-Ney, 5-grams of the same text")
        share = f"{both.weights[0]:.0%} of the network"
        show("", f"dev {both.perplexity(self.dev):.1f}: a mixture of both, {share}")


def split_words(text: Text, whole: Any, dev: float, test: float) -> Words:
    """Cut a text of words; `dev` and `test` are shares."""
    try:
        parts = whole.split(1.0 - dev - test, dev)
    except ValueError:
        raise click.ClickException(
            f"{text.name}: {len(whole):,} tokens are too few to train on some and to keep"
            " --dev-fraction and --test-fraction"
        ) from None
    return Words(text, whole, *parts)


def noted_words(place: Path, model: Any) -> Words | None:
    """Return the text of a model of words, cut as it was; None where it is not known or gone."""
    note = _word_note(place, model)
    if note is None:
        return None
    if note["bundled"]:
        text = plays()
    elif note["path"] is not None and Path(note["path"]).is_file():
        text = Text(note["path"], escape(note["path"]))
    else:
        return None
    whole = model.vocab.read(text.source)
    return split_words(text, whole, note["dev_fraction"], note["test_fraction"])


def _word_note(place: Path, model: Any) -> dict[str, Any] | None:
    """Return the note of a run over words, None where there is none that makes sense."""
    note = read_note(place, model, "run")
    try:
        if "dev" in note:  # Earlier versions had shorter words.
            note = {**note, "dev_fraction": note["dev"], "test_fraction": note["test"]}
        dev, test = note["dev_fraction"], note["test_fraction"]
        fits = note["level"] == "word" and 0 < dev < 1 and 0 < test < 1 - dev
        return note if fits and isinstance(note["path"], str | None) else None
    except (ValueError, LookupError, TypeError):
        return None  # What cannot be read is not there.


def counted_words(train: Any) -> Any:
    """Count n-grams to compare with; print a line where the text is too short for discounts."""
    from ..models import DiscountWarning, KneserNey

    with warnings.catch_warnings(record=True, category=DiscountWarning) as caught:
        warnings.simplefilter("always", DiscountWarning)
        counted = KneserNey().fit(train)
    for warning in caught:
        show("note", f"the text is short for Kneser-Ney: {warning.message}")
    return counted


def train(fit: Callable[[str], Any], parts: Items | Words, place: Path, *, made: int = 0) -> None:
    """Make the steps of a run, which `fit` makes with the name of a log file; show the result."""
    start = perf_counter()
    try:
        model = fit(str(folder_of(place) / "log.jsonl"))
    except ArithmeticError as error:  # A DivergedError, whose module need not be loaded for this.
        raise click.ClickException(
            f"{error}, as --lr; --resume would come to the same step. {place} has these"
            " parameters, and what it had before, if anything, as *.previous"
        ) from None
    seconds = max(perf_counter() - start, 1e-9)
    steps = model.history.steps - made
    done = f"{steps:,} in {seconds:.1f} s, {steps / seconds:,.0f} per second"
    stopped = "" if model.history.stopped == "finished" else f"; {model.history.stopped}"
    show("steps", (done if steps else "none were left to make") + stopped)
    parts.show_result(model)
    show("saved", str(place / "model.safetensors" if place.is_dir() else place))


def resume(place: Path) -> None:
    """Go on with the training run of a folder, or of a model's file in it."""
    model = load_model(place, "fastgrad train nplm")
    with _told(place):
        _resume(place, model)


def _resume(place: Path, before: Any) -> None:
    from ..checkpoint import CheckpointError
    from ..models import NPLM, WordNPLM

    if not isinstance(before, NPLM | WordNPLM):
        raise click.ClickException(_refusal(place, before))
    words = knows_words(before)
    if words and _word_note(place, before) is None:
        raise click.ClickException(f"{folder_of(place)}: no note says how a run over words began")
    parts = noted_words(place, before) if words else Items.noted(place, before)
    if parts is None:
        raise click.ClickException(
            f"{folder_of(place)}: the text of the training run is not there any more"
        )
    made = before.history.steps
    show("text", parts.text.name)
    show("model", repr(before))
    show("resumed", f"after {made:,} steps")

    def fit(log: str) -> Any:
        try:
            return type(before).resume(place, parts.train, parts.dev, progress=True, log=log)
        except CheckpointError:
            raise
        except ValueError as error:
            changed = f"has {parts.text.name} changed?"
            raise click.ClickException(f"{place}: {error}; {changed}") from None

    train(fit, parts, place, made=made)


def _refusal(place: Path, model: Any) -> str:
    """Return what is there instead of a network, and where that may be."""
    from ..checkpoint import previous
    from ..models.saving import model_path

    file = model_path(place)
    before = previous(file)
    kept = f"; the model before it is kept as {before}" if before.is_file() else ""
    return (
        f"{file}: holds a {type(model).__name__}, which --resume cannot go on with; expected a"
        f" network of `fastgrad train nplm`{kept}"
    )
