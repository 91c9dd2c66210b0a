"""What needs a fresh process for each sample: long chains, memory, imports. And the wheel's size.

`python alone.py chain ENGINE NODES` and `python alone.py memory ENGINE NODES` print one sample as
JSON; the functions further down start these processes in turn and compare engines.
"""

import gc
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from engines import ENGINES, FASTGRAD, FLOOR, ROOT, Engine, find, present
from measure import Row, Settings, note, resident_bytes, summary

NANO, MILLI, MEGA = 1e9, 1e3, 1e-6

# In the fresh process ----------------------------------------------------------------------------


def grow(value: Any, nodes: int) -> tuple[Any, Any]:
    """Multiply one by one, again and again; the derivative by the factor counts how often."""
    x, factor = value(1.0), value(1.0)
    for _ in range(nodes):
        x = x * factor
    return x, factor


def chain(engine: Engine, nodes: int) -> dict:
    """Seconds to build a chain, to go back through it, and to drop it."""
    value = engine.value()
    grow(value, 100)[0].backward()  # warm-up

    start = perf_counter()
    x, factor = grow(value, nodes)
    built = perf_counter()
    try:
        x.backward()
    except RecursionError:
        return {"failed": "RecursionError"}
    went_back = perf_counter()
    if factor.grad != nodes:
        return {"failed": f"wrong gradient: {factor.grad!r}, expected {nodes}"}
    dropping = perf_counter()
    del x
    dropped = perf_counter()
    phases = {"forward": built - start, "backward": went_back - built, "drop": dropped - dropping}
    return {**phases, "in all": sum(phases.values())}


def memory(engine: Engine, nodes: int) -> dict:
    """Measure the bytes that a live node takes from the system, and the share that comes back."""
    value = engine.value()
    grow(value, 100)  # warm-up
    gc.collect()
    before = resident_bytes()
    if before is None:
        return {"failed": "this system does not tell"}
    x, _ = grow(value, nodes)
    full = resident_bytes()
    del x
    gc.collect()
    after = resident_bytes()
    return {"bytes": (full - before) / nodes, "returned": 100 * (full - after) / (full - before)}


# Processes in turn -------------------------------------------------------------------------------


def sample(kind: str, engine: Engine, nodes: int) -> dict:
    """Run one of the functions above in a process of its own, which may well crash."""
    command = [sys.executable, __file__, kind, engine.name, str(nodes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        return {"failed": f"crashes ({signal.Signals(-done.returncode).name})"}
    if done.returncode > 0:
        raise RuntimeError(f"{kind} of {engine.name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def compare(
    kind: str, nodes: int, engines: list[Engine], rounds: int
) -> tuple[dict[str, list[dict]], dict[str, dict]]:
    """Take samples of the engines in turn; who fails once is not asked again.

    Returns the samples of those that work, and notes about the others.
    """
    samples: dict[str, list[dict]] = {engine.name: [] for engine in engines}
    notes: dict[str, dict] = {}
    for _ in range(rounds):
        for engine in engines:
            if engine.name in notes:
                continue
            found = sample(kind, engine, nodes)
            if "failed" in found:
                notes[engine.name] = note(found["failed"])
            else:
                samples[engine.name].append(found)
    return {name: found for name, found in samples.items() if name not in notes}, notes


def row(
    workload: str, case: str, unit: str, samples: dict[str, list[dict]], key: str, scale: float
) -> Row:
    cells = {name: summary([scale * s[key] for s in found]) for name, found in samples.items()}
    return Row(workload, case, unit, cells)


def chains(settings: Settings) -> list[Row]:
    """Grow a chain of a million nodes on each engine, of ten million on those that bear it."""
    rows = []
    for nodes, engines in (
        (1_000_000, present(*ENGINES.values())),
        (10_000_000, present(FASTGRAD, FLOOR)),
    ):
        samples, notes = compare("chain", nodes, engines, settings.slow_rounds)
        whole = row("chain", f"{nodes:,} nodes, in all", "s", samples, "in all", 1.0)
        whole.cells.update(notes)
        rows.append(whole)
        for phase in ("forward", "backward", "drop"):
            case = f"{nodes:,} nodes, {phase}, per node"
            rows.append(row("chain", case, "ns", samples, phase, NANO / nodes))
    return rows


def memories(settings: Settings) -> list[Row]:
    """Compare resident memory with many nodes alive, and after they are gone."""
    engines = present(*ENGINES.values())
    rounds = 2 if settings.quick else 3  # bytes do not sway as times do
    samples, notes = compare("memory", 1_000_000, engines, rounds)
    rows = [
        row("memory", "bytes per live node", "bytes", samples, "bytes", 1.0),
        row("memory", "returned to the system after the drop", "%", samples, "returned", 1.0),
    ]
    for each in rows:
        each.cells.update(notes)
    return rows


# Imports and size --------------------------------------------------------------------------------

QUICK_TO_IMPORT = ["fastgrad.engine", "fastgrad.nn", "micrograd.nn", "micrograd_rust", "numpy"]
SLOW_TO_IMPORT = ["jax"]


def imports(settings: Settings) -> list[Row]:
    """Time an import statement that is the first of a fresh process."""
    cells = {
        **time_imports([m for m in QUICK_TO_IMPORT if find(m)], settings.many_rounds),
        **time_imports([m for m in SLOW_TO_IMPORT if find(m)], settings.slow_rounds),
    }
    peers = {name: cell for name, cell in cells.items() if not name.startswith("fastgrad")}
    return [
        Row("import", f"import {module}", "ms", {FASTGRAD.name: cells[module], **peers})
        for module in ("fastgrad.engine", "fastgrad.nn")
    ]


def time_imports(modules: list[str], rounds: int) -> dict[str, dict]:
    samples: dict[str, list[float]] = {module: [] for module in modules}
    for round_number in range(rounds + 1):
        for module in modules:
            seconds = import_seconds(module)
            if round_number > 0:  # the first one fills the caches of files
                samples[module].append(MILLI * seconds)
    return {module: summary(values) for module, values in samples.items()}


def import_seconds(module: str) -> float:
    """Measure within the process: starting one takes longer, and sways by more, than an import."""
    code = (
        "from time import perf_counter\n"
        f"start = perf_counter()\nimport {module}\nprint(perf_counter() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def wheel(_: Settings) -> list[Row]:
    """Weigh the wheel in dist/."""
    found = sorted((ROOT / "dist").glob("fastgrad-*.whl"), key=lambda path: path.stat().st_mtime)
    cell = summary([MEGA * found[-1].stat().st_size]) if found else note("no wheel in dist")
    return [Row("wheel", "size of the wheel", "MB", {FASTGRAD.name: cell})]


KINDS: dict[str, Callable[[Engine, int], dict]] = {"chain": chain, "memory": memory}


def main() -> None:
    kind, engine, nodes = sys.argv[1:]
    print(json.dumps(KINDS[kind](ENGINES[engine], int(nodes))))


if __name__ == "__main__":
    main()
