"""Scalar autograd: an expression, a training run, and how long a step takes."""

from __future__ import annotations

import importlib.util
import random
import statistics
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .. import nn
from ..datasets import make_moons
from ..engine import Value, dot
from ..nn import MLP, hinge_loss
from ..optim import SGD
from ..optim.schedules import linear
from .report import headline, progress, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["show"]

SEED = 1337
WIDTHS = [16, 16, 1]
STEPS = 100
LR = linear(1.0, 0.1, STEPS)
L2 = 1e-4
# micrograd takes about a second a step, so it gets few; the first is not timed.
PEER_STEPS = 4

README_REFERENCE = {"g": 24.7041, "dg/da": 138.8338, "dg/db": 645.5773}
# The output of micrograd's own demo: step, loss, accuracy in percent.
MOONS_REFERENCE = (
    (0, 0.8958441028683222, 50),
    (1, 1.7235905336972022, 81),
    (2, 0.7429006313851131, 77),
    (3, 0.7705641260584198, 82),
    (10, 0.24507023853658053, 91),
    (50, 0.09875114765619622, 96),
    (99, 0.010978370135492717, 100),
)


@dataclass
class Training:
    """A model and what was seen while it was trained."""

    model: Any
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def note(self, loss: Any, scores: Sequence[Any], labels: Sequence[int], seconds: float) -> None:
        """Write down one step."""
        hits = [(score.data > 0) == (y > 0) for score, y in zip(scores, labels, strict=True)]
        self.losses.append(loss.data)
        self.accuracies.append(100 * sum(hits) / len(hits))
        self.seconds.append(seconds)


def show(out: Path) -> None:
    """Show everything on standard output, and save the picture in the folder `out`."""
    _show_expression()
    points, classes = make_moons(100, noise=0.1, random_state=SEED)
    labels = 2 * classes - 1
    ours = _show_training(points.tolist(), labels.tolist())
    _show_times(ours, points.tolist(), labels.tolist())
    _show_picture(ours, points, labels, out / "moons.png")


def expression() -> dict[str, float]:
    """Work out the expression of micrograd's README and two of its derivatives."""
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    return {"g": g.data, "dg/da": a.grad, "dg/db": b.grad}


def train(points: list[list[float]], labels: list[int], steps: int = STEPS) -> Training:
    """Train fastgrad's network: one call a layer, a loss and an optimizer of the library."""
    random.seed(SEED)
    model = MLP(2, WIDTHS)
    parameters = model.parameters()
    optimizer = SGD(parameters, lr=LR)
    seen = Training(model)
    for _ in progress(steps, "fastgrad"):
        start = perf_counter()
        scores = model(points)
        loss = hinge_loss(scores, labels) + L2 * dot(parameters, parameters)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.note(loss, scores, labels, perf_counter() - start)
    return seen


def train_plainly(
    nn: Any, value: Any, points: list[list[float]], labels: list[int], steps: int
) -> Training:
    """Train with the program that a user of micrograd writes, on the classes of either."""
    random.seed(SEED)
    model = nn.MLP(2, WIDTHS)
    seen = Training(model)
    for step in progress(steps, nn.__name__.partition(".")[0]):
        start = perf_counter()
        inputs: list[Any] = [[value(x) for x in point] for point in points]
        scores: list[Any] = [model(row) for row in inputs]
        misses = [(1 + -y * score).relu() for y, score in zip(labels, scores, strict=True)]
        mean_miss = sum(misses) * (1.0 / len(misses))
        loss: Any = mean_miss + L2 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        lr = 1.0 - 0.9 * step / 100
        for p in model.parameters():
            p.data -= lr * p.grad
        seen.note(loss, scores, labels, perf_counter() - start)
    return seen


def _show_expression() -> None:
    headline("The expression of micrograd's README, and its gradients")
    found = expression()
    rows = [[name, f"{found[name]:.4f}", f"{README_REFERENCE[name]:.4f}"] for name in found]
    table(["", "fastgrad", "micrograd's README"], rows)


def _show_training(points: list[list[float]], labels: list[int]) -> Training:
    headline("micrograd's demo: a network learns to tell two half-moons apart")
    seen = train(points, labels)
    shape = "-".join(map(str, [2, *WIDTHS]))
    print(
        f"  {len(points)} points; {shape} neurons with"
        f" {len(seen.model.parameters())} parameters; {STEPS} steps on all points"
    )
    rows = [
        [
            str(step),
            f"{seen.losses[step]:.8f}",
            f"{loss:.8f}",
            f"{seen.accuracies[step]:.0f} %",
            f"{accuracy} %",
        ]
        for step, loss, accuracy in MOONS_REFERENCE
    ]
    table(["step", "loss", "micrograd's", "accuracy", "micrograd's"], rows)
    return seen


def _show_times(ours: Training, points: list[list[float]], labels: list[int]) -> None:
    headline("How long a step takes")
    print("  Measured: a whole training step (forward pass over all points, loss, backward")
    print("  pass, update), in this process, with Python's cyclic collector on. First with")
    print("  the library's batch, loss and optimizer, then micrograd's own program on the")
    print("  classes of either.")
    plain = train_plainly(nn, Value, points, labels, STEPS)
    runs = [("fastgrad", ours), ("fastgrad, same program", plain)]
    if importlib.util.find_spec("micrograd") is None:
        table(*_times(runs))
        print("  micrograd is not installed, so it was not measured:")
        print("  pip install micrograd==0.1.0")
        return
    from micrograd import engine as peer_engine
    from micrograd import nn as peer_nn

    peer = train_plainly(peer_nn, peer_engine.Value, points, labels, PEER_STEPS)
    table(*_times([*runs, ("micrograd", peer)]))
    same, all_of_it = _median(peer) / _median(plain), _median(peer) / _median(ours)
    apart = max(abs(a - b) for a, b in zip(plain.losses, peer.losses, strict=False))
    print(f"  fastgrad is {same:,.0f} times as fast on the same program, {all_of_it:,.0f} times")
    print("  with its own parts.")
    print(f"  The losses of the same program differ by at most {apart:.0e}.")


def _times(runs: list[tuple[str, Training]]) -> tuple[list[str], list[list[str]]]:
    rows: list[list[str]] = []
    for name, seen in runs:
        timed = seen.seconds[1:]
        spread = (_median(seen), min(timed), max(timed))
        rows.append([name, str(len(timed)), *(f"{1000 * seconds:,.2f} ms" for seconds in spread)])
    return ["", "steps", "median", "fastest", "slowest"], rows


def _median(seen: Training) -> float:
    """Take the median of all steps but the first, which warms up."""
    return statistics.median(seen.seconds[1:])


def _show_picture(ours: Training, points: Any, labels: Any, path: Path) -> None:
    headline("The decision boundary")
    if importlib.util.find_spec("matplotlib") is None:
        print("  No picture, since matplotlib is not installed: pip install matplotlib")
        return
    from ..plots import decision_boundary

    title = (
        f"Two moons after {len(ours.losses)} steps: loss {ours.losses[-1]:.4f},"
        f" {ours.accuracies[-1]:.0f} % right"
    )
    decision_boundary(ours.model, points, labels, path=path, title=title)
    print(f"  {path.resolve()}")
