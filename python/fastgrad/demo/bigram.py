"""Bigrams: the bundled names counted, the same model trained, and names made up."""

from __future__ import annotations

import importlib.util
from time import perf_counter
from typing import TYPE_CHECKING

from ..datasets import names, names_bytes
from ..models import BigramModel, NeuralBigram, NgramCounts
from ..sampling import novelty, sample
from .report import headline, table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["show"]

SAMPLES = 10
SEED = 1


def show(out: Path) -> None:
    """Show everything on standard output, and save the picture in the folder `out`."""
    headline("makemore, part 1: how often one letter follows another is a language model")
    counts = _count()
    model = BigramModel().fit(counts)
    _compare(counts, model)
    _make_up(model)
    _draw(counts, out / "bigrams.png")


def _count() -> NgramCounts:
    text = names_bytes()
    start = perf_counter()
    counts = NgramCounts(text)
    taken = perf_counter() - start
    print(f"  {counts.num_items:,} first names that fastgrad carries, {len(counts.vocab)} tokens;")
    print(f"  all {counts.total:,} pairs of tokens counted in {1000 * taken:.2f} ms")
    return counts


def _compare(counts: NgramCounts, smoothed: BigramModel) -> None:
    """Print the losses of the counts, raw and smoothed, and of a network that was trained."""
    start = perf_counter()
    neural = NeuralBigram().fit(counts, l2=0.0)
    taken = perf_counter() - start
    models = {
        "counted": BigramModel(smoothing=0).fit(counts),
        "counted, 1 added to each count": smoothed,
        f"a network, {neural.history.steps} steps in {taken:.2f} s": neural,
    }
    rows = [
        [name, f"{model.loss(counts):.8f}", f"{model.perplexity(counts):.4f}"]
        for name, model in models.items()
    ]
    table(["", "nats per token", "perplexity"], rows)


def _make_up(model: BigramModel) -> None:
    """Print names that the model makes up, and how many of them nobody has given."""
    made_up = sample(model, SAMPLES, seed=SEED)
    new = novelty(made_up, names()).new
    print(f"  {SAMPLES} names made up from the table, {new} of them new, not in the list:")
    for start in range(0, SAMPLES, 5):
        print("    " + ", ".join(made_up[start : start + 5]))


def _draw(counts: NgramCounts, path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        print("  No picture, since matplotlib is not installed: pip install matplotlib")
        return
    from ..plots import bigram_heatmap

    title = f"How often one letter follows another in {counts.num_items:,} first names"
    bigram_heatmap(counts, path=path, title=title)
    print(f"  The table as a picture:\n    {path.resolve()}")
