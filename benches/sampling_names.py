"""Names drawn from a table of bigrams, and the neural bigram that learns the table."""

import math
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from engines import FASTGRAD, ROOT, find
from measure import Clock, DisagreementError, Row, Settings, Side, agreement, alternate, note

NANO, MICRO = 1e9, 1e6
LETTERS = ".abcdefghijklmnopqrstuvwxyz"
LONGEST = 100


def names_file() -> Path:
    """Find the lecture's names, or else the ones that come with fastgrad."""
    folders = [os.environ.get("FASTGRAD_DATA"), ROOT.parent / "shared" / "data", ROOT / "data"]
    for folder in folders:
        if folder and (Path(folder) / "names.txt").is_file():
            return Path(folder) / "names.txt"
    raise FileNotFoundError("no names.txt: set FASTGRAD_DATA to the folder where it is")


def count_bigrams() -> np.ndarray:
    """Count how often each letter follows each, 0 being the start and the end; (27, 27)."""
    counts = np.zeros((27, 27))
    for name in names_file().read_text(encoding="utf-8").split():
        ids = [0, *map(LETTERS.index, name), 0]
        np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


# Names -------------------------------------------------------------------------------------------


def names(settings: Settings) -> list[Row]:
    """Draw names from the bigram table, as a list of strings."""
    counts = count_bigrams()
    rows = counts / counts.sum(axis=1, keepdims=True)
    scale = 20 if settings.quick else 1
    sides = [
        names_side(FASTGRAD.name, fastgrad_names(rows, None), 2_000_000 // scale, rows),
        names_side("fastgrad, one thread", fastgrad_names(rows, 1), 2_000_000 // scale, rows),
        names_side("numpy in batches", numpy_names(rows), 200_000 // scale, rows),
        names_side("Python, random.choices", python_names(rows), 20_000 // scale, rows),
    ]
    absent = {}
    if find("torch"):
        sides.append(names_side("torch, as the lecture", torch_names(rows), 1000 // scale, rows))
    else:
        absent["torch, as the lecture"] = note("not installed")
    cells = {**alternate(sides, settings.rounds, NANO), **absent}
    rate = 1e3 / cells[FASTGRAD.name]["median"]
    remark = f"mean lengths agree; fastgrad makes {rate:.1f} million names a second"
    return [Row("sampling", "a name from a table of bigrams", "ns", cells, remark)]


def names_side(name: str, draw: Callable[[int], list[str]], n: int, rows: np.ndarray) -> Side:
    """Time the making of `n` names, and see that they are as long as the table says."""
    # The mean length of a walk that ends at symbol 0, and room for chance: lengths vary by 2.5.
    mean = rows[0, 1:] @ np.linalg.solve(np.eye(26) - rows[1:, 1:], np.ones(26))

    def sample(clock: Clock) -> float:
        with clock:
            made = draw(n)
        got = sum(map(len, made)) / n
        if len(made) != n or abs(got - mean) > 6 * 2.5 / math.sqrt(n):
            raise DisagreementError(f"{name}: names have {got} letters in the mean, not {mean}")
        return clock.seconds / n

    return Side(name, sample)


def fastgrad_names(rows: np.ndarray, threads: int | None) -> Callable[[int], list[str]]:
    from fastgrad._core import TableSampler

    def draw(n: int) -> list[str]:
        return TableSampler(rows, 1).sample(n, 0, [], LONGEST, LETTERS[1:], threads)

    return draw


def numpy_names(rows: np.ndarray) -> Callable[[int], list[str]]:
    """Draw the first letters of all names, then all second ones; one search finds all letters."""
    ends = np.cumsum(rows, axis=1)
    ends[:, -1] = 1.0
    ladder = (ends + np.arange(27)[:, None]).ravel()
    codes = np.frombuffer(LETTERS.encode(), dtype=np.uint8)
    rng = np.random.default_rng(0)

    def draw(n: int) -> list[str]:
        made: list[str] = []
        for start in range(0, n, 50_000):
            count = min(50_000, n - start)
            text = np.zeros((count, LONGEST), dtype=np.uint8)
            alive, letters = np.arange(count), np.zeros(count, dtype=np.int64)
            for place in range(LONGEST):
                found = np.searchsorted(ladder, letters + rng.random(len(letters)), side="right")
                letters = found - 27 * letters
                alive, letters = alive[letters > 0], letters[letters > 0]
                if not len(alive):
                    break
                text[alive, place] = codes[letters]
            text = np.ascontiguousarray(text[:, : max(place, 1)])
            made += text.view(f"S{text.shape[1]}").ravel().astype("U").tolist()
        return made

    return draw


def python_names(rows: np.ndarray) -> Callable[[int], list[str]]:
    weights = [np.cumsum(row).tolist() for row in rows]
    symbols = range(27)
    choices = random.Random(0).choices

    def draw(n: int) -> list[str]:
        made = []
        for _ in range(n):
            name, symbol = "", 0
            while symbol := choices(symbols, cum_weights=weights[symbol])[0]:
                name += LETTERS[symbol]
            made.append(name)
        return made

    return draw


def torch_names(rows: np.ndarray) -> Callable[[int], list[str]]:
    import torch

    table = torch.tensor(rows)
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> list[str]:
        made = []
        for _ in range(n):
            name, symbol = "", 0
            while True:
                drawn = torch.multinomial(table[symbol], 1, replacement=True, generator=generator)
                symbol = int(drawn.item())
                if symbol == 0:
                    break
                name += LETTERS[symbol]
            made.append(name)
        return made

    return draw


# The neural bigram -------------------------------------------------------------------------------

RATE, PENALTY = 50.0, 0.01
TOLERANCE = 1e-9


def neural_bigram(settings: Settings) -> list[Row]:
    """Take steps of the lecture's gradient descent over all 228,146 examples."""
    counts = count_bigrams()
    scale = 10 if settings.quick else 1
    sides = [
        fastgrad_steps(counts, 1000 // scale),
        steps_side("numpy, on counts", numpy_on_counts(counts), 200 // scale),
        steps_side("numpy, on examples as the lecture", numpy_on_examples(counts), 1),
    ]
    cells = alternate(sides, settings.rounds, MICRO)
    remark = agreement(sides, TOLERANCE)
    return [Row("neural bigram", "a step of gradient descent", "us", cells, remark)]


def fastgrad_steps(counts: np.ndarray, steps: int) -> Side:
    from fastgrad._core import train_bigram

    ids = np.argwhere(counts > 0).astype(np.uint32)
    times = counts[counts > 0].astype(np.uint64)
    w, velocity = np.zeros((27, 27)), np.zeros((27, 27))
    results: list[float] = []

    def sample(clock: Clock) -> float:
        settings = {"steps": steps, "lr": RATE, "penalty": PENALTY}
        with clock:
            losses = train_bigram(w, velocity, ids, times, **settings)
        results.extend(losses.tolist())
        return clock.seconds / steps

    return Side(FASTGRAD.name, sample, results=results)


def steps_side(name: str, step: Callable[[], float], steps: int) -> Side:
    results: list[float] = []

    def sample(clock: Clock) -> float:
        with clock:
            losses = [step() for _ in range(steps)]
        results.extend(losses)
        return clock.seconds / steps

    return Side(name, sample, results=results)


def numpy_on_counts(counts: np.ndarray) -> Callable[[], float]:
    """Do what fastgrad does: one softmax a row, weighted by counts."""
    w = np.zeros((27, 27))
    totals, n = counts.sum(axis=1, keepdims=True), counts.sum()

    def step() -> float:
        nonlocal w
        top = w.max(axis=1, keepdims=True)
        powers = np.exp(w - top)
        sums = powers.sum(axis=1, keepdims=True)
        logs = np.log(sums) + top
        loss = ((totals * logs).sum() - (counts * w).sum()) / n + PENALTY * (w * w).mean()
        w = w - RATE * ((totals * (powers / sums) - counts) / n + 2 * PENALTY / w.size * w)
        return float(loss)

    return step


def numpy_on_examples(counts: np.ndarray) -> Callable[[], float]:
    """Pick a row of weights for each example, as the lecture's one-hot product does."""
    pairs = np.repeat(np.argwhere(counts > 0), counts[counts > 0].astype(int), axis=0)
    xs, ys = pairs.T
    n, each = len(xs), np.arange(len(xs))
    w = np.zeros((27, 27))

    def step() -> float:
        nonlocal w
        powers = np.exp(w[xs])
        chances = powers / powers.sum(axis=1, keepdims=True)
        loss = -np.log(chances[each, ys]).mean() + PENALTY * (w * w).mean()
        chances[each, ys] -= 1
        gradient = np.zeros_like(w)
        for letter in range(27):
            gradient[letter] = chances[xs == letter].sum(axis=0)
        w = w - RATE * (gradient / n + 2 * PENALTY / w.size * w)
        return float(loss)

    return step
