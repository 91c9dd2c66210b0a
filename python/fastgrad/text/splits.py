"""Splitting items into training, development and test parts."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from .._checks import shorten, strings, whole
from .._hints import hint_names

# Seed and cuts of makemore's lecture.
_MAKEMORE_SEED = 42
_MAKEMORE_CUTS = (0.8, 0.9)
_DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)


class Split(NamedTuple):
    """The three parts of a list of items; `train, dev, test = split(items)` takes it apart."""

    train: list[str]
    dev: list[str]
    test: list[str]

    @property
    def overlap(self) -> int:
        """The number of items of dev and test that are in train as well, each duplicate counted."""
        return count_overlap(self.train, self.dev, self.test)


def count_overlap(train: Iterable[str], *others: Iterable[str]) -> int:
    """Return how many items of the other parts are in train as well, duplicates counted each time.

    >>> count_overlap(["ada", "bo"], ["ada", "cy"], ["bo", "bo"])
    3
    """
    known = set(strings("train", train))
    return sum(item in known for part in others for item in strings("others", part))


def count_duplicates(items: Sequence[str]) -> int:
    """Return how many items repeat an earlier one: items less distinct items.

    >>> count_duplicates(["ada", "bo", "ada", "ada"])
    2
    """
    items = strings("items", items)
    return len(items) - len(set(items))


@hint_names(keep_together="group_duplicates", test_fraction="fractions", train="fractions")
def split(
    items: Sequence[str],
    fractions: tuple[float, float, float] = _DEFAULT_FRACTIONS,
    *,
    seed: int = 0,
    method: Literal["random", "makemore"] = "random",
    group_duplicates: bool = False,
) -> Split:
    """Return training, development and test parts of shuffled items.

    "random" shuffles by `seed` and cuts by `fractions`, three numbers that add up to 1. "makemore"
    is the split of Karpathy's lectures, whatever `seed`: `random.seed(42)`, one `random.shuffle`,
    and cuts at `int(0.8 * n)` and `int(0.9 * n)`. Neither touches the global generator or `items`.

    An item that occurs twice may end up in two parts, which flatters the loss there
    (`Split.overlap` counts them). With `group_duplicates` all copies of an item are in one part,
    and the parts are as large as asked for within the number of copies of one item.

    Raises `ValueError` where the arguments contradict each other or are out of range, and where a
    part that should hold something would be empty; `TypeError` for a single str, and for what is no
    list, no three numbers, no seed.

    >>> names = ["ada", "bo", "cy", "di", "ed", "flo", "guy", "hal", "ira", "jo"]
    >>> train, dev, test = split(names, seed=1)
    >>> len(train), len(dev), len(test)
    (8, 1, 1)
    >>> split(names, method="makemore").train[:3]
    ['hal', 'di', 'cy']
    """
    cuts = _checked_cuts(fractions, method)
    shuffled = strings("items", items)
    seed = whole("seed", seed)
    if method == "makemore" and group_duplicates:
        raise ValueError("group_duplicates is True; expected False with makemore's fixed split")
    random.Random(_MAKEMORE_SEED if method == "makemore" else seed).shuffle(shuffled)

    # The tolerance only matters where 0.7 + 0.2 falls short of 0.9; it never moves the lecture's.
    first, second = (int(cut * len(shuffled) + 1e-9) for cut in cuts)
    if group_duplicates:
        parts = _cut_between_distinct(shuffled, first, second)
    else:
        parts = Split(shuffled[:first], shuffled[first:second], shuffled[second:])
    _refuse_empty(parts, (cuts[0], cuts[1] - cuts[0], 1.0 - cuts[1]), len(shuffled))
    return parts


def _checked_cuts(fractions: tuple[float, float, float], method: str) -> tuple[float, float]:
    if method not in ("random", "makemore"):
        raise ValueError(f"method is {shorten(method)}; expected 'random' or 'makemore'")
    train, dev, test = _three_numbers(fractions)
    if method == "makemore":
        if (train, dev, test) != _DEFAULT_FRACTIONS:
            raise ValueError(
                f"fractions is {shorten(fractions)}; makemore's are {_DEFAULT_FRACTIONS}"
            )
        return _MAKEMORE_CUTS
    # Written so that a nan is refused as well.
    if not (min(train, dev, test) >= 0 and math.isclose(train + dev + test, 1.0, abs_tol=1e-9)):
        raise ValueError(
            f"fractions is {shorten(fractions)}; expected three numbers of at least 0"
            " that add up to 1"
        )
    return train, min(train + dev, 1.0)


def _three_numbers(fractions: Any) -> tuple[float, float, float]:
    try:
        train, dev, test = (fraction + 0.0 for fraction in fractions)
    except (TypeError, ValueError):
        raise TypeError(
            f"fractions is {shorten(fractions)}; expected three numbers, the shares of train,"
            " dev and test, such as (0.8, 0.1, 0.1)"
        ) from None
    return float(train), float(dev), float(test)


def _cut_between_distinct(shuffled: list[str], first: int, second: int) -> Split:
    """Assign each distinct item to the part in which its first copy would start."""
    part_of: dict[str, int] = {}
    taken = 0
    for item, copies in Counter(shuffled).items():
        part_of[item] = (taken >= first) + (taken >= second)
        taken += copies
    parts = Split([], [], [])
    for item in shuffled:
        parts[part_of[item]].append(item)
    return parts


def _refuse_empty(parts: Split, fractions: tuple[float, float, float], n: int) -> None:
    for name, part, fraction in zip(Split._fields, parts, fractions, strict=True):
        if not part and fraction > 1e-9:
            raise ValueError(f"items holds {n}, which leaves none for {name}; expected more")
