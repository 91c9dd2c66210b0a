"""The two half-moons of moons.py, told apart by a program that was recorded from one point.

The loss is written for a single point, with plain Values; `fastgrad.jit` records it once and
replays it over all 100 points as a few products of matrices. Loss and learning rates are those of
micrograd's demo, and so are the numbers.
"""

import argparse
import random

from fastgrad import MLP, SGD, jit
from fastgrad.datasets import make_moons


def falling_rate(step):
    return 1.0 - 0.9 * step / 100


def main(steps=100, report=print):
    random.seed(1337)
    points, labels = make_moons(100, noise=0.1, random_state=1337)
    targets = labels * 2 - 1
    model = MLP(2, [16, 16, 1])

    @jit
    def loss(point, target):
        penalty = 1e-4 * sum(p * p for p in model.parameters())
        return (1 + -target * model(point)).relu() + penalty

    history = loss.fit(
        (points, targets),
        steps=steps,
        optimizer=SGD(model.parameters(), lr=falling_rate),
        shuffle=False,
        progress=False,
    )
    for step, number in enumerate(history.loss):
        report(f"step {step:3d}   loss {number:.6f}")
    scores = [model(point).data for point in points.tolist()]
    hits = [(score > 0) == (target > 0) for score, target in zip(scores, targets, strict=True)]
    report(f"accuracy {sum(hits) / len(hits):.0%}")
    report(loss.program)
    return history.loss.tolist(), sum(hits) / len(hits)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100, help="at most 100 make sense")
    main(parser.parse_args().steps)
