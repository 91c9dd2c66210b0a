"""Two moons one point at a time, drawn from numpy's global generator."""

import math

import numpy as np


def on_the_outer(i, count):
    angle = math.pi * i / max(count - 1, 1)
    return [math.cos(angle), math.sin(angle)]


def on_the_inner(i, count):
    angle = math.pi * i / max(count - 1, 1)
    return [1 - math.cos(angle), 1 - math.sin(angle) - 0.5]


def moons(n, noise, seed):
    outer, inner = n // 2, n - n // 2
    clean = [on_the_outer(i, outer) for i in range(outer)]
    clean += [on_the_inner(i, inner) for i in range(inner)]

    np.random.seed(seed)
    order = np.arange(n)
    np.random.shuffle(order)
    points, labels = [], []
    for i in order.tolist():
        points.append([coordinate + np.random.normal(scale=noise) for coordinate in clean[i]])
        labels.append(-1 if i < outer else 1)
    return points, labels
