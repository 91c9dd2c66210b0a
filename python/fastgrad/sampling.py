"""Making up items with any language model, and telling what is new in them.

    >>> from fastgrad.models import BigramModel
    >>> from fastgrad.sampling import novelty, sample
    >>> items = ["ada", "dana", "nadia"]
    >>> model = BigramModel.fit(items)
    >>> made_up = sample(model, 4, seed=5)
    >>> made_up
    ['nada', 'dana', 'anadia', 'a']
    >>> print(novelty(made_up, items))
    4 samples, 4 distinct: 1 in the training text, 3 new

Item number i of a seed uses random numbers of its own, so the same seed gives the same items on
every machine and with any number of threads, and the first ten of a million are the ten that
`n=10` gives.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._checks import (
    MOST,
    check_temperature,
    list_length,
    shorten,
    string,
    strings,
    thread_count,
    whole,
)
from ._core import TableSampler, draw_rows
from .models._progress import bar
from .models.base import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["Novelty", "novelty", "sample"]

# How many items are drawn side by side: so many, but fewer if they may become long.
_MOST_ITEMS, _LEAST_ITEMS = 4096, 64
_BATCH_SYMBOLS = 2**24


def sample(
    model: LanguageModel,
    n: int = 10,
    *,
    seed: int | None = 0,
    prompt: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    max_length: int = 100,
    threads: int | None = None,
    progress: bool = False,
    first: int = 0,
) -> list[str]:
    """Make up `n` items, symbol after symbol, each drawn from the model's distribution.

    An item begins with `prompt`, and ends where the model draws the boundary or when it has
    `max_length` symbols, at least 1, those of the prompt included. It is empty where the boundary
    is drawn at once, to which smoothing gives a small chance. `seed` is a whole number from 0 to
    2**64 - 1; None takes fresh entropy, so that no two calls are alike. The items are those of the
    seed from number `first` on, so that a list too long for memory can be made in parts.

    With p the model's probabilities and T the temperature, symbols are drawn with probabilities
    proportional to p**(1/T): T < 1 prefers what is likely already, T > 1 what is not, and T = 0
    always takes the likeliest symbol. `top_k` keeps the k likeliest symbols only. Among equally
    likely symbols the first in the vocabulary come first in both.

    Models that give a table of all contexts are sampled from alias tables (Vose 1991) on `threads`
    threads, all cores unless told otherwise; others are asked for batches of distributions. The
    random numbers are the same. `progress` shows a bar where standard error is a terminal.

    Raises `ValueError` for a prompt with a character that the model does not know, for a setting
    out of range, and where the model gives no probability to any symbol.

    >>> from fastgrad.models import BigramModel
    >>> model = BigramModel.fit(["ada", "dana", "nadia"])
    >>> sample(model, 3, prompt="di", seed=1)
    ['diana', 'dia', 'diana']
    >>> sample(model, 1, prompt="di", temperature=0)
    ['dia']
    """
    if not isinstance(model, LanguageModel):
        raise TypeError(f"model is {shorten(model)}; expected a language model")
    n, first = list_length("n", n), whole("first", first, most=MOST)
    max_length = whole("max_length", max_length, least=1, most=MOST)
    seed = secrets.randbits(64) if seed is None else whole("seed", seed, most=2**64 - 1)
    if top_k is not None:
        top_k = min(whole("top_k", top_k, least=1), len(model.vocab))
    threads = thread_count(threads)
    check_temperature(temperature)
    start = model.vocab.encode(string("prompt", prompt))
    if len(start) > max_length:
        raise ValueError(
            f"prompt has {len(start)} symbols; expected at most max_length, {max_length}"
        )
    table = model.table()
    with bar(progress, n, " items", "sampling") as report:
        if table is None:
            numbers = range(first, first + n)
            batches = _batches(model, numbers, seed, start, temperature, top_k, max_length, report)
            return [item for batch in batches for item in batch]
        sampler = TableSampler(table, model.context_length, temperature, top_k)
        characters = "".join(model.vocab.itos[1:])
        return sampler.sample(
            n, seed, start.tolist(), max_length, characters, threads, report, first
        )


def _batches(
    model: LanguageModel,
    numbers: range,
    seed: int,
    start: NDArray[np.uint32],
    temperature: float,
    top_k: int | None,
    max_length: int,
    report: Callable[[int], None] | None,
) -> Iterator[list[str]]:
    """Draw many items side by side, all their first symbols, then all their second ones."""
    room = min(_MOST_ITEMS, max(_LEAST_ITEMS, _BATCH_SYMBOLS // (max_length + 1)))
    for done in range(0, len(numbers), room):
        part = numbers[done : done + room]
        streams = np.arange(part.start, part.stop, dtype=np.uint64)
        contexts = np.zeros((len(streams), model.context_length), dtype=np.uint32)
        known = start[-model.context_length :]
        contexts[:, model.context_length - len(known) :] = known
        going_on = np.arange(len(streams))
        # Which items got a symbol at each place, and which one.
        items, symbols = [going_on[:0]], [known[:0]]
        for step in range(len(start), max_length):
            rows = _distributions(model, contexts[going_on])
            drawn = draw_rows(rows, streams[going_on], step, seed, temperature, top_k)
            going_on, drawn = going_on[drawn > 0], drawn[drawn > 0]
            if not len(going_on):
                break
            items.append(going_on)
            symbols.append(drawn)
            contexts[going_on, :-1] = contexts[going_on, 1:]
            contexts[going_on, -1] = drawn
        yield _texts(model, start, len(streams), np.concatenate(items), np.concatenate(symbols))
        if report is not None:
            report(done + len(streams))


def _distributions(model: LanguageModel, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Ask the model what follows each context; refuse rows of zeros by their contexts."""
    rows = np.asarray(model.next_probs(contexts), dtype=np.float64)
    empty = ~rows.any(axis=1)
    if empty.any():
        context = contexts[int(np.argmax(empty))]
        before = model.vocab.decode(context[context > 0])
        after = f"to any symbol after {shorten(before)}" if before else "to any first symbol"
        raise ValueError(f"the model gives no probability {after}")
    return rows


