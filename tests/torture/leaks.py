"""Things that are made and dropped over and over: no node, no memory, no file and no thread stays.

    python tests/torture/leaks.py SECONDS SEED

Each scenario runs for its share of the time, twice: once so that caches and allocators fill, then
measured. After it as many nodes are alive as before, and the process has grown by 8 MB at most.
"""

import contextlib
import gc
import os
import pickle
import random
import sys
import tempfile
import warnings
from copy import deepcopy

import helping
import hostile_table
from fastgrad import _core, engine, nn, optim
from fastgrad.engine import Value
from fastgrad.models import NPLM, BigramModel, KneserNey, NeuralBigram, load
from fastgrad.text import Vocab, read_words
from hostile_table import ITEMS, TEXT

GROWTH = 8 * 2**20


def own_op(x):
    """An op as the lecture makes it: its rule is a closure over its result."""
    out = Value(x.data * 2.0, (x,), "own")

    def rule():
        x.grad += 2.0 * out.grad

    out._backward = rule
    return out


def chains_of_own_ops(_):
    x = Value(1.0)
    for _ in range(20):
        x = own_op(x)
    x.backward()


def own_ops_among_others(draw):
    x = y = Value(0.5)
    for _ in range(draw.randrange(1, 12)):
        y = (own_op(y) * 0.25 + x).tanh()
    y.backward()


def own_ops_below_lists(draw):
    rows = [own_op(Value(float(i))) for i in range(4)]
    for _ in range(3):
        rows = [own_op(y) for y in engine.softmax(rows)]
    engine.sum(rows).backward()


def own_ops_without_backward(_):
    x = Value(1.0)
    for _ in range(6):
        x = own_op(x) - 1.0


def cycles_through_attributes(_):
    a = Value(1.0)
    a.me = a
    b = a * 2.0
    b.other, a.other = a, [a]
    c = b + 1.0
    c._backward = lambda: b


def rules_that_raise(draw):
    x = own_op(Value(1.0))
    bad = x * 1.0

    def rule():
        raise ValueError(bad)

    bad._backward = rule
    with contextlib.suppress(ValueError):
        (bad * 2.0).backward()


def values_initialised_again(_):
    v = Value(1.0)
    for label in "abc":
        v.__init__(2.0, (), "", label)
    with contextlib.suppress(TypeError, ValueError):
        v.__init__(1.0, (v,), "op")
    w = Value.__new__(Value)
    with contextlib.suppress(TypeError, ValueError):
        w.__init__(1.0, (w,), "op")


def failing_ops(_):
    v = Value(1.0)
    for call in (
        lambda: v + "x",
        lambda: Value("x"),
        lambda: engine.softmax([v, "x"]),
        lambda: engine.linear([v], [[v], [v, v]]),
        lambda: v ** (10**400),
        lambda: (v * 0.0).log(),
        lambda: engine.cross_entropy([v, v], 9),
        lambda: v.__setstate__((1.0, "x", None)),
        lambda: nn.Layer(2, 2)([v]),
    ):
        with contextlib.suppress(TypeError, ValueError, ArithmeticError, IndexError):
            call()


def networks_of_values(draw):
    model = nn.MLP(3, [4, 1], activation=draw.choice(["relu", "tanh"]))
    optimizer = draw.choice([optim.SGD, optim.Adam])(model.parameters(), lr=0.01)
    for _ in range(3):
        loss = nn.mse_loss([model([1.0, 2.0, 3.0])], [0.5])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pickle.loads(pickle.dumps(model))
    deepcopy(optimizer)


def networks_of_symbols(draw):
    model = NPLM(
        Vocab("abc"), context_length=2, embedding_dim=3, hidden_dim=8, seed=draw.randrange(9)
    )
    model.fit(ITEMS, ITEMS, steps=3, lr=0.1, batch_size=4, optimizer="adamw")
    model.sample(3)
    model.save("leaks.safetensors")
    load("leaks.safetensors").loss(ITEMS)


def counted_models(_):
    BigramModel(smoothing=1.0).fit(ITEMS).sample(5, threads=2)
    NeuralBigram().fit(ITEMS, steps=2).loss(ITEMS)
    KneserNey(order=3).fit(read_words(TEXT)).sample(2, max_length=5)


SCENARIOS = [chains_of_own_ops, own_ops_among_others, own_ops_below_lists, own_ops_without_backward]
SCENARIOS += [cycles_through_attributes, rules_that_raise, values_initialised_again, failing_ops]
SCENARIOS += [networks_of_values, networks_of_symbols, counted_models]


def held():
    """Nodes, files and threads of this process."""
    while gc.collect():
        pass
    return _core.live_nodes(), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def repeat(scenario, seconds, draw):
    """Run a scenario for some time; return how often."""
    times = 0
    for _ in helping.turns(seconds):
        for _ in range(20):
            scenario(draw)
            times += 1
    return times


def main(seconds, seed):
    warnings.simplefilter("ignore")
    draw = random.Random(seed)
    share = float(seconds) / len(SCENARIOS) / 2
    faults, total = [], 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        hostile_table.write_files()
        for scenario in SCENARIOS:
            total += repeat(scenario, share, draw)
            before, bytes_before = held(), helping.resident()
            times = repeat(scenario, share, draw)
            growth = helping.resident() - bytes_before  # before the collector is called from here
            after = held()
            total += times
            if after != before:
                faults.append(f"{scenario.__name__}: (nodes, files, threads) {before} → {after}")
            if growth > GROWTH:
                faults.append(f"{scenario.__name__}: {growth / 2**20:.1f} MB after {times:,} times")
        os.chdir("/")
    helping.leave(faults, f"{total:,} turns of {len(SCENARIOS)} scenarios, seed {seed}")


if __name__ == "__main__":
    main(*sys.argv[1:])
