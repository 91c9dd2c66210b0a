"""After os.fork() the child can do everything, whatever the parent's threads were doing."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PARENT = """
import faulthandler, io, multiprocessing, os, signal, sys, threading, time
import numpy as np
from fastgrad import _core, engine, nn
from fastgrad.engine import Value

sys.setswitchinterval(1e-5)
x = root = Value(1.0)
for _ in range(100_000):
    root = root * 1.0 + x
p = engine.softmax([root, x, x])
top = p[0] + engine.sum(engine.linear([p[1], p[2]], [[x, x], [x, p[0]]]))
alone = [x, root, *p, top]
done, reached = threading.Event(), threading.Event()

def use_everything():
    faulthandler.dump_traceback_later(60, exit=True)
    a = Value(3.0)
    (a * a).backward()
    assert a.grad == 6.0
    top.zero_grad()
    assert not any(v.grad for v in alone)
    top.backward()
    first = [v.grad for v in alone]
    top.zero_grad()
    top.backward()
    assert [v.grad for v in alone] == first
    model = nn.MLP(2, [3, 1])
    loss = engine.sum(model([[1.0, 2.0], [3.0, 4.0]]))
    loss.backward()
    errors = []
    threads = [threading.Thread(target=root.backward) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]

def fork(work=use_everything):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
"""

SITUATIONS = {
    "another thread walks and clears": """
def walk():
    while not done.is_set():
        top.backward()
        reached.set()
        top.zero_grad()
threads = [threading.Thread(target=walk)]
threads[0].start()
reached.wait()
for _ in range(20):
    fork()
done.set()
threads[0].join()
""",
    "threads wait for their turn": """
def walk():
    while not done.is_set():
        top.backward()
        reached.set()
threads = [threading.Thread(target=walk) for _ in range(4)]
[t.start() for t in threads]
reached.wait()
for _ in range(20):
    fork()
done.set()
[t.join() for t in threads]
""",
    "another thread is inside a rule, three passes deep": """
for i, v in enumerate(alone):
    v.grad = i / 8
before = [v.grad for v in alone]
def inner():
    reached.set()
    done.wait()
low = p[1] * 1.0
low._backward = inner
middle = low + p[2]
own = middle._backward
middle._backward = lambda: (own(), (p[0] + low + 1.0).backward())
outer = middle * 2 + p[0]
own_outer = outer._backward
outer._backward = lambda: (own_outer(), (middle * 3.0 + p[2]).backward())
t = threading.Thread(target=outer.backward)
t.start()
reached.wait()
def child():
    assert [v.grad for v in alone] == before, ([v.grad for v in alone], before)
    use_everything()
fork(child)
done.set()
t.join()
""",
    "a rule forks": """
child_of = os.getpid()
y = Value(2.0)
square = Value(4.0, (y,), "square")
def rule():
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
    y.grad += 4.0 * square.grad
square._backward = rule
(engine.sum(engine.softmax([square, x])) * 0.0 + square * 3.0).backward()
assert y.grad == 12.0
use_everything()
if os.getpid() != child_of:
    os._exit(0)
""",
    "another thread is in an op over lists": """
many = [x] * 400_000
def sums():
    while not done.is_set():
        engine.sum(many)
        reached.set()
        engine.softmax(many)
t = threading.Thread(target=sums)
t.start()
reached.wait()
for _ in range(10):
    fork()
done.set()
t.join()
""",
    "a pool of processes": """
def gradient(i):
    v = Value(float(i))
    (v * v).backward()
    return v.grad
def walk():
    while not done.is_set():
        top.backward()
        reached.set()
t = threading.Thread(target=walk)
t.start()
reached.wait()
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map(gradient, range(20)) == [2.0 * i for i in range(20)]
done.set()
t.join()
""",
}

# What a language model does on threads of its own, none of which the child has.
MODELS = """
from fastgrad.models import NPLM, NgramCounts, BigramModel, KneserNey, load
from fastgrad.text import Vocab
from fastgrad.text import read_words
import pathlib, tempfile

ITEMS = ["abc", "cab", "bca", "aab"] * 200
DATA = ("\\n".join(ITEMS) + "\\n").encode()
TEXT = "the cat sat on the mat . the dog sat on the cat . " * 60
TEXT = TEXT.encode()
folder = tempfile.mkdtemp()
path = pathlib.Path(folder, "items.txt")
path.write_bytes(DATA * 300)
network = NPLM(Vocab("abc"), context_length=3, embedding_dim=8, hidden_dim=64)
before = {name: array.copy() for name, array in network._parameters.items()}
bigrams = BigramModel(smoothing=1.0).fit(ITEMS)
words = read_words(TEXT)

