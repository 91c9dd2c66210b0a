"""Files that cannot be written: the file is named, what was there stays whole, nothing is left.

    python tests/torture/disk_full.py SECONDS SEED

Every turn writes a checkpoint, or trains by the command line, in a process whose files may have a
random size at most (RLIMIT_FSIZE, which the system reports as a disk that is full), or whose disk
fails at a random call (`fsync`, `replace`, `link`, `write` of the log).
"""

import os
import pathlib
import random
import subprocess
import sys
import tempfile

import helping
from fastgrad import checkpoint

FAILING = """
import errno, os, random, resource, sys
way, limit, seed, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
import numpy as np
from fastgrad import checkpoint
from fastgrad.cli import main
if way == "size":
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
else:
    calls = 0
    def failing(call):
        def fail(*arguments, **named):
            global calls
            calls += 1
            if calls == limit % 12 + 1:
                raise OSError(errno.EIO, "Input/output error")
            return call(*arguments, **named)
        return fail
    for name in ("fsync", "replace", "link"):
        setattr(os, name, failing(getattr(os, name)))
if seed == "save":
    try:
        checkpoint.save(os.path.join(folder, "model.safetensors"), {"a": np.ones(900)}, {"n": 2})
    except OSError as error:
        print("REFUSED", error)
        sys.exit(1)
    sys.exit(0)
sys.exit(main(["train", "nplm", os.path.join(folder, "text"), "-o", folder, "--steps", "60",
               "--hidden-dim", "8", "--batch-size", "8"]))
"""


def turn(chance, folder):
    """Make one write fail; return what went wrong."""
    place = pathlib.Path(folder, "model.safetensors")
    pathlib.Path(folder, "text").write_text("emma\nolivia\nava\nmia\nisabella\n" * 4)
    checkpoint.save(place, {}, {"n": 1})
    before = place.read_bytes()
    way, what = chance.choice(["size", "calls"]), chance.choice(["save", "train"])
    limit = chance.randint(0, 12_000)
    done = subprocess.run(
        [sys.executable, "-c", FAILING, way, str(limit), what, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{way} {limit} {what}: exit code {done.returncode}: {done.stderr[-300:]}"
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        yield said
    if done.returncode == 1 and folder not in done.stdout + done.stderr:
        yield f"the file is not named: {said}"
    try:
        checkpoint.load(place)
    except checkpoint.CheckpointError as error:
        yield f"{said}: {error}"
    # Only bringing the folder to the disk comes after the new file has taken the name.
    is_new = way == "calls" and checkpoint.load(place)[1] == {"n": 2}
    if what == "save" and done.returncode == 1 and not is_new and place.read_bytes() != before:
        yield f"the old file is gone: {said}"
    left = [name for name in os.listdir(folder) if name.endswith((".saving", ".keeping"))]
    if left:
        yield f"left {left}: {said}"


def main(seed, rounds):
    """Make so many turns; return how many, and what went wrong."""
    faults, done = [], 0
    for number in rounds:
        chance = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            faults += [f"turn {number}: {fault}" for fault in turn(chance, folder)]
        done += 1
    return done, faults


if __name__ == "__main__":
    done, faults = main(int(sys.argv[2]), helping.turns(sys.argv[1]))
    helping.leave(faults, f"disk_full: {done} turns")
