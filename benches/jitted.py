"""Scalar programs through `fastgrad.jit`: micrograd's demo and a GPT of scalars, beside arrays.

`python jitted.py SIDE` trains the GPT for 1,000 steps in a process of its own, which is timed.
"""

import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import gpt_arrays
import numpy as np
from engines import FASTGRAD, example, find
from measure import Clock, Row, Settings, Side, agreement, alternate
from programs import (
    NAME,
    PENALTY,
    TOLERANCE,
    encoded,
    gpt_weights,
    moons_and_layers,
    repeated,
    through_nn,
)
from workloads import seeded_moons

MICRO, MILLI = 1e6, 1e3
STEPS_A_SAMPLE = 200
NAMES = 32
LISTS, JAX, TORCH = "fastgrad, list operations", "JAX, jit", "torch"
PEERS = {JAX: "jax", TORCH: "torch"}

# micrograd's demo --------------------------------------------------------------------------------


def demo(settings: Settings) -> list[Row]:
    """Compute loss and gradients of 100 points: scalars recorded, scalars at once, and arrays."""
    sides = [repeated(FASTGRAD.name, recorded_demo(), STEPS_A_SAMPLE)]
    sides.append(repeated("fastgrad.nn, the batch in one call", through_nn(one_call=True), 20))
    # Only the first loss is compared with that of a side that goes on to train.
    if find("jax"):
        sides.append(repeated(JAX, jax_demo(), STEPS_A_SAMPLE))
    if find("torch"):
        sides.append(repeated(TORCH, torch_demo(), 50))
    if find("casadi"):
        sides.append(repeated("CasADi, SX", casadi_demo(), STEPS_A_SAMPLE))
    cells = alternate(sides, settings.rounds, MICRO)
    remark = agreement(sides, TOLERANCE, steps=1)
    return [Row("jit demo", "loss and gradients of 100 points, f64", "µs", cells, remark)]


def recorded_demo() -> Callable[[], float]:
    from fastgrad import jit, nn

    points, labels, _ = seeded_moons(example("moons", FASTGRAD))
    random.seed(1337)
    model = nn.MLP(2, [16, 16, 1])
    parameters = model.parameters()

    @jit
    def loss(point: Any, label: Any) -> Any:
        penalty = PENALTY * sum(p * p for p in parameters)
        return (1 - label * model(point)).relu() + penalty

    points, labels = np.array(points), np.array(labels, dtype=float)
    return lambda: loss.value_and_grad(points, labels)


def jax_demo() -> Callable[[], float]:
    import jax

    jax.config.update("jax_enable_x64", True)
    from jax_step import loss_of

    points, labels, layers = moons_and_layers()
    arrays = [(jax.numpy.array(w), jax.numpy.array(b)) for w, b in layers]
    both = jax.jit(jax.value_and_grad(loss_of(points, labels, PENALTY)))

    def step() -> float:
        loss, gradients = both(arrays)
        jax.block_until_ready(gradients)
        return float(loss)

    return step


def torch_demo() -> Callable[[], float]:
    import torch

    torch.set_num_threads(1)
    points, labels, layers = moons_and_layers()
    x, y = (torch.tensor(np.array(array), dtype=torch.float64) for array in (points, labels))
    parameters = [
        torch.tensor(array, dtype=torch.float64, requires_grad=True)
        for layer in layers
        for array in layer
    ]

    def step() -> float:
        out = x
        for depth, (w, b) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
            out = torch.nn.functional.linear(out, w, b)
            out = out if 2 * depth + 2 == len(parameters) else out.relu()
        penalty = PENALTY * sum((p * p).sum() for p in parameters)
        loss = (1 - y * out[:, 0]).relu().mean() + penalty
        for p in parameters:
            p.grad = None
        loss.backward()
        return loss.item()

    return step


def casadi_demo() -> Callable[[], float]:
    """Build the graph of all points from scalars, and interpret it."""
    import casadi

    points, labels, layers = moons_and_layers()
    count = sum(len(w) * len(w[0]) + len(b) for w, b in layers)
    symbols = casadi.SX.sym("p", count)
    place = iter(range(count))
    named = [
        ([[symbols[next(place)] for _ in row] for row in w], [symbols[next(place)] for _ in b])
        for w, b in layers
    ]
    numbers = [x for w, b in layers for x in [*(x for row in w for x in row), *b]]
    losses = written_out(points, labels, named, lambda x: casadi.fmax(x, 0))
    loss = losses / len(points) + PENALTY * casadi.sumsqr(symbols)
    function = casadi.Function("f", [symbols], [loss, casadi.gradient(loss, symbols)])
    given = casadi.DM(numbers)
    return lambda: float(function(given)[0])