def use_models():
    faulthandler.dump_traceback_later(60, exit=True)
    assert all((np.isfinite(array)).all() for array in network._parameters.values())
    network.loss(ITEMS)
    network.sample(3, max_length=5)
    network.fit(ITEMS, steps=3, lr=0.1, batch_size=32, threads=2)
    place = os.path.join(folder, f"{os.getpid()}.safetensors")
    network.save(place)
    assert load(place).loss(ITEMS) == network.loss(ITEMS)
    assert NgramCounts(DATA, threads=2).total == sum(len(item) + 1 for item in ITEMS)
    assert len(bigrams.sample(3000, threads=2)) == 3000
    KneserNey().fit(words).sample(1, max_length=3)

def again(work):
    def loop():
        while not done.is_set():
            work()
    return loop

def meanwhile(work, times=3):
    t = threading.Thread(target=again(work))
    t.start()
    for _ in range(times):
        time.sleep(0.03)
        fork(use_models)
    done.set()
    t.join()
"""

MODEL_SITUATIONS = {
    "training": (
        "meanwhile(lambda: network.fit(ITEMS, steps=500, lr=0.1, batch_size=64, threads=2))"
    ),
    "evaluating": "meanwhile(lambda: network.loss(ITEMS * 50))",
    "counting a file": "meanwhile(lambda: NgramCounts(path, threads=2))",
    "counting bytes": "meanwhile(lambda: NgramCounts(DATA * 300, threads=2))",
    "sampling": "meanwhile(lambda: bigrams.sample(100_000, threads=2))",
    "fitting Kneser-Ney": "meanwhile(lambda: KneserNey().fit(words))",
    "a call in C": """
inputs = np.random.default_rng(0).integers(0, 4, (400, 3), np.uint32)
targets, rates = inputs[:, 0].copy(), np.full(10**6, 0.1)
def long():
    try:
        _core.nplm_train(network._parameters, [], inputs, targets, batch=64, rates=rates,
                         progress=lambda _: done.is_set() and 1 / 0)
    except ZeroDivisionError:
        pass
def child():
    assert all((network._parameters[name] == array).all() for name, array in before.items())
    use_models()
t = threading.Thread(target=long)
t.start()
time.sleep(0.2)
fork(child)
done.set()
t.join()
assert all((network._parameters[name] == array).all() for name, array in before.items())
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("situation", MODEL_SITUATIONS.values(), ids=MODEL_SITUATIONS.keys())
def test_a_child_can_do_everything_with_models(situation):
    test_a_child_can_do_everything(MODELS + situation)


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_a_child_can_do_everything(situation):
    program = PARENT + situation + '\nprint("done")\n'
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


# A thread is held up in the middle of importing a module.
IMPORTING = """
import faulthandler, importlib, os, sys, threading
import fastgrad

entered, released = threading.Event(), threading.Event()
class Slow:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == "fastgrad.NAME":
            entered.set()
            released.wait(60)
sys.meta_path.insert(0, Slow)
thread = threading.Thread(target=importlib.import_module, args=("fastgrad.OUTER",))
thread.start()
assert entered.wait(60)
threading.Timer(0.2, released.set).start()
pid = os.fork()
if pid == 0:
    faulthandler.dump_traceback_later(60, exit=True)
    import fastgrad.OUTER
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
thread.join()
"""


@pytest.mark.parametrize(
    ("outer", "name"),
    [("models", "models.nplm"), ("text", "text.splits"), ("optim", "optim.schedules")],
)
def test_a_fork_waits_for_an_import_of_another_thread(outer, name):
    program = IMPORTING.replace("OUTER", outer).replace("NAME", name)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


WHILE_RECORDING = """
import os, sys, threading
from fastgrad import Value, jit

w = Value(2.0)
inside, over = threading.Event(), threading.Event()

def slow(x):
    inside.set()
    over.wait(60)
    return w * x

thread = threading.Thread(target=jit(slow), args=(1.0,))
thread.start()
inside.wait(60)
pid = os.fork()
if pid == 0:
    # The child has no such thread: Value is as it was, and the child can record.
    y = w * 3.0
    y.backward()
    right = type(y.data) is float and w.grad == 3.0
    right &= type(Value.__dict__["data"]) is not property
    right &= jit(lambda x: w * x)(4.0).data == 8.0
    os._exit(0 if right else 1)
over.set()
thread.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_child_forked_while_a_thread_records_is_free_of_it():
    child = subprocess.run([sys.executable, "-W", "ignore", "-c", WHILE_RECORDING], timeout=120)
    assert child.returncode == 0


def test_other_threads_see_nothing_of_a_recording():
    import threading

    from fastgrad import Value, jit

    w, seen = Value(2.0), []

    def other():
        y = w * 3.0
        y.backward()
        seen.append((type(y.data), y.data, w.grad))
        w.grad = 0.0

    def slow(x):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return w * x

    assert jit(slow)(1.0).data == 2.0
    assert seen == [(float, 6.0, 3.0)]