def _texts(
    model: LanguageModel,
    start: NDArray[np.uint32],
    count: int,
    items: NDArray[np.intp],
    symbols: NDArray[np.uint32],
) -> list[str]:
    """Put together the symbols of each item, given place by place, and read them in one call."""
    prompt = model.vocab.decode(start)
    text = model.vocab.decode(symbols[np.argsort(items, kind="stable")])
    ends = np.cumsum(np.bincount(items, minlength=count)).tolist()
    return [prompt + text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class Novelty:
    """How much of a sample is in the training text already; `str` tells it in one line."""

    total: int
    """How many samples there are."""
    distinct: int
    """How many different ones."""
    known: int
    """How many are items of the training text."""
    new: int
    """How many are not."""

    def __str__(self) -> str:
        """Tell all four numbers."""
        return (
            f"{self.total:,} samples, {self.distinct:,} distinct: {self.known:,} in the training"
            f" text, {self.new:,} new"
        )


def novelty(samples: Iterable[str], items: Iterable[str]) -> Novelty:
    """Count how many samples are among the items of the training text.

    >>> novelty(["emma", "emmy", "emmy"], ["emma", "olivia"])
    Novelty(total=3, distinct=2, known=1, new=2)
    """
    made_up, given = _all_strings("samples", samples), set(_all_strings("items", items))
    known = sum(item in given for item in made_up)
    return Novelty(len(made_up), len(set(made_up)), known, len(made_up) - known)


def _all_strings(name: str, values: Iterable[str]) -> list[str]:
    """Refuse what is no list of strings, and a list with something else in it."""
    found = strings(name, values)
    for position, value in enumerate(found):
        if not isinstance(value, str):
            raise TypeError(f"{name}[{position}] is {shorten(value)}; expected a str")
    return found
