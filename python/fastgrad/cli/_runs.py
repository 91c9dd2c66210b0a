"""Training runs: their folder and text, how that is split, their result, and going on."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from ._ranks import ranks
from ._report import show
from ._texts import Text, folder_of, knows_words, load_model, make_folder, noted_text, read_note

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from ..distributed import Comm


@contextmanager
def made_folder(folder: Path) -> Generator[None]:
    """Make the folder where it is missing; a training that fails removes it, if it is empty."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder, "-o/--out")
    try:
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):  # A folder that is not empty stays.
                place.rmdir()
        raise


def keep_input(folder: Path) -> Text:
    """Copy standard input to the folder of a run, so that it can be read again to go on.

    The text of an earlier run stays: as long as this one is not saved, that one can go on.
    """
    from .._files import write_atomically
    from ..text import read_lines

    data = sys.stdin.buffer.read()
    read_lines(data)  # Raises before anything is kept, if this is no text.
    kept = folder / "text.txt"
    if kept.exists() and kept.read_bytes() != data:
        kept = kept.with_stem(f"{kept.stem}-{sha256(data).hexdigest()[:8]}")
    write_atomically(kept, data)
    return Text(str(kept), f"standard input, kept in {kept}")


@dataclass(frozen=True)
class Parts:
    """A text, and its parts: to train on, to measure (dev), and to leave alone (test)."""

    text: Text
    whole: Any
    train: Any
    dev: Any
    test: Any
    how: dict[str, Any]
    """Note how the text was split, so that it can be split like this again."""


def cut_items(text: Text, split: str, seed: int, group_duplicates: bool) -> Parts:
    """Split a text of items as a command's options say."""
    from ..text import split as split_items

    how = {"split": split, "seed": seed, "group_duplicates": group_duplicates}
    items = text.items()
    if split == "none":
        return Parts(text, items, items, None, None, how)
    options: dict[str, Any] = {"method": "makemore"}
    if split == "random":
        options = {"seed": seed, "group_duplicates": group_duplicates}
    try:
        return Parts(text, items, *split_items(items, **options), how=how)
    except ValueError as error:
        raise click.ClickException(f"{error}; `--split none` trains on all of them") from None


def cut_words(text: Text, whole: Any, dev: float, test: float) -> Parts:
    """Cut a text of words by position; `dev` and `test` are shares."""
    how = {"level": "word", **text.where(), "dev_fraction": dev, "test_fraction": test}
    try:
        return Parts(text, whole, *whole.split(1.0 - dev - test, dev), how=how)
    except ValueError:
        raise click.ClickException(
            f"{text.name}: {len(whole):,} tokens are too few to train on some and to keep"
            " --dev-fraction and --test-fraction"
        ) from None


def noted_parts(place: Path, model: Any) -> Parts | None:
    """Return the text of a model's run, cut as it was; None where the text is gone.

    Notes of earlier versions have other names for the shares and for makemore's split, and no
    groups.
    """
    note, words = read_note(place, model, "run"), knows_words(model)
    how: tuple[Any, ...]
    if words:
        how = tuple(note.get(f"{part}_fraction", note.get(part)) for part in ("dev", "test"))
        is_known = note.get("level") == "word" and all(type(share) is float for share in how)
    else:
        split = "makemore" if note.get("split") == "lecture" else note.get("split")
        how = split, note.get("seed"), bool(note.get("group_duplicates"))
        is_known = split in ("random", "makemore", "none") and type(how[1]) is int
    if not is_known:
        run = "a run over words" if words else "the run"
        raise click.ClickException(f"{folder_of(place)}: no note says how {run} began")
    if (text := noted_text(place, model)) is None:
        return None
    return cut_words(text, model.vocab.read(text.source), *how) if words else cut_items(text, *how)


def _show_losses(model: Any, parts: Parts) -> None:
    """Show losses, beside those of bigrams counted on the same items."""
    from ..models import BigramModel

    for name, what in (("loss", model), ("bigrams", BigramModel().fit(parts.train))):
        measured = f"train {what.loss(parts.train):.4f}"
        # The bigrams know no token that only dev has; the network knows those of all the text.
        if parts.dev is not None and set("".join(parts.dev)) <= set(what.vocab.characters):
            measured += f", dev {what.loss(parts.dev):.4f}"
        show(name, f"{measured} nats per token")


