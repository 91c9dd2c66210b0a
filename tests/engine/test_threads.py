"""Values used by many threads, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from fastgrad import _core, engine, nn, optim
from fastgrad.engine import Value

THREADS = 4
LARGE = 40_000  # nodes: more than are walked between two moments for other threads


@pytest.fixture(autouse=True)
def _switch_often():
    """Let threads take turns as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(*works):
    """Run each function on a thread of its own, all at once; raise what any of them raised."""
    barrier = threading.Barrier(len(works))
    errors = []

    def run(work):
        try:
            barrier.wait()
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


def repeat(function, times):
    for _ in range(times):
        function()


def chain(x, nodes, scale=1.0):
    """Give x + scale·x + … as one node above another: d/dx is 1 + scale·nodes."""
    v = x
    for _ in range(nodes):
        v = v + x * scale
    return v


@pytest.mark.usefixtures("collected")
def test_graphs_of_each_thread_its_own():
    def work():
        for _ in range(3):
            x = Value(1.0)
            root = chain(x, LARGE // 2)
            root.backward()
            assert (root.data, x.grad) == (LARGE / 2 + 1, LARGE / 2 + 1)
            root.backward()
            assert x.grad == LARGE + 2
            root.zero_grad()
            assert (root.grad, x.grad) == (0.0, 0.0)

    before = _core.live_nodes()
    together(*[work] * THREADS)
    assert _core.live_nodes() == before


def test_graphs_that_share_a_parameter_lose_no_gradient():
    w = Value(2.0)

    def work(number):
        for _ in range(3):
            chain(w, LARGE // 2, scale=number).backward()

    together(*[lambda i=i: work(float(i)) for i in range(THREADS)])
    assert w.grad == sum(3 * (1 + i * LARGE // 2) for i in range(THREADS))


def test_threads_that_share_a_network_lose_no_gradient():
    model = nn.MLP(2, [3, 1], activation="linear")
    for i, p in enumerate(model.parameters()):
        p.data = float(i % 5 - 2)
    rows = [[float(i % 7), float(i % 3)] for i in range(100)]

    def work():
        for _ in range(20):
            engine.sum(model(rows)).backward()

    work()
    once = [p.grad for p in model.parameters()]
    assert any(once)
    model.zero_grad()
    together(*[work] * THREADS)
    assert [p.grad for p in model.parameters()] == [THREADS * g for g in once]


def test_the_same_root_from_several_threads():
    x = Value(3.0)
    root = chain(engine.dot([x, x], [x, 1.0]), LARGE)
    root.backward()
    once = x.grad, root.grad
    root.zero_grad()
    together(*[root.backward] * THREADS, *[root.backward] * THREADS)
    assert (x.grad, root.grad) == tuple(2 * THREADS * g for g in once)


def test_rules_that_let_go_of_the_lock():
    x = Value(3.0)
    turn = threading.Event()

    def work(number):
        for _ in range(20):
            out = chain(x, 100) * number
            up = Value(0.0, (out,), "own")

            def rule(up=up, out=out):
                turn.wait(1e-4)
                out.grad += up.grad

            up._backward = rule
            up.backward()

    together(*[lambda i=i: work(float(i)) for i in range(THREADS)])
    assert x.grad == 20 * 101 * sum(range(THREADS))


def test_one_thread_walks_while_others_clear_update_and_drop():
    model = nn.MLP(2, [4, 1])
    adam = optim.Adam(model.parameters(), lr=1e-3)
    rows = [[0.5, i / 2000] for i in range(2000)]
    out = engine.sum(model(rows))
    done = threading.Event()

    def walk():
        try:
            for _ in range(15):
                out.backward()
                assert out.grad != 0.0
                out.zero_grad()
        finally:
            done.set()

    def clear():
        while not done.is_set():
            model.zero_grad()
            out.data = 1.0
            out.label = "root"

    def update():
        while not done.is_set():
            adam.step()
            model([1.0, 2.0]).backward()

    def drop():
        while not done.is_set():
            above = [out * 2, engine.sum([out, *model.parameters()])]
            above[0].me = above[1]
            above.clear()

    together(walk, clear, update, drop)
    out.zero_grad()
    out.backward()
    last = model.layers[-1].neurons[0].b
    assert (out.grad, last.grad) == (1.0, 2000.0)


def test_a_thread_that_calls_backward_all_the_time_does_not_keep_others_out():
    calls = 0
    done = threading.Event()
    root, small = chain(Value(1.0), LARGE), Value(1.0) * 2

    def busy():
        nonlocal calls
        while not done.is_set():
            root.backward()
            chain(root, 1000)
            calls += 1

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    waits = []
    for _ in range(20):
        before = calls
        small.backward()
        waits.append(calls - before)
    done.set()
    for thread in threads:
        thread.join()
    assert max(waits) <= 50


@pytest.mark.usefixtures("collected")
def test_a_graph_may_end_on_another_thread():
    before = _core.live_nodes()
    for _ in range(5):
        box = [chain(Value(1.0), LARGE)]
        together(box.clear, lambda: chain(Value(1.0), LARGE).backward())
    assert _core.live_nodes() == before


def test_each_object_ends_on_the_thread_that_dropped_it():
    class Child(Value):
        def __del__(self):
            ends.append((self.data, threading.get_ident()))
            turn.wait(1e-5)

    def work():
        v = None
        for i in range(500):
            v = Child(i, () if v is None else (v,), "own")
            v.pair = [Value(1.0), Value(2.0) * 3.0]
        del v
        here = [data for data, thread in ends if thread == threading.get_ident()]
        assert here == [float(i) for i in reversed(range(500))]

    ends, turn = [], threading.Event()
    together(*[work] * THREADS)
    assert len(ends) == 500 * THREADS


def test_an_exception_on_one_thread_leaves_the_others_alone():
    w = Value(1.0)

    def fail():
        for _ in range(10):
            root = chain(w, 10) / 1.0
            root._backward = lambda: 1 / 0
            with pytest.raises(ZeroDivisionError):
                chain(root, 100).backward()

    def work():
        for _ in range(5):
            chain(w, LARGE // 4).backward()

    together(fail, work, fail, work)
    assert w.grad == 10 * (LARGE // 4 + 1)


def test_a_thread_that_outlives_the_program_does_no_harm():
    program = """
import threading
from fastgrad.engine import Value
x = v = Value(1.0)
for _ in range(50_000):
    v = v + x
def work():
    while True:
        v.backward()
        w = x
        for _ in range(1000):
            w = w + x
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
v.backward()
print("end")
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


# Ctrl-C -----------------------------------------------------------------------------------------

INTERRUPTED = """
import itertools, os, signal, threading
from fastgrad import _core, engine
from fastgrad.engine import Value

x = root = Value(1.0)
for _ in range({nodes}):
    root = root + x
marked = root
for _ in range(10):
    marked = marked * 1.0
values = [x] * {nodes}
many = values * 4
gate = threading.Lock()

def interrupt():
    with gate:  # the main thread gives it away right before the call, or in the middle of it
        os.kill(os.getpid(), signal.SIGINT)

def attempt():
    gate.acquire()
    thread = threading.Thread(target=interrupt)
    thread.start()
    finished = False
    try:
        {call}
        finished = True
        thread.join()
    except KeyboardInterrupt:
        thread.join()
        return not finished
    raise AssertionError("no KeyboardInterrupt at all")

def state():
    return x.data, x.grad, root.data, root.grad, marked.grad

for tries in range(500):
    x.grad, root.grad, marked.grad = 0.25, 0.5, 0.75
    before = state()
    if attempt():
        break
else:
    raise AssertionError("never interrupted")
assert state() == before, (state(), before)
root.zero_grad()
marked.grad = 0.0
marked._backward = marked._propagate
marked.backward()
assert state() == (1.0, {nodes} + 1.0, {nodes} + 1.0, 1.0, 1.0), state()
print("interrupted")
"""

LONG_CALLS = {
    "backward, while it orders": "gate.release(); marked.backward()",
    "backward, while it walks": "marked._backward = lambda: (gate.release(), marked._propagate()); "
    "marked.backward()",
    "zero_grad": "gate.release(); root.zero_grad()",
    "sum": "gate.release(); engine.sum(many)",
    "sum of an iterator": "gate.release(); engine.sum(iter(values))",
    "dot": "gate.release(); engine.dot(values, values)",
    "softmax": "gate.release(); engine.softmax(values)",
    "linear": "gate.release(); engine.linear(values, [values] * 3)",
    "operands without an end": "gate.release(); Value(1.0, itertools.repeat(x))",
    "derivatives without an end": "gate.release(); "
    "Value(1.0, (x,), local_grads=itertools.repeat(1.0))",
    "rows without an end": "gate.release(); engine.linear([x], itertools.repeat([x]))",
    "symbols without an end": "gate.release(); "
    "_core.WordReader('text').encode(itertools.repeat('word'), 0)",
}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a process cannot send itself Ctrl-C here")
@pytest.mark.parametrize("call", LONG_CALLS.values(), ids=LONG_CALLS.keys())
def test_ctrl_c_ends_a_long_call_and_leaves_everything_usable(call):
    program = INTERRUPTED.format(nodes=3_000_000, call=call)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a process cannot send itself Ctrl-C here")
def test_ctrl_c_while_waiting_for_another_threads_walk():
    asleep = threading.Event()
    x = Value(1.0)
    slow = x * 2
    slow._backward = lambda: (asleep.set(), wake.wait(30), x.__setattr__("grad", x.grad + 2))
    wake = threading.Event()
    other = threading.Thread(target=slow.backward)
    other.start()
    asleep.wait(30)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            (x * 3).backward()
    finally:
        wake.set()
        other.join()
        timer.join()
    assert x.grad == 2.0
    (x * 3).backward()
    assert x.grad == 5.0


def timed(timer, root):
    """Walk again and again while a signal comes."""
    timer.start()
    repeat(root.backward, 1000)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGUSR1")
def test_a_signal_handler_may_raise_anything_and_use_values():
    x = Value(1.0)
    root = chain(x, 300_000)

    def handle(*_):
        (Value(2.0) * 3).backward()
        raise LookupError("from the handler")

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
        with pytest.raises(LookupError, match="from the handler"):
            timed(timer, root)
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    root.zero_grad()
    root.backward()
    assert x.grad == 300_001


SECOND_INTERPRETER = """
import fastgrad._core

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

program = (
    "try: import fastgrad._core\\n"
    "except ImportError: print('refused', flush=True)\\n"
    "else: print('imported', flush=True)"
)
getattr(interpreters, "exec", interpreters.run_string)(interpreters.create(), program)
print(fastgrad._core.Value(2.0) * 3, flush=True)
"""


def test_a_second_interpreter_is_refused_and_the_first_one_goes_on():
    done = subprocess.run(
        [sys.executable, "-c", SECOND_INTERPRETER], capture_output=True, text=True
    )
    expected = "refused\nValue(data=6.0, grad=0.0)\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
