"""Single operations, and the backward pass over graphs of several shapes."""

import itertools
import random
import timeit
from collections.abc import Callable
from typing import Any

from engines import (
    ENGINES,
    FASTGRAD,
    FLOOR,
    MICROGRAD,
    MICROGRAD_RUST,
    Engine,
    allow_deep_graphs,
    example,
    present,
)
from measure import BY_HAND, ON, Clock, Row, Settings, Side, alternate, note

NANO = 1e9

# Eager operations --------------------------------------------------------------------------------

OPERATIONS = ["a * b", "a + b", "a * 2.0", "a ** 2", "a.relu()"]
SECONDS_A_SAMPLE = 0.01
# A full collection walks the whole process; it is to be a small part of what is measured.
BY_HAND_LONGER = 20


def eager(settings: Settings) -> list[Row]:
    """One operation whose result is dropped at once."""
    return [operation(statement, settings) for statement in OPERATIONS]


def operation(statement: str, settings: Settings) -> Row:
    sides, notes = [], {}
    for engine in present(*ENGINES.values()):
        value = engine.value()
        operands = {"a": value(1.5), "b": value(0.5)}
        if not runs(statement, operands):
            notes[engine.name] = note("has no such operation")
            continue
        sides.append(loop(engine.name, statement, operands))
        if statement == "a * b" and engine is MICROGRAD:
            sides.append(loop(side_name(engine, BY_HAND), statement, operands, BY_HAND))
    if statement == "a * b":
        sides.append(loop("float * float", statement, {"a": 1.5, "b": 0.5}))
    cells = alternate(sides, settings.many_rounds, NANO)
    return Row("eager", statement, "ns", {**cells, **notes})


def runs(statement: str, names: dict[str, Any]) -> bool:
    try:
        eval(statement, dict(names))
    except (TypeError, AttributeError):
        return False
    return True


def loop(name: str, statement: str, names: dict[str, Any], collector: str = ON) -> Side:
    """Repeat the statement for about a hundredth of a second; the loop's own time is included."""
    timer = timeit.Timer(statement, globals=names)
    repeats = max(1000, round(1000 * SECONDS_A_SAMPLE / timer.timeit(1000)))
    if collector == BY_HAND:
        repeats *= BY_HAND_LONGER

    def sample(clock: Clock) -> float:
        # The loop that timeit has compiled, without timeit's own hand on the collector.
        with clock:
            timer.inner(itertools.repeat(None, repeats), timer.timer)
        return clock.seconds / repeats

    return Side(name, sample, collector)


def side_name(engine: Engine, collector: str) -> str:
    return engine.name if collector == ON else f"{engine.name}, collector {collector}"


# Backward ----------------------------------------------------------------------------------------


def moons_graph(engine: Engine) -> Callable[[], Any]:
    """Build the loss of micrograd's demo through its own nn.py: wide, with many shared leaves."""
    program = example("moons", engine)
    points, labels, model = seeded_moons(program)

    def build() -> Any:
        model.zero_grad()
        return program.evaluate(model, points, labels)[0]

    return build


def seeded_moons(program: Any) -> tuple[Any, Any, Any]:
    """Points, labels and network as micrograd's demo draws them."""
    import numpy as np

    np.random.seed(1337)
    random.seed(1337)
    points, labels = program.make_moons(samples=100, noise=0.1)
    return points, labels, program.MLP(2, [16, 16, 1])


def chain_graph(engine: Engine, length: int = 10_000) -> Callable[[], Any]:
    """One operation on top of the other: nothing can be done ahead."""
    value = engine.value()

    def build() -> Any:
        w, b = value(1.0), value(0.001)
        x = value(0.5)
        for _ in range(length):
            x = x * w + b
        return x

    return build


def random_graph(engine: Engine, mixtures: int = 20_000, width: int = 512) -> Callable[[], Any]:
    """Each step mixes two random values of the last few hundred: shared, and hard on caches.

    Mixing with weight one half keeps data and gradients in a range without denormal numbers.
    """
    value = engine.value()
    draw = random.Random(1)
    picks = [(draw.randrange(width), draw.randrange(width)) for _ in range(mixtures)]

    def build() -> Any:
        half = value(0.5)
        pool = [value(0.001 * i) for i in range(width)]
        for i, (left, right) in enumerate(picks):
            pool[i % width] = pool[left] * half + half * pool[right]
        return sum(pool, half)

    return build


GRAPHS = {
    "the graph of micrograd's demo": (moons_graph, (FASTGRAD, FLOOR, MICROGRAD)),
    "a chain": (chain_graph, (FASTGRAD, FLOOR, MICROGRAD, MICROGRAD_RUST)),
    "a random graph": (random_graph, (FASTGRAD, FLOOR, MICROGRAD, MICROGRAD_RUST)),
}


def backward(settings: Settings) -> list[Row]:
    """Time the backward pass alone, per node: each sample builds its graph before the clock runs.

    A fresh graph has only gradients of zero, and lies in memory and caches as training finds it.
    """
    allow_deep_graphs()
    rows = []
    for case, (graph, engines) in GRAPHS.items():
        nodes = count_nodes(graph(FASTGRAD)())
        sides = [backward_side(engine, graph(engine), nodes) for engine in present(*engines)]
        cells = alternate(sides, settings.slow_rounds, NANO)
        rows.append(Row("backward", f"{case}, {nodes:,} nodes", "ns", cells))
    return rows


def backward_side(engine: Engine, build: Callable[[], Any], nodes: int) -> Side:
    def sample(clock: Clock) -> float:
        root = build()
        with clock:
            root.backward()
        return clock.seconds / nodes

    return Side(engine.name, sample)


def count_nodes(root: Any) -> int:
    seen, stack = {root}, [root]
    while stack:
        for parent in stack.pop()._prev:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return len(seen)
