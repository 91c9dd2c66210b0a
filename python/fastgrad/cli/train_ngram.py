"""`fastgrad train bigram`, `ngram` and `neural-bigram`: models that are a table."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._defaults import L2, NEURAL_BIGRAM_STEPS, SMOOTHING
from ._options import examples, file_argument, options
from ._places import Text, text_note, text_of
from ._report import show
from ._runs import made_folder

if TYPE_CHECKING:
    from collections.abc import Generator

_NGRAM_EXAMPLES = """
Examples:
  fastgrad train bigram -o out                the bundled names
  fastgrad train bigram words.txt -o out      a text of yours, one item a line
  fastgrad train ngram words.txt -o out       trigrams
  zcat big.txt.gz | fastgrad train bigram - -o out    any size, little memory

Then `fastgrad sample out`, `fastgrad eval out other.txt` and
`fastgrad plot out`.
"""
_NEURAL_EXAMPLES = """
Examples:
  fastgrad train neural-bigram -o out --l2 0    finds what bigram counts
  fastgrad train neural-bigram -o out --lr 50 --steps 200    as in the lecture
"""


@click.command("bigram", epilog=examples(_NGRAM_EXAMPLES))
@file_argument()
@options("out smoothing", {"smoothing": SMOOTHING}, required="out")
def bigram(file: str | None, out: Path, smoothing: float) -> None:
    """Count how often each token follows another.

    FILE is a text, UTF-8, one item a line; - is standard input. Without it the model is of 32,469
    first names, which the package carries.
    """
    _count(file, out, smoothing, 2)


@click.command("ngram", epilog=examples(_NGRAM_EXAMPLES))
@file_argument()
@options("out smoothing order", {"smoothing": SMOOTHING, "order": 3}, required="out")
def ngram(file: str | None, out: Path, smoothing: float, order: int) -> None:
    """Count how often each token follows one or two others.

    FILE is a text, UTF-8, one item a line; - is standard input. Without it the model is of 32,469
    first names, which the package carries.
    """
    _count(file, out, smoothing, order)


@click.command("neural-bigram", epilog=examples(_NEURAL_EXAMPLES))
@file_argument()
@options(
    "out order steps lr l2 batch-size seed",
    {"order": 2, "steps": NEURAL_BIGRAM_STEPS, "l2": L2, "seed": 0},
    {"lr": "none: accelerated steps; the lecture has 50", "batch_size": "all; fewer need --lr"},
    required="out",
)
def neural_bigram(file: str | None, out: Path, order: int, **settings: Any) -> None:
    """Train a network of one layer to know what counting finds.

    FILE is a text, UTF-8, one item a line; - is standard input. Without it the model is of 32,469
    first names, which the package carries.
    """
    if settings["batch_size"] is not None and settings["lr"] is None:
        raise click.UsageError("--batch-size: only together with --lr")
    if settings["batch_size"] is None and settings["seed"]:
        raise click.UsageError("--seed: only together with --batch-size; all else is not random")
    with _counts(file, out, order) as (counts, save):
        from ..models import NeuralBigram, NgramModel

        model = NeuralBigram(order).fit(counts, **settings, progress=True)
        steps = f"{model.history.steps:,}"
        if model.history.steps:
            last = model.loss(counts) + settings["l2"] * float((model.W**2).mean())
            steps += f"; loss with l2 {model.history.loss[0]:.6f} before, {last:.6f} after"
        show("steps", steps)
        _show_loss("loss", model, counts, "the network")
        raw = NgramModel(order, smoothing=0).fit(counts)
        _show_loss("", raw, counts, "counted")
        save(model)


def _count(file: str | None, out: Path, smoothing: float, order: int) -> None:
    with _counts(file, out, order) as (counts, save):
        from ..models import BigramModel, NgramModel

        raw = NgramModel(order, smoothing=0).fit(counts)
        _show_loss("loss", raw, counts, "raw counts")
        model = BigramModel(smoothing) if order == 2 else NgramModel(order, smoothing)
        model.fit(counts)
        if smoothing:
            _show_loss("", model, counts, f"smoothing {smoothing:g}")
        save(model)


@contextmanager
def _counts(file: str | None, out: Path, order: int) -> Generator[tuple[Any, Any]]:
    """Count a text and show what was found; save the model, and say where it is."""
    text = text_of(file)
    with made_folder(out):
        from ..models import NgramCounts

        counts = NgramCounts(text.source, order=order, progress=True)
        _show_text(text, counts)

        def save(model: Any) -> None:
            model.note = {"text": text_note(text, counts.num_items, counts.vocab.characters)}
            model.save(out)

        yield counts, save
    show("saved", str(out / "model.safetensors"))


def _show_text(text: Text, counts: Any) -> None:
    """Show what was read."""
    from ..text import count_duplicates

    show("text", text.name)
    items = f"{counts.num_items:,}"
    if text.is_small:
        items += f", of which {count_duplicates(text.items()):,} repeat an earlier one"
    show("items", items)
    characters = counts.vocab.characters
    if not characters.isprintable():
        characters = repr(characters)
    listed = characters if len(characters) <= 60 else f"{characters[:59]}…"
    show("characters", f"{len(counts.vocab) - 1:,}: {listed}")
    if "\0" in counts.vocab:
        show("", "with the NUL character: a text in UTF-16 is to be converted to UTF-8 first")
    show_vocab(counts.vocab)
    ids, _ = counts.nonzero()
    cells = len(counts.vocab) ** counts.order
    occur = f"{len(ids):,} of {cells:,} possible ones occur"
    show(f"{grams(counts.order)}s", f"{counts.total:,}; {occur}")


def show_vocab(vocab: Any) -> None:
    """Show the size of a vocabulary, and the token that ends items."""
    show("vocabulary", f"V = {len(vocab):,}, with {vocab.eos_token!r} for start and end of an item")
    if (note := vocab.eos_note()) is not None:
        show("", note)


def grams(order: int) -> str:
    """Return the name of an n-gram: bigram or trigram."""
    return "bigram" if order == 2 else "trigram"


def _show_loss(name: str, model: Any, counts: Any, remark: str) -> None:
    loss, perplexity = model.loss(counts), model.perplexity(counts)
    show(name, f"{loss:.8f} nats per token, perplexity {perplexity:.4f} ({remark})")