def _show_perplexities(model: Any, parts: Parts) -> None:
    """Show the perplexity on dev, beside that of counted 5-grams."""
    from ..models import Mixture

    counted = counted_words(parts.train)
    both = Mixture([model, counted]).fit(parts.dev)
    for name, what, remark in (
        ("perplexity", model, "the network"),
        ("", counted, "Kneser-Ney, 5-grams of the same text"),
        ("", both, f"a mixture of both, {both.weights[0]:.0%} of the network"),
    ):
        show(name, f"dev {what.perplexity(parts.dev):.1f}: {remark}")


def counted_words(train: Any) -> Any:
    """Count n-grams to compare with; print a line where the text is too short for discounts."""
    from ..models import DiscountWarning, KneserNey

    with warnings.catch_warnings(record=True, category=DiscountWarning) as caught:
        warnings.simplefilter("always", DiscountWarning)
        counted = KneserNey().fit(train)
    for warning in caught:
        show("note", f"the text is short for Kneser-Ney: {warning.message}")
    return counted


def on_ranks(given: Mapping[str, Any], comm: Comm) -> dict[str, Any]:
    """Return the settings of `fit` on several ranks; none without --mpi."""
    if not given["mpi"]:
        return {}
    reduction, output_layer = given["mpi_reduction"], given["mpi_output"]
    return {"comm": comm, "reduction": reduction, "output_layer": output_layer}


def train(fit: Callable[..., Any], parts: Parts, place: Path, comm: Comm, made: int = 0) -> None:
    """Have `fit` make the steps of a run; show the result. `made` were made before."""
    start = perf_counter()
    try:
        log = folder_of(place) / "log.jsonl"
        model = fit(train=parts.train, dev=parts.dev, progress=True, log=log)
    except ArithmeticError as error:  # A DivergedError, whose module need not be loaded for this.
        raise click.ClickException(
            f"{error}, as --lr; --resume would come to the same step. {place} has the best model"
            " of the run, and the one before the run as *.previous; where the run has learned"
            " nothing, it has the one before"
        ) from None
    if comm.rank:
        raise Exit(0)  # The first rank measures and tells.
    seconds = max(perf_counter() - start, 1e-9)
    steps = model.history.steps - made
    done = f"{steps:,} in {seconds:.1f} s, {steps / seconds:,.0f} per second"
    stopped = "" if model.history.stopped == "finished" else f"; {model.history.stopped}"
    show("steps", (done if steps else "none were left to make") + stopped)
    (_show_perplexities if knows_words(model) else _show_losses)(model, parts)
    show_saved(place)


def show_saved(place: Path) -> None:
    """Show the file of a model that was saved."""
    show("saved", str(place / "model.safetensors" if place.is_dir() else place))


def resume(place: Path, given: Mapping[str, Any] | None = None) -> None:
    """Go on with the training run of a folder, or of a model's file in it."""
    given = given or {"mpi": False}
    with ranks(given["mpi"]) as comm:
        _resume(place, comm, on_ranks(given, comm))


def _without_output(place: Path) -> Any:
    """Load a network with no rows of the output layer, which may be larger than memory."""
    from ..models import NPLM, WordNPLM
    from ..models.nplm.saved import read_run
    from ..models.saving import read_model

    def no_rows(_size: int) -> slice:
        return slice(0, 0)

    makers: dict[str, Any] = {
        kind.kind: partial(read_run, kind, rows_of=no_rows) for kind in (NPLM, WordNPLM)
    }
    return read_model(place, makers, mapped=True)[0]


def _resume(place: Path, comm: Comm, more: dict[str, Any]) -> None:
    is_sharded = more.get("output_layer") == "sharded"
    before = load_model(place, "fastgrad train nplm", _without_output if is_sharded else None)
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
    if (parts := noted_parts(place, before)) is None:
        raise click.ClickException(
            f"{folder_of(place)}: the text of the training run is not there any more"
        )
    made = before.history.steps
    show("text", parts.text.name)
    show("model", repr(before))
    show("resumed", f"after {made:,} steps")

    def fit(**settings: Any) -> Any:
        try:
            return type(before).resume(place, **settings, **more)
        except CheckpointError:
            raise
        except ValueError as error:
            changed = f"has {parts.text.name} changed?"
            raise click.ClickException(f"{place}: {error}; {changed}") from None

    train(fit, parts, place, comm, made)
