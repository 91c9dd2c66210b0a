"""How time is taken: sides in turn, warmed up, under a named setting of Python's collector."""

import gc
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

# Settings of Python's cyclic collector while the clock runs.
ON = "on"
OFF = "off"
BY_HAND = "off, run once by hand"  # one full collection, inside the clock, after each sample


@dataclass(frozen=True)
class Settings:
    """How much to measure."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 7

    @property
    def many_rounds(self) -> int:
        """For the shortest workloads, whose times sway most."""
        return 5 if self.quick else 15

    @property
    def slow_rounds(self) -> int:
        """For workloads of which one round takes seconds."""
        return 2 if self.quick else 5


class Clock:
    """Times a `with` block; outside of it the collector is off for every side.

    So a side never pays for the garbage of another, nor for building what it is about to use.
    """

    def __init__(self, collector: str) -> None:
        self.collector = collector
        self.seconds = 0.0

    def __enter__(self) -> None:
        if self.collector == ON:
            gc.enable()
        self._start = perf_counter()

    def __exit__(self, *_: object) -> None:
        if self.collector == BY_HAND:
            gc.collect()
        self.seconds = perf_counter() - self._start
        gc.disable()


@dataclass
class Side:
    """One of those compared: `sample(clock)` does the work once and returns time per unit."""

    name: str
    sample: Callable[[Clock], float]
    collector: str = ON
    # What the work computed (losses of successive steps), to be compared with the other sides.
    results: list[float] = field(default_factory=list)


@dataclass
class Row:
    """A line of the report: one case of a workload, and a cell for each side.

    A cell holds median, low, high and repeats, or a note that says why there is no number.
    """

    workload: str
    case: str
    unit: str
    cells: dict[str, dict]
    remark: str = ""


def alternate(sides: list[Side], rounds: int, scale: float = 1.0) -> dict[str, dict]:
    """Measure the sides in turn, round after round, each warmed up once; return their cells."""
    gc.disable()
    samples: dict[str, list[float]] = {side.name: [] for side in sides}
    for round_number in range(rounds + 1):
        for side in sides:
            gc.collect()
            value = side.sample(Clock(side.collector))
            if round_number > 0:
                samples[side.name].append(scale * value)
    gc.enable()
    return {name: summary(values) for name, values in samples.items()}


def summary(values: list[float]) -> dict:
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "repeats": len(values),
    }


def note(text: str) -> dict:
    return {"note": text}


class DisagreementError(Exception):
    """Two sides computed different results, so their times say nothing."""


def agreement(sides: list[Side], tolerance: float, steps: int = 8) -> str:
    """Compare the first results that all sides have; say how well they agree.

    Only a few steps are compared: rounding grows from step to step of a training run.
    """
    steps = min(steps, *(len(side.results) for side in sides))
    reference = sides[0].results[:steps]
    worst = 0.0
    for side in sides:
        for step, (got, expected) in enumerate(zip(side.results, reference, strict=False)):
            apart = abs(got - expected) / abs(expected)
            if not apart <= tolerance:
                raise DisagreementError(
                    f"step {step}: {side.name} has loss {got!r}, {sides[0].name} {expected!r}"
                )
            worst = max(worst, apart)
    how_well = f"agree to {worst:.0e}" if worst else "are equal bit for bit"
    return f"losses of the first {steps} steps {how_well}"


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def machine() -> dict[str, str]:
    """Tell what the numbers depend on besides the programs."""
    facts = {
        "cpu": cpu_model(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    if hasattr(os, "getloadavg"):
        facts["load before"] = f"{os.getloadavg()[0]:.2f}"
    return facts


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
