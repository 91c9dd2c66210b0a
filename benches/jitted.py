"""Scalar programs through `fastgrad.jit`: micrograd's demo and a GPT of scalars, beside arrays."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from engines import FASTGRAD, example, find
from measure import Clock, Row, Settings, Side, agreement, alternate
from programs import (
    NAME,
    PENALTY,
    TOLERANCE,
    encoded,
    gpt_step_on_lists,
    gpt_weights,
    moons_and_layers,
    repeated,
    through_nn,
)
from workloads import seeded_moons

MICRO = 1e6
STEPS_A_SAMPLE = 200


def demo(settings: Settings) -> list[Row]:
    """Compute loss and gradients of 100 points: scalars recorded, scalars at once, and arrays."""
    sides = [repeated(FASTGRAD.name, recorded_demo(), STEPS_A_SAMPLE)]
    sides.append(repeated("fastgrad.nn, the batch in one call", through_nn(one_call=True), 20))
    # Only the first loss is compared with that of a side that goes on to train.
    if find("jax"):
        sides.append(repeated("JAX, jit", jax_demo(), STEPS_A_SAMPLE))
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
    losses = 0
    for point, label in zip(points, labels, strict=True):
        x = [float(number) for number in point]
        for depth, (w, b) in enumerate(named):
            x = [
                bias + sum(wi * xi for wi, xi in zip(row, x, strict=True))
                for row, bias in zip(w, b, strict=True)
            ]
            x = x if depth == len(named) - 1 else [casadi.fmax(xi, 0) for xi in x]
        losses += casadi.fmax(1 - float(label) * x[0], 0)
    loss = losses / len(points) + PENALTY * casadi.sumsqr(symbols)
    function = casadi.Function("f", [symbols], [loss, casadi.gradient(loss, symbols)])
    given = casadi.DM(numbers)
    return lambda: float(function(given)[0])


def microgpt(settings: Settings) -> list[Row]:
    """Train on one name: scalars recorded, the whole loop in the core, beside list operations."""
    lists = repeated("fastgrad, list operations", gpt_step_on_lists(), 10)
    sides = [RecordedGpt().side, lists]
    cells = alternate(sides, settings.rounds, MICRO)
    remark = agreement(sides, TOLERANCE)
    case = "a step on a name of six letters, optim.Adam included"
    return [Row("jit microgpt", case, "µs", cells, remark)]


class RecordedGpt:
    """The GPT of the examples, recorded, and trained by `fit` for many steps at a time."""

    def __init__(self) -> None:
        from fastgrad import jit
        from fastgrad.optim import Adam

        program = example("microgpt_fast", FASTGRAD)
        weights, parameters = gpt_weights(program)
        betas = (program.BETA1, program.BETA2)
        # As the other side's: at the end of the run the rate is zero, and stays so.
        self.optimizer = Adam(
            parameters,
            lr=lambda step: max(program.falling_rate(step), 0.0),
            betas=betas,
            eps=program.EPSILON,
        )
        symbols = encoded(NAME)
        self.loss = jit(lambda _: program.surprise(weights, symbols))
        self.side = Side(FASTGRAD.name, self.sample)

    def sample(self, clock: Clock) -> float:
        with clock:
            history = self.loss.fit(
                ([[]],), steps=STEPS_A_SAMPLE, optimizer=self.optimizer, progress=False
            )
        self.side.results.extend(history.loss.tolist())
        return clock.seconds / STEPS_A_SAMPLE
