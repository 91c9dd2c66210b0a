"""Runs of the command line that are killed at any moment go on to the same bits.

    python tests/torture/kill_runs.py SECONDS SEED

In every turn a network over characters or words is trained by the command line, killed by SIGKILL,
SIGTERM or Ctrl-C after a random time, resumed, perhaps killed again, and compared with a run that
was let be: parameters, losses, dev losses. A new run into the folder of an old one is killed
as well: then the folder holds the old run or the new one, whole. No temporary file stays.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import helping
import numpy as np
from fastgrad.models import load

OFTEN = (
    "import sys; from fastgrad.training import loop; from fastgrad.cli import main;"
    "loop._SAVE_EVERY, loop._SAVINGS, loop._CHUNK = -1.0, 0, 0.002; sys.exit(main(sys.argv[1:]))"
)
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


def command(kind, text, folder, steps):
    """Give the arguments of a run; of words, a network as small."""
    if kind == "words":
        sizes = ["--context-length", "2", "--embedding-dim", "4", "--hidden-dim", "8"]
        return ["train", "word-nplm", *sizes, text, "-o", folder, "--steps", str(steps)]
    line = ["train", "nplm", text, "-o", folder, "--hidden-dim", "8", "--embedding-dim", "4"]
    return [*line, "--steps", str(steps), "--split", "none" if kind == "no dev" else "random"]


def start(*line):
    """Start a run that saves after every chunk."""
    return subprocess.Popen(
        [sys.executable, "-c", OFTEN, *map(str, line)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(process, chance, longest):
    """Send a signal after a random time; return the exit code and what was said."""
    try:
        _, said = process.communicate(timeout=chance.uniform(0, longest))
    except subprocess.TimeoutExpired:
        process.send_signal(chance.choice(SIGNALS))
        _, said = process.communicate()
    return process.returncode, said


def same(one, other):
    """Compare parameters and histories."""
    pairs = [(one._parameters[name], other._parameters[name]) for name in one._parameters]
    names = ("loss", "lr", "dev_steps", "dev_loss")
    pairs += [(getattr(one.history, name), getattr(other.history, name)) for name in names]
    return all(np.array_equal(a, b) for a, b in pairs)


def finish(folder):
    """Resume until nothing is left to do; return what went wrong."""
    process = start("train", "--resume", folder)
    _, said = process.communicate()
    return "" if process.returncode == 0 else f"--resume ended with {process.returncode}: {said}"


def texts(folder, chance):
    """Write two texts of made-up words."""
    for name in ("one", "two"):
        words = ["".join(chance.choices("abcdefgh", k=chance.randint(2, 6))) for _ in range(300)]
        pathlib.Path(folder, f"{name}.txt").write_text("\n".join(words), encoding="utf-8")
    return pathlib.Path(folder, "one.txt"), pathlib.Path(folder, "two.txt")


def turn(chance, folder, longest):
    """Kill a run, and a new run in its folder; return what went wrong."""
    one, two = texts(folder, chance)
    kind = chance.choice(["characters", "no dev", "words"])
    steps = chance.choice([100, 400])
    out, wholes = pathlib.Path(folder, "out"), {}
    for name, text in (("one", one), ("two", two)):
        start(*command(kind, text, pathlib.Path(folder, name), steps)).communicate()
        wholes[name] = load(pathlib.Path(folder, name))
    for name, text in (("one", one), ("two", two)):
        code, said = killed(start(*command(kind, text, out, steps)), chance, longest)
        # Not while Python was still loading what it imports, which no command can answer for.
        if "Traceback" in said and "in main" in said and code != -signal.SIGKILL:
            yield f"{kind}: a traceback: {said[-400:]}"
        for _ in range(chance.randint(0, 2)):
            if (out / "model.safetensors").exists():
                killed(start("train", "--resume", out), chance, longest)
        if not (out / "model.safetensors").exists():
            continue
        if problem := finish(out):
            yield f"{kind}, {name}: {problem}"
            continue
        found = load(out)
        if not any(same(found, whole) for whole in wholes.values()):
            yield f"{kind}, {name}: resumed to another result than that of a run let be"
    names = os.listdir(out) if out.is_dir() else []  # Killed before there was a folder.
    left = [name for name in names if name.endswith((".saving", ".keeping"))]
    if len(left) > 1:  # The last kill may have left one, which the next save sweeps.
        yield f"{kind}: left {left}"


def main(seed, rounds, longest=2.5):
    """Make so many turns; return how many, and what went wrong."""
    faults, done = [], 0
    for number in rounds:
        chance = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            faults += [f"turn {number}: {fault}" for fault in turn(chance, folder, longest)]
        done += 1
    return done, faults


if __name__ == "__main__":
    began = time.monotonic()
    done, faults = main(int(sys.argv[2]), helping.turns(sys.argv[1]))
    helping.leave(faults, f"kill_runs: {done} turns in {time.monotonic() - began:.0f} s")
