"""Counting bigrams: the names in memory, and a file of a gigabyte, beside what people use for it.

`python counting.py FILE` prints by how many bytes memory grows while fastgrad counts a file.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from engines import ROOT, find
from measure import Clock, DisagreementError, Row, Settings, Side, alternate, note, summary

STATUS = Path("/proc/self/status")
MILLI, GIGA, MEGA = 1e3, 1e-9, 1e-6
PART = 2_000_000  # of a file, for sides that would take minutes for all of it
FAST_CALLS = 20  # in a sample of those that take about a millisecond
COPIES = 4383  # of the names' 228 kB: 1 GB

Table = dict[tuple[str, str], int]


# Who counts ---------------------------------------------------------------------------------------


def with_fastgrad(text: bytes) -> Any:
    from fastgrad._core import count_bytes

    return count_bytes(text)


def with_dict(text: bytes) -> Table:
    """Count as the lecture does."""
    counts: Table = {}
    for name in text.decode().splitlines():
        symbols = [".", *name, "."]
        for pair in pairwise(symbols):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


def with_counter(text: bytes) -> Table:
    names = text.decode().splitlines()
    return Counter(pair for name in names for pair in zip("." + name, name + ".", strict=True))


def with_numpy(text: bytes) -> Any:
    """Pairs of bytes as numbers; the newlines between names are the boundary."""
    import numpy as np

    padded = np.frombuffer(b"\n" + text.rstrip() + b"\n", np.uint8)
    pairs = padded[:-1].astype(np.intp) * 128 + padded[1:]
    return np.bincount(pairs, minlength=128 * 128)


def with_polars(text: bytes) -> Any:
    import polars

    symbols = polars.Series([f"\n{text.decode().rstrip()}\n"]).str.split("").explode()
    pairs = polars.DataFrame({"first": symbols, "second": symbols.shift(-1)}).drop_nulls()
    return pairs.group_by("first", "second").len()


def with_sklearn(text: bytes) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer="char", ngram_range=(2, 2), lowercase=False)
    names = [f".{name}." for name in text.decode().splitlines()]
    totals = vectorizer.fit_transform(names).sum(axis=0).A1
    return dict(zip(vectorizer.get_feature_names_out(), totals.tolist(), strict=True))


def as_table(counts: Any) -> Table:
    """Bring every side's result into the same form, outside the clock."""
    kind = type(counts).__name__
    if kind == "NgramCounts":
        symbols = "." + counts.characters
        ids, numbers = counts.entries()
        rows = zip(ids.tolist(), numbers.tolist(), strict=True)
        return {(symbols[a], symbols[b]): n for (a, b), n in rows}
    if kind == "ndarray":
        rows = ((divmod(i, 128), int(n)) for i, n in enumerate(counts) if n)
        return {(shown(chr(a)), shown(chr(b))): n for (a, b), n in rows}
    if kind == "DataFrame":
        return {(shown(a), shown(b)): n for a, b, n in counts.iter_rows()}
    return {(pair[0], pair[1]): n for pair, n in counts.items()}


def shown(symbol: str) -> str:
    return "." if symbol == "\n" else symbol


PEERS: list[tuple[str, str | None, Callable[[bytes], Any]]] = [
    ("Python dict", None, with_dict),
    ("collections.Counter", None, with_counter),
    ("numpy bincount", "numpy", with_numpy),
    ("polars", "polars", with_polars),
    ("scikit-learn", "sklearn", with_sklearn),
]


# What is measured ---------------------------------------------------------------------------------


def names_text() -> bytes:
    """Read the names, one a line, with a newline at the end."""
    folders = (os.environ.get("FASTGRAD_DATA"), ROOT.parent / "shared" / "data", ROOT / "data")
    for folder in filter(None, folders):
        path = Path(folder) / "names.txt"
        if path.is_file():
            return path.read_bytes().rstrip() + b"\n"
    sys.exit("benches: names.txt is missing; set FASTGRAD_DATA to the folder where it is")


