"""Rules that call backward() themselves: a pass inside a pass, against the plain engine."""

import math
import random

import pytest
import slow_value
from fastgrad import engine, nn
from fastgrad.engine import Value

# Programs --------------------------------------------------------------------------------------


class Fast:
    """The engine under test."""

    Value = Value
    softmax = staticmethod(engine.softmax)
    linear = staticmethod(engine.linear)
    dot = staticmethod(engine.dot)
    cross_entropy = staticmethod(engine.cross_entropy)


class Plain:
    """The plain engine, in which an op over lists is a node for each output as well.

    Written out as scalar ops, its inner nodes would take part in passes inside of passes.
    """

    Value = slow_value.Value

    @staticmethod
    def softmax(x):
        p = [out.data for out in slow_value.softmax(x)]
        return [
            slow_value.Value(pi, x, local_grads=[pi * ((i == j) - pj) for j, pj in enumerate(p)])
            for i, pi in enumerate(p)
        ]

    @staticmethod
    def linear(x, rows):
        weights = [w for row in rows for w in row]
        outputs = []
        for i, row in enumerate(rows):
            total = builtin_sum(w.data * v.data for w, v in zip(row, x, strict=True))
            slopes = [v.data * (j == i) for j in range(len(rows)) for v in x]
            slopes += [w.data for w in row]
            outputs.append(slow_value.Value(total, [*weights, *x], local_grads=slopes))
        return outputs

    @staticmethod
    def dot(w, x):
        slopes = [v.data for v in x] + [v.data for v in w]
        return slow_value.Value(slow_value.dot(w, x).data, [*w, *x], local_grads=slopes)

    @staticmethod
    def cross_entropy(x, target):
        p = [out.data for out in slow_value.softmax(x)]
        slopes = [pi - (i == target) for i, pi in enumerate(p)]
        return slow_value.Value(-math.log(p[target]), x, local_grads=slopes)


builtin_sum = sum


def failing(engine, node, late):
    """Give a node over another one whose pass fails, at its start or at its end."""
    bad = engine.Value(0.5)

    def rule():
        raise ValueError("bad")

    bad._backward = rule
    return node + bad if late else bad + node


class Program:
    """A graph some of whose rules walk other parts of it before they send their gradient."""

    def __init__(self, seed, engine):
        self.engine, self.depth = engine, 0
        draw = random.Random(seed)
        values = [engine.Value(draw.uniform(-1, 1)) for _ in range(4)]
        rows = [[draw.choice(values) for _ in range(2)] for _ in range(2)]  # shared weights
        self.nodes = values
        for _ in range(draw.randint(3, 10)):
            values.extend(self.op(draw, rows))
        self.root = values[-1] + draw.choice(values)
        values.append(self.root)
        for node in draw.sample(values[4:], draw.randint(1, 3)):
            self.give_rule(node, draw)

    def op(self, draw, rows):
        kind = draw.choice(["*", "tanh", "softmax", "linear", "dot", "cross_entropy", "own"])
        x, y, z = (draw.choice(self.nodes[-6:]) for _ in range(3))
        if kind == "*":
            return [x * y]
        if kind == "tanh":
            return [(x + y).tanh()]
        if kind == "softmax":
            return self.engine.softmax([x, y, z])
        if kind == "linear":
            return [out.tanh() for out in self.engine.linear([x, y], rows)]
        if kind == "dot":
            return [self.engine.dot([x, y], [z, z])]
        if kind == "cross_entropy":
            return [self.engine.cross_entropy([x, y, z], draw.randrange(3))]
        return [self.engine.Value(0.5, (x, y, x), "own", local_grads=(0.5, -0.25, 0.125))]

    def give_rule(self, node, draw):
        own = node._backward
        choices = ["succeeds", "fails at once", "fails late", "root"]
        steps = [(draw.choice(choices), draw.choice(self.nodes)) for _ in range(draw.randint(1, 2))]
        built = []
        for kind, other in steps:
            if kind == "root":
                built.append((kind, self.root))
            elif kind == "succeeds":
                built.append((kind, other * 1.0))
            else:
                built.append((kind, failing(self.engine, other, kind == "fails late")))

        def rule():
            if self.depth < 3:  # passes four deep
                self.depth += 1
                for kind, other in built:
                    try:
                        other.backward()
                    except ValueError:
                        assert kind != "succeeds"
                self.depth -= 1
            own()

        node._backward = rule

    def gradients(self):
        return [node.grad for node in self.nodes]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_nested_programs_agree_with_the_plain_engine(seed):
    fast, plain = Program(seed, Fast), Program(seed, Plain)
    for _ in range(2):
        fast.root.backward()
        plain.root.backward()
        expected = plain.gradients()
        scale = max(map(abs, expected))
        assert fast.gradients() == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)


