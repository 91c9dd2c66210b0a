"""Ops of one's own: local_grads, and rules assigned to _backward."""

import math

import pytest
from fastgrad import _core, engine, nn
from fastgrad.engine import Value
from sample_graphs import GRAPHS, gradients


def test_local_grads_are_the_rule():
    a, b = Value(2.0), Value(3.0)
    c = Value(11.0, (a, b), "mine", local_grads=(5.0, -7))
    d = c * 2
    d.backward()
    assert gradients(a, b, c) == [10.0, -14.0, 2.0]
    assert (c.data, c._prev, c._op) == (11.0, (a, b), "mine")


@pytest.mark.parametrize("container", [tuple, list, iter, dict.fromkeys])
def test_operands_and_derivatives_come_in_any_iterable(container):
    a, b = Value(2.0), Value(3.0)
    c = Value(1.0, container([a, b]), "mine", local_grads=iter([4.0, 5.0]))
    c.backward()
    assert c._prev == (a, b)
    assert gradients(a, b) == [4.0, 5.0]


def test_an_operand_given_twice_gets_both_shares():
    a = Value(2.0)
    c = Value(1.0, (a, a), "twice", local_grads=(3.0, 4.0))
    c.backward()
    assert (a.grad, c._prev) == (7.0, (a,))


def test_keywords_and_micrograds_positions():
    a = Value(2.0)
    for c in (
        Value(1.0, (a,), "op"),
        Value(1.0, _children=(a,), _op="op"),
        Value(1.0, children=(a,), op="op"),
        Value(data=1.0, _children={a}, _op="op", label="c"),
    ):
        assert (c._prev, c._op) == ((a,), "op")
        c.backward()
        assert (a.grad, c.grad) == (0.0, 1.0)  # without a rule nothing is sent


def test_microgpts_positions_and_keywords():
    x, y = Value(0.5), Value(2.0)
    for grads in ((3.0, 4.0), [3, 4]):
        for c in (
            Value(1.0, (x, y), grads),
            Value(1.0, children=(x, y), local_grads=grads),
            Value(1.0, _children=[x, y], _local_grads=grads),
        ):
            assert (c._children, c._local_grads, c._op) == ((x, y), (3.0, 4.0), "")
    c.backward()
    assert (x.grad, y.grad) == (3.0, 4.0)
    leaf = Value(1.0, (), ())
    assert (leaf._children, leaf._local_grads) == ((), ())


@pytest.mark.parametrize(
    ("make", "children", "grads"),
    [
        (lambda x, y: x, "", ()),
        (lambda x, y: x * y, "xy", (3.0, 2.0)),
        (lambda x, y: x * x, "xx", (2.0, 2.0)),
        (lambda x, y: x - y, "xy", (1.0, -1.0)),
        (lambda x, y: 5 - x, "x", (-1.0,)),
        (lambda x, y: x / 4, "x", (0.25,)),
        (lambda x, y: x**3, "x", (12.0,)),
        (lambda x, y: x.relu(), "x", (1.0,)),
        (lambda x, y: x.max(y), "xy", (0.0, 1.0)),
        (lambda x, y: engine.sum([x, 1.0, y, x]), "xyx", (1.0, 1.0, 1.0)),
        (lambda x, y: engine.dot([x, 5.0], [y, x]), "xyx", (3.0, 2.0, 5.0)),
        (lambda x, y: engine.affine([x], [7.0], y), "xy", (7.0, 1.0)),
        (lambda x, y: engine.linear([x, 4.0], [[y, 1.0], [x, y]], [1.0, y])[1], "xxyy", None),
        (lambda x, y: engine.softmax([x, y, 0.0, x])[3], "xyx", None),
        (lambda x, y: engine.log_softmax([x, y])[0], "xy", None),
        (lambda x, y: engine.rms_norm([x, y, x])[1], "xyx", None),
        (lambda x, y: engine.cross_entropy([x, y], 0), "xy", None),
        (lambda x, y: nn.Layer(2, 2, activation="tanh")([x, y])[1], "xy", None),
        (lambda x, y: Value(1.0, (x, x), "own", local_grads=(2.0, 7.0)), "xx", (2.0, 7.0)),
        (lambda x, y: Value(1.0, (x, y), "own"), "xy", ()),
    ],
)
def test_children_and_local_grads_of_every_kind_of_node(make, children, grads):
    x, y = Value(2.0), Value(3.0)
    node = make(x, y)
    names = {x: "x", y: "y"}
    assert "".join(names.get(child, "") for child in node._children) == children
    assert grads is None or node._local_grads == grads
    assert set(node._prev) == set(node._children)
    node.backward()
    sent = dict.fromkeys(node._children, 0.0)
    for child, gradient in zip(node._children, node._local_grads, strict=False):
        sent[child] += gradient
    assert [child.grad for child in sent] == pytest.approx(list(sent.values()), rel=1e-15)


