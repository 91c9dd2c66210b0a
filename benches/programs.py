"""Whole training steps: micrograd's demo and a GPT of scalars, the losses compared."""

import itertools
import random
from collections.abc import Callable
from typing import Any

from engines import (
    FASTGRAD,
    FLOOR,
    MICROGRAD,
    MICROGRAD_RUST,
    Engine,
    allow_deep_graphs,
    example,
    micrograds_nn,
    present,
    teach_exp_and_log,
)
from measure import BY_HAND, OFF, ON, Clock, Row, Settings, Side, agreement, alternate
from workloads import seeded_moons, side_name

MILLI = 1e3
PENALTY = 1e-4
# micrograd adds parameters in an order that depends on addresses, and training makes it visible.
TOLERANCE = 1e-6

Step = Callable[[], float]


def repeated(name: str, step: Step, count: int, collector: str = ON) -> Side:
    """Time `count` steps at a time; each returns its loss."""
    results: list[float] = []

    def sample(clock: Clock) -> float:
        with clock:
            losses = [step() for _ in range(count)]
        results.extend(losses)
        return clock.seconds / count

    return Side(name, sample, collector, results)


def both_collectors(engine: Engine, make: Callable[[Engine], Step], count: int) -> list[Side]:
    """Measure an engine with the collector on, and off: then run by hand where it is needed.

    The floor is measured with the collector on only.
    """
    other = {MICROGRAD: [BY_HAND], FASTGRAD: [OFF]}.get(engine, [])
    steps = 1 if engine is MICROGRAD else count
    return [repeated(side_name(engine, c), make(engine), steps, c) for c in (ON, *other)]


# micrograd's demo --------------------------------------------------------------------------------


def rate(step: int) -> float:
    return 1.0 - 0.9 * min(step, 99) / 100


def written_out(engine: Engine) -> Step:
    """Write the step as micrograd's notebook does, through the text of micrograd's nn.py."""
    program = example("moons", engine)
    points, labels, model = seeded_moons(program)
    steps = itertools.count()

    def step() -> float:
        loss, _ = program.evaluate(model, points, labels)
        model.zero_grad()
        loss.backward()
        learning_rate = rate(next(steps))
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        return float(loss.data)

    return step


def through_nn(one_call: bool) -> Step:
    """Write the same step in fastgrad's own words: its MLP, loss and optimizer."""
    from fastgrad import nn, optim
    from fastgrad.engine import dot

    program = example("moons", FASTGRAD)
    points, labels, _ = seeded_moons(program)
    points, labels = points.tolist(), labels.tolist()
    random.seed(1337)
    model = nn.MLP(2, [16, 16, 1])
    parameters = model.parameters()
    optimizer = optim.SGD(parameters, lr=rate)

    def step() -> float:
        scores = model(points) if one_call else [model(point) for point in points]
        loss = nn.hinge_loss(scores, labels) + PENALTY * dot(parameters, parameters)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.data

    return step


def demo(settings: Settings) -> list[Row]:
    """One step on 100 points: the program unchanged, then through fastgrad.nn."""
    allow_deep_graphs()
    engines = present(FASTGRAD, FLOOR, MICROGRAD)
    written = [side for engine in engines for side in both_collectors(engine, written_out, 3)]
    one_by_one = repeated("one by one", through_nn(one_call=False), 10)
    one_call = repeated("one call", through_nn(one_call=True), 10)
    sides = [*written, one_by_one, one_call]
    cells = alternate(sides, settings.slow_rounds, MILLI)
    remark = agreement(sides, TOLERANCE)
    # micrograd and the floor know one way only; every row shows the one measurement of it.
    peers = {name: cell for name, cell in cells.items() if name.startswith(MICROGRAD.name)}

    def in_nn(case: str, side: Side) -> Row:
        return Row("demo", case, "ms", {FASTGRAD.name: cells[side.name], **peers}, remark)

    as_written = {side.name: cells[side.name] for side in written}
    return [
        Row("demo", "as micrograd's notebook writes it", "ms", as_written, remark),
        in_nn("through fastgrad.nn, point by point", one_by_one),
        in_nn("through fastgrad.nn, the batch in one call", one_call),
    ]


# The demo with what micrograd-rust knows ---------------------------------------------------------


def tanh_demo(settings: Settings) -> list[Row]:
    """Take tanh for relu and a squared error for the hinge: micrograd-rust has no relu."""
    sides = [
        repeated(engine.name, with_tanh(engine), 1 if engine.leaks else 3)
        for engine in present(FASTGRAD, FLOOR, MICROGRAD_RUST)
    ]
    cells = alternate(sides, settings.slow_rounds, MILLI)
    remark = agreement(sides, TOLERANCE)
    return [Row("tanh demo", "the same loops in Python", "ms", cells, remark)]


