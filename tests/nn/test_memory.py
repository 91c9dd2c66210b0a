"""What memory cannot hold is refused before anything has changed."""

import random
import subprocess
import sys

import pytest
from fastgrad.nn import MLP, Layer, Neuron


@pytest.mark.parametrize(
    "make",
    [
        lambda: Neuron(2**63),
        lambda: Neuron(10**15),
        lambda: Neuron(10**400),
        lambda: Layer(10**9, 10**9),
        lambda: Layer(0, 2**62),
        lambda: MLP(2, [2**62]),
        lambda: MLP(2**40, [3, 2**40]),
    ],
)
def test_a_network_that_no_memory_holds_draws_nothing(make):
    state = random.getstate()
    with pytest.raises(MemoryError):
        make()
    assert random.getstate() == state


# Each of these has to raise MemoryError where 2 GB of addresses is all there is.
LARGE = [
    "softmax([x] * 10**8)",
    "log_softmax([x] * 10**8)",
    "engine.sum([x] * 10**8)",
    "rms_norm([x] * 10**8)",
    "dot([x] * 10**8, [1.0] * 10**8)",
    "affine([x] * 10**8, [1.0] * 10**8, 0.0)",
    "engine.cross_entropy([x] * 10**8, 3)",
    "engine.sum(itertools.repeat(x, 10**9))",
    "linear(r, [r] * 10000)",
    "linear([], [[]] * 10**8)",
    "SGD([x for _ in range(1)] + [Value(0.0) for _ in range(10**8)], lr=0.1)",
    "nn.Layer(20_000, 20_000)",
    "nn.MLP(2, [10**5, 10**5])",
]
PROGRAM = """
import itertools, random, resource, sys
from fastgrad import engine, nn
from fastgrad.engine import *
from fastgrad.optim import SGD
resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9))
x = Value(2.0)
r = [Value(1.0) for _ in range(10_000)]
a = [Value(3.0), x]
before = sys.getrefcount(x)
state = random.getstate()
try:
    {call}
except MemoryError:
    assert sys.getrefcount(x) == before, "references are left"
    assert random.getstate() == state
    p, q = softmax(a)
    p.backward()
    assert x.grad != 0.0
    print("refused")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="addresses can be limited on Linux only")
@pytest.mark.parametrize("call", LARGE)
def test_what_two_gigabytes_do_not_hold_is_refused(call):
    program = [sys.executable, "-c", PROGRAM.format(call=call)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr[-2000:]
