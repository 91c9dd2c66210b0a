"""`fastgrad plot`: what a model has learned, as pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from ._options import PlaceName, examples, model_argument
from ._places import folder_of, has_model, load_model, picture_path
from .lr_find import read_sweep

_EXAMPLES = """
Examples:
  fastgrad plot out                 writes out/bigrams.png
  fastgrad plot out -o table.pdf    matplotlib's formats, by the name's end

The picture of a bigram model is that of the makemore lecture: a row for each
token, a column for each that may follow, the darker the more often. Counts
are drawn where the model has them, probabilities where it was trained as a
network; of counted trigrams, the pairs that their last two tokens make.
Beyond 40 tokens the cells hold no numbers, beyond 60 only the most frequent
tokens are drawn.

Of a network the pictures are embeddings.png, the tokens (of words the most
frequent) by what the network has learned of them, and loss.png; after
`fastgrad lr-find -o DIR` also lr_find.png.
"""


@click.command("plot", epilog=examples(_EXAMPLES), short_help="Draw what a model has learned.")
@model_argument()
@click.option(
    "-o",
    "--out",
    type=PlaceName(),
    metavar="FILE",
    help="Where the picture goes.",
    show_default="beside the model",
)
def command(model: Path, out: Path | None) -> None:
    """Draw the table of a bigram model, or the embeddings and losses of a network.

    DIR is a folder that `fastgrad train` or `fastgrad lr-find` wrote, or a model's file.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException(
            "no picture, since matplotlib is not installed: pip install matplotlib"
        )
    folder, with_model = folder_of(model), has_model(model)
    sweep = None if with_model and out is not None else read_sweep(folder)
    if sweep is not None:
        from ..plots import lr_curve

        path = picture_path(out, folder, "lr_find.png")
        lr_curve(sweep, path=path)
        click.echo(path)
        if not with_model:
            return
    loaded = load_model(model)
    is_network = hasattr(loaded, "embeddings")
    path = picture_path(out, folder, "embeddings.png" if is_network else "bigrams.png")
    if (_draw_embeddings if is_network else _draw_table)(loaded, path):
        click.echo(path)
    else:
        message = f"a {type(loaded).__name__} has no table of pairs to draw"
        if out is not None or loaded.history is None:
            raise click.ClickException(message)
        click.echo(f"fastgrad: {message}", err=True)
    history = loaded.history
    if history is not None and history.steps and (out is None or out.is_dir()):
        from ..plots import loss_curve

        losses = path.with_name("loss.png")
        loss_curve(history, path=losses, title="Loss while training", log_steps=not is_network)
        click.echo(losses)


def _draw_embeddings(model: Any, path: Path) -> bool:
    from ..plots import embedding_scatter

    dims = model.embeddings.shape[1]
    embedding_scatter(model, path=path, method="pca" if dims > 2 else "first")
    return True


def _draw_table(model: Any, path: Path) -> bool:
    """Draw counts, or the probabilities of a model that has none; return whether it has pairs."""
    from ..plots import bigram_heatmap

    order = getattr(model, "order", None)
    counts: Any = getattr(model, "counts", None)
    title = "How often one token follows another"
    if order == 2:
        found = model if counts is None else counts
        bigram_heatmap(found, path=path, title=None if counts is None else title)
    elif order == 3 and hasattr(counts, "num_items"):
        title += ", of trigrams the last two"
        bigram_heatmap(counts.N.sum(axis=0), model.vocab.itos, path=path, title=title)
    else:
        return False
    return True
