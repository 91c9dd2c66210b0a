"""`fastgrad plot`: the table of a model as a picture."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import plot_nplm, use_words
from .arguments import CommandError, add_command
from .places import add_model, has_model, load_model, picture_path
from .report import plural
from .word_texts import knows_words

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]

_EXAMPLES = """\
examples:
  fastgrad plot out                           writes out/bigrams.png, of a network out/loss.png too
  fastgrad plot out -o table.pdf              matplotlib's formats, by the name's end

The picture is that of the makemore lecture: a row for each symbol, a column for each that may
follow, the darker the more often. Counts are drawn where the model has them, probabilities where
it was trained as a network; of counted trigrams, the pairs that their last two symbols make. Beyond
40 symbols the cells hold no numbers, beyond 60 only the most frequent symbols are drawn.

Of a model of `train nplm`, the pictures are embeddings.png, the symbols (of words the 300 most
frequent) by what the network has learned of them, and loss.png; after `train nplm --find-rate` with
`-o` also rates.png, the losses that rising learning rates met."""


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "plot",
        _run,
        help="draw what a model has learned",
        description="Draw the table of a bigram model as a heat map, or the embeddings and losses"
        " of a network.",
        epilog=_EXAMPLES,
    )
    add_model(parser)
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="where the picture goes (default: beside the model)",
    )


def _run(options: argparse.Namespace) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise CommandError("no picture, since matplotlib is not installed: pip install matplotlib")
    folder = options.model if options.model.is_dir() else options.model.parent
    only_rates = not has_model(options.model)
    if only_rates or options.out is None:
        drawn = plot_nplm.draw_sweep(folder, options.out)
        if drawn and only_rates:
            return
    model = load_model(options.model)
    if hasattr(model, "embeddings"):
        pictures = use_words if knows_words(model) else plot_nplm
        pictures.draw(model, folder, options.out)
        return
    path = picture_path(options.out, folder, "bigrams.png")
    if model.order == 3 and not hasattr(model, "counts"):
        if options.out is not None:
            raise CommandError("a network of trigrams has no table of pairs to draw")
        print("fastgrad: a network of trigrams has no table of pairs to draw", file=sys.stderr)
    else:
        _draw_table(model, path)
        print(path)
    history = getattr(model, "history", ())
    if options.out is None and len(history) > 1:
        _draw_loss(history, folder / "loss.png")
        print(folder / "loss.png")


def _draw_table(model: Any, path: Path) -> None:
    """Draw the counts, or the probabilities of a model that has none."""
    from ..plots import bigram_heatmap

    counts = getattr(model, "counts", None)
    if counts is not None:
        table, title = counts.table(), "How often one symbol follows another"
        title += f": {plural(counts.items, 'item')}"
    else:
        table, title = model.table(), "How likely one symbol is to follow another"
    if model.order == 3:
        table = table.sum(axis=0)
        title += ", of trigrams the last two symbols"
    bigram_heatmap(table, model.vocab.itos, path, title)


def _draw_loss(history: Any, path: Path) -> None:
    from ..plots import loss_curve

    loss_curve(history, path, title="The loss of the network, its penalty included", log_steps=True)
