"""N-grams counted one by one in a dict, and losses by the formula: slow, and plainly right."""

import math
from collections import Counter


def grams_of(item, order):
    """List an item's n-grams; None stands for the boundary."""
    symbols = [None] * (order - 1) + list(item) + [None]
    return [tuple(symbols[i : i + order]) for i in range(len(item) + 1)]


def count(items, order):
    return Counter(gram for item in items for gram in grams_of(item, order))


def contexts_of(counts):
    found = Counter()
    for gram, times in counts.items():
        found[gram[:-1]] += times
    return found


def probability(counts, contexts, gram, smoothing, size):
    below = contexts[gram[:-1]] + smoothing * size
    return (counts[gram] + smoothing) / below if below else 0.0


def log_probability(train, item, order, smoothing):
    counts = count(train, order)
    contexts = contexts_of(counts)
    size = len(set("".join(train))) + 1
    chances = [probability(counts, contexts, g, smoothing, size) for g in grams_of(item, order)]
    return math.fsum(map(math.log, chances)) if all(chances) else -math.inf


def loss(train, items, order, smoothing):
    whole = math.fsum(log_probability(train, item, order, smoothing) for item in items)
    return -whole / sum(len(item) + 1 for item in items)
