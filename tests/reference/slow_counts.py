"""N-gram counts in plain Python: the rules as they are written, for comparison."""

from collections import Counter

BOUNDARY = ""


def items_of(text):
    """Split a text into its items: stripped lines that are not blank."""
    stripped = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
    return [item for item in stripped if item]


def count(items, order=2):
    """Count the n-grams of items: tuples of characters, with BOUNDARY before and after an item."""
    counts = Counter()
    for item in items:
        padded = [BOUNDARY] * (order - 1) + list(item) + [BOUNDARY]
        counts.update(tuple(padded[i : i + order]) for i in range(len(item) + 1))
    return dict(counts)


def table(counts):
    """Turn an NgramCounts into what `count` returns."""
    symbols = [BOUNDARY, *counts.characters]
    ids, numbers = counts.entries()
    grams = [tuple(symbols[i] for i in row) for row in ids.tolist()]
    return dict(zip(grams, numbers.tolist(), strict=True))