# The smallest cases ----------------------------------------------------------------------------


def softmax_pair():
    x, y = Value(1.0), Value(2.0)
    return [x, y], engine.softmax([x, y])


def linear_pair():
    x, w = Value(1.0), [[Value(2.0)], [Value(3.0)]]
    return [x, w[0][0], w[1][0]], engine.linear([x], w)


def layer_pair():
    random.seed(1)
    layer, x = nn.Layer(1, 2, activation="tanh"), Value(0.5)
    return [x, *layer.parameters()], layer([x])


def norm_pair():
    x = [Value(1.0), Value(2.0)]
    return x, engine.rms_norm(x)


PAIRS = [softmax_pair, linear_pair, layer_pair, norm_pair]


def loss_of(pair, nested):
    """Give leaves and 2a + b; before the rule of b, or of 2a, is called, `nested(a, b)` is."""
    leaves, (a, b) = pair()
    left, right = a * 2.0, b * 1.0
    for node in (left, right):
        own = node._backward
        node._backward = lambda own=own: (nested(a, b), own())
    return leaves, (a, b), left + right


def failing_pass(a, b):
    with pytest.raises(ValueError, match="bad"):
        failing(Fast, a * 1.0 + b, late=True).backward()


def pass_after_an_exception(a, b):
    try:
        failing_pass(a, b)
        raise KeyError
    except KeyError:
        failing_pass(b, a)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("nested", [failing_pass, pass_after_an_exception])
def test_a_failing_pass_inside_a_rule_changes_nothing(pair, nested):
    leaves, outputs, loss = loss_of(pair, nested)
    plain_leaves, plain_outputs, plain_loss = loss_of(pair, lambda a, b: None)
    for _ in range(2):
        loss.backward()
        plain_loss.backward()
        assert any(leaf.grad for leaf in leaves)
        nodes, expected = [*leaves, *outputs], [*plain_leaves, *plain_outputs]
        assert [v.grad for v in nodes] == pytest.approx([v.grad for v in expected], rel=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
def test_an_outer_pass_that_fails_after_an_inner_one_leaves_no_adjoints_behind(pair):
    def fail(a, b):
        failing_pass(a, b)
        (a + b).backward()
        raise LookupError

    leaves, outputs, loss = loss_of(pair, fail)
    with pytest.raises(LookupError):
        loss.backward()
    assert not any(v.grad for v in [*leaves, *outputs])
    (outputs[0] * 3.0).backward()
    plain_leaves, plain_outputs = pair()
    (plain_outputs[0] * 3.0).backward()
    assert [v.grad for v in leaves] == [v.grad for v in plain_leaves]


@pytest.mark.parametrize("pair", PAIRS)
def test_zero_grad_inside_a_rule_clears_what_has_arrived(pair):
    leaves, (a, b), loss = loss_of(pair, lambda a, b: (a + b).zero_grad())
    loss.backward()
    # The rule of b comes last: what 2a had sent by then is gone.
    assert (loss.grad, a.grad, b.grad) == (1.0, 0.0, 1.0)
    for scale in (1.0, 3.0):
        plain_leaves, (_, plain_b) = pair()
        (plain_b * scale).backward()
        assert [v.grad for v in leaves] == [v.grad for v in plain_leaves]
        loss.zero_grad()
        (b * 3.0).backward()
