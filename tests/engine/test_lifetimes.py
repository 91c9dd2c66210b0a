"""Who keeps a node alive, and what comes back afterwards."""

import gc
import math
import subprocess
import sys
import weakref

import pytest
from fastgrad import _core, engine, nn
from fastgrad.engine import Value
from sample_graphs import GRAPHS


@pytest.fixture
def alive(collected):
    """Count the nodes made since the test began, without help from the cyclic collector."""
    before = _core.live_nodes()
    yield lambda: _core.live_nodes() - before
    gc.collect()
    assert _core.live_nodes() == before


class Probe:
    """Something to keep in an attribute, whose end can be seen; calls `last` then."""

    def __init__(self, last=lambda: None):
        self.last = last

    def __del__(self):
        self.last()


def test_the_last_reference_frees_a_graph_at_once(alive):
    a = Value(2.0)
    root = a * 3 + a**2
    assert alive() == 4
    del root
    assert alive() == 1
    del a
    assert alive() == 0


@pytest.mark.parametrize("make", GRAPHS)
def test_graphs_of_every_kind_go_at_once(make, alive):
    nodes, root = make()
    root.backward()
    root.zero_grad()
    assert alive() >= len(nodes)
    del nodes
    assert alive() > 0
    del root
    assert alive() == 0


def test_a_node_keeps_what_it_was_made_of(alive):
    root = engine.sum([Value(1.0) * Value(2.0), 3.0])
    (product,) = root._prev
    assert [v.data for v in product._prev] == [1.0, 2.0]
    del product
    assert alive() == 4
    del root


def test_an_operand_does_not_keep_the_result(alive):
    a = Value(1.0)
    for _ in range(100):
        a + 1
        engine.softmax([a, 2.0])
        a.exp().backward()
    assert alive() == 1
    assert a.grad == pytest.approx(271.8281828)
    del a


def test_one_output_keeps_the_operands_of_all(alive):
    outputs = engine.softmax([Value(1.0), Value(2.0), Value(3.0)])
    last = outputs.pop()
    del outputs
    assert alive() == 4
    del last
    assert alive() == 0


def test_errors_leave_no_nodes(alive):
    a = Value(0.0)
    model = nn.MLP(2, [2])
    count = alive()
    for call in (
        lambda: 1 / a,
        lambda: a + "a",
        lambda: engine.sum([a, Value(1.0), "a"]),
        lambda: engine.linear([a], [[a], [a, a]]),
        lambda: engine.softmax([Value(1.0), None]),
        lambda: model([1.0]),
        lambda: model([[Value(1.0), 2.0], [Value(3.0), "x"]]),
        lambda: Value(1.0, (a, Value(2.0), 3), "op"),
        lambda: Value("a"),
    ):
        with pytest.raises((ArithmeticError, TypeError, ValueError)):
            call()
        assert alive() == count


def test_the_collector_does_not_see_ordinary_nodes():
    a = Value(1.0)
    nodes = [a, a * 2, engine.sum([a]), *engine.softmax([a, a]), Value(1.0, (a,), "own")]
    nodes += [nn.Neuron(1)([a]), *nn.Layer(1, 2)([a])]
    a.data, a.grad = 2.0, 3.0
    nodes[1].backward()
    print(a.label, a._prev, a._op, a._backward, repr(a), weakref.ref(a))
    assert not any(map(gc.is_tracked, nodes))


def test_the_collector_sees_nodes_with_attributes():
    a, b, c, d = (Value(float(i)) * 2 for i in range(4))
    a.label = "a"
    vars(b)["label"] = "b"
    c._backward = lambda: None
    d.__dict__ = {}
    assert all(map(gc.is_tracked, [a, b, c, d]))
    (operand,) = a._prev
    assert gc.get_referents(a) == [{"label": "a"}, Value, operand]


@pytest.mark.slow
@pytest.mark.parametrize("extra", [None, 0, "text", [], object()])
def test_a_cycle_through_attributes_is_collected(extra, alive):
    for _ in range(10):
        v = Value(1.0)
        v.extra = extra  # the dict's own place in the collector's lists depends on it
        v.me = v
        pair = Value(2.0), Value(3.0)
        pair[0].other, pair[1].other = pair[1], pair[0]
        own = Value(1.0)
        own.parts = [own, {"own": own}]
        del v, pair, own
    assert alive() == 40
    gc.collect()
    assert alive() == 0


def test_a_cycle_takes_its_graph_along(alive):
    v = Value(1.0)
    v.me = v
    root = (v * 2 + Value(3.0)).exp()
    root.me = root
    gone = weakref.ref(root)
    del root
    assert alive() == 5
    gc.collect()
    assert gone() is None
    assert alive() == 1
    del v
    gc.collect()


@pytest.mark.slow
def test_closures_as_rules_are_collected(alive):
    def square(x):
        out = Value(x.data**2, (x,), "square")

        def _backward():
            x.grad += 2 * x.data * out.grad

        out._backward = _backward
        return out

    a = Value(3.0)
    loss = square(a) * 2
    loss.backward()
    assert a.grad == 12.0
    del loss, a
    assert alive() == 2  # the square, which its rule refers to, and its operand
    gc.collect()
    assert alive() == 0


