"""A training step of the neural probabilistic language model: forward, backward, SGD.

Each size and number of threads is measured in a process of its own, as numerical libraries decide
on their threads when they are loaded: `python benches/nplm.py SIZE THREADS [--quick]`.
"""

# ruff: noqa: N806, the names are the paper's

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from engines import FASTGRAD, find
from measure import Clock, Row, Settings, Side, agreement, alternate, note

SCALES = {"µs": 1e6, "ms": 1e3}
EXAMPLES = 182_625  # as the lecture's training split
RATE = 0.1
SEED = 7


@dataclass(frozen=True)
class Size:
    """The sizes of a model, and how many steps one sample takes."""

    vocabulary: int
    context: int
    features: int
    hidden: int
    batch: int
    steps: int
    unit: str = "µs"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        inputs = self.context * self.features
        return {
            "C": (self.vocabulary, self.features),
            "H": (self.hidden, inputs),
            "d": (self.hidden,),
            "U": (self.vocabulary, self.hidden),
            "b": (self.vocabulary,),
        }


SIZES = {
    "S": Size(27, 3, 10, 200, 32, 400),
    "M": Size(27, 8, 24, 512, 256, 50),
    # Words: a vocabulary like that of the paper, and a larger one.
    "W": Size(16_384, 4, 60, 100, 256, 10, "ms"),
    "WL": Size(50_000, 4, 128, 512, 1024, 2, "ms"),
}


def small(settings: Settings) -> list[Row]:
    """Measure the lecture's size, which is too small to be shared between threads."""
    return measured_apart("S", 1, settings)


def middle(settings: Settings) -> list[Row]:
    return measured_apart("M", 1, settings) + measured_apart("M", 2, settings)


def words(settings: Settings) -> list[Row]:
    return measured_apart("W", 1, settings) + measured_apart("W", 2, settings)


def many_words(settings: Settings) -> list[Row]:
    return measured_apart("WL", 1, settings) + measured_apart("WL", 2, settings)


def measured_apart(size: str, threads: int, settings: Settings) -> list[Row]:
    """Run this file with so many threads for every library."""
    count = str(threads)
    environment = {
        **os.environ,
        **{f"{name}_NUM_THREADS": count for name in ("OPENBLAS", "OMP", "MKL")},
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, __file__, size, count, *(["--quick"] if settings.quick else [])]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [Row(**row) for row in json.loads(done.stdout)]


def main() -> None:
    name, threads, *quick = sys.argv[1:]
    # JAX has no setting that it always follows; it does follow what the system allows.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    rows = steps(name, int(threads), Settings(bool(quick)))
    print(json.dumps([vars(row) for row in rows]))


def steps(name: str, threads: int, settings: Settings) -> list[Row]:
    size = SIZES[name]
    sides = [
        side("fastgrad", size, FastgradRun(size, threads)),
        side("numpy", size, NumpyRun(size)),
    ]
    absent = {}
    if find("jax"):
        from jax_nplm import ScanRun, StepRun

        start = Start(size)
        sides.append(side("jax, a call a step", size, StepRun(start, RATE)))
        sides.append(side("jax, scan over steps", size, ScanRun(start, RATE)))
    else:
        absent["jax"] = note("not installed")
    if find("torch"):
        sides.append(side("torch", size, TorchRun(size, threads)))
    else:
        absent["torch"] = note("not installed")
    # A step of WL takes seconds.
    rounds = settings.slow_rounds if name == "WL" else settings.rounds
    cells = {**alternate(sides, rounds, SCALES[size.unit]), **absent}
    case = f"size {name}, {threads} thread{'s' if threads > 1 else ''}"
    return [Row("nplm", case, size.unit, cells, agreement(sides, 1e-3))]


def side(name: str, size: Size, run: Callable[[int, Any], list[float]]) -> Side:
    """Time `run(first step, numbers of the examples of each step)`, which gives the losses."""
    first = 0

    def sample(clock: Clock) -> float:
        nonlocal first
        numbers = batches(first, size)
        with clock:
            losses = run(first, numbers)
        first += size.steps
        made.results += [float(loss) for loss in losses]
        return clock.seconds / size.steps

    made = Side(FASTGRAD.name if name == "fastgrad" else name, sample)
    return made


