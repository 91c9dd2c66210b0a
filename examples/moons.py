"""Two half-moons told apart by a small network, trained one scalar at a time.

The program, its seeds and its loss are those of micrograd's demo: the max-margin loss of a
2-16-16-1 network over 100 points, with a little weight decay, for 100 steps on the whole batch.
"""

import argparse
import random

import numpy as np
from fastgrad.engine import Value
from fastgrad.nn import MLP


def make_moons(samples, noise):
    """Return points on an upper and a lower half-circle, blurred, and their labels -1 and 1.

    Draws from numpy's global generator in the order in which scikit-learn's function of the
    same name does, so that the same seed gives the same points without scikit-learn.
    """
    angles = np.linspace(0, np.pi, samples // 2)
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    lower = np.stack([1 - np.cos(angles), 1 - np.sin(angles) - 0.5], axis=1)
    points = np.concatenate([upper, lower])
    labels = np.repeat([-1, 1], samples // 2)
    order = np.arange(samples)
    np.random.shuffle(order)
    blur = np.random.normal(scale=noise, size=points.shape)
    return points[order] + blur, labels[order]


def evaluate(model, points, labels):
    """Return the total loss as a Value, and the share of points on the right side."""
    inputs = [[Value(coordinate) for coordinate in point] for point in points]
    scores = [model(x) for x in inputs]

    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(labels, scores, strict=True)]
    data_loss = sum(losses) * (1.0 / len(losses))

    penalty = 1e-4 * sum(p * p for p in model.parameters())

    hits = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(labels, scores, strict=True)]
    return data_loss + penalty, sum(hits) / len(hits)


def main(steps=100, report=print):
    np.random.seed(1337)
    random.seed(1337)
    points, labels = make_moons(samples=100, noise=0.1)
    model = MLP(2, [16, 16, 1])

    history = []
    for step in range(steps):
        loss, accuracy = evaluate(model, points, labels)
        model.zero_grad()
        loss.backward()
        learning_rate = 1.0 - 0.9 * step / 100
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        history.append((loss.data, accuracy))
        report(f"step {step:3d}   loss {loss.data:.6f}   accuracy {accuracy:.0%}")
    return history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100, help="at most 100 make sense")
    main(parser.parse_args().steps)
