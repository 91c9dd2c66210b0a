"""The pictures of a neural network: losses, embeddings, and the sweep of learning rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .places import picture_path
from .train_nplm import RATES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["draw", "draw_sweep"]


def draw(model: Any, folder: Path, out: Path | None) -> None:
    """Draw embeddings, and unless `out` is a file, losses where the model was trained."""
    also_losses = out is None or out.is_dir()
    embeddings = picture_path(out, folder, "embeddings.png")
    _draw_embeddings(model, embeddings)
    print(embeddings)
    if also_losses and len(model.history.loss):
        from ..plots import loss_curve

        losses = embeddings.with_name("loss.png")
        loss_curve(model, losses, title="Loss while training")
        print(losses)


def draw_sweep(folder: Path, out: Path | None) -> bool:
    """Draw the losses that rising rates met, if the finder has left them; tell whether it has."""
    if not (folder / RATES).is_file():
        return False
    from .. import checkpoint
    from ..plots import rate_sweep
    from ..training import LRSweep

    arrays, _ = checkpoint.load(folder / RATES)
    sweep = LRSweep(_numbers(arrays, "rates"), _numbers(arrays, "losses"))
    path = picture_path(out, folder, "rates.png")
    rate_sweep(sweep.lrs, sweep.losses, path, smooth=sweep.smooth(), chosen=sweep.best())
    print(path)
    return True


def _numbers(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in arrays:
        raise ValueError(f"{RATES}: holds no {name}; `fastgrad train nplm --find-rate` writes it")
    return arrays[name]


def _draw_embeddings(model: Any, path: Path) -> None:
    from ..plots import embedding_scatter

    features = model.shape.embedding
    method = "pca" if features > 2 else "first"
    title = f"What the network has learned of each symbol ({features} features)"
    embedding_scatter(model.embeddings, model.vocab.itos, path, title, method)
