"""The neural bigram written with Values: one row of weights a letter, trained by gradient descent.

A one-hot letter times a matrix of weights is a row of the matrix; softmax turns the row into
probabilities of the next letter, and the loss is the mean of their negative logarithms. It finds
what counting knows. `fastgrad.models.NeuralBigram` does the same in Rust, thousands of times as
fast.
"""

import argparse
import itertools
import math
import random
from collections import Counter

from fastgrad.engine import Value, cross_entropy, softmax

NAMES = """
ada dana nadia ida dina ana nina adina diana aidan nan dan ian aida
"""
RATE = 10.0
PENALTY = 0.01
END = "."  # stands before and after each name


def read_names():
    return NAMES.split()


def symbols_of(names):
    return [END, *sorted(set("".join(names)))]


def count_bigrams(names):
    """Count how often each symbol, as a number, follows each other one."""
    symbols = symbols_of(names)
    counts = Counter()
    for name in names:
        ids = [0, *(symbols.index(letter) for letter in name), 0]
        counts.update(itertools.pairwise(ids))
    return counts


def make_weights(size):
    return [[Value(random.gauss(0, 1)) for _ in range(size)] for _ in range(size)]


def losses_of(weights, counts, penalty=PENALTY):
    """Return the loss with the penalty, which pulls weights to 0, and the loss without it."""
    surprises = [
        times * cross_entropy(weights[before], after) for (before, after), times in counts.items()
    ]
    data = sum(surprises) / sum(counts.values())
    squares = [w * w for row in weights for w in row]
    return data + penalty * sum(squares) / len(squares), data


def loss_of_counting(counts):
    """Return the least loss there is: each probability is the share among what follows."""
    befores = Counter()
    for (before, _), times in counts.items():
        befores[before] += times
    surprises = [
        -times * math.log(times / befores[before]) for (before, _), times in counts.items()
    ]
    return sum(surprises) / sum(counts.values())


def invent(weights, symbols, longest=20):
    """Make up a name, one letter drawn after the other."""
    name, symbol = "", 0
    while len(name) < longest:
        chances = [p.data for p in softmax(weights[symbol])]
        symbol = random.choices(range(len(symbols)), chances)[0]
        if symbol == 0:
            break
        name += symbols[symbol]
    return name


def main(steps=100, report=print):
    random.seed(1)
    names = read_names()
    symbols, counts = symbols_of(names), count_bigrams(names)
    weights = make_weights(len(symbols))
    history = []
    for step in range(steps):
        loss, data = losses_of(weights, counts)
        for row in weights:
            for w in row:
                w.grad = 0.0
        loss.backward()
        for row in weights:
            for w in row:
                w.data -= RATE * w.grad
        history.append(loss.data)
        if step % 10 == 0 or step == steps - 1:
            report(f"step {step:3d}   loss {loss.data:.4f}   of the data {data.data:.4f}")
    report(f"by counting                    {loss_of_counting(counts):.4f}")
    report("invented: " + " ".join(invent(weights, symbols) for _ in range(5)))
    return history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100)
    main(parser.parse_args().steps)