def side(
    name: str, work: Callable[[], Any], expected: Table, value: Callable, calls: int = 1
) -> Side:
    """Make a side that computes `work`, a few times a sample; its result must be `expected`."""

    def sample(clock: Clock) -> float:
        with clock:
            for _ in range(calls):
                counts = work()
        if as_table(counts) != expected:
            raise DisagreementError(f"{name} counts differently")
        return value(clock.seconds / calls)

    return Side(name, sample)


def in_memory(settings: Settings) -> list[Row]:
    """Count the names, which are in memory already."""
    text = names_text()
    expected = with_dict(text)
    sides = [side("fastgrad", lambda: with_fastgrad(text), expected, float, FAST_CALLS)]
    notes = {}
    for name, module, work in PEERS:
        if module is None or find(module):
            calls = FAST_CALLS if module == "numpy" else 1
            sides.append(side(name, lambda work=work: work(text), expected, float, calls))
        else:
            notes[name] = note("not installed")
    rows = [Row("counting", "bytes in memory", "ms", alternate(sides, settings.rounds, MILLI))]
    rows[0].cells.update(notes)
    return [*rows, strings(text, expected, settings)]


def strings(text: bytes, expected: Table, settings: Settings) -> Row:
    """Count the names as Python's strings."""
    from fastgrad._core import count_items

    names = text.decode().splitlines()
    sides = [
        side("fastgrad", lambda: count_items(names), expected, float, FAST_CALLS),
        side("collections.Counter", lambda: with_counter(text), expected, float),
    ]
    case = f"a list of {len(names):,} strings"
    return Row("counting", case, "ms", alternate(sides, settings.many_rounds, MILLI))


@contextmanager
def large_file(copies: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.txt"
        piece = names_text() * 100
        with path.open("wb") as file:
            for _ in range(copies // 100):
                file.write(piece)
            file.write(names_text() * (copies % 100))
        yield path


def from_file(settings: Settings) -> list[Row]:
    """Count a file of a gigabyte; peers that would take minutes count a part of it."""
    from fastgrad._core import count_path

    copies = COPIES // 10 if settings.quick else COPIES
    once = with_dict(names_text())
    whole = {pair: copies * count for pair, count in once.items()}
    rows = []
    with large_file(copies) as path:
        size = path.stat().st_size
        for threads, case in ((1, "one thread"), (2, "two threads")):
            sides = [
                side(
                    "fastgrad",
                    lambda threads=threads: count_path(path, threads=threads),
                    whole,
                    lambda seconds: GIGA * size / seconds,
                )
            ]
            notes = {}
            if threads == 1:
                found, notes = part_sides(path)
                sides += found
            cells = alternate(sides, settings.slow_rounds)
            cells.update(notes)
            rows.append(Row("counting a file", f"{case}, {size:,} bytes", "GB/s", cells))
        rows.append(file_memory(path, size))
    return rows


def part_sides(path: Path) -> tuple[list[Side], dict]:
    """Let peers count the first few megabytes, read from the file inside the clock."""
    with path.open("rb") as file:
        part = file.read(PART)
    size = part.rindex(b"\n") + 1
    expected = with_dict(part[:size])
    sides, notes = [], {}
    for name, module, work in PEERS:
        label = f"{name}, on {size:,} bytes"
        if module is not None and not find(module):
            notes[label] = note("not installed")
            continue
        sides.append(
            side(
                label,
                lambda work=work: work(first_bytes(path, size)),
                expected,
                lambda seconds: GIGA * size / seconds,
            )
        )
    return sides, notes


def first_bytes(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def file_memory(path: Path, size: int) -> Row:
    """Measure in fresh processes: memory once taken stays taken."""
    if not STATUS.is_file():
        cell = note("this system does not tell")
    else:
        command = [sys.executable, __file__, str(path)]
        grown = [
            MEGA * float(subprocess.run(command, check=True, capture_output=True).stdout)
            for _ in range(3)
        ]
        cell = summary(grown)
    case = f"memory taken while counting {size:,} bytes"
    return Row("counting a file", case, "MB", {"fastgrad": cell})


def main() -> None:
    """Print by how many bytes the peak of this process rises."""
    from fastgrad._core import count_path

    before = peak()
    count_path(sys.argv[1], threads=2)
    print(peak() - before)


def peak() -> int:
    """Read the most memory that this process had; getrusage would tell its parent's, if larger."""
    lines = STATUS.read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
