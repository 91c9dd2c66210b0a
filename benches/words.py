"""Words read into ids, and n-gram models of them.

`python words.py SIDE FILE` reads a file in a fresh process and prints what that took, as JSON.
"""

import json
import resource
import subprocess
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from engines import FASTGRAD
from measure import Clock, DisagreementError, Row, Settings, Side, alternate, summary

NANO = 1e9
SIZE = 8_000


def reading(settings: Settings) -> list[Row]:
    """Give numbers to the tokens of a text in memory, the most frequent ones their own."""
    from fastgrad.datasets import shakespeare

    data = shakespeare() * (1 if settings.quick else 10)
    expected = python_words(data)
    sides = [
        reading_side(FASTGRAD.name, fastgrad_words, data, expected),
        reading_side("Python, split and Counter", python_words, data, expected),
    ]
    cells = alternate(sides, settings.slow_rounds, NANO)
    rate = len(data) / len(expected) / cells[FASTGRAD.name]["median"] * 1e3
    remark = f"ids agree; fastgrad reads {rate:.0f} MB a second"
    return [Row("words", "a token read and numbered", "ns", cells, remark)]


def reading_side(
    name: str, read: Callable[[bytes], np.ndarray], data: bytes, expected: np.ndarray
) -> Side:
    def sample(clock: Clock) -> float:
        with clock:
            ids = read(data)
        if not np.array_equal(ids, expected):
            raise DisagreementError(f"{name}: other ids")
        return clock.seconds / len(ids)

    return Side(name, sample)


def fastgrad_words(data: bytes) -> np.ndarray:
    from fastgrad.text import read_words

    return read_words(data, vocab_size=SIZE).ids


def python_words(data: bytes) -> np.ndarray:
    tokens = data.decode().split()
    # most_common keeps the order of first occurrence where counts are equal.
    kept = Counter(tokens).most_common(SIZE - 1)
    ids = {word: number for number, (word, _) in enumerate(kept, start=1)}
    return np.array([ids.get(token, 0) for token in tokens], dtype=np.uint16)


def from_file(settings: Settings) -> list[Row]:
    """Read a file of 100 MB into ids: seconds, and the memory that it takes at most."""
    from fastgrad.datasets import shakespeare

    text = shakespeare()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plays.txt"
        size = 10_000_000 if settings.quick else 100_000_000
        with file.open("wb") as out:
            for _ in range(size // len(text) + 1):
                out.write(text)
        found: dict[str, list[dict]] = {FASTGRAD.name: [], "Python, line by line": []}
        for _ in range(settings.slow_rounds):
            for side, samples in found.items():
                samples.append(read_apart(side, file))
    agree = {sample["check"] for samples in found.values() for sample in samples}
    if len(agree) > 1:
        raise DisagreementError(f"other ids: {agree}")
    seconds, memory = (
        {side: summary([sample[key] for sample in samples]) for side, samples in found.items()}
        for key in ("seconds", "megabytes")
    )
    remark = "ids agree"
    return [
        Row("words in a file", "seconds", "s", seconds, remark),
        Row("words in a file", "memory, the most of the process", "MB", memory, remark),
    ]


def read_apart(side: str, file: Path) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, side, str(file)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def read_here(side: str, file: str) -> dict:
    """Read a file, and tell seconds, peak memory, and a number that stands for all ids."""
    if side == FASTGRAD.name:
        from fastgrad.text import read_words

        start = perf_counter()
        ids = read_words(file, vocab_size=SIZE).ids
    else:
        start = perf_counter()
        ids = python_file(file)
    seconds = perf_counter() - start
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    numbers = np.asarray(ids, dtype=np.int64)
    check = f"{len(numbers)} {int(numbers @ (np.arange(len(numbers)) % 1000))}"
    return {"seconds": seconds, "megabytes": peak / 1e6, "check": check}


def python_file(file: str) -> array:
    """Go over the file twice, so that memory holds a line, the counts and the ids."""
    counts: Counter[str] = Counter()
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            counts.update(line.split())
    ids = {word: number for number, (word, _) in enumerate(counts.most_common(SIZE - 1), start=1)}
    found = array("H")
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            found.extend(ids.get(token, 0) for token in line.split())
    return found


def ngrams(settings: Settings) -> list[Row]:
    """Count the plays and estimate interpolated Kneser-Ney of order 5; then score them."""
    from fastgrad.datasets import shakespeare
    from fastgrad.models import KneserNey
    from fastgrad.text import read_words

    train, test = read_words(shakespeare(), tokenizer="simple", vocab_size=SIZE).split(0.8)

    def fit(clock: Clock) -> float:
        with clock:
            KneserNey(order=5, modified=False).fit(train)
        return clock.seconds / len(train)

    model = KneserNey(order=5, modified=False).fit(train)

    def score(clock: Clock) -> float:
        with clock:
            model.loss(test)
        return clock.seconds / len(test)

    remark = f"no peer here has the same formulas; test perplexity {model.perplexity(test):.1f}"
    return [
        Row("words", f"Kneser-Ney of order 5: {what}", "ns",
            alternate([Side(FASTGRAD.name, side)], settings.slow_rounds, NANO), remark)
        for what, side in (("a token learnt", fit), ("a token scored", score))
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(read_here(*sys.argv[1:])))
