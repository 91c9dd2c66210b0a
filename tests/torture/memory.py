"""Every entry with ever less memory: it succeeds, or raises MemoryError and has changed nothing.

    python tests/torture/memory.py SECONDS SEED

A child is forked for each call, with so much address space that the call has from 1 to 64 MB more
than the process has already. Nothing but success, MemoryError, or an error for a thread that the
system refuses, may come of it. What the C library ends by itself, because it has no memory for a
thread's own variables, is counted, and is no fault of ours.
"""

import errno
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
import warnings

import helping
import hostile_api
import hostile_table
import numpy as np
from fastgrad import _core, engine, nn, optim
from fastgrad.engine import Value
from fastgrad.models import (
    NPLM,
    BigramModel,
    InterpolatedTrigram,
    KneserNey,
    NgramCounts,
    NgramModel,
)
from fastgrad.text import Vocab, build_dataset, read_words

SECONDS = 60
LEAST, LITTLE, MOST = 2**20, 2**21, 64 * 2**20
# What glibc says before it ends a process that has no memory for a thread's own variables.
C_LIBRARY = "cannot allocate memory for thread-local data", "failed to register TLS destructor"

# Calls whose need of memory grows with what they are given ----------------------------------------

ITEMS = hostile_table.ITEMS * 3_000
LETTERS = "".join(chr(c) for c in range(0x100, 0x240))
ALPHABET = [a + b for a, b in zip(LETTERS, LETTERS[::-1], strict=True)]
WORDS = " ".join(f"w{i * i % 3001}" for i in range(60_000)).encode()


def made():
    """Make, before memory is short, what large calls are given; return the calls by name."""
    values = [Value(0.5)] * 200_000
    row = [Value(0.1) for _ in range(2_000)]
    root = engine.sum(values) * 2.0
    deep = Value(1.0)
    for _ in range(100_000):
        deep = deep * 1.0 + 0.1
    text = read_words(WORDS)
    words = KneserNey(order=3).fit(text)
    interpolated = InterpolatedTrigram().fit(text, text)
    bigram, many = BigramModel(smoothing=1.0).fit(ITEMS), BigramModel(smoothing=1.0).fit(ALPHABET)
    network = NPLM(Vocab("abc"), context_length=3, embedding_dim=8, hidden_dim=64)
    contexts = np.zeros((20_000, 2), dtype=np.uint32)
    ids = np.arange(1_000_000, dtype=np.uint32) % 5_000
    data = ("\n".join(ITEMS) + "\n").encode()
    layer = nn.Layer(500, 100)
    inputs = [0.5] * 500
    return {
        "sum": lambda: engine.sum(values),
        "softmax": lambda: engine.softmax(values),
        "log_softmax": lambda: engine.log_softmax(values),
        "rms_norm": lambda: engine.rms_norm(values),
        "cross_entropy": lambda: engine.cross_entropy(values, 3),
        "dot": lambda: engine.dot(values, values),
        "linear": lambda: engine.linear(row, [row] * 2_000),
        "backward of a list op": root.backward,
        "backward of a chain": deep.backward,
        "a chain": lambda: [deep * 1.0 for _ in range(200_000)],
        "zero_grad": deep.zero_grad,
        "a layer made": lambda: nn.Layer(500, 200),
        "a layer called": lambda: layer(inputs),
        "a layer in batches": lambda: layer.batch([inputs] * 200),
        "an optimizer": lambda: optim.Adam([Value(1.0) for _ in range(100_000)]).step(),
        "KneserNey.fit": lambda: KneserNey(order=5, modified=True).fit(text),
        "KneserNey.next_probs": lambda: words.next_probs(contexts),
        "KneserNey.loss": lambda: words.loss(text),
        "KneserNeyTable": lambda: _core.KneserNeyTable(ids, 5_000, 5),
        "InterpolatedTable": lambda: _core.InterpolatedTable(ids, 5_000),
        "InterpolatedTrigram.next_probs": lambda: interpolated.next_probs(contexts),
        "InterpolatedTrigram.fit": lambda: InterpolatedTrigram(max_iterations=2).fit(text, text),
        "read_words": lambda: read_words(WORDS * 5),
        "NgramCounts": lambda: NgramCounts(data, order=3, threads=2),
        "count_items": lambda: NgramCounts(ITEMS, order=2),
        "a table of 320 symbols, order 3": lambda: NgramModel(order=3).fit(ALPHABET).P,
        "sampled": lambda: bigram.sample(50_000, threads=2),
        "sampled from 320 symbols": lambda: many.sample(10, threads=2),
        "sampled from a network": lambda: network.sample(2_000),
        "windows": lambda: build_dataset(ITEMS, Vocab("abc"), 8),
        "NPLM": lambda: NPLM(Vocab("abc"), context_length=8, embedding_dim=100, hidden_dim=10_000),
        "NPLM.fit": lambda: network.fit(ITEMS, steps=3, lr=0.1, batch_size=4_096, threads=2),
        "NPLM.loss": lambda: network.loss(ITEMS, threads=2),
        "NPLM.next_probs": lambda: network.next_probs(np.zeros((50_000, 3), np.uint32)),
        "normal_numbers": lambda: _core.normal_numbers(5_000_000, 1),
    }