@pytest.mark.parametrize("make", GRAPHS)
def test_microgpts_own_backward_gives_the_same(make):
    nodes, root = make()
    root.backward()
    expected = gradients(*nodes)
    root.zero_grad()
    order, seen = [], set()

    def build(v):
        if v not in seen:
            seen.add(v)
            for child in v._children:
                build(child)
            order.append(v)

    build(root)
    root.grad = 1
    for v in reversed(order):
        for child, local_grad in zip(v._children, v._local_grads, strict=True):
            child.grad += local_grad * v.grad
    assert gradients(*nodes) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "operands"),
    [
        (lambda v: 5 - v, (5.0, "v")),
        (lambda v: v - 5, ("v", 5.0)),
        (lambda v: 2 / v, (2.0, "v")),
        (lambda v: v * 3, ("v", 3.0)),
        (lambda v: 1 + v, (1.0, "v")),
        (lambda v: 2**v, (2.0, "v")),
        (lambda v: v**3, ("v", 3.0)),
        (lambda v: v**0.5, ("v", 0.5)),
        (lambda v: v**v, ("v", "v")),
        (lambda v: v.max(2.0), ("v", 2.0)),
        (lambda v: engine.min(2, v), (2.0, "v")),
        (lambda v: engine.max(1, 2), (1.0, 2.0)),
        (lambda v: -v, ("v",)),
        (lambda v: v.tanh(), ("v",)),
        (lambda v: v, ()),
        (lambda v: engine.sum([v, 1.0, v]), ("v", 1.0, "v")),
        (lambda v: engine.sum([2, 1.0]), (2.0, 1.0)),
        (lambda v: engine.dot([v, 1.0], [2.0, v]), ("v", 1.0, 2.0, "v")),
        (lambda v: engine.affine([1.0, v], [v, 2.0], 3.0), (1.0, "v", "v", 2.0, 3.0)),
        (lambda v: engine.linear([v, 1.0], [[v, 2], [3, v]], [v, 5])[1], (3, "v", "v", 1, 5)),
        (lambda v: engine.linear([1.0, v], [[v, 2.0]])[0], ("v", 2.0, 1.0, "v")),
        (lambda v: engine.softmax([v, 1.0])[1], ("v", 1.0)),
        (lambda v: engine.log_softmax([0.5, v])[0], (0.5, "v")),
        (lambda v: engine.cross_entropy([v, 2.0], 1), ("v", 2.0, 1.0)),
        (lambda v: engine.rms_norm([2.0, v], 0.25)[0], (2.0, "v", 0.25)),
    ],
)
def test_a_node_knows_its_operands_and_their_sides(make, operands):
    v = Value(4.0)
    node = make(v)
    assert node._operands == tuple(v if o == "v" else o for o in operands)
    node.backward()  # what stands in a derivative's place is never sent
    assert node._prev == ((v,) if "v" in operands else ())


def test_an_output_knows_its_place_among_those_of_its_call():
    v = Value(4.0)
    assert [p._output for p in engine.softmax([v, 1.0, v])] == [0, 1, 2]
    assert [y._output for y in engine.linear([v], [[1.0], [2.0]])] == [0, 1]
    assert v._output == (v + v)._output == engine.sum([v])._output == 0


@pytest.mark.slow
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize(
    ("arguments", "settings", "error", "words"),
    [
        (((3.0,), "op"), {}, TypeError, "_children must be Values only, got float: 3.0"),
        ((3.0, "op"), {}, TypeError, "_children must be an iterable of Values, got float: 3.0"),
        (((), 3), {}, TypeError, "_op must be a str, got int: 3"),
        (((), "op"), {"local_grads": [1.0]}, ValueError, "local_grads has length 1, .* 0 operands"),
        (((), "op"), {"local_grads": ["a"]}, TypeError, "local_grads must be .*'a'"),
        (((), "op"), {"local_grads": 3}, TypeError, "local_grads must be .* got int: 3"),
        ((), {"local_gradients": 3}, TypeError, "unexpected keyword argument 'local_gradients'"),
        (((),), {"_children": ()}, TypeError, "multiple values for argument '_children'"),
        (((), (1.0,)), {}, ValueError, "local_grads has length 1, .* 0 operands"),
        (((), ("a",)), {}, TypeError, "local_grads must be .*'a'"),
        (((), ()), {"local_grads": ()}, TypeError, "multiple values for argument 'local_grads'"),
    ],
)
def test_wrong_arguments_are_named(arguments, settings, error, words):
    nodes = _core.live_nodes()
    with pytest.raises(error, match=words):
        Value(1.0, *arguments, **settings)
    assert _core.live_nodes() == nodes