def with_tanh(engine: Engine) -> Step:
    value = engine.value()
    nn = micrograds_nn(engine, activation="tanh")
    points, labels, _ = seeded_moons(example("moons", FASTGRAD))
    points, labels = points.tolist(), labels.tolist()
    random.seed(1337)
    model = nn.MLP(2, [16, 16, 1])
    steps = itertools.count()

    def step() -> float:
        inputs = [[value(x) for x in point] for point in points]
        scores = [model(row) for row in inputs]
        errors = [(1.0 + -y * score) ** 2 for y, score in zip(labels, scores, strict=True)]
        penalty = PENALTY * sum(p * p for p in model.parameters())
        loss = (1.0 / len(errors)) * sum(errors) + penalty
        model.zero_grad()
        loss.backward()
        learning_rate = 0.1 * rate(next(steps))
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        return loss.data

    return step


# The demo on arrays ------------------------------------------------------------------------------


def jax_demo(settings: Settings) -> list[Row]:
    """Run the same step beside JAX, compiled, on arrays of f64.

    It has a process to itself: the many objects of JAX would slow the collector down for others.
    """
    from jax_step import JaxStep

    ours = repeated(FASTGRAD.name, through_nn(one_call=True), 10)
    theirs = JaxStep("JAX, jit", *moons_and_layers(), rate, PENALTY)
    sides = [ours, Side(theirs.name, theirs.sample, results=theirs.losses)]
    cells = alternate(sides, settings.rounds, MILLI)
    remark = agreement(sides, TOLERANCE)
    return [Row("jax demo", "through fastgrad.nn, the batch in one call", "ms", cells, remark)]


def moons_and_layers() -> tuple[Any, Any, list]:
    """Points, labels, and weights and biases of each layer as lists of numbers."""
    points, labels, model = seeded_moons(example("moons", FASTGRAD))
    layers = [
        ([[w.data for w in n.w] for n in layer.neurons], [n.b.data for n in layer.neurons])
        for layer in model.layers
    ]
    return points, labels, layers


# A GPT of scalars --------------------------------------------------------------------------------

NAME = "sophia"
SYMBOLS = 27


def encoded(name: str) -> list[int]:
    end = SYMBOLS - 1
    return [end, *(ord(letter) - ord("a") for letter in name), end]


def microgpt(settings: Settings) -> list[Row]:
    """One step on a name of six letters: the program unchanged, then on list operations."""
    allow_deep_graphs()
    if MICROGRAD.installed():
        teach_exp_and_log(MICROGRAD.value())
    engines = present(FASTGRAD, FLOOR, MICROGRAD)
    written = [side for engine in engines for side in both_collectors(engine, gpt_step, 3)]
    lists = repeated("lists", gpt_step_on_lists(), 10)
    sides = [*written, lists]
    cells = alternate(sides, settings.slow_rounds, MILLI)
    remark = agreement(sides, TOLERANCE)
    unchanged = {side.name: cells[side.name] for side in written}
    peers = {name: cell for name, cell in cells.items() if name.startswith(MICROGRAD.name)}
    on_lists = {FASTGRAD.name: cells[lists.name], **peers}
    return [
        Row("microgpt", "the program unchanged", "ms", unchanged, remark),
        Row("microgpt", "on list operations, with optim.Adam", "ms", on_lists, remark),
    ]


def gpt_weights(program: Any) -> tuple[dict, list]:
    random.seed(42)
    weights = program.make_weights(SYMBOLS)
    return weights, [p for rows in weights.values() for row in rows for p in row]


def gpt_step(engine: Engine) -> Step:
    program = example("microgpt", engine)
    weights, parameters = gpt_weights(program)
    means, squares = [0.0] * len(parameters), [0.0] * len(parameters)
    symbols = encoded(NAME)
    steps = itertools.count()

    def step() -> float:
        loss = program.surprise(weights, symbols)
        loss.backward()
        program.adam_step(parameters, next(steps), means, squares)
        return loss.data

    return step


def gpt_step_on_lists() -> Step:
    from fastgrad.optim import Adam

    program = example("microgpt_fast", FASTGRAD)
    weights, parameters = gpt_weights(program)
    betas = (program.BETA1, program.BETA2)
    optimizer = Adam(parameters, lr=program.falling_rate, betas=betas, eps=program.EPSILON)
    symbols = encoded(NAME)

    def step() -> float:
        loss = program.surprise(weights, symbols)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.data

    return step
