"""The GPT of microgpt.py trained twice: as it is, and recorded by `fastgrad.jit`.

Still plain scalars, 54,000 of them for a name of six letters. Recorded once for each length of a
name, they run as some 70 instructions over vectors; the losses are the same. Three lines of the
model differ from microgpt.py: `take` and `pick` select by a symbol, so that one program holds for
every name of its length, and the engine's softmax subtracts the largest score without a branch.
"""

import argparse
import pathlib
import random

from fastgrad import jit, pick, take
from fastgrad.engine import Value, softmax
from fastgrad.optim import Adam

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


def flat(weights):
    return [p for rows in weights.values() for row in rows for p in row]


def dot(a, b):
    return sum(ai * bi for ai, bi in zip(a, b, strict=True))


def linear(x, rows):
    return [dot(row, x) for row in rows]


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
    x = rms_norm(add(take(weights["symbol"], symbol), weights["position"][position]))

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
        losses.append(-pick(softmax(logits), target).log())
    return sum(losses) / len(losses)


def falling_rate(step):
    return RATE * (1 - step / TRAINING_STEPS)


def train_eagerly(weights, examples, steps):
    """Train as microgpt.py does, a graph of new nodes in each step."""
    optimizer = Adam(flat(weights), lr=falling_rate, betas=(BETA1, BETA2), eps=EPSILON)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = surprise(weights, examples[step % len(examples)])
        loss.backward()
        optimizer.step()
        losses.append(loss.data)
    return losses


def train_jitted(weights, examples, steps):
    """Train with programs, each recorded from one name of its length; return them too."""

    @jit
    def loss(symbols):
        return surprise(weights, symbols)

    optimizer = Adam(flat(weights), lr=falling_rate, betas=(BETA1, BETA2), eps=EPSILON)
    history = loss.fit(
        (examples[:steps],),
        steps=steps,
        optimizer=optimizer,
        batch_size=1,
        shuffle=False,
        progress=False,
    )
    return history.loss.tolist(), loss.programs


def invent(weights, letters):
    """Draw a name, one letter after the other."""
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
    examples = [[end, *(letters.index(letter) for letter in name), end] for name in names]

    weights = make_weights(len(letters) + 1)
    parameters = flat(weights)
    start = [p.data for p in parameters]
    report(f"{len(names)} names, {len(letters) + 1} symbols, {len(parameters)} parameters")
    eager = train_eagerly(weights, examples, steps)

    for p, number in zip(parameters, start, strict=True):
        p.data = number
    jitted, programs = train_jitted(weights, examples, steps)
    for step, (plain, replayed) in enumerate(zip(eager, jitted, strict=True)):
        report(f"step {step + 1:4d}   loss {plain:.4f}   jitted {replayed:.4f}")

    report(f"{len(programs)} programs, one a length; that of the first name:")
    report(programs[0])
    report("invented: " + " ".join(invent(weights, letters) for _ in range(5)))
    return eager, jitted, programs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="?", help="a file with one name a line")
    parser.add_argument("--steps", type=int, default=10, help=f"at most {TRAINING_STEPS}")
    options = parser.parse_args()
    main(options.names, options.steps)