def test_a_rule_assigned_as_in_the_lecture():
    def tanh(x):
        t = math.tanh(x.data)
        out = Value(t, (x,), "tanh")

        def _backward():
            x.grad += (1 - t**2) * out.grad

        out._backward = _backward
        return out

    a = Value(0.5)
    b = tanh(a * 2) * 3
    expected = Value(0.5)
    native = (expected * 2).tanh() * 3
    for calls in (1, 2):
        b.backward()
        native.backward()
        assert a.grad == expected.grad == pytest.approx(6 * (1 - math.tanh(1) ** 2) * calls)


def replaced(node, rule):
    node._backward = rule
    return node


def test_a_rule_replaces_that_of_a_native_op():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    seen = []

    def rule():
        seen.append(c.grad)
        a.grad += 100 * c.grad

    c._backward = rule
    d = c * 2 + c
    d.backward()
    assert gradients(a, b, c) == [300.0, 0.0, 3.0]
    assert seen == [3.0]  # once, when all of c's own gradient has arrived
    d.backward()
    assert gradients(a, b, c) == [600.0, 0.0, 6.0]
    assert seen == [3.0, 3.0]
    assert c._backward is rule
    del c._backward
    d.zero_grad()
    d.backward()
    assert gradients(a, b, c) == [9.0, 6.0, 3.0]


@pytest.mark.parametrize("make", GRAPHS)
def test_rules_can_be_called_by_hand(make):
    nodes, root = make()
    root.backward()
    expected = gradients(*nodes)
    root.zero_grad()

    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for operand in node._prev:
                visit(operand)
            order.append(node)

    visit(root)
    root.grad = 1.0
    for node in reversed(order):
        node._backward()
    assert gradients(*nodes) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("make", GRAPHS)
def test_a_nodes_own_rule_may_be_assigned_to_it(make):
    nodes, root = make()
    root.backward()
    expected = gradients(*nodes)
    root.zero_grad()
    for node in nodes:
        node._backward = node._backward
    root.backward()
    assert gradients(*nodes) == pytest.approx(expected, rel=1e-12)


def test_the_rule_of_a_leaf_is_called_too():
    a = Value(1.0)
    calls = []
    a._backward = lambda: calls.append(a.grad)
    (a * 3).backward()
    assert (calls, a.grad) == ([3.0], 3.0)


def test_only_a_callable_is_a_rule():
    a = Value(1.0)
    b = replaced(a * 2, lambda: None)
    kept = b._backward
    for wrong in (3, None, "f", a):
        with pytest.raises(TypeError, match="_backward must be callable, got"):
            b._backward = wrong
    assert b._backward is kept


class Unusual(BaseException):
    pass


@pytest.mark.parametrize("make", GRAPHS)
@pytest.mark.parametrize("kind", [ValueError, ZeroDivisionError, KeyboardInterrupt, Unusual])
def test_an_exception_comes_out_unchanged_and_leaves_every_gradient(make, kind):
    nodes, root = make()
    error = kind("from a rule", 42)

    def rule():
        nodes[0].grad += 5.0
        raise error

    for i, node in enumerate(nodes):
        node.grad = i / 4
    before = gradients(*nodes)
    nodes[1]._backward = rule  # deep down: most of the walk is done by then
    for _ in range(2):
        with pytest.raises(kind) as caught:
            root.backward()
        assert caught.value is error
        assert (error.args, error.__cause__) == (("from a rule", 42), None)
        assert gradients(*nodes) == before
    del nodes[1]._backward
    root.zero_grad()
    root.backward()
    fresh, fresh_root = make()
    fresh_root.backward()
    assert gradients(*nodes) == gradients(*fresh)


def test_an_exception_below_an_op_with_very_many_outputs():
    x = [Value(0.0) for _ in range(200_000)]
    bottom = x[0]
    bottom._backward = lambda: 1 / 0
    outputs = engine.softmax(x)
    root = engine.sum(outputs)
    outputs[-1].grad = 2.0
    with pytest.raises(ZeroDivisionError):
        root.backward()
    assert not any(node.grad for node in [*x, *outputs[:-1], root])
    assert outputs[-1].grad == 2.0


def test_a_rule_may_use_another_graph():
    def slow_square(x):
        def rule():
            inner = Value(x.data)
            (inner * inner).backward()
            x.grad += inner.grad * out.grad

        out = replaced(Value(x.data**2, (x,), "square"), lambda: rule())
        return out

    a = Value(3.0)
    loss = slow_square(slow_square(a)) + a
    loss.backward()
    assert a.grad == 4 * 3.0**3 + 1


def test_a_rule_that_calls_itself_ends_in_a_recursion_error():
    a = Value(3.0)
    b = a * 2
    b._backward = b.backward
    c = b + a
    c.grad = 0.5
    with pytest.raises(RecursionError):
        c.backward()
    assert gradients(a, b, c) == [0.0, 0.0, 0.5]
