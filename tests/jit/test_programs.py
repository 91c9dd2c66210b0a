"""Whole programs: what is replayed gives the values and gradients of the plain program."""

import itertools
import operator
import random

import numpy as np
import pytest
from fastgrad import MLP, SGD, Adam, Value, jit, pick, take
from fastgrad.datasets import make_moons
from fastgrad.engine import cross_entropy, dot, linear, rms_norm, softmax


def gradients(params):
    found = [p.grad for p in params]
    for p in params:
        p.grad = 0.0
    return found


def plain(function, params, examples):
    """Return mean and gradients of the plain program."""
    loss = sum(function(*example) for example in examples) / len(examples)
    loss.backward()
    return loss.data, gradients(params)


PASSES = ("fold", "share", "sums", "matrices")
OPS = [
    *(operator.pos, operator.neg, abs, Value.exp, Value.log, Value.sqrt, Value.sin, Value.cos),
    *(Value.tanh, Value.sigmoid, Value.relu, lambda x: x**2, lambda x: x**-1.5, lambda x: 2.0**x),
    *(lambda x: x**x, lambda x: x - 1, lambda x: 1 / x, lambda x: x.max(0.3), lambda x: x.min(0.3)),
]


@pytest.mark.parametrize("count", range(len(PASSES) + 1))
def test_each_op_with_any_passes(count):
    params = [Value(0.7), Value(0.4)]
    examples = [(0.5,), (2.0,), (0.5,)]

    def everything(x):
        return sum(op(params[0] * x) * op(params[1]) for op in OPS)

    expected, slopes = plain(everything, params, examples)
    for passes in itertools.combinations(PASSES, count):
        f = jit(everything, passes=passes)
        mean = f.value_and_grad([x for (x,) in examples])
        assert mean == pytest.approx(expected, rel=1e-12), passes
        assert gradients(params) == pytest.approx(slopes, rel=1e-11), passes
    for op in OPS:
        expected, slopes = plain(lambda x, op=op: op(params[0] * x), params, examples)
        f = jit(lambda x, op=op: op(params[0] * x), passes=PASSES[:count])
        assert f.value_and_grad([x for (x,) in examples]) == pytest.approx(expected, rel=1e-12)
        assert gradients(params) == pytest.approx(slopes, rel=1e-12)


@pytest.fixture
def moons():
    random.seed(1337)
    model = MLP(2, [16, 16, 1])
    points, y = make_moons(100, noise=0.1, random_state=1)
    return model, np.array(points), np.array(y) * 2.0 - 1.0


def moons_loss(model):
    @jit
    def loss(x, target):
        score = model(x)
        return (1 - target * score).relu() + 1e-4 * sum(p * p for p in model.parameters())

    return loss


def test_micrograds_demo_over_a_batch(moons):
    model, points, targets = moons
    loss = moons_loss(model)
    mean = loss.value_and_grad(points, targets)
    found = gradients(model.parameters())
    expected, right = plain(
        loss.function, model.parameters(), list(zip(points.tolist(), targets.tolist(), strict=True))
    )
    assert mean == pytest.approx(expected, rel=1e-13)
    assert found == pytest.approx(right, rel=1e-12, abs=1e-14)


def test_micrograds_demo_has_few_instructions(moons):
    model, points, targets = moons
    loss = moons_loss(model)
    loss.value_and_grad(points, targets)
    names = [name for section, name, *_ in loss.program.instructions if section == "batch"]
    assert names.count("matmul") == 3
    assert len(names) <= 12
    assert loss.program.num_params == 337
    assert loss.program.bytes <= 64 * loss.program.recorded


def test_a_call_is_a_value_whose_backward_reaches_the_parameters(moons):
    model, points, targets = moons
    loss = moons_loss(model)
    for i in (0, 3, 7):
        value = loss(points[i], targets[i])
        (value * 2.0).backward()
        found = gradients(model.parameters())
        right = plain(loss.function, model.parameters(), [(points[i].tolist(), float(targets[i]))])
        assert value.data == pytest.approx(right[0], rel=1e-13)
        assert found == pytest.approx([2.0 * g for g in right[1]], rel=1e-12, abs=1e-14)
    assert len(loss.programs) == 1


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.05, momentum=0.5), lambda p: Adam(p, 0.01)])
def test_fit_is_the_loop_that_it_stands_for(moons, make):
    model, points, targets = moons
    loss = moons_loss(model)
    start = [p.data for p in model.parameters()]
    optimizer = make(model.parameters())
    history = loss.fit(
        (points, targets),
        steps=30,
        optimizer=optimizer,
        batch_size=40,
        shuffle=False,
        progress=False,
    )
    trained, last = [p.data for p in model.parameters()], gradients(model.parameters())

    for p, number in zip(model.parameters(), start, strict=True):
        p.data = number
    by_hand, losses = make(model.parameters()), []
    for step in range(30):
        rows = np.arange(step * 40, (step + 1) * 40) % 100
        by_hand.zero_grad()
        losses.append(loss.value_and_grad(points[rows], targets[rows]))
        by_hand.step()
    assert [p.data for p in model.parameters()] == trained
    assert gradients(model.parameters()) == last
    assert history.loss.tolist() == pytest.approx(losses, rel=1e-14)
    assert optimizer.state_dict() == by_hand.state_dict()


def test_fit_learns_the_moons(moons):
    model, points, targets = moons
    loss = moons_loss(model)
    optimizer = Adam(model.parameters(), lr=0.02)
    history = loss.fit(
        (points, targets), steps=400, optimizer=optimizer, batch_size=20, progress=False
    )
    assert history.loss[-20:].mean() < 0.3 * history.loss[:20].mean()


