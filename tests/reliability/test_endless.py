"""Ctrl-C ends the reading of an iterable without an end."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, signal, sys
from itertools import cycle, repeat
import numpy as np
from fastgrad import engine, nn, optim, sampling, text
from fastgrad import MLP, NPLM, NgramCounts, NgramModel, Value, Vocab, WordVocab

# Reading on for ever ends in a MemoryError.
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)
model, value = MLP(2, [1]), Value(1.0)
signal.signal(signal.SIGALRM, signal.default_int_handler)
for call in sys.argv[1:]:
    # Python ends by the signal if a str that it evaluates is interrupted.
    code = compile(call, "call", "eval")
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        eval(code)
    except KeyboardInterrupt:
        print(call)
"""

CALLS = [
    "model(repeat(1.0))",
    "model([[1.0, 2.0], iter(repeat(1.0))])",
    "model.layers[0](repeat(value))",
    "model.layers[0].batch(repeat([1.0, 2.0]))",
    "model.layers[0].neurons[0](repeat(1.0))",
    "MLP(2, repeat(1))",
    "nn.mse_loss(repeat(value), [1.0])",
    "nn.hinge_loss([value], repeat(1))",
    "nn.cross_entropy(repeat(value), 0)",
    "optim.SGD(repeat(value), lr=0.1)",
    "optim.Adam(cycle([value]))",
    "optim.clip_grad_norm(repeat(value), 1.0)",
    "engine.sum(repeat(value))",
    "engine.softmax(repeat(value))",
    "Vocab(cycle('ab'))",
    "Vocab.from_texts(repeat('ab'))",
    "WordVocab(repeat('ab'))",
    "model(np.broadcast_to(0.0, (2**40, 2)))",
    "nn.mse_loss(np.broadcast_to(0.0, 2**40), [1.0])",
    "nn.cross_entropy(np.broadcast_to(0.0, (2**40, 3)), [0])",
    "NgramCounts(repeat('ab'))",
    "NgramModel().fit(repeat('ab'))",
    "NPLM().fit(repeat('ab'))",
    "NPLM().fit(['ab'], steps=1, callbacks=repeat(print))",
    "text.read_lines(repeat('ab'))",
    "text.read_words(repeat('ab'))",
    "text.count_overlap(repeat('ab'), ['ab'])",
    "text.count_overlap(['ab'], repeat('ab'))",
    "text.count_duplicates(repeat('ab'))",
    "text.split(repeat('ab'))",
    "sampling.novelty(repeat('ab'), ['ab'])",
    "NgramModel().fit(['ab']).loss(repeat('ab'))",
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the process's memory")
def test_ctrl_c_ends_the_reading_of_an_iterable_without_an_end():
    command = [sys.executable, "-c", PROGRAM, *CALLS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, CALLS), done.stderr
