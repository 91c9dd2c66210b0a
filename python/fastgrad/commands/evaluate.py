"""`fastgrad eval`: how well a model predicts a text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from . import use_words
from .arguments import CommandError, add_command
from .places import add_model, has_note, load_model, noted_text
from .report import grams, plural, show
from .texts import Text, add_file, text_of
from .word_texts import knows_words

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]

_EXAMPLES = """\
examples:
  fastgrad eval out                           the text that it was trained on
  fastgrad eval out other.txt
  grep -i smith people.txt | fastgrad eval out -

A network over words is measured on the parts of its text that it was not trained on, beside 5-grams
counted in the part that it was trained on.

The loss is the mean negative log-likelihood in nats per symbol, the end of each item included; the
perplexity is e to the power of it. Both are inf where the model gives something in the text the
probability zero, which smoothing prevents."""

# How many of a long list of n-grams are named.
_NAMED = 8


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "eval",
        _run,
        help="measure how well a model predicts a text",
        description="Print the loss and the perplexity of a text under a model.",
        epilog=_EXAMPLES,
    )
    add_model(parser)
    add_file(parser, "to measure", "the text that the model was trained on, or the bundled names")


def _run(options: argparse.Namespace) -> None:
    model = load_model(options.model)
    if knows_words(model):
        use_words.measure(options.model, model, options.file)
        return
    text = _text(options, model)
    from ..models import NPLM, NgramCounts
    from ..text import UnknownCharacterError

    if isinstance(model, NPLM):
        _measure_network(options, model, text)
        return

    counts = NgramCounts(text.source, order=model.order, progress=True)
    try:
        loss, perplexity = model.loss(counts), model.perplexity(counts)
    except UnknownCharacterError as error:
        raise CommandError(_first_place(error, model.vocab, text)) from None
    show("model", f"{options.model}: {model!r}")
    show("text", text.name)
    show("items", f"{counts.items:,}")
    show(f"{grams(model.order)}s", f"{counts.total:,}")
    show("loss", f"{loss:.8f} nats a symbol" if math.isfinite(loss) else "inf")
    show("perplexity", f"{perplexity:.4f}")
    if not math.isfinite(loss):
        _explain(model, model.unseen(counts), text)


def _text(options: argparse.Namespace, model: Any) -> Text:
    """Give the text to measure: the file, or the model's own text, or else the bundled names."""
    own = noted_text(options.model, model) if options.file is None else None
    if own is None:
        if options.file is None and has_note(options.model, model):
            raise CommandError(
                f"{options.model}: the text that it was trained on is not known any more; name a"
                " FILE to measure"
            )
        return text_of(options.file)
    return Text(own.source, f"{own.name}, which the model was trained on")


def _measure_network(options: argparse.Namespace, model: Any, text: Text) -> None:
    """Measure a network, which needs all items at once."""
    from ..text import UnknownCharacterError

    items = text.items()
    try:
        loss = model.loss(items)
    except UnknownCharacterError as error:
        raise CommandError(_first_place(error, model.vocab, text, items)) from None
    show("model", f"{options.model}: {model!r}")
    show("text", text.name)
    show("items", f"{len(items):,}")
    show("symbols", f"{sum(map(len, items)) + len(items):,}")
    show("loss", f"{loss:.8f} nats a symbol")
    show("perplexity", f"{math.exp(loss):.4f}")


def _first_place(error: ValueError, vocab: Any, text: Text, items: list[str] | None = None) -> str:
    """Say where in a text the first character is that the model does not know."""
    if items is None:
        items = text.items() if text.is_small else []
    for number, item in enumerate(items, 1):
        try:
            vocab.encode(item)
        except type(error) as first:
            return f"{text.name}: item {number:,}: {first}"
    return f"{text.name}: {error}"


def _explain(model: Any, unseen: list[tuple[str, int]], text: Text) -> None:
    """Say what in a text has probability zero."""
    times = sum(count for _, count in unseen)
    named = ", ".join(repr(gram) for gram, _ in unseen[:_NAMED])
    more = f" and {len(unseen) - _NAMED:,} more" if len(unseen) > _NAMED else ""
    show("why inf", f"{plural(times, grams(model.order))} of probability zero: {named}{more}")
    if text.is_small:
        show("", f"in {plural(_impossible(model, unseen, text), 'item')}")
    show("", "a model trained with --smoothing above 0 gives all that it knows a chance")


def _impossible(model: Any, unseen: list[tuple[str, int]], text: Text) -> int:
    """Count the items that have an n-gram of probability zero."""
    zero = {gram for gram, _ in unseen}
    boundary, order = model.vocab.eos_token, model.order
    found = 0
    for item in text.items():
        padded = f"{boundary * (order - 1)}{item}{boundary}"
        windows = (padded[i : i + order] for i in range(len(item) + 1))
        found += not zero.isdisjoint(windows)
    return found
