"""N-gram models with plain dictionaries, straight from the formulas; texts are lists of ids."""

import math
from collections import Counter, defaultdict


def grams(text, order, eos=None):
    """List the n-grams; where sentences end with `eos`, one stands in front of each, too."""
    found = []
    for part in [list(text)] if eos is None else sentences(text, eos):
        found += [tuple(part[i : i + order]) for i in range(len(part) - order + 1)]
    return found


def sentences(text, eos):
    parts = [[eos]]
    for word in text:
        parts[-1].append(word)
        if word == eos:
            parts.append([eos])
    return parts


def known(context, eos):
    """What a sentence's context has, of all that stands before a word."""
    return tuple(context if eos is None else sentences(context, eos)[-1])


class SlowKneserNey:
    """Interpolated Kneser-Ney, Chen & Goodman (1999); counts[k] are those of order k."""

    def __init__(self, text, order, size, modified=False, eos=None):
        self.order, self.size, self.eos = order, size, eos
        self.counts = {order: Counter(grams(text, order, eos))}
        for k in range(1, order):
            # How many different words occur in front, where any can.
            longer = set(grams(text, k + 1, eos))
            self.counts[k] = Counter(gram[1:] for gram in longer)
            if k > 1 and eos is not None:
                starts = Counter(gram for gram in grams(text, k, eos) if gram[0] == eos)
                self.counts[k].update(starts)
        self.after = {k: defaultdict(dict) for k in self.counts}
        for k, counts in self.counts.items():
            for gram, count in counts.items():
                self.after[k][gram[:-1]][gram[-1]] = count
        self.discounts = {k: discounts(c.values(), modified) for k, c in self.counts.items()}

    def discount(self, k, count):
        return 0.0 if count == 0 else self.discounts[k][min(count, 3) - 1]

    def probability(self, word, context):
        return self.after_context(word, known(context, self.eos)[-(self.order - 1) :])

    def after_context(self, word, context):
        k = len(context) + 1
        lower = 1 / self.size if k == 1 else self.after_context(word, context[1:])
        after = self.after[k].get(context)
        if not after:
            return lower
        total = sum(after.values())
        count = after.get(word, 0)
        rest = sum(self.discount(k, c) for c in after.values())
        return (count - self.discount(k, count)) / total + rest / total * lower

    def score(self, text, before=()):
        whole = [*before, *text]
        return [self.probability(whole[i], whole[:i]) for i in range(len(before), len(whole))]


def discounts(counts, modified):
    times = Counter(counts)
    n1, n2, n3, n4 = (times[i] for i in (1, 2, 3, 4))
    if not modified:
        return [n1 / (n1 + 2 * n2) if n1 else 0.5] * 3
    if not n1 * n2 * n3:
        return [0.5, 1.0, 1.5]
    y = n1 / (n1 + 2 * n2)
    three = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return three if min(three) > 0 else [0.5, 1.0, 1.5]


class SlowInterpolated:
    """Deleted interpolation with weights by bins of the context's frequency."""

    def __init__(self, text, size, eos=None):
        self.size, self.length, self.eos = size, len(text), eos
        self.counts = Counter(text)
        self.after = defaultdict(Counter)
        for k in (2, 3):
            for gram in grams(text, k, eos):
                self.after[gram[:-1]][gram[-1]] += 1
        self.weights = [[0.25] * 4 for _ in range(self.bin(0) + 1)]

    def bin(self, frequency):
        return max(math.ceil(-math.log((1 + frequency) / self.length)), 0)

    def parts(self, word, context):
        context = known(context, self.eos)
        estimates = [1 / self.size, self.counts[word] / self.length]
        for k in (1, 2):
            after = self.after.get(context[-k:]) if len(context) >= k else None
            estimates.append(after[word] / after.total() if after else estimates[-1])
        two = self.after.get(context[-2:]) if len(context) >= 2 else None
        return estimates, self.bin(two.total() if two else 0)

    def probability(self, word, context):
        estimates, which = self.parts(word, context)
        return sum(a * p for a, p in zip(self.weights[which], estimates, strict=True))

    def score(self, text, before=()):
        whole = [*before, *text]
        return [self.probability(whole[i], whole[:i]) for i in range(len(before), len(whole))]

    def fit(self, text, iterations):
        """Expectation maximisation; gives the loss before each iteration."""
        losses = []
        for _ in range(iterations):
            shares = [[0.0] * 4 for _ in self.weights]
            losses.append(-sum(map(math.log, self.score(text))) / len(text))
            for i, word in enumerate(text):
                estimates, which = self.parts(word, text[:i])
                mixture = self.probability(word, text[:i])
                for j in range(4):
                    shares[which][j] += self.weights[which][j] * estimates[j] / mixture
            self.weights = [
                [s / sum(new) for s in new] if sum(new) else old
                for new, old in zip(shares, self.weights, strict=True)
            ]
        return losses
