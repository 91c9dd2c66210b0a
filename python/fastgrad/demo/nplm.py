"""The neural probabilistic language model: trained on the bundled names, beside bigrams."""

from __future__ import annotations

import importlib.util
from time import perf_counter
from typing import TYPE_CHECKING

from ..datasets import names
from ..models import NPLM, BigramModel, NgramModel
from ..optim.schedules import cosine
from ..text import Vocab, split
from .report import headline, table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["show"]

SAMPLES = 10
SEED = 1
CONTEXT = 5
STEPS = 18_000
BATCH = 64


def show(out: Path) -> None:
    """Show everything on standard output, and save the picture in the folder `out`."""
    headline("makemore, part 2: a network that looks at five letters, not at one")
    items = names()
    train, dev, _ = split(items, seed=SEED)
    model = _train(Vocab.from_texts(items), train, dev)
    _compare(model, train, dev)
    _make_up(model, items)
    _draw(model, out / "embeddings.png")


def _train(vocab: Vocab, train: list[str], dev: list[str]) -> NPLM:
    model = NPLM(vocab, context_length=CONTEXT, embedding_dim=16, hidden_dim=200, seed=SEED)
    print(f"  {model.num_parameters():,} parameters, context_length={CONTEXT}, hidden_dim=200")
    start = perf_counter()
    model.fit(
        train,
        dev,
        steps=STEPS,
        batch_size=BATCH,
        lr=cosine(0.004, 0.0, STEPS),
        optimizer="adamw",
        weight_decay=0.05,
        seed=SEED,
        progress=True,
    )
    taken = perf_counter() - start
    speed = STEPS * BATCH / taken
    print(
        f"  {STEPS:,} steps of {BATCH} examples in {taken:.1f} s: {speed:,.0f} examples per second"
    )
    return model


def _compare(model: NPLM, train: list[str], dev: list[str]) -> None:
    """Print the losses of the network and of counts on the names it saw, and on others."""
    models = {
        "bigrams, smoothing 1": BigramModel().fit(train),
        "trigrams, smoothing 1": NgramModel(order=3).fit(train),
        "the network": model,
    }
    rows = [[name, f"{m.loss(train):.4f}", f"{m.loss(dev):.4f}"] for name, m in models.items()]
    table(["", f"{len(train):,} names (train)", f"{len(dev):,} others (dev)"], rows)


def _make_up(model: NPLM, items: list[str]) -> None:
    """Print names that the model makes up, and how many of them nobody has given."""
    known = set(items)
    made_up = model.sample(SAMPLES, seed=SEED)
    new = sum(name not in known for name in made_up)
    print(f"  {SAMPLES} names made up by the network, {new} of them new, not in the list:")
    for start in range(0, SAMPLES, 5):
        print("    " + ", ".join(made_up[start : start + 5]))


def _draw(model: NPLM, path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        print("  No picture, since matplotlib is not installed: pip install matplotlib")
        return
    from ..plots import embedding_scatter

    embedding_scatter(model, path=path, title="What the network has learned of each letter")
    print(f"  The letters as the network sees them:\n    {path.resolve()}")
