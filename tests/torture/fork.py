"""Children forked while threads are in backward, training, counting and sampling can do everything.

python tests/torture/fork.py SECONDS SEED
"""

import faulthandler
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings

import helping
import numpy as np
from fastgrad import _core, engine, nn, optim
from fastgrad.engine import Value
from fastgrad.models import NPLM, BigramModel, KneserNey, NeuralBigram, NgramCounts, load
from fastgrad.text import Vocab, read_words
from hostile_table import ITEMS, TEXT

PATIENCE = 20  # seconds for a child that needs a tenth of one
MANY = ITEMS * 2_000
stop = threading.Event()


def chain(length):
    x = y = Value(1.0)
    for _ in range(length):
        y = y * 1.000001 + 0.5
    return x, y


def slow_rule():
    """A pass that is half-done for a while: its rule waits."""
    x = Value(1.0)
    out = Value(2.0, (x,), "slow")

    def rule():
        time.sleep(0.002)
        x.grad += out.grad

    out._backward = rule
    return out * 3.0


def in_backward():
    _, y = chain(100_000)
    while not stop.is_set():
        y.backward()


def in_a_rule():
    while not stop.is_set():
        slow_rule().backward()


TRAINED = NPLM(Vocab("abc"), context_length=3, embedding_dim=8, hidden_dim=64)


def in_training():
    while not stop.is_set():
        TRAINED.fit(MANY, steps=50, lr=0.01, batch_size=64, threads=2)


def in_evaluation():
    model = NPLM(Vocab("abc"), context_length=3, embedding_dim=8, hidden_dim=64)
    while not stop.is_set():
        model.loss(MANY)


def in_bigram_training():
    while not stop.is_set():
        NeuralBigram().fit(ITEMS, steps=20)


def in_words():
    text = read_words(TEXT)
    while not stop.is_set():
        KneserNey().fit(text)


def in_counting():
    data = ("\n".join(MANY) + "\n").encode() * 20
    while not stop.is_set():
        NgramCounts(data, threads=2)


def in_sampling():
    model = BigramModel(smoothing=1.0).fit(ITEMS)
    while not stop.is_set():
        model.sample(20_000, threads=2)


def everything():
    """What a child does, with the results that it has to have."""
    x, y = chain(1000)
    y.backward()
    assert abs(x.grad - 1.000001**1000) < 1e-9
    a, b = Value(2.0), Value(-3.0)
    (a * b + engine.sum(engine.softmax([a, b]))).backward()
    assert a.grad == b.data
    model = nn.MLP(2, [3, 1])
    optimizer = optim.Adam(model.parameters())
    nn.mse_loss([model([1.0, 2.0])], [0.5]).backward()
    optimizer.step()
    network = NPLM(Vocab("abc"), context_length=2, embedding_dim=3, hidden_dim=8)
    network.fit(ITEMS * 20, ITEMS, steps=20, lr=0.1, batch_size=32, threads=2)
    network.save(f"child-{os.getpid()}.safetensors")
    assert load(f"child-{os.getpid()}.safetensors").loss(ITEMS) == network.loss(ITEMS)
    counts = NgramCounts(("\n".join(MANY) + "\n").encode(), threads=2)
    assert counts.total == sum(len(item) + 1 for item in MANY)
    assert len(BigramModel().fit(counts).sample(2_000, threads=2)) == 2_000
    KneserNey().fit(read_words(TEXT)).sample(1, max_length=3)
    assert np.isfinite(_core.normal_numbers(1000, 1)).all()


def child(shared):
    """Also go on with the parent's graph and model, whose pass or step may be half-done."""
    faulthandler.dump_traceback_later(PATIENCE - 5)
    signal.alarm(PATIENCE)
    try:
        everything()
        TRAINED.fit(ITEMS, steps=2, lr=0.01, batch_size=2)
        assert np.isfinite(TRAINED.loss(ITEMS))
        TRAINED.sample(2, max_length=3)
        x, y = shared
        x.grad = 0.0
        y.zero_grad()
        y.backward()
        assert abs(x.grad - 1.000001**100_000) < 1e-6, x.grad
    except BaseException as error:
        os.write(2, f"in the child: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def main(seconds, seed):
    warnings.simplefilter("ignore")
    draw = random.Random(seed)
    shared = chain(100_000)

    def on_the_shared_graph():
        while not stop.is_set():
            shared[1].backward()

    tasks = [in_backward, in_a_rule, in_training, in_evaluation, in_bigram_training, in_words]
    tasks += [in_counting, in_sampling, on_the_shared_graph]
    faults, children = [], 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        everything()  # Whatever Python imports on the way: its import locks know no fork.
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        for _ in helping.turns(seconds):
            time.sleep(draw.uniform(0, 0.02))
            pid = os.fork()
            if pid == 0:
                child(shared)
            _, status = os.waitpid(pid, 0)
            children += 1
            if status:
                code = os.waitstatus_to_exitcode(status)
                faults.append(f"child {children} of seed {seed} ended with {code}")
                if len(faults) >= 5:
                    break
        stop.set()
        for thread in threads:
            thread.join(30)
        if any(thread.is_alive() for thread in threads):
            faults.append("a thread of the parent does not end")
        os.chdir("/")
    helping.leave(faults, f"{children:,} children, seed {seed}")


if __name__ == "__main__":
    main(*sys.argv[1:])
