"""`fastgrad train bigram`, `ngram` and `neural-bigram`: models that are a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._defaults import L2, NEURAL_BIGRAM_STEPS, SMOOTHING
from ._options import ITEMS, as_command, require
from ._report import grams, show, show_vocab
from ._runs import made_folder
from ._texts import Text, text_of

_NGRAM_EXAMPLES = """
Examples:
  fastgrad train bigram -o out                the bundled names
  fastgrad train bigram words.txt -o out      a text of yours, one item a line
  fastgrad train ngram words.txt -o out       trigrams
  zcat big.txt.gz | fastgrad train bigram - -o out    any size, little memory

Then `fastgrad sample out`, `fastgrad eval out other.txt` and `plot out`.
"""
_NEURAL_EXAMPLES = """
Examples:
  fastgrad train neural-bigram -o out --l2 0    finds what bigram counts
  fastgrad train neural-bigram -o out --lr 50 --steps 200    as in the lecture
"""
_DEFAULTS = {"smoothing": SMOOTHING, "order": 3}
_NEURAL_DEFAULTS = {"order": 2, "steps": NEURAL_BIGRAM_STEPS, "l2": L2, "seed": 0}
_NEURAL_SHOWN = {
    "lr": "none: accelerated steps; the lecture has 50",
    "batch_size": "all; fewer need --lr",
}
_CHANGES = {"out": {"required": True}}


@as_command(
    "bigram", "out smoothing", _DEFAULTS, changes=_CHANGES, file=ITEMS, examples=_NGRAM_EXAMPLES
)
def bigram(**given: Any) -> None:
    """Count how often each token follows another."""
    _count(**given, order=2)


@as_command(
    *("ngram", "out smoothing order", _DEFAULTS),
    changes=_CHANGES,
    file=ITEMS,
    examples=_NGRAM_EXAMPLES,
)
def ngram(**given: Any) -> None:
    """Count how often each token follows one or two others."""
    _count(**given)


@as_command(
    *("neural-bigram", "out order steps lr l2 batch-size seed", _NEURAL_DEFAULTS, _NEURAL_SHOWN),
    changes=_CHANGES,
    file=ITEMS,
    examples=_NEURAL_EXAMPLES,
)
def neural_bigram(file: str | None, out: Path, order: int, **settings: Any) -> None:
    """Train a network of one layer to know what counting finds."""
    on_all = settings["batch_size"] is None
    require(on_all or settings["lr"] is not None, "--batch-size: only together with --lr")
    require(
        not (on_all and settings["seed"]),
        "--seed: only together with --batch-size; all else is not random",
    )
    with made_folder(out):
        from ..models import NeuralBigram, NgramModel

        text, counts = _read(file, order)
        model = NeuralBigram(order).fit(counts, **settings, progress=True)
        steps = f"{model.history.steps:,}"
        if model.history.steps:
            last = model.loss(counts) + settings["l2"] * float((model.W**2).mean())
            steps += f"; loss with l2 {model.history.loss[0]:.6f} before, {last:.6f} after"
        show("steps", steps)
        _show_loss("loss", model, counts, "the network")
        _show_loss("", NgramModel(order, smoothing=0).fit(counts), counts, "counted")
        _save(model, text, counts, out)


def _count(file: str | None, out: Path, smoothing: float, order: int) -> None:
    with made_folder(out):
        from ..models import BigramModel, NgramModel

        text, counts = _read(file, order)
        raw = NgramModel(order, smoothing=0).fit(counts)
        _show_loss("loss", raw, counts, "raw counts")
        model = BigramModel(smoothing) if order == 2 else NgramModel(order, smoothing)
        model.fit(counts)
        if smoothing:
            _show_loss("", model, counts, f"smoothing {smoothing:g}")
        _save(model, text, counts, out)


def _read(file: str | None, order: int) -> tuple[Text, Any]:
    """Count a text, and show what was found."""
    from ..models import NgramCounts
    from ..text import count_duplicates

    text = text_of(file)
    counts = NgramCounts(text.source, order=order, progress=True)
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
    occur = f"{len(ids):,} of {len(counts.vocab) ** order:,} possible ones occur"
    show(f"{grams(order)}s", f"{counts.total:,}; {occur}")
    return text, counts


def _show_loss(name: str, model: Any, counts: Any, remark: str) -> None:
    loss, perplexity = model.loss(counts), model.perplexity(counts)
    show(name, f"{loss:.8f} nats per token, perplexity {perplexity:.4f} ({remark})")


def _save(model: Any, text: Text, counts: Any, out: Path) -> None:
    model.note = {"text": text.note(counts.num_items, counts.vocab)}
    model.save(out)
    show("saved", str(out / "model.safetensors"))
