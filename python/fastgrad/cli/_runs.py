"""Training runs: their folder and text, how that is split, their result, and going on."""

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

from ._report import show
from ._texts import Text, folder_of, load_model, make_folder, noted_text, read_note

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def made_folder(folder: Path) -> Generator[None]:
    """Make the folder where it is missing; a training that fails removes it, if it is empty."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder, "-o/--out")
    try:
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):  # What something is in stays.
                place.rmdir()
        raise


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
    how: dict[str, Any]

    @classmethod
    def cut(cls, text: Text, split: str, seed: int, group_duplicates: bool) -> Items:
        """Split a text as a command's options say; the test part is left alone."""
        how = {"split": split, "seed": seed, "group_duplicates": group_duplicates}
        items = text.items()
        if split == "none":
            return cls(text, items, items, None, how)
        from ..text import split as split_items

        try:
            if split == "makemore":
                parts = split_items(items, method="makemore")
            else:
                parts = split_items(items, seed=seed, group_duplicates=group_duplicates)
        except ValueError as error:
            raise click.ClickException(f"{error}; `--split none` trains on all of them") from None
        return cls(text, items, parts.train, parts.dev, how)

    @classmethod
    def noted(cls, place: Path, model: Any) -> Items | None:
        """Return the text of a model's run, split as it was; None where the text is gone."""
        note = read_note(place, model, "run")
        # Earlier versions said lecture, and knew no groups.
        split = "makemore" if note.get("split") == "lecture" else note.get("split")
        seed, together = note.get("seed"), bool(note.get("group_duplicates", False))
        if split not in ("random", "makemore", "none") or type(seed) is not int:
            raise click.ClickException(f"{folder_of(place)}: no note says how the run began")
        text = noted_text(place, model)
        return None if text is None else cls.cut(text, split, seed, together)

    def note(self, vocab: Any) -> dict[str, Any]:
        """Return what a run cannot tell from its checkpoint: its text, and how that was split."""
        return {"text": self.text.note(len(self.items), vocab), "run": self.how}

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
    how: dict[str, Any]

    @classmethod
    def cut(cls, text: Text, whole: Any, dev: float, test: float) -> Words:
        """Cut a text of words; `dev` and `test` are shares."""
        try:
            parts = whole.split(1.0 - dev - test, dev)
        except ValueError:
            raise click.ClickException(
                f"{text.name}: {len(whole):,} tokens are too few to train on some and to keep"
                " --dev-fraction and --test-fraction"
            ) from None
        train, left, last = parts
        return cls(text, whole, train, left, last, {"dev_fraction": dev, "test_fraction": test})

    @classmethod
    def noted(cls, place: Path, model: Any) -> Words | None:
        """Return the text of a model's run, cut as it was; None where the text is gone."""
        note = read_note(place, model, "run")
        # Earlier versions had shorter words.
        dev = note.get("dev_fraction", note.get("dev"))
        test = note.get("test_fraction", note.get("test"))
        if note.get("level") != "word" or not isinstance(dev, float) or not isinstance(test, float):
            where = folder_of(place)
            raise click.ClickException(f"{where}: no note says how a run over words began")
        text = noted_text(place, model)
        return None if text is None else cls.cut(text, model.vocab.read(text.source), dev, test)

    def note(self) -> dict[str, Any]:
        """Return what a run cannot tell from its checkpoint: its text, and how that was cut."""
        return {"run": {"level": "word", **self.text.where(), **self.how}}

    def show_result(self, model: Any) -> None:
        """Show the perplexity on dev, beside that of counted 5-grams."""
        from ..models import Mixture

        counted = counted_words(self.train)
        both = Mixture([model, counted]).fit(self.dev)
        show("perplexity", f"dev {model.perplexity(self.dev):.1f}: the network")
        show("", f"dev {counted.perplexity(self.dev):.1f}: Kneser-Ney, 5-grams of the same text")
        share = f"{both.weights[0]:.0%} of the network"
        show("", f"dev {both.perplexity(self.dev):.1f}: a mixture of both, {share}")


def counted_words(train: Any) -> Any:
    """Count n-grams to compare with; print a line where the text is too short for discounts."""
    from ..models import DiscountWarning, KneserNey

    with warnings.catch_warnings(record=True, category=DiscountWarning) as caught:
        warnings.simplefilter("always", DiscountWarning)
        counted = KneserNey().fit(train)
    for warning in caught:
        show("note", f"the text is short for Kneser-Ney: {warning.message}")
    return counted


def train(fit: Callable[..., Any], parts: Items | Words, place: Path, made: int = 0) -> None:
    """Have `fit` make the steps of a run; show the result. `made` were made before."""
    start = perf_counter()
    try:
        log = folder_of(place) / "log.jsonl"
        model = fit(train=parts.train, dev=parts.dev, progress=True, log=log)
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
    before = load_model(place, "fastgrad train nplm")
    from ..checkpoint import CheckpointError, previous
    from ..models import NPLM, WordNPLM
    from ..models.saving import model_path

    if not isinstance(before, NPLM | WordNPLM):
        file = model_path(place)
        kept = previous(file)
        raise click.ClickException(
            f"{file}: holds a {type(before).__name__}, which --resume cannot go on with; expected a"
            " network of `fastgrad train nplm`"
            + (f"; the model before it is kept as {kept}" if kept.is_file() else "")
        )
    parts = (Words if isinstance(before, WordNPLM) else Items).noted(place, before)
    if parts is None:
        raise click.ClickException(
            f"{folder_of(place)}: the text of the training run is not there any more"
        )
    made = before.history.steps
    show("text", parts.text.name)
    show("model", repr(before))
    show("resumed", f"after {made:,} steps")

    def fit(**settings: Any) -> Any:
        try:
            return type(before).resume(place, **settings)
        except CheckpointError:
            raise
        except ValueError as error:
            changed = f"has {parts.text.name} changed?"
            raise click.ClickException(f"{place}: {error}; {changed}") from None

    train(fit, parts, place, made)