def written_out(points: Any, labels: Any, layers: list, relu: Callable[[Any], Any]) -> Any:
    """Return the sum of the losses of all points, scalar by scalar."""
    losses = 0
    for point, label in zip(points, labels, strict=True):
        x = [float(number) for number in point]
        for depth, (w, b) in enumerate(layers):
            x = [
                bias + sum(wi * xi for wi, xi in zip(row, x, strict=True))
                for row, bias in zip(w, b, strict=True)
            ]
            x = x if depth == len(layers) - 1 else [relu(xi) for xi in x]
        losses += relu(1 - float(label) * x[0])
    return losses


# A GPT of scalars --------------------------------------------------------------------------------


def microgpt(settings: Settings) -> list[Row]:
    """Train a GPT: scalars recorded, the whole loop in the core, beside lists and arrays."""
    names = [encoded(name) for name in common_names(NAMES)]
    cases = [
        ("a step on a name of six letters, optim.Adam included", [encoded(NAME)], 1),
        ("… on one name, the mean of 32 names", names, 1),
        ("… on 32 names, for each of them", names, NAMES),
    ]
    return [gpt_row(case, names, batch_size, settings) for case, names, batch_size in cases]


def gpt_row(case: str, names: list[list[int]], batch_size: int, settings: Settings) -> Row:
    steps = 10 * NAMES if batch_size == 1 else 50
    sides = [
        RecordedGpt(names, batch_size, steps).side,
        *(
            side_of_steps(name, step, max(1, steps // 10) if name == LISTS else steps, batch_size)
            for name, step in other_steps(names, batch_size)
        ),
    ]
    cells = alternate(sides, settings.rounds, MICRO)
    return Row("jit microgpt", case, "µs", cells, agreement(sides, TOLERANCE))


def common_names(count: int) -> list[str]:
    from fastgrad.datasets import names

    return names()[:count]


def rate_of(program: Any) -> Callable[[int], float]:
    """Return the learning rate of each step; at the end of the run it is zero, and stays so."""
    return lambda step: max(program.falling_rate(step), 0.0)


class RecordedGpt:
    """The GPT of the examples, recorded, and trained by `fit` for many steps at a time."""

    def __init__(self, names: list[list[int]], batch_size: int, steps: int) -> None:
        from fastgrad import jit
        from fastgrad.optim import Adam

        program = example("microgpt_jit", FASTGRAD)
        weights, parameters = gpt_weights(program)
        betas, eps = gpt_arrays.BETAS, gpt_arrays.EPSILON
        optimizer = Adam(parameters, lr=rate_of(program), betas=betas, eps=eps)
        loss = jit(lambda symbols: program.surprise(weights, symbols))

        def sample(clock: Clock) -> float:
            with clock:
                history = loss.fit(
                    (names,),
                    steps=steps,
                    optimizer=optimizer,
                    batch_size=batch_size,
                    shuffle=False,
                    threads=1,
                    progress=False,
                )
            self.side.results.extend(history.loss.tolist())
            return clock.seconds / steps / batch_size

        self.side = Side(FASTGRAD.name, sample)


def side_of_steps(name: str, step: Callable[[int], Any], steps: int, batch_size: int) -> Side:
    """Return a side that makes some steps at a time, and waits for the last result only."""
    results: list[float] = []

    def sample(clock: Clock) -> float:
        with clock:
            losses = [step(len(results) + number) for number in range(steps)]
            losses = [float(loss) for loss in losses]
        results.extend(losses)
        return clock.seconds / steps / batch_size

    return Side(name, sample, results=results)


def other_steps(names: list[list[int]], batch_size: int) -> Iterable[tuple[str, Callable]]:
    """Yield the name of each other side, and what makes its step of a number."""
    if batch_size == 1:
        yield LISTS, lists_training(names)
    program = example("microgpt_jit", FASTGRAD)
    weights, _ = gpt_weights(program)
    numbers = {
        name: np.array([[p.data for p in row] for row in rows]) for name, rows in weights.items()
    }
    batches = [
        gpt_arrays.batch_of(names[first : first + batch_size])
        for first in range(0, len(names), batch_size)
    ]
    # Names of one length are compiled once.
    makers = {JAX: gpt_arrays.jax_training, TORCH: gpt_arrays.torch_training}
    for name, make in makers.items():
        if find(PEERS[name]):
            yield name, make(numbers, batches, rate_of(program))


def lists_training(names: list[list[int]]) -> Callable[[int], float]:
    """Return a function that makes one step with list operations."""
    from fastgrad.optim import Adam

    program = example("microgpt_fast", FASTGRAD)
    weights, parameters = gpt_weights(program)
    betas, eps = gpt_arrays.BETAS, gpt_arrays.EPSILON
    optimizer = Adam(parameters, lr=rate_of(program), betas=betas, eps=eps)

    def step(number: int) -> float:
        loss = program.surprise(weights, names[number % len(names)])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.data

    return step


# Recording, and whole runs -----------------------------------------------------------------------


def recording(settings: Settings) -> list[Row]:
    """Record programs for the first time, beside the eager pass and what others take to compile."""
    from fastgrad import jit

    program = example("microgpt_jit", FASTGRAD)
    weights, _ = gpt_weights(program)
    name = encoded("isabella")

    def surprise(symbols: Any) -> Any:
        return program.surprise(weights, symbols)

    gpt = [
        repeated(FASTGRAD.name, lambda: jit(surprise).value_and_grad([name]), 1),
        repeated("fastgrad, eager, no backward", lambda: surprise(name).data, 1),
    ]
    if find("jax"):
        numbers = {
            key: np.array([[p.data for p in row] for row in rows]) for key, rows in weights.items()
        }
        batches = [gpt_arrays.batch_of([name])]
        make = gpt_arrays.jax_training
        gpt.append(repeated(JAX, lambda: float(make(numbers, batches, lambda _: 0.0)(0)), 1))

    points, labels, layers = moons_and_layers()
    from fastgrad.engine import Value

    named = [([[Value(x) for x in row] for row in w], [Value(x) for x in b]) for w, b in layers]
    parameters = [p for w, b in named for p in [*(p for row in w for p in row), *b]]

    def loss() -> Any:
        losses = written_out(points, labels, named, Value.relu)
        return losses / len(points) + PENALTY * sum(p * p for p in parameters)

    demo = [
        repeated(FASTGRAD.name, lambda: jit(loss)().data, 1),
        repeated("fastgrad, eager, no backward", lambda: loss().data, 1),
    ]
    if find("casadi"):
        demo.append(repeated("CasADi, SX", lambda: casadi_demo()(), 1))
    return [
        Row(
            "jit recording",
            case,
            "ms",
            alternate(sides, settings.slow_rounds, MILLI),
            agreement(sides, TOLERANCE, steps=1),
        )
        for case, sides in (
            ("the GPT on a name of eight letters", gpt),
            ("micrograd's demo, its 100 points written out", demo),
        )
    ]


def whole_runs(settings: Settings) -> list[Row]:
    """Train for 1,000 steps, Python's start included."""
    sides = []
    for name in (FASTGRAD.name, LISTS, *(peer for peer in PEERS if find(PEERS[peer]))):

        def sample(clock: Clock, name: str = name) -> float:
            with clock:
                done = subprocess.run(
                    [sys.executable, __file__, name], check=True, stdout=subprocess.PIPE, text=True
                )
            results[name].append(float(done.stdout))
            return clock.seconds

        sides.append(Side(name, sample))
    results = {side.name: side.results for side in sides}
    cells = alternate(sides, 1 if settings.quick else 3)
    # Rounding has grown for 1,000 steps.
    remark = agreement(sides, 1e-3, steps=1).replace("losses of the first 1 steps", "last losses")
    return [Row("jit run", "1,000 steps on a name each, the whole process", "s", cells, remark)]


def train(side: str) -> None:
    """Make 1,000 steps, and print the loss of the last one."""
    names, steps = [encoded(name) for name in common_names(1000)], 1000
    if side == FASTGRAD.name:
        gpt = RecordedGpt(names, 1, steps)
        gpt.side.sample(Clock("on"))
        print(gpt.side.results[-1])
        return
    step = dict(other_steps(names, 1))[side]
    print(float([step(number) for number in range(steps)][-1]))


if __name__ == "__main__":
    train(sys.argv[1])
