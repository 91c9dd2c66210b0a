"""A GPT made of single numbers: it reads names letter by letter and learns to invent more.

One transformer layer of width 16 with 4 heads over at most 16 letters, 4,192 parameters in all,
every one a Value. Nothing here knows of arrays: each product and each sum is a node of a graph,
54,000 of them for a name of six letters, and Adam is written out over `p.data` and `p.grad`.
"""

import argparse
import pathlib
import random

from fastgrad.engine import Value

WIDTH = 16
HEADS = 4
HEAD_WIDTH = WIDTH // HEADS
BLOCK = 16
TRAINING_STEPS = 1000  # the learning rate would reach zero here
RATE, BETA1, BETA2, EPSILON = 0.01, 0.85, 0.99, 1e-8

# Every letter occurs, so that the model has its full size without a file too.
FEW_NAMES = """
ada bruno celeste david emma felix grace hugo iris jack karla liam maya noah olga priya quentin
rosa simon tessa uma victor wanda xavier yusuf zoe
"""


def read_names(path=None):
    """Read names, one a line; without a file, use the few of this program."""
    if path is None:
        return FEW_NAMES.split()
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def matrix(rows, columns):
    return [[Value(random.gauss(0, 0.08)) for _ in range(columns)] for _ in range(rows)]


def make_weights(symbols):
    """Draw all parameters; their order decides which number each one gets."""
    return {
        "symbol": matrix(symbols, WIDTH),
        "position": matrix(BLOCK, WIDTH),
        "logits": matrix(symbols, WIDTH),
        "query": matrix(WIDTH, WIDTH),
        "key": matrix(WIDTH, WIDTH),
        "value": matrix(WIDTH, WIDTH),
        "attended": matrix(WIDTH, WIDTH),
        "widen": matrix(4 * WIDTH, WIDTH),
        "narrow": matrix(WIDTH, 4 * WIDTH),
    }


def dot(a, b):
    return sum(ai * bi for ai, bi in zip(a, b, strict=True))


def linear(x, rows):
    return [dot(row, x) for row in rows]


def softmax(logits):
    highest = max(logit.data for logit in logits)
    powers = [(logit - highest).exp() for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def rms_norm(x):
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def add(a, b):
    return [ai + bi for ai, bi in zip(a, b, strict=True)]


def attend(query, keys, values):
    """Mix the values of the positions so far by how well their keys fit the query."""
    fit = softmax([dot(query, key) / HEAD_WIDTH**0.5 for key in keys])
    return [dot(fit, column) for column in zip(*values, strict=True)]


def next_logits(weights, symbol, position, keys, values):
    """Score what may follow `symbol`; `keys` and `values` remember the positions before."""
    x = rms_norm(add(weights["symbol"][symbol], weights["position"][position]))

    before = x
    x = rms_norm(x)
    query = linear(x, weights["query"])
    keys.append(linear(x, weights["key"]))
    values.append(linear(x, weights["value"]))
    taken = []
    for start in range(0, WIDTH, HEAD_WIDTH):
        head = slice(start, start + HEAD_WIDTH)
        taken += attend(query[head], [key[head] for key in keys], [value[head] for value in values])
    x = add(linear(taken, weights["attended"]), before)

    before = x
    hidden = [h.relu() for h in linear(rms_norm(x), weights["widen"])]
    x = add(linear(hidden, weights["narrow"]), before)

    return linear(x, weights["logits"])


def surprise(weights, symbols):
    """Average the negative log-probability of each symbol after those before it."""
    keys, values, losses = [], [], []
    for position in range(min(BLOCK, len(symbols) - 1)):
        symbol, target = symbols[position : position + 2]
        logits = next_logits(weights, symbol, position, keys, values)
        losses.append(-softmax(logits)[target].log())
    return sum(losses) / len(losses)


def adam_step(parameters, step, means, squares):
    rate = RATE * (1 - step / TRAINING_STEPS)
    for i, p in enumerate(parameters):
        means[i] = BETA1 * means[i] + (1 - BETA1) * p.grad
        squares[i] = BETA2 * squares[i] + (1 - BETA2) * p.grad**2
        mean = means[i] / (1 - BETA1 ** (step + 1))
        square = squares[i] / (1 - BETA2 ** (step + 1))
        p.data -= rate * mean / (square**0.5 + EPSILON)
        p.grad = 0


def invent(weights, letters):
    """Make up a name, one letter drawn after the other."""
    end = len(letters)
    symbol, keys, values, name = end, [], [], ""
    for position in range(BLOCK):
        logits = next_logits(weights, symbol, position, keys, values)
        chances = [p.data for p in softmax(logits)]
        symbol = random.choices(range(len(chances)), chances)[0]
        if symbol == end:
            break
        name += letters[symbol]
    return name


def main(names_file=None, steps=10, report=print):
    random.seed(42)
    names = read_names(names_file)
    random.shuffle(names)
    letters = sorted(set("".join(names)))
    end = len(letters)  # one symbol both starts and ends a name

    weights = make_weights(len(letters) + 1)
    parameters = [p for rows in weights.values() for row in rows for p in row]
    means, squares = [0.0] * len(parameters), [0.0] * len(parameters)
    report(f"{len(names)} names, {len(letters) + 1} symbols, {len(parameters)} parameters")

    losses = []
    for step in range(steps):
        name = names[step % len(names)]
        loss = surprise(weights, [end, *(letters.index(letter) for letter in name), end])
        loss.backward()
        adam_step(parameters, step, means, squares)
        losses.append(loss.data)
        report(f"step {step + 1:4d}   loss {loss.data:.4f}   {name}")
    report("invented: " + " ".join(invent(weights, letters) for _ in range(5)))
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="?", help="a file with one name a line")
    parser.add_argument("--steps", type=int, default=10, help=f"at most {TRAINING_STEPS}")
    options = parser.parse_args()
    main(options.names, options.steps)
