"""No recursion anywhere, so that chains may be of any length.

Each chain is built, walked and dropped on a thread with a stack of 256 KiB, in a process of its
own: a stack that overflows ends the process.
"""

import os
import subprocess
import sys

import pytest

RUN = """
import gc, sys, threading, weakref
from fastgrad import _core, engine
from fastgrad.engine import Value

class Child(Value):
    pass

class Holder:
    def __init__(self, held):
        self.held = held

{program}

failures = []

def run():
    try:
        main()
    except BaseException as error:
        failures.append(error)

threading.stack_size(256 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
for error in failures:
    raise error
gc.collect()
assert _core.live_nodes() == 0, _core.live_nodes()
print("done")
"""

LONGEST = """
def main():
    n = 10_000_000
    x = v = Value(1.0)
    for _ in range(n):
        v = v + x
    assert _core.live_nodes() == n + 1
    v.backward()
    assert (v.data, v.grad, x.grad) == (n + 1.0, 1.0, n + 1.0)
    assert _core.node_bytes() <= 112 * n
    del v
    assert _core.live_nodes() == 1
    assert _core.node_bytes() <= 16 << 20
"""

CHAIN = """
def main():
    n = {n}
    x = v = Value(1.0)
    for i in range(n):
        {step}
    v.grad = 0.5
    v.backward()
    v.backward()
    assert v.grad == 2.5, v.grad
    assert x.grad == {gradient}, x.grad
    v.zero_grad()
    assert (v.grad, x.grad) == (0.0, 0.0)
    repr(v), v._prev, v._op
    gc.collect()
    {end}
"""

STEPS = {
    "attributes on each node": "v = v + x; v.label = str(i)",
    "attributes and weak references": "v = v + x; v.ref = weakref.ref(v)",
    "sum": "v = engine.sum([v, x])",
    "dot": "v = engine.dot([v, x], [1.0, 1.0])",
    "affine": "v = engine.affine([x], [1.0], v)",
    "linear": "v = engine.linear([v], [[1.0], [2.0]], bias=[x, 3.0])[0]",
    "weights of a linear map": "v = engine.linear([1.0], [[v]], bias=[x])[0]",
    "bias of a linear map": "v = engine.linear([x], [[1.0]], bias=[v])[0]",
    "several outputs, all in use": "v = engine.sum(engine.linear([v, x], [[1, 0], [0, 1]]))",
    "own op": "v = Value(1.0, (v, x), 'own', local_grads=(1.0, 1.0))",
    "subclass instances": "v = Child(1.0, children=(v, x), op='own', local_grads=(1.0, 1.0))",
    "subclass instances between others": (
        "v = Child(1.0, children=(v * 1.0, x), op='own', local_grads=(1.0, 1.0)) / 1.0"
    ),
    "subclass instances in lists": (
        "v = engine.sum([Child(1.0, children=(v,), op='own', local_grads=(1.0,)), x])"
    ),
}


def run(program):
    code = RUN.format(program=program)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    assert done.stdout == "done\n"


def free_memory():
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return None  # not told on this system


@pytest.mark.slow
def test_a_chain_of_ten_million_nodes():
    free = free_memory()
    if free is not None and free < 3 << 30:
        pytest.skip(f"needs 3 GiB of memory, {free >> 20} MiB are free")
    run(LONGEST)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_long_chain_of(step):
    n = 100_000
    run(CHAIN.format(n=n, step=step, gradient=2.0 * (n + 1), end="del v"))


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "rms_norm"])
def test_a_long_chain_through(function):
    step = f"v = engine.{function}([v, x])[0]; v = v * 0.0 + x"
    run(CHAIN.format(n=50_000, step=step, gradient=2.0, end="del v"))


def test_a_long_chain_of_cross_entropies():
    step = "v = engine.cross_entropy([v, x], 0) * 0.0 + x"
    run(CHAIN.format(n=50_000, step=step, gradient=2.0, end="del v"))


ATTRIBUTES = """
def main():
    for make in (Value, Child):
        v = None
        for i in range(100_000):
            w = make(1.0)
            w.previous = v
            {more}
            v = w
        gc.collect()
        del v, w
        gc.collect()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        "",
        "w._backward = lambda v=v: v",
        "w.list = [[v]]",
        "w.me = w",
        "w = w * 1.0; w.down = v",
        "w.deep = [{1: ([(v,)],)}, Holder(Holder(v))]",
    ],
)
def test_a_long_chain_through_attributes(more):
    run(ATTRIBUTES.format(more=more))


FINALIZERS = """
def main():
    class Last(Value):
        def __del__(self):
            ends.append(self.data)
            short = Value(0.0)
            short.holder = Holder(Value(2.0) * 3.0)
            ref = weakref.ref(short.holder)
            del short
            assert ref() is None

    n, ends, v = 20_000, [], None
    for i in range(n):
        w = Last(i, (Value(1.0),) if v is None else (v, v * 2.0), "own")
        w.previous = v
        v = w
    del v, w
    assert ends == [float(i) for i in reversed(range(n))]
"""


@pytest.mark.slow
def test_a_long_chain_of_finalizers():
    run(FINALIZERS)


WIDE = """
def main():
    v = Child(1.0)
    for _ in range(100):
        others = [Child(2.0, (Value(3.0),), "own") for _ in range(1000)]
        v = Child(1.0, [v, *others], "own")
    del v, others
    assert _core.live_nodes() == 0
"""


def test_a_chain_of_many_parents_each():
    run(WIDE)


RULES = """
def main():
    calls = 0
    x = v = Value(1.0)

    def rule():
        nonlocal calls
        calls += 1
        if calls == 150_000:
            raise ZeroDivisionError

    for i in range(100_000):
        v = v + x
        v._backward = rule
    v.backward()
    assert calls == 100_000
    v.grad = 3.0
    try:
        v.backward()
    except ZeroDivisionError:
        assert (v.grad, x.grad) == (3.0, 0.0)
    else:
        raise AssertionError("no exception came out")
"""


def test_a_long_chain_of_rules():
    run(RULES)


NESTED = """
def main():
    def nested(depth):
        x = Value(1.0)
        v = x * 2.0
        if depth > 1:
            v._backward = lambda: x.__setattr__("grad", nested(depth - 1))
        v.backward()
        return x.grad + 1.0

    assert nested(100) == 102.0
    for rule in (v := Value(1.0) * 2.0).backward, lambda: v.backward(), lambda: nested(100):
        v._backward = rule
        try:
            v.backward()
        except RecursionError as error:
            assert "100 times" in str(error)
        else:
            raise AssertionError("no exception came out")
    assert nested(100) == 102.0
    v = rule = None
"""


def test_rules_that_call_backward_within_one_another():
    run(NESTED)


COLLECTED = """
def own(x):
    out = Value(x.data, (x,), "own")

    def _backward():
        x.grad += out.grad

    out._backward = _backward
    return out

def main():
    gc.disable()
    x = v = Value(1.0)
    for _ in range({n}):
        {step}
    v.backward()
    assert x.grad == 1.0
    del v
    gc.collect()
    assert _core.live_nodes() == 1
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "v = own(v)",
        "v = own(v) * 1.0",
        "v = engine.sum(engine.linear([own(v), 0.0], [[1.0, 0.0], [0.0, 1.0]]))",
    ],
)
def test_the_collector_takes_chains_of_own_ops(step):
    run(COLLECTED.format(n=200_000, step=step))
