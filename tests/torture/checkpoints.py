"""Damaged checkpoints are refused, at once and without taking memory.

    python tests/torture/checkpoints.py SECONDS SEED

A file of each kind of model is truncated, has bits flipped, bytes inserted, or a header that
claims what is not there: loading it, or resuming from it, raises CheckpointError. Others are
written anew, with a checksum that is right and arrays or settings that are wrong: these are
refused, or give a model that can be used. All with 2 GB of address space, and never more than
64 MB of arrays.
"""

import contextlib
import json
import os
import pathlib
import random
import resource
import struct
import sys
import tempfile
import time
import tracemalloc
import warnings

import helping
import hostile_table
import numpy as np
from fastgrad import checkpoint
from fastgrad.checkpoint import CheckpointError
from fastgrad.models import NPLM, WordNPLM, load
from fastgrad.training import DivergedError
from hostile_arguments import wrong_array
from hostile_table import ITEMS

NAMES = ["bigram", "neural", "run", "word", "words"]
MEMORY, SECONDS = 64 * 2**20, 3.0
SIZES = [0, 1, 2**16, 2**31, 2**32, 2**62, 2**63 - 1, 2**64, -1, 1.5, "x", None, 10**30]


def header_of(data):
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header, rest):
    told = json.dumps(header).encode()
    return struct.pack("<Q", len(told)) + told + rest


def changed_json(draw, value):
    """Change one thing, however deep, of what JSON can say."""
    if isinstance(value, dict) and value:
        key = draw.choice(list(value))
        found = dict(value)
        if draw.random() < 0.1:
            del found[key]
        elif draw.random() < 0.05:
            found["x" * draw.choice([1, 10**5])] = draw.choice(SIZES)
        else:
            found[key] = changed_json(draw, value[key])
        return found
    if isinstance(value, list) and value:
        found = list(value)
        place = draw.randrange(len(found))
        found[place] = changed_json(draw, found[place])
        return found * draw.choice([1, 1, 1, 1000])
    if isinstance(value, str) and value[:1] == "{":
        return json.dumps(changed_json(draw, json.loads(value)))
    if isinstance(value, str):
        return draw.choice([value + "x", "", "\x1b[31m", "F64", "U8", "F16", "a" * 10**5, 3])
    return draw.choice(SIZES)


def damaged(draw, data):
    """Make a file that is not the one that was written."""
    what = draw.randrange(6)
    place = draw.randrange(len(data))
    if what == 0:
        return data[:place]
    if what == 1:
        found = bytearray(data)
        for _ in range(draw.choice([1, 1, 2, 8])):
            found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
        return bytes(found)
    if what == 2:
        return data[:place] + draw.randbytes(draw.choice([1, 8, 1000])) + data[place:]
    if what == 3:
        return struct.pack("<Q", draw.choice([0, 1, 2**31, 2**62, 2**64 - 1, 10**9])) + data[8:]
    header, rest = header_of(data)
    return with_header(changed_json(draw, header), rest)


def crafted(draw, tensors, config):
    """Write a file whose checksum is right and whose contents are not."""
    tensors, config = dict(tensors), dict(config)
    if draw.random() < 0.7:
        config = changed_json(draw, config)
    if draw.random() < 0.5:
        name = draw.choice(list(tensors))
        found = wrong_array(draw, tensors[name])
        tensors[name] = np.asarray(found) if isinstance(found, np.ndarray) else tensors[name][:0]
    checkpoint.save("damaged.safetensors", tensors, config)


def use(model):
    """Do what users do; what a model refuses is its own business."""
    for call in (
        lambda: model.sample(2, max_length=5),
        lambda: model.next_probs("a"),
        lambda: model.loss(ITEMS),
        lambda: model.perplexity(ITEMS),
    ):
        with contextlib.suppress(ArithmeticError, LookupError, MemoryError, TypeError, ValueError):
            call()


def state(model):
    """The arrays of a model, bit for bit."""
    if hasattr(model, "parameters"):
        arrays = list(model.parameters().values())
    else:
        arrays = [np.asarray(model.table())]
    return [array.tobytes() for array in arrays]


def attempt(name, path, draw):
    """Load a file in one of the ways; return the model."""
    if name in ("run", "words") and draw.random() < 0.3:
        text = ITEMS if name == "run" else hostile_table.text()
        return (NPLM if name == "run" else WordNPLM).resume(path, text, steps=5, lr=0.1)
    return load(path)


def main(seconds, seed):
    warnings.simplefilter("ignore")
    draw = random.Random(seed)
    faults, refused, given = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        hostile_table.write_files()
        whole = {name: pathlib.Path(f"{name}.safetensors").read_bytes() for name in NAMES}
        right = {name: state(load(f"{name}.safetensors")) for name in NAMES}
        resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
        tracemalloc.start()
        for turn in helping.turns(seconds):
            name = draw.choice(NAMES)
            anew = draw.random() < 0.5
            if anew:
                try:
                    crafted(draw, *checkpoint.load(f"{name}.safetensors"))
                except (TypeError, ValueError):
                    continue  # no checkpoint can hold that
            else:
                data = damaged(draw, whole[name])
                pathlib.Path("damaged.safetensors").write_bytes(data)
            tracemalloc.reset_peak()
            start = time.process_time()
            try:
                found = attempt(name, "damaged.safetensors", draw)
            except CheckpointError as error:
                refused += 1
                fault = f"a message of {len(str(error))}" if len(str(error)) > 2000 else ""
            except (ValueError, DivergedError) as error:
                # A run of another text, or of another vocabulary, is not resumed; one from huge
                # parameters diverges.
                fault = "" if anew else f"raised {error!r}"[:200]
            except BaseException as error:
                fault = f"raised {type(error).__name__}: {str(error)[:200]}"
            else:
                given += 1
                use(found)
                fault = "" if anew or state(found) == right[name] else "gives another model"
            if tracemalloc.get_traced_memory()[1] > MEMORY:
                fault = f"took {tracemalloc.get_traced_memory()[1]:,} bytes"
            if time.process_time() - start > SECONDS:
                fault = f"took {time.process_time() - start:.1f} seconds"
            if fault:
                faults.append(f"{name} {turn} of seed {seed}: {fault}")
                if len(faults) >= 10:
                    break
        os.chdir("/")
    helping.leave(
        faults, f"{turn + 1:,} wrong files, {refused:,} refused, {given:,} given, seed {seed}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
