"""Hostile calls of the whole public API: no panic, no abort, no hang, nothing changed by a failure.

    python tests/torture/hostile_calls.py SECONDS SEED [CALLS]

Two processes make calls for that many seconds, and go on until they have made CALLS (default:
200,000). One in eight calls is of Value, engine, nn and optim with operands that do mischief. A
process that dies is told of and replaced; `hostile_api.py 1 SEED NUMBER` makes one call again.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

REFERENCE = pathlib.Path(__file__).resolve().parents[1] / "reference"
PROCESSES = 2
# What lines of a dying process say why.
TELLING = "panicked", "memory allocation of", "Fatal Python error", "Timeout", "Error"
PART = 5_000  # calls that a process makes before a new one takes its place


class Part:
    """A process that makes calls, from a number on."""

    def __init__(self, seed, first, count, folder):
        self.seed, self.first, self.count = seed, first, count
        self.place = pathlib.Path(folder, f"place-{first}")
        self.place.write_text("")
        self.told = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, REFERENCE / "hostile_api.py", str(count), seed, str(first), "quiet"],
            stdout=self.told,
            stderr=subprocess.STDOUT,
            env={**os.environ, "FASTGRAD_HOSTILE_PLACE": str(self.place), "RUST_BACKTRACE": "0"},
        )

    def result(self):
        """Give the lines that tell of faults, the summary, and where a crash happened."""
        self.told.seek(0)
        lines = self.told.read().splitlines()
        self.told.close()
        faults = [line for line in lines if line.startswith("FAULT")]
        if lines and lines[-1].startswith("{"):
            return faults, json.loads(lines[-1]), None
        number, _, what = self.place.read_text(errors="replace").partition(" ")
        telling = [line for line in lines if any(word in line for word in TELLING)]
        why = f"exit code {self.process.returncode}: {' | '.join(telling)[-1000:]}"
        return faults, None, (int(number or self.first), what, why)


def values_alone(calls, seed):
    """The calls whose operands do mischief, which have a program of their own."""
    program = [sys.executable, REFERENCE / "hostile_calls.py", str(calls), seed]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stdout.splitlines()[-1:]
        return [f"FAULT hostile_calls.py {calls} {seed}: {last}\n{done.stderr[-3000:]}"]
    return []


def main(seconds, seed, calls="200000"):
    start, wanted = time.monotonic(), int(calls)
    others = wanted // 8 // 50 * 50
    faults = values_alone(others, seed)
    totals = {"calls": others, "entries": 0, "arguments": 0}
    following, redo, running, ended = 0, [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        while True:
            more = totals["calls"] + sum(p.count for p in running) < wanted
            more = more or time.monotonic() - start < float(seconds)
            while len(running) < PROCESSES and (redo or more):
                if redo:
                    first, count = redo.pop()
                else:
                    first, count = following, min(PART, max(wanted // 4, 100))
                    following += count
                running.append(Part(seed, first, count, folder))
                more = totals["calls"] + sum(p.count for p in running) < wanted
            if not running:
                break
            time.sleep(0.05)
            for part in [part for part in running if part.process.poll() is not None]:
                running.remove(part)
                told, summary, crash = part.result()
                faults += told
                if crash:
                    number, what, why = crash
                    faults.append(f"FAULT call {number}: {what}: {why}")
                    totals["calls"] += number + 1 - part.first
                    left = part.first + part.count - number - 1
                    redo += [(number + 1, left)] if left > 0 else []
                else:
                    totals["calls"] += summary["calls"]
                    totals["entries"] = max(totals["entries"], summary["entries"])
                    totals["arguments"] = max(totals["arguments"], summary["arguments"])
                    for kind, count in summary["ended"].items():
                        ended[kind] = ended.get(kind, 0) + count
    for fault in faults:
        print(fault)
    most = sorted(ended.items(), key=lambda item: -item[1])
    print(
        f"{totals['calls']:,} calls of seed {seed}, {totals['entries']} functions,"
        f" {totals['arguments']} arguments made wrong, {len(faults)} faults; {dict(most[:12])}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
