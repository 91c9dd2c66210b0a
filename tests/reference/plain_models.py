"""Language models that are nothing but a given array of probabilities, and a sampler without art.

The random numbers are those of SplitMix64 as its authors write it, in Python's whole numbers.
"""

import numpy as np
from fastgrad.text import Vocab

MASK = 2**64 - 1
STRIDE = 0x9E3779B97F4A7C15

FEW = ["ada", "dana", "nadia", "ida", "dina", "ana", "nina", "adina", "diana", "aidan", "nan"]


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def number(seed, stream, step):
    """The random number of a step in a stream of a seed."""
    start = mix((mix((seed + STRIDE) & MASK) + stream) & MASK)
    return mix((start + STRIDE * (step + 1)) & MASK)


class ArrayModel:
    """A language model whose table is given; it hands the table out only if `tabled`."""

    def __init__(self, characters, rows, tabled=True):
        self.vocab = Vocab(characters)
        self.rows = np.asarray(rows, dtype=np.float64)
        size = len(self.vocab)
        self.context_length = round(np.log(len(self.rows)) / np.log(size))
        self.tabled = tabled
        assert self.rows.shape == (size**self.context_length, size)

    @classmethod
    def of(cls, items, context_length=1, tabled=True):
        """Count the n-grams of some items."""
        vocab = Vocab.from_texts(items)
        size = len(vocab)
        counts = np.zeros((size**context_length, size))
        for item in items:
            row = 0
            for token in [*vocab.encode(item).tolist(), 0]:
                counts[row, token] += 1
                row = (row * size + token) % size**context_length
        sums = counts.sum(axis=1, keepdims=True)
        return cls(vocab.characters, counts / np.where(sums == 0, 1, sums), tabled)

    def row(self, ids):
        """The row of a context of ids: a number whose digits they are."""
        return int(np.polyval(np.asarray(ids, dtype=np.int64), len(self.vocab)))

    def next_probs(self, contexts=""):
        assert contexts.dtype == np.uint32
        assert contexts.shape == (len(contexts), self.context_length)
        return self.rows[[self.row(ids) for ids in contexts]]

    def table(self):
        return self.rows if self.tabled else None

    def loss(self, texts):
        raise NotImplementedError

    def perplexity(self, texts):
        raise NotImplementedError

    def sample(self, n=10, **options):
        from fastgrad.sampling import sample

        return sample(self, n, **options)


def shaped(row, temperature, top_k):
    """Apply top-k and temperature by the book; the result sums to 1."""
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    kept = order[:top_k]
    if temperature == 0:
        kept, temperature = order[:1], 1.0
    largest = max(row)
    weights = np.zeros(len(row))
    for i in kept:
        if row[i] > 0:
            weights[i] = np.exp(np.log(row[i] / largest) / temperature)
    return weights / weights.sum()
