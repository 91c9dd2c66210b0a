"""A training run so small that its every step can be worked out: one number, moved by its loss.

The loss at step k is (x - noise(k))², its update x ← x - lr·2·(x - noise(k)), and the noise
follows from k alone, as the batches of a real run do.
"""

import math

import numpy as np
from fastgrad.training.loop import Loop
from fastgrad.training.plan import make_plan
from fastgrad.training.resuming import read_saved


def noise(step):
    return math.sin(step)


class ToyRun:
    """Follows `fastgrad.base.TrainingRun`; tells what it was asked, and fails on demand."""

    batch_size = 4

    def __init__(self, x=5.0, dev=True, nan_at=None, interrupt_at=None):
        self.x = np.array([x])
        self.dev = dev
        self.nan_at = nan_at
        self.interrupt_at = interrupt_at
        self.chunks = []
        self.saved = []

    @property
    def arrays(self):
        return {"x": self.x}

    def train(self, first_step, lrs):
        self.chunks.append((first_step, len(lrs)))
        losses = []
        for step, lr in enumerate(lrs, first_step):
            if step == self.interrupt_at:
                # In the middle of an update: nothing can be relied upon.
                self.x[0] = 1e9
                raise KeyboardInterrupt
            error = self.x[0] - noise(step)
            after = self.x[0] - lr * 2 * error
            if step == self.nan_at or not (math.isfinite(error**2) and math.isfinite(after)):
                break
            losses.append(error**2)
            self.x[0] = after
        return np.array(losses)

    def dev_loss(self):
        return float(self.x[0] ** 2) if self.dev else None

    def save(self, path, arrays, config, *, keep_previous=True):
        copies = {name: array.copy() for name, array in (self.arrays | arrays).items()}
        self.saved.append((path, copies, config))


def plain_steps(x, lrs):
    """Make the steps one after the other; give all values of x and all losses."""
    values, losses = [x], []
    for step, lr in enumerate(lrs):
        error = x - noise(step)
        losses.append(error**2)
        x -= lr * 2 * error
        values.append(x)
    return values, losses


def train(run, *, past=None, best=None, evaluated=None, **plan):
    """Train the toy by a plan of 40 steps, or another."""
    return Loop(run, make_plan(**{"steps": 40, "lr": 0.1} | plan), past, best, evaluated).go()


def resume(run, saved, **plan):
    """Go on with what a toy has saved."""
    _, arrays, config = saved
    state = read_saved(arrays, config)
    run.x[:] = arrays["x"]
    total, lrs = state.planned(plan.pop("steps", None), plan.pop("lr", None))
    fixed = {"evaluate_every": state.evaluate_every, "patience": state.patience}
    past = {"past": state.history, "best": state.best, "evaluated": state.evaluated}
    return train(run, steps=total, lr=lrs, **past, **fixed, **plan)
