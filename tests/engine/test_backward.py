"""backward() and zero_grad()."""

import math
import os
import subprocess
import sys

import pytest
from fastgrad import engine, nn
from fastgrad.engine import Value
from sample_graphs import GRAPHS, gradients


def test_every_node_gets_its_derivative():
    a, b = Value(2.0), Value(-3.0)
    c = a * b
    d = c + a
    e = d * d
    e.backward()
    # e = (ab + a)²
    assert gradients(a, b, c, d, e) == [2 * -4.0 * -2.0, 2 * -4.0 * 2.0, -8.0, -8.0, 1.0]


def test_a_leaf_depends_on_itself():
    v = Value(7.0)
    v.backward()
    assert v.grad == 1.0
    v.backward()
    assert v.grad == 2.0


def test_nothing_beside_or_above_is_touched():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    above, beside = c * 2, a + 1
    above.grad = beside.grad = 5.0
    c.backward()
    assert gradients(a, b, c, above, beside) == [3.0, 2.0, 1.0, 5.0, 5.0]


def test_backward_adds_to_what_is_there():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    a.grad, b.grad, c.grad = 10.0, math.inf, -0.5
    c.backward()
    assert gradients(a, b, c) == [13.0, math.inf, 0.5]


def test_a_number_in_the_grad_of_the_root_is_no_seed():
    a = Value(2.0)
    b = a * 3
    b.grad = 100.0
    b.backward()
    assert gradients(a, b) == [3.0, 101.0]


def test_a_second_call_does_not_compound():
    a = Value(2.0)
    b = a * 3
    c = b * 5
    for calls in (1, 2, 3, 4):
        c.backward()
        assert gradients(a, b, c) == [15.0 * calls, 5.0 * calls, 1.0 * calls]


@pytest.mark.parametrize("make", GRAPHS)
def test_a_second_call_doubles_every_gradient(make):
    nodes, root = make()
    root.backward()
    once = gradients(*nodes)
    assert any(once)
    root.backward()
    assert gradients(*nodes) == [2 * g for g in once]
    root.zero_grad()
    root.backward()
    assert gradients(*nodes) == once


@pytest.mark.parametrize("make", GRAPHS)
def test_calls_from_several_roots_add_up(make):
    nodes, root = make()
    root.backward()
    from_root = gradients(*nodes)
    root.zero_grad()
    inner = nodes[2]
    inner.backward()
    from_inner = gradients(*nodes)
    root.backward()
    assert gradients(*nodes) == [a + b for a, b in zip(from_inner, from_root, strict=True)]


def test_outputs_of_one_op_one_after_the_other():
    x = [Value(0.5), Value(-1.0)]
    outputs = engine.linear(x, [[2.0, 3.0], [5.0, 7.0]])
    outputs[0].backward()
    assert gradients(*x, *outputs) == [2.0, 3.0, 1.0, 0.0]
    outputs[1].backward()
    assert gradients(*x, *outputs) == [7.0, 10.0, 1.0, 1.0]


def test_an_op_outlives_the_outputs_that_nobody_kept():
    x = [Value(0.5), Value(-1.0)]
    last = engine.softmax(x)[-1]
    last.backward()
    assert x[1].grad == pytest.approx(last.data * (1 - last.data), rel=1e-15)


def test_zero_grad_clears_the_whole_graph_under_a_node():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = c + a
    e = d * 2
    e.backward()
    d.zero_grad()
    assert gradients(a, b, c, d, e) == [0.0, 0.0, 0.0, 0.0, 1.0]
    e.zero_grad()
    assert e.grad == 0.0


@pytest.mark.parametrize("make", GRAPHS)
def test_zero_grad_clears_every_node(make):
    nodes, root = make()
    for i, node in enumerate(nodes):
        node.grad = 1.0 + i
    assert root.zero_grad() is None
    assert gradients(*nodes) == [0.0] * len(nodes)


def test_zero_grad_of_a_module_clears_its_parameters_only():
    model = nn.MLP(2, [3, 1])
    x = Value(1.0)
    out = model([x, 2.0])
    for node in [*model.parameters(), x, out]:
        node.grad = 1.0
    model.zero_grad()
    assert gradients(*model.parameters()) == [0.0] * 13
    assert gradients(x, out) == [1.0, 1.0]


def test_a_node_along_very_many_paths():
    x = total = Value(1.0)
    for _ in range(60):
        total = total + total
    total.backward()
    assert (total.data, x.grad) == (2.0**60, 2.0**60)


SEEDED = """
import random
from fastgrad import engine, nn
from fastgrad.engine import Value
random.seed(11)
names = {str(i): Value(random.uniform(-1, 1)) for i in range(40)}
pool = set(names.values())
kept = [Value(float(i)) for i in range(len({'a', 'b'}) * hash('moved about') % 1000)]
nodes = [names[key] for key in sorted(names)]
for _ in range(400):
    a, b = random.sample(nodes, 2)
    nodes.append(random.choice([a + b, a * b, (a - b).tanh(), engine.sum([a, b, a])]))
    nodes.extend(engine.softmax(random.sample(nodes, 3)))
model = nn.MLP(3, [4, 2])
loss = engine.sum(model(nodes[-3:])) + engine.cross_entropy(nodes[-9:], 4)
loss.backward()
loss.backward()
print([node.grad.hex() for node in [*nodes, *model.parameters()]])
"""


def test_the_result_does_not_depend_on_hash_seeds_or_addresses():
    answers = set()
    for seed in ("0", "1", "4242"):
        program = [sys.executable, "-c", SEEDED]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        answers.add(subprocess.check_output(program, env=environment, text=True))
    assert len(answers) == 1
    assert answers.pop().count("0x") > 1000


@pytest.mark.parametrize("make", GRAPHS)
def test_the_result_does_not_depend_on_where_nodes_lie(make):
    expected = None
    for gap in (0, 1, 7, 100):
        scattered = [[Value(1.0) for _ in range(gap)] for _ in range(100)]
        del scattered[::2]
        nodes, root = make()
        root.backward()
        numbers = [g.hex() for g in gradients(*nodes)]
        expected = expected or numbers
        assert numbers == expected
