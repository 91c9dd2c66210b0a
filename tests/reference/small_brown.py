"""A text in place of the Brown corpus, and settings with which networks of it take no time."""

import numpy as np

ANCHORS = ["trigram", "KN3", "KN5", "mKN3", "mKN5"]
SIZES = {"train": 1_500, "valid": 300, "vocabulary": 30}
SMALL = {"embedding_dim": 6, "hidden_dim": 8, "batch_size": 64, "epochs": 2}
SETTINGS = {
    "MLP1": SMALL,
    "MLP3": SMALL | {"hidden_dim": 0},
    "MLP9": SMALL,
    "quick": SMALL,
    "best": SMALL | {"hidden_dim": 12},
}


def words(count, seed=0):
    """Make up text: a few words that mostly follow each other in a circle, and many rare ones."""
    rng = np.random.default_rng(seed)
    step, found = 0, []
    for noise in rng.integers(0, 10, size=count):
        step = step + 1 if noise < 7 else int(rng.integers(40))
        found.append(f"w{step % 20}" if step % 40 < 30 else f"rare{rng.integers(300)}")
    return " ".join(found)


def written(folder):
    """Write the text into a folder, and give its path."""
    path = folder / "small.txt"
    path.write_text(words(2_400), encoding="utf-8")
    return path