def small():
    """Give every row of the table of all that is public, with its right arguments."""
    found = {}
    for name, function, row in hostile_api.entries():
        if not hostile_api.is_slow(name):
            found[name] = lambda f=function, r=row: prepared(f, r)
    return found


def prepared(function, row):
    positional, keywords = hostile_api.arrange(function, hostile_api.right_arguments(function, row))
    return lambda: function(*positional, **keywords)


def child(call, room):
    """Call with that many bytes to spare, and leave with 0 if all is well."""
    signal.alarm(SECONDS)
    os.dup2(os.open("told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    limit = helping.address_space() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        call()
    except MemoryError:
        os._exit(0)
    except OSError as error:
        os._exit(0 if error.errno in (errno.ENOMEM, errno.EAGAIN) else 3)
    except RuntimeError as error:
        os._exit(0 if "can't start new thread" in str(error) else 4)
    except BaseException as error:
        # A file that cannot be read for want of memory is told of as damaged, with the reason.
        if "memory" in str(error):
            os._exit(0)
        os.write(2, f"{type(error).__name__}: {error}"[:500].encode() + b"\n")
        os._exit(5)
    os._exit(0)


def told(calls, entries, ended, seed):
    return f"{calls:,} calls of {entries} entries, {ended} ended by the C library, seed {seed}"


def main(seconds, seed):
    warnings.simplefilter("ignore")
    draw = random.Random(seed)
    faults, calls, ended, end = {}, 0, 0, time.monotonic() + float(seconds)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        hostile_table.write_files()
        large, little = made(), small()
        jobs = [*large] * 4 + [*little]
        for turn in helping.turns(seconds):
            draw.shuffle(jobs)
            for name in jobs:
                if turn and time.monotonic() > end:
                    break
                call = large[name] if name in large else little[name]()
                most = MOST if name in large else LITTLE
                room = LEAST + int(draw.random() ** 2 * (most - LEAST))
                pid = os.fork()
                if pid == 0:
                    child(call, room)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                calls += 1
                said = pathlib.Path("told").read_text(errors="replace") if code else ""
                if any(words in said for words in C_LIBRARY):
                    ended += 1
                elif code:
                    faults.setdefault(
                        (name, code),
                        f"{name} with {room:,} bytes more: ended with {code}; {said[:300]}",
                    )
        os.chdir("/")
    helping.leave(faults.values(), told(calls, len(large) + len(little), ended, seed))


if __name__ == "__main__":
    main(*sys.argv[1:])