class Kind(Value):
    pass


def own_square(x, make=Value):
    """Square as the lecture writes ops: the rule is a closure over its node and the operand."""
    out = make(x.data**2, (x,), "square")

    def _backward():
        x.grad += 2 * x.data * out.grad

    out._backward = _backward
    return out


BETWEEN = {
    "nothing": lambda y, x: y,
    "an ordinary op": lambda y, x: 2 * (-y) + 0.5,
    "a node with attributes": lambda y, x: labelled(y * 0.5),
    "a subclass instance": lambda y, x: Kind(y.data, (y, x), "kind", local_grads=(1.0, 1.0)),
    "one output": lambda y, x: engine.dot([y, x, y], [x, 0.5, y]),
    "one output of several": lambda y, x: engine.softmax([y, x, 1.0])[0],
    "several outputs": lambda y, x: engine.sum(engine.rms_norm([y, x, y])),
    "shared weights": lambda y, x: engine.sum(engine.linear([x, 1.0], [[y, x], [x, y]], [y, x])),
    "two inputs of shared weights": lambda y, x: two_calls([[y, x], [x, y]], x, y),
    "a layer": lambda y, x: engine.sum(nn.Layer(2, 3)([y, x])),
}


def labelled(node):
    node.label = "y"
    return node


def two_calls(rows, x, y):
    a, b = engine.linear([1.0, 2.0], rows), engine.linear([y, x], rows)
    return a[0] * b[0] + a[1] * b[1]


def chain_of_own_ops(between, make=Value):
    x = y = Value(0.5)
    for _ in range(20):
        y = between(own_square(y, make), x).tanh()
    return x, y


@pytest.mark.slow
@pytest.mark.parametrize("make", [Value, Kind])
@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN.keys())
def test_one_collection_takes_a_whole_chain_of_own_ops(between, make, alive):
    x, y = chain_of_own_ops(between, make)
    y.backward()
    ends = []
    refs = [weakref.ref(y, ends.append), weakref.ref(x, ends.append)]
    gc.collect()  # nothing that is in use
    kept = y
    del y
    gc.collect()
    assert kept._prev
    kept.zero_grad()
    kept.backward()
    assert math.isfinite(x.grad)
    assert [ref() for ref in refs] == [kept, x]
    del kept, x
    gc.collect()
    assert alive() == 0
    assert sorted(map(id, ends)) == sorted(map(id, refs))


@pytest.mark.slow
def test_what_the_collector_leaves_is_whole(alive):
    x = Value(0.5)
    rows = [[own_square(x), x], [x, own_square(x)]]
    a = engine.linear([x, own_square(x)], rows)
    b = engine.softmax([own_square(x), x, own_square(x)])
    kept, dropped = [a[1], b[2]], own_square(a[0] * b[0])
    del a, b
    gc.collect()
    del dropped, rows
    gc.collect()
    (kept[0] * kept[1]).backward()
    fresh = Value(0.5)
    square = fresh**2
    last = engine.softmax([square, fresh, square])[2]
    (engine.dot([fresh, square], [fresh, square]) * last).backward()
    assert x.grad == pytest.approx(fresh.grad, rel=1e-12)
    assert all(node._prev for node in kept)
    del kept, x, fresh, square, last
    gc.collect()
    assert alive() == 0


@pytest.mark.slow
@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN.keys())
def test_steps_of_own_ops_do_not_pile_up(between, alive):
    gc.enable()
    most = 0
    for _ in range(500):
        chain_of_own_ops(between)[1].backward()
        most = max(most, alive())
    gc.collect()
    gc.disable()
    assert most < 20_000  # a step is up to some 300 nodes
    assert alive() == 0


@pytest.mark.slow
def test_own_ops_for_very_many_steps(alive):
    gc.enable()
    most = 0
    for _ in range(20_000):
        chain_of_own_ops(lambda y, x: y)[1].backward()
        most = max(most, alive())
    gc.disable()
    assert most < 20_000
    gc.collect()
    assert alive() == 0


def test_a_graph_above_attributes_alone_is_not_shown_to_the_collector():
    p = Value(1.0)
    p.m = 0.0
    y = p * 2 + engine.sum([p, p])
    assert not any(map(gc.is_tracked, [y, *y._prev]))
    rule = own_square(p)
    above = [rule * 2, engine.sum([rule]), *engine.softmax([rule, p]), (rule + 1).exp()]
    assert all(map(gc.is_tracked, above))


def test_a_cycle_of_subclass_instances_is_collected(alive):
    class Child(Value):
        pass

    ends = []
    for _ in range(3):
        v = Child(1.0)
        v.me, v.probe = v, Probe(lambda: ends.append("end"))
        w = Child(2.0, children=(Value(1.0), Child(1.0)), op="own")
        w.me = w
        del v, w
    gc.collect()
    assert ends == ["end"] * 3
    assert alive() == 0


