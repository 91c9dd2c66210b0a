"""Draw the pictures of README and site into docs/_static: `python docs/make_pictures.py`.

Each is what the program beside it in the README or in a notebook draws.
"""

import argparse
import random
from pathlib import Path

from fastgrad import MLP, NPLM, SGD, NgramCounts, datasets, plots
from fastgrad.nn import hinge_loss
from fastgrad.text import split

STATIC = Path(__file__).parent / "_static"


def moons(path: Path) -> None:
    """Draw the two moons, and where micrograd's network divides them after 100 steps."""
    random.seed(1337)
    X, y = datasets.make_moons(n_samples=100, noise=0.1, random_state=1337)  # noqa: N806
    model = MLP(2, [16, 16, 1])
    optimizer = SGD(model.parameters(), lr=lambda step: 1.0 - 0.9 * step / 100)
    for _ in range(100):
        penalty = 1e-4 * sum(p * p for p in model.parameters())
        loss = hinge_loss(model(X), 2 * y - 1) + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    plots.decision_boundary(model, X, y, path=path)


def bigrams(path: Path) -> None:
    """Draw how often each letter follows each other in the bundled names."""
    plots.bigram_heatmap(NgramCounts(datasets.names()), path=path)


def embeddings(path: Path) -> None:
    """Draw the letters as the lecture's network sees them."""
    train, dev, _ = split(datasets.names(), seed=1)
    model = NPLM(context_length=3, embedding_dim=10, hidden_dim=200, seed=1)
    model.fit(train, dev, steps=10_000, lr=[(0, 0.1), (8_000, 0.01)], batch_size=32)
    plots.embedding_scatter(model, path=path)


PICTURES = {"moons.png": moons, "bigrams.png": bigrams, "embeddings.png": embeddings}


def main() -> None:
    """Draw all pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=STATIC, help="default: %(default)s")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        draw(folder / name)
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
