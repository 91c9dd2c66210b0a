"""What the numbers ought to be: a bound, a multiple of the floor of the same run, or both."""

from dataclasses import dataclass

from measure import Row
from units import number

OURS, FLOOR = "fastgrad", "floor"


@dataclass(frozen=True)
class Goal:
    """Bounds on fastgrad's median; None is no bound, and without any it only has to work."""

    most: float | None = None
    of_floor: float | None = None
    least: float | None = None

    def text(self, unit: str) -> str:
        parts = []
        if self.most is not None:
            parts.append(f"≤ {number(self.most)} {unit}")
        if self.least is not None:
            parts.append(f"≥ {number(self.least)} {unit}")
        if self.of_floor is not None:
            parts.append(f"≤ {number(self.of_floor)} x floor")
        return " and ".join(parts) or "works"

    def verdict(self, row: Row) -> str:
        """Say whether the row meets the goal; it is open where the floor is missing."""
        ours, floor = row.cells.get(OURS, {}), row.cells.get(FLOOR, {})
        if "median" not in ours:
            return "missed" if "note" in ours else "not measured"
        median = ours["median"]
        if self.most is not None and median > self.most:
            return "missed"
        if self.least is not None and median < self.least:
            return "missed"
        if self.of_floor is None:
            return "met"
        if "median" not in floor:
            return "open"
        return "met" if median <= self.of_floor * floor["median"] else "missed"


# The cases by how they begin: some go on with numbers of nodes.
GOALS = [
    ("eager", "a * b", Goal(most=35, of_floor=2)),
    ("eager", "a + b", Goal(most=35, of_floor=2)),
    ("backward", "", Goal(of_floor=1.5)),
    ("memory", "bytes", Goal(most=112)),
    # One chunk of 2 MiB, where the leaves are, stays: 2 % of what a million nodes take.
    ("memory", "returned", Goal(least=97)),
    ("chain", "10,000,000 nodes, in all", Goal()),
    ("demo", "as micrograd's notebook", Goal(most=8)),
    ("demo", "through fastgrad.nn, the batch", Goal(most=0.6)),
    ("microgpt", "the program unchanged", Goal(most=10)),
    ("microgpt", "on list operations", Goal(most=2)),
    ("jit demo", "loss and gradients", Goal(most=25)),
    ("jit microgpt", "a step", Goal(most=80)),
    ("jit microgpt", "… on one name", Goal(most=80)),
    ("jit microgpt", "… on 32 names", Goal(most=25)),
    ("jit run", "", Goal(most=0.8)),
    ("nplm", "size S", Goal(most=30)),
    ("nplm", "size M, 1 thread", Goal(most=1300)),
    ("nplm", "size M, 2 threads", Goal(most=800)),
    ("nplm", "size WL, 1 thread", Goal(most=1200)),
    ("nplm", "size WL, 2 threads", Goal(most=650)),
    ("nplm", "size W, 1 thread", Goal(most=20)),
    ("nplm", "size W, 2 threads", Goal(most=11)),
    ("words in a file", "seconds", Goal(most=30)),
    ("words in a file", "memory", Goal(most=1024)),
    ("counting", "bytes", Goal(most=0.2)),
    ("counting", "a list", Goal(most=1)),
    ("counting a file", "one thread", Goal(least=1.5)),
    ("counting a file", "two threads", Goal(least=2.8)),
    ("counting a file", "memory", Goal(most=64)),
    # Five million names a second.
    ("sampling", "a name from a table of bigrams", Goal(most=200)),
    ("import", "", Goal(most=5)),
    ("wheel", "", Goal(most=3)),
]


def goal_of(row: Row) -> Goal | None:
    for workload, beginning, goal in GOALS:
        if row.workload == workload and row.case.startswith(beginning):
            return goal
    return None