def test_weak_references(alive):
    a = Value(1.0)
    b = a * 2
    seen = []
    ref = weakref.ref(b, lambda r: seen.append((r(), alive())))
    names = weakref.WeakKeyDictionary({a: "a", b: "b"})
    values = weakref.WeakValueDictionary({"a": a, "b": b})
    assert ref() is b
    assert ref() is weakref.ref(b)()
    del b
    assert ref() is None
    assert len(seen) == 1
    assert seen[0][0] is None
    assert (dict(names), dict(values)) == ({a: "a"}, {"a": a})
    del a, names, values
    assert alive() == 0


def test_weak_references_to_the_inside_of_a_graph_that_goes(alive):
    inside, end = [], []
    node = Value(0.0)
    for _ in range(1000):
        node = engine.sum([node, Value(1.0)]) * 1.0
        inside.append(weakref.ref(node, end.append))
    del node
    assert len(end) == 1000
    assert not any(ref() for ref in inside)
    assert alive() == 0


def test_a_dying_node_cannot_be_brought_back(alive):
    caught = []
    node = Value(1.0)
    node.probe = Probe(lambda: caught.append(below()))
    below = weakref.ref(node)
    node = node * 2
    node.probe = Probe(lambda: caught.append(ref()))
    ref = weakref.ref(node, lambda r: caught.append(r()))
    del node
    assert caught == [None, None, None]


def test_python_code_at_the_end_of_a_node_may_use_other_graphs(alive):
    kept = Value(3.0)
    answers = []

    def use():
        root = (kept * kept + Value(1.0)).exp().log()
        root.backward()
        answers.append(root.data)

    node = Value(0.0)
    for _ in range(50):
        node = node + 1
        node.probe = Probe(use)
        node = engine.softmax([node, node])[0]
    del node
    assert answers == [10.0] * 50
    assert kept.grad == pytest.approx(6.0 * 50)
    assert alive() == 1


def test_a_subclass_with_a_finalizer_may_come_back(alive):
    saved = []

    class Cat(Value):
        lives = 9

        def __del__(self):
            if self.lives > 1:
                self.lives -= 1
                saved.append(self)

    root = Cat(1.0) * 2 + Cat(2.0, children=(Value(5.0),), op="own")
    del root
    assert [cat.lives for cat in saved] == [8, 8]
    (saved[0] * saved[1]).backward()
    assert sorted(cat.grad for cat in saved) == [1.0, 2.0]
    while saved:
        saved.pop().lives = 1
    assert alive() == 0


def test_what_is_about_to_end_may_be_kept_at_the_end_of_another(alive):
    saved = []

    class Twin(Value):
        def __del__(self):
            other = self.other()
            if other is not None:
                saved.append(other)

    class Child(Value):
        pass

    for depth in (1, 10, 31, 32, 33, 100):
        left, right = Twin(1.0, (Value(2.0),), "own"), Twin(1.0, (Value(2.0),), "own")
        left.other, right.other = weakref.ref(right), weakref.ref(left)
        root = Child(1.0, (left, right), "own")
        del left, right
        for _ in range(depth):
            root = Child(1.0, (root,), "own")
        del root
        assert len(saved) == 1
        assert alive() == 1  # instances of subclasses are not counted
        (saved[0] * 3).backward()
        assert saved[0].grad == 3.0
        saved.clear()
        assert alive() == 0


def test_exceptions_at_the_end_of_a_node_are_reported_and_do_no_harm(alive, monkeypatch):
    reports = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.append(report.exc_type))
    a = Value(1.0)
    a.probe = Probe(lambda: 1 / 0)
    root = a * 2
    ref = weakref.ref(root, lambda _: [][0])
    del a, root
    assert sorted(reports, key=repr) == [IndexError, ZeroDivisionError]
    assert ref() is None


MEMORY = """
import gc, os, sys
from fastgrad import _core, engine
from fastgrad.engine import Value

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def graph(nodes):
    x = v = Value(1.0)
    for _ in range(nodes // 2):
        v = (v + x) * 0.5
    return v

graph(1000).backward()
before, held = resident(), _core.node_bytes()
root = graph(1_000_000)
full = resident()
print((full - before) / _core.live_nodes())
print(_core.node_bytes() / _core.live_nodes())
root.backward()
del root
after = resident()
print(_core.live_nodes(), after - before, _core.node_bytes())
scattered = [Value(float(i)) for i in range(1_000_000)]
del scattered[::2]
del scattered
print(_core.live_nodes(), resident() - before, _core.node_bytes())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_bytes_a_node_and_all_of_them_come_back():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    resident, held, *ends = done.stdout.split("\n")[:4]
    assert float(resident) <= 112
    assert float(held) <= 112
    for end in ends:
        nodes, kept, bytes_held = end.split()
        assert int(nodes) == 0
        # What a small network needs in a step is kept back; that much and no more.
        assert int(kept) <= 24 << 20
        assert int(bytes_held) <= 8 << 20