class Start:
    """What all sides begin with: parameters and examples."""

    def __init__(self, size: Size) -> None:
        import numpy as np

        rng = np.random.default_rng(1)
        scale = {"C": 1.0, "H": 1 / size.shapes["H"][1] ** 0.5, "U": 0.01}
        self.params = {
            name: (scale.get(name, 0.0) * rng.standard_normal(shape)).astype(np.float32)
            for name, shape in size.shapes.items()
        }
        ids = rng.integers(size.vocabulary, size=(EXAMPLES, size.context + 1), dtype=np.uint32)
        self.inputs = np.ascontiguousarray(ids[:, :-1])
        # The next symbol depends on the last ones, so that there is something to learn.
        self.targets = (self.inputs[:, 0] + self.inputs[:, -1]) % np.uint32(size.vocabulary)


@cache
def batches(first: int, size: Size) -> Any:
    """Work out which examples fastgrad draws for the steps of a sample: (steps, batch)."""
    import numpy as np

    return np.array([draw(step, size.batch) for step in range(first, first + size.steps)])


def draw(step: int, count: int) -> list[int]:
    """Draw below EXAMPLES as the core does: xoshiro256++, seeded by SplitMix64."""
    mask = 2**64 - 1

    def mix(z: int) -> int:
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        return z ^ (z >> 31)

    start = SEED + mix(step)
    a, b, c, d = (mix((start + i * 0x9E3779B97F4A7C15) & mask) for i in (1, 2, 3, 4))
    numbers = []
    for _ in range(count):
        total = (a + d) & mask
        number = ((total << 23 | total >> 41) + a) & mask
        c, d = c ^ a, d ^ b
        a, b, c, d = a ^ d, b ^ c, c ^ (b << 17 & mask), (d << 45 | d >> 19) & mask
        numbers.append(number * EXAMPLES >> 64)
    return numbers


class FastgradRun:
    def __init__(self, size: Size, threads: int) -> None:
        self.start, self.batch, self.threads = Start(size), size.batch, threads

    def __call__(self, first: int, numbers: Any) -> list[float]:
        import numpy as np
        from fastgrad._core import nplm_train

        start = self.start
        losses = nplm_train(
            start.params, [], start.inputs, start.targets, batch=self.batch,
            rates=np.full(len(numbers), RATE), first_step=first, seed=SEED, threads=self.threads,
        )  # fmt: skip
        return losses.tolist()


class NumpyRun:
    """Arrays as a careful user writes them.

    A product with ones adds up the embeddings' rows, where there are few symbols.
    """

    def __init__(self, size: Size) -> None:
        import numpy as np

        self.start = Start(size)
        few = size.vocabulary <= 256
        self.ones = np.eye(size.vocabulary, dtype=np.float32) if few else None
        self.rows = np.arange(size.batch)

    def __call__(self, _first: int, numbers: Any) -> list[float]:
        return [self.step(batch) for batch in numbers]

    def step(self, numbers: Any) -> float:
        import numpy as np

        C, H, d, U, b = self.start.params.values()
        ids, targets = self.start.inputs[numbers], self.start.targets[numbers]
        batch = len(numbers)
        x = C[ids].reshape(batch, -1)
        a = np.tanh(x @ H.T + d)
        y = a @ U.T + b
        y -= y.max(axis=1, keepdims=True)
        p = np.exp(y)
        sums = p.sum(axis=1, keepdims=True)
        loss = (np.log(sums[:, 0]) - y[self.rows, targets]).mean()
        p /= sums
        p[self.rows, targets] -= 1
        p /= batch
        dz = p @ U
        dz *= 1 - a * a
        dx = (dz @ H).reshape(-1, C.shape[1])
        U -= RATE * (p.T @ a)
        b -= RATE * p.sum(axis=0)
        H -= RATE * (dz.T @ x)
        d -= RATE * dz.sum(axis=0)
        if self.ones is None:
            np.subtract.at(C, ids.ravel(), RATE * dx)
        else:
            C -= RATE * (self.ones[ids.ravel()].T @ dx)
        return loss


class TorchRun:
    """Eager tensors, as in the lecture."""

    def __init__(self, size: Size, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.start = Start(size)
        self.params = [torch.tensor(p, requires_grad=True) for p in self.start.params.values()]
        self.inputs = torch.tensor(self.start.inputs.astype("int64"))
        self.targets = torch.tensor(self.start.targets.astype("int64"))

    def __call__(self, _first: int, numbers: Any) -> list[float]:
        import torch
        from torch.nn import functional

        losses = []
        C, H, d, U, b = self.params
        for batch in torch.from_numpy(numbers):
            x = C[self.inputs[batch]].view(len(batch), -1)
            y = torch.tanh(x @ H.T + d) @ U.T + b
            loss = functional.cross_entropy(y, self.targets[batch])
            for p in self.params:
                p.grad = None
            loss.backward()
            with torch.no_grad():
                for p in self.params:
                    p -= RATE * p.grad
            losses.append(loss.item())
        return losses


if __name__ == "__main__":
    main()
