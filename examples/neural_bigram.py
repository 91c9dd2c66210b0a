"""The neural bigram of makemore, part 1, written with scalar Values, beside the one in Rust.

Each bigram picks the row of weights of its first token. Softmax turns the row into
probabilities, and the loss is the mean negative logarithm of the one given to the second token,
plus l2 times the mean square of the weights. Both programs take the same steps and reach the same
loss.
"""

import itertools

from fastgrad.engine import Value
from fastgrad.models import NeuralBigram, NgramCounts
from fastgrad.text import Vocab

NAMES = ["emma", "olivia", "ava", "isabella", "sophia"]
STEPS, LR, L2 = 50, 10.0, 0.01


def bigrams_of(names, vocab):
    """List all pairs of tokens that follow each other, 0 before and after each name."""
    pairs = []
    for name in names:
        tokens = [0, *vocab.encode(name).tolist(), 0]
        pairs += itertools.pairwise(tokens)
    return pairs


def zero_weights(size):
    return [[Value(0.0) for _ in range(size)] for _ in range(size)]


def loss_of(weights, pairs, l2):
    total = Value(0.0)
    for first, second in pairs:
        exponentials = [logit.exp() for logit in weights[first]]
        total = total - (exponentials[second] / sum(exponentials)).log()
    squares = [weight**2 for row in weights for weight in row]
    return total / len(pairs) + l2 * sum(squares) / len(squares)


def train(weights, pairs, steps, lr, l2):
    """Return the loss before each step, and after the last."""
    history = []
    for _ in range(steps):
        loss = loss_of(weights, pairs, l2)
        loss.backward()
        for row in weights:
            for weight in row:
                weight.data -= lr * weight.grad
                weight.grad = 0.0
        history.append(loss.data)
    return [*history, loss_of(weights, pairs, l2).data]


def main():
    vocab = Vocab.from_texts(NAMES)
    weights = zero_weights(len(vocab))
    history = train(weights, bigrams_of(NAMES, vocab), STEPS, LR, L2)
    print(f"scalar Values: loss {history[0]:.6f}, after {STEPS} steps {history[-1]:.6f}")

    counts = NgramCounts(NAMES)
    model = NeuralBigram().fit(counts, steps=STEPS, lr=LR, l2=L2)
    losses = model.history.loss
    last = model.loss(counts) + L2 * (model.W**2).mean()
    print(f"NeuralBigram:  loss {losses[0]:.6f}, after {STEPS} steps {last:.6f}")


if __name__ == "__main__":
    main()
