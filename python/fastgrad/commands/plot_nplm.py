"""The pictures of a neural network: losses, embeddings, and the sweep of learning rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .train_nplm import RATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["draw", "draw_losses", "draw_sweep"]


def draw(model: Any, folder: Path, out: Path | None) -> None:
    """Draw embeddings, to `out` if it is a file, and losses where the model was trained."""
    embeddings = out if out is not None and not out.is_dir() else (out or folder) / "embeddings.png"
    _draw_embeddings(model, embeddings)
    print(embeddings)
    if len(model.history.loss) and embeddings != out:
        losses = embeddings.with_name("loss.png")
        draw_losses(model.history, losses)
        print(losses)


def draw_sweep(folder: Path) -> bool:
    """Draw the losses that rising rates met, if the finder has left them; tell whether it has."""
    if not (folder / RATES).is_file():
        return False
    from .. import checkpoint
    from ..plots import rate_sweep
    from ..training import RateSweep

    arrays, _ = checkpoint.load(folder / RATES)
    sweep = RateSweep(_numbers(arrays, "rates"), _numbers(arrays, "losses"))
    path = folder / "rates.png"
    rate_sweep(sweep.rates, sweep.losses, path, smooth=sweep.smooth(), chosen=sweep.lowest())
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
    embedding_scatter(model.embeddings, model.vocab.symbols, path, title, method)


def draw_losses(history: Any, path: Path) -> None:
    """Draw the losses of a training run."""
    from ..plots import loss_curve

    curves = {"train, mean of mini-batches": history.smooth()}
    if len(history.dev_loss):
        curves["dev"] = (history.dev_step, history.dev_loss)
    loss_curve(curves, path, title="Loss while training")
