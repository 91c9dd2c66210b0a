"""Words read into ids, and n-gram models of them."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from engines import FASTGRAD
from measure import Clock, DisagreementError, Row, Settings, Side, alternate

NANO = 1e9
SIZE = 8_000


def reading(settings: Settings) -> list[Row]:
    """Give numbers to the tokens of a text in memory, the most frequent ones their own."""
    from fastgrad.datasets import plays

    data = plays() * (1 if settings.quick else 10)
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
    from fastgrad.words import read_words

    return read_words(data, max_size=SIZE).ids


def python_words(data: bytes) -> np.ndarray:
    tokens = data.decode().split()
    # most_common keeps the order of first occurrence where counts are equal.
    kept = Counter(tokens).most_common(SIZE - 1)
    ids = {word: number for number, (word, _) in enumerate(kept, start=1)}
    return np.array([ids.get(token, 0) for token in tokens], dtype=np.uint16)


def ngrams(settings: Settings) -> list[Row]:
    """Count the plays and estimate interpolated Kneser-Ney of order 5; then score them."""
    from fastgrad.datasets import plays
    from fastgrad.models import KneserNey
    from fastgrad.words import read_words

    train, test = read_words(plays(), tokenizer="simple", max_size=SIZE).split(0.8)

    def fit(clock: Clock) -> float:
        with clock:
            KneserNey.fit(train, 5)
        return clock.seconds / len(train)

    model = KneserNey.fit(train, 5)

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
