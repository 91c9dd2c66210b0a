"""`fastgrad eval`: how well a model predicts a text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .arguments import add_command
from .places import add_model, load_model
from .report import grams, show
from .texts import add_file, text_of

if TYPE_CHECKING:
    import argparse

    from .texts import Text

__all__ = ["add_to"]

_EXAMPLES = """\
examples:
  fastgrad eval out other.txt
  grep -i smith people.txt | fastgrad eval out -

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
    add_file(parser, "to measure")


def _run(options: argparse.Namespace) -> None:
    model = load_model(options.model)
    text = text_of(options.file)
    from ..models.counts import BigramCounts

    counts = BigramCounts.of(text.source, order=model.order, progress=True)
    loss = model.loss(counts)
    show("model", f"{options.model}: {model!r}")
    show("text", text.name)
    show("items", f"{counts.items:,}")
    show(grams(model.order), f"{counts.total:,}")
    show("loss", f"{loss:.8f} nats a symbol" if math.isfinite(loss) else "inf")
    show("perplexity", f"{model.perplexity(counts):.4f}")
    if not math.isfinite(loss):
        _explain(model, model.unseen(counts), text)


def _explain(model: Any, unseen: list[tuple[str, int]], text: Text) -> None:
    """Say what in a text has probability zero."""
    times = sum(count for _, count in unseen)
    named = ", ".join(repr(gram) for gram, _ in unseen[:_NAMED])
    more = f" and {len(unseen) - _NAMED:,} more" if len(unseen) > _NAMED else ""
    show("why inf", f"{times:,} {grams(model.order)} have probability zero: {named}{more}")
    if text.is_small:
        padding = model.vocab.boundary * (model.order - 1)
        impossible = {gram for gram, _ in unseen}
        hit = 0
        for item in text.items():
            padded = f"{padding}{item}{model.vocab.boundary}"
            windows = (padded[i : i + model.order] for i in range(len(item) + 1))
            hit += not impossible.isdisjoint(windows)
        show("", f"they make {hit:,} items impossible")
    show("", "train with --smoothing above 0 and nothing is impossible")
