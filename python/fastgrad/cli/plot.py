"""`fastgrad plot`: what a model has learned, as pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from ._options import MODEL, as_command
from ._texts import folder_of, has_model, load_model, make_folder
from .lr_find import read_sweep

_MODEL = MODEL.replace("`fastgrad train`", "`fastgrad train` or `fastgrad lr-find`")
_EXAMPLES = """
Examples:
  fastgrad plot out                 writes out/bigrams.png
  fastgrad plot out -o table.pdf    matplotlib's formats, by the name's end

A table of bigrams is drawn as in the makemore lecture: a row for each token,
a column for each that may follow; of counted trigrams, the last two tokens.
Of a network there are embeddings.png and loss.png, after `fastgrad lr-find
-o DIR` also lr_find.png.
"""


@as_command(
    "plot",
    "out",
    shown={"out": "beside the model"},
    out={"help": "Where the picture goes.", "metavar": "FILE"},
    model=_MODEL,
    examples=_EXAMPLES,
)
def command(model: Path, out: Path | None) -> None:
    """Draw the table of a bigram model, or the embeddings and losses of a network."""
    if importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException(
            "no picture, since matplotlib is not installed: pip install matplotlib"
        )
    folder, with_model = folder_of(model), has_model(model)
    sweep = None if with_model and out is not None else read_sweep(folder)
    if sweep is not None:
        from ..plots import lr_curve

        lr_curve(sweep, path=(path := _path(out, folder, "lr_find.png")))
        click.echo(path)
        if not with_model:
            return
    loaded = load_model(model)
    history, is_network = loaded.history, hasattr(loaded, "embeddings")
    path = _path(out, folder, "embeddings.png" if is_network else "bigrams.png")
    if _draw(loaded, path):
        click.echo(path)
    else:
        message = f"a {type(loaded).__name__} has no table of pairs to draw"
        if out is not None or history is None:
            raise click.ClickException(message)
        click.echo(f"fastgrad: {message}", err=True)
    if history is not None and history.steps and (out is None or out.is_dir()):
        from ..plots import loss_curve

        losses = path.with_name("loss.png")
        loss_curve(history, path=losses, title="Loss while training", log_steps=not is_network)
        click.echo(losses)


def _path(out: Path | None, folder: Path, name: str) -> Path:
    """Return where a picture goes: to `out`, or as `name` to that folder, or to the model's."""
    path = out or folder
    if path.is_dir():
        path /= name
    elif not path.suffix:
        path = path.with_name(f"{path.name}.png")
    make_folder(path.parent, "-o/--out")
    return path


def _draw(model: Any, path: Path) -> bool:
    """Draw embeddings, counts, or probabilities; return whether there are any."""
    from ..plots import bigram_heatmap, embedding_scatter

    order, counts = getattr(model, "order", None), getattr(model, "counts", None)
    title = "How often one token follows another"
    if hasattr(model, "embeddings"):
        method = "pca" if model.embeddings.shape[1] > 2 else "first"
        embedding_scatter(model, path=path, method=method)
    elif order == 2:
        found, title = (model, None) if counts is None else (counts, title)
        bigram_heatmap(found, path=path, title=title)
    elif order == 3 and counts is not None and hasattr(counts, "num_items"):
        pairs, tokens = counts.N.sum(axis=0), model.vocab.itos
        bigram_heatmap(pairs, tokens, path=path, title=f"{title}, of trigrams the last two")
    else:
        return False
    return True