WIDTH, HEADS, SYMBOLS, BLOCK = 8, 2, 5, 6


def microgpt(list_ops):
    """Return a small transformer over lists of symbols, and its parameters."""
    draw = random.Random(3)

    def matrix(rows, columns):
        return [[Value(draw.gauss(0, 0.3)) for _ in range(columns)] for _ in range(rows)]

    names = ("query", "key", "value", "attended")
    weights = {name: matrix(WIDTH, WIDTH) for name in names}
    weights |= {"symbol": matrix(SYMBOLS, WIDTH), "position": matrix(BLOCK, WIDTH)}
    weights |= {"widen": matrix(2 * WIDTH, WIDTH), "narrow": matrix(WIDTH, 2 * WIDTH)}
    weights["logits"] = matrix(SYMBOLS, WIDTH)
    params = [p for rows in weights.values() for row in rows for p in row]

    def apply(x, rows):
        if list_ops:
            return linear(x, rows)
        return [sum(wi * xi for wi, xi in zip(row, x, strict=True)) for row in rows]

    def spread(logits):
        if list_ops:
            return softmax(logits)
        powers = [logit.exp() for logit in logits]
        total = sum(powers)
        return [power / total for power in powers]

    def norm(x):
        if list_ops:
            return rms_norm(x)
        scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
        return [xi * scale for xi in x]

    def next_logits(symbol, position, keys, values):
        embedded = zip(take(weights["symbol"], symbol), weights["position"][position], strict=True)
        x = norm([a + b for a, b in embedded])
        query, key = apply(x, weights["query"]), apply(x, weights["key"])
        keys.append(key)
        values.append(apply(x, weights["value"]))
        taken = []
        for start in range(0, WIDTH, WIDTH // HEADS):
            head = slice(start, start + WIDTH // HEADS)
            fit = [dot(query[head], key[head]) * 0.5 for key in keys]
            columns = zip(*(value[head] for value in values), strict=True)
            shares = spread(fit)
            taken += [sum(s * v for s, v in zip(shares, column, strict=True)) for column in columns]
        x = [a + b for a, b in zip(x, apply(taken, weights["attended"]), strict=True)]
        hidden = [h.relu() for h in apply(norm(x), weights["widen"])]
        return apply([a + b for a, b in zip(x, apply(hidden, weights["narrow"]), strict=True)],
                     weights["logits"])  # fmt: skip

    def surprise(symbols):
        keys, values, losses = [], [], []
        for position in range(len(symbols) - 1):
            logits = next_logits(symbols[position], position, keys, values)
            losses.append(-pick(spread(logits), symbols[position + 1]).log())
        return sum(losses) / len(losses)

    return surprise, params


@pytest.mark.parametrize("list_ops", [False, True])
def test_microgpt_is_recorded_once_a_length(list_ops):
    surprise, params = microgpt(list_ops)
    loss = jit(surprise)
    names = [[0, 1, 2, 0], [0, 3, 3, 0], [0, 4, 0], [0, 2, 1, 0], [0, 1, 0]]
    mean = loss.value_and_grad(names)
    found = gradients(params)
    expected, right = plain(surprise, params, [(name,) for name in names])
    assert mean == pytest.approx(expected, rel=1e-13)
    assert found == pytest.approx(right, rel=1e-11, abs=1e-14)
    assert len(loss.programs) == 2
    assert len(loss.program.instructions) < loss.program.recorded / 20


def test_microgpt_learns_names_of_all_lengths():
    surprise, params = microgpt(list_ops=True)
    loss = jit(surprise)
    names = [[0, 1, 2, 0], [0, 1, 2, 3, 0], [0, 1, 0]]
    optimizer = Adam(params, lr=0.02)
    history = loss.fit((names,), steps=200, optimizer=optimizer, batch_size=2, progress=False)
    assert history.loss[-10:].mean() < 0.6 * history.loss[:10].mean()


def test_cross_entropy_needs_no_guard():
    weights = [[Value(0.1 * i - 0.2 * j) for j in range(3)] for i in range(4)]
    params = [p for row in weights for p in row]

    @jit
    def loss(x):
        return cross_entropy(linear(x, weights), 2)

    points = np.random.default_rng(0).normal(size=(50, 3))
    mean = loss.value_and_grad(points)
    found = gradients(params)
    expected, right = plain(loss.function, params, [(x,) for x in points.tolist()])
    assert mean == pytest.approx(expected, rel=1e-13)
    assert found == pytest.approx(right, rel=1e-12, abs=1e-15)
    assert len(loss.programs) == 1


def test_targets_of_a_cross_entropy_need_one_recording():
    weights = [[Value(0.1 * i - 0.2 * j) for j in range(3)] for i in range(4)]
    params = [p for row in weights for p in row]
    loss = jit(lambda x, target: cross_entropy(linear(x, weights), target))
    points, targets = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 4
    mean = loss.value_and_grad(points, targets)
    found = gradients(params)
    examples = list(zip(points.tolist(), targets.tolist(), strict=True))
    expected, right = plain(loss.function, params, examples)
    assert mean == pytest.approx(expected, rel=1e-13)
    assert found == pytest.approx(right, rel=1e-12, abs=1e-15)
    assert len(loss.programs) == 1
    for target in (4, -1, 0.5):
        with pytest.raises(IndexError):
            loss(points[0], target)
        with pytest.raises(IndexError):
            jit(loss.function)(points[0], target)
