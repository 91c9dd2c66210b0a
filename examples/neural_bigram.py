"""The neural bigram of makemore, part 1, written with scalar Values, beside the one in Rust.

Each bigram picks the row of weights of its first symbol. Softmax turns the row into
probabilities, and the loss is the mean negative logarithm of the one given to the second symbol,
plus a penalty on large weights. Both programs take the same steps and reach the same loss.
"""

import itertools

from fastgrad.engine import Value
from fastgrad.models import NgramCounts, NeuralBigram
from fastgrad.text import Vocab

NAMES = ["emma", "olivia", "ava", "isabella", "sophia"]
STEPS, RATE, PENALTY = 50, 10.0, 0.01


def bigrams_of(names, vocab):
    """List all pairs of symbols that follow each other, 0 before and after each name."""
    pairs = []
    for name in names:
        symbols = [0, *vocab.encode(name).tolist(), 0]
        pairs += itertools.pairwise(symbols)
    return pairs


def zero_weights(size):
    return [[Value(0.0) for _ in range(size)] for _ in range(size)]


def loss_of(weights, pairs, penalty):
    total = Value(0.0)
    for first, second in pairs:
        exponentials = [logit.exp() for logit in weights[first]]
        total = total - (exponentials[second] / sum(exponentials)).log()
    squares = [weight**2 for row in weights for weight in row]
    return total / len(pairs) + penalty * sum(squares) / len(squares)


def train(weights, pairs, steps, rate, penalty):
    """Give the loss before each step, and after the last."""
    history = []
    for _ in range(steps):
        loss = loss_of(weights, pairs, penalty)
        loss.backward()
        for row in weights:
            for weight in row:
                weight.data -= rate * weight.grad
                weight.grad = 0.0
        history.append(loss.data)
    return [*history, loss_of(weights, pairs, penalty).data]


def main():
    vocab = Vocab.from_texts(NAMES)
    weights = zero_weights(len(vocab))
    history = train(weights, bigrams_of(NAMES, vocab), STEPS, RATE, PENALTY)
    print(f"scalar Values: loss {history[0]:.6f}, after {STEPS} steps {history[-1]:.6f}")

    counts = NgramCounts(NAMES)
    model = NeuralBigram.fit(counts, steps=STEPS, lr=RATE, l2=PENALTY)
    print(
        f"NeuralBigram:  loss {model.history[0]:.6f}, after {STEPS} steps {model.history[-1]:.6f}"
    )


if __name__ == "__main__":
    main()
