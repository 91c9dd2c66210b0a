"""Drawing items and texts from any language model, and counting what is new in them.

    >>> from fastgrad.models import BigramModel
    >>> from fastgrad.sampling import novelty, sample
    >>> items = ["ada", "dana", "nadia"]
    >>> model = BigramModel(smoothing=0).fit(items)
    >>> drawn = sample(model, 4, seed=5)
    >>> drawn
    ['nada', 'dana', 'anadia', 'a']
    >>> print(novelty(drawn, items))
    4 samples, 4 distinct: 1 in the training text, 3 new

Sample number i of a seed uses random numbers of its own, so the same seed gives the same samples on
every machine and with any number of threads, and the first ten of a million are the ten that
`n=10` gives.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._checks import (
    MOST,
    check_temperature,
    list_length,
    shorten,
    string,
    strings,
    whole,
)
from ._core import TableSampler, draw_rows
from ._hints import hint_names
from ._progress import bar
from ._threads import thread_count
from .base import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from .text import Vocab, WordVocab

__all__ = ["Novelty", "novelty", "sample"]

# The most and the fewest items that are drawn side by side: fewer where they may become long.
_MOST_ITEMS, _LEAST_ITEMS = 4096, 64
_BATCH_TOKENS = 2**24
# The number of probabilities of words that are held at a time.
_BATCH_PROBS = 2**22
# The number of words drawn in search of the end of a text, after which a sample begins.
_BEFORE = 16
# The longest sample by default, in characters and in words.
_CHARACTERS, _WORDS = 100, 50


@dataclass(frozen=True)
class _Draw:
    """The settings with which a token is drawn from a row of probabilities."""

    seed: int
    temperature: float
    top_k: int | None
    top_p: float | None

    def __call__(
        self, rows: NDArray[np.float64], streams: NDArray[np.uint64], step: int
    ) -> NDArray[np.uint32]:
        """Draw a token from each row, with the random number of its stream and step."""
        if self.top_p is None:
            return draw_rows(rows, streams, step, self.seed, self.temperature, self.top_k)
        return draw_rows(self.nucleus(rows), streams, step, self.seed, 1.0, None)

    def nucleus(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows of which only the likeliest tokens are left, `top_p` of them together.

        Temperature and top_k come first (Holtzman et al., "The Curious Case of Neural Text
        Degeneration", 2020).
        """
        assert self.top_p is not None
        order = np.argsort(-rows, axis=1, kind="stable")
        probs = np.take_along_axis(rows, order, axis=1)
        if self.temperature == 0:
            probs[:, 1:] = 0.0
        elif self.temperature != 1:
            largest = np.maximum(probs[:, :1], np.finfo(np.float64).tiny)
            # A probability of 0 stays 0 at any temperature, infinity included.
            probs = np.where(probs > 0, (probs / largest) ** (1.0 / self.temperature), 0.0)
        if self.top_k is not None:
            probs[:, self.top_k :] = 0.0
        probs = _normalized(probs)
        # A token stays while those before it have less than top_p.
        before = np.cumsum(probs, axis=1) - probs
        probs[:, 1:][before[:, 1:] >= self.top_p] = 0.0
        kept = np.empty_like(probs)
        np.put_along_axis(kept, order, _normalized(probs), axis=1)
        return kept


@hint_names()
def sample(
    model: LanguageModel,
    n: int = 10,
    *,
    seed: int | None = 0,
    prompt: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    max_length: int | None = None,
    offset: int = 0,
    threads: int | None = None,
    progress: bool = False,
    unk: bool = False,
) -> list[str]:
    """Return `n` items or texts, each token drawn from the model's distribution.

    A sample begins with `prompt`, and ends where the model draws the end-of-sequence token or when
    it has `max_length` tokens, at least 1, those of the prompt included (default: 100 characters
    or 50 words). `seed` is a whole number from 0 to 2**64 - 1; None takes fresh entropy, so that no
    two calls are alike. The samples are those of the seed from number `offset` on, so that a list
    too long for memory can be made in parts.

    With p the model's probabilities and T the `temperature`, tokens are drawn with probabilities
    proportional to p**(1/T): below 1 is more conservative, above 1 more random, 0 is greedy.
    `top_k` keeps the k likeliest tokens only; `top_p` keeps the likeliest ones that have a
    probability of `top_p` together. Among equally likely tokens those with smaller ids come first.

    Models that give a table of all contexts are sampled from alias tables (Vose 1991) on `threads`
    threads (default: all cores); others are asked for batches of distributions. The random numbers
    are the same. `progress` shows a bar on a terminal.

    Of a model of words, a text begins behind the end of another one, which is drawn and left out,
    where the vocabulary has an end token; without one it ends at `max_length`. The token for
    unknown words is drawn only with `unk`.

    Raises `ValueError` for a prompt with a character that the model does not know, for a setting
    out of range, and where the model gives no probability to any token; `NotFittedError` for a
    model that has no vocabulary yet.

    >>> from fastgrad.models import BigramModel, KneserNey
    >>> model = BigramModel(smoothing=0).fit(["ada", "dana", "nadia"])
    >>> sample(model, 3, prompt="di", seed=1)
    ['diana', 'dia', 'diana']
    >>> sample(model, 1, prompt="di", temperature=0)
    ['dia']
    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the cat")
    >>> model = KneserNey(order=3, modified=False).fit(text)
    >>> sample(model, 1, prompt="the dog", max_length=6, temperature=0)
    ['the dog sat on the cat']
    """
    if isinstance(model, type) or not hasattr(type(model), "next_probs"):
        raise TypeError(f"model is {shorten(model)}; expected a language model")
    vocab: Any = model.vocab
    words = hasattr(vocab, "unk_token")
    # Where no token ends it, a text becomes as long as it may.
    check_length = list_length if words and vocab.eos_token is None else whole
    if max_length is None:
        max_length = _WORDS if words else _CHARACTERS
    max_length = min(check_length("max_length", max_length, least=0 if words else 1), MOST)
    n, offset = list_length("n", n), whole("offset", offset, most=MOST)
    seed = secrets.randbits(64) if seed is None else whole("seed", seed, most=2**64 - 1)
    if top_k is not None:
        top_k = min(whole("top_k", top_k, least=1), len(vocab))
    threads = thread_count(threads)
    temperature = check_temperature(temperature)
    draw = _Draw(seed, temperature, top_k, _checked_top_p(top_p))
    start = vocab.encode(string("prompt", prompt))
    if len(start) > max_length:
        raise ValueError(
            f"prompt has {len(start)} tokens; expected at most max_length, {max_length}"
        )
    with bar(progress, n, " samples", "sampling") as report:
        numbers = range(offset, offset + n)
        if words:
            return _sample_words(
                model, vocab, numbers, prompt, start, max_length, draw, unk, report
            )
        if unk:
            raise ValueError("unk is True, but the model is one of characters")
        table = model.table()
        if table is None:
            batches = _batches(model, vocab, numbers, start, max_length, draw, report)
            return [item for batch in batches for item in batch]
        if draw.top_p is not None:
            table, temperature, top_k = draw.nucleus(np.asarray(table)), 1.0, None
        sampler = TableSampler(table, model.context_length, temperature, top_k)
        characters = "".join(vocab.itos[1:])
        return sampler.sample(
            n, seed, start.tolist(), max_length, characters, threads, report, offset
        )


def _checked_top_p(top_p: Any) -> float | None:
    if top_p is None:
        return None
    if isinstance(top_p, bool) or not isinstance(top_p, (int, float)):
        raise TypeError(f"top_p is {shorten(top_p)}; expected a number above 0 and at most 1")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {shorten(top_p)}; expected a number above 0 and at most 1")
    return None if top_p == 1 else float(top_p)


def _normalized(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows divided by their sums; rows of zeros stay."""
    total = rows.sum(axis=1, keepdims=True)
    return np.divide(rows, total, out=np.zeros_like(rows), where=total > 0)


# Items of characters ------------------------------------------------------------------------------


def _batches(
    model: LanguageModel,
    vocab: Vocab,
    numbers: range,
    start: NDArray[np.uint32],
    max_length: int,
    draw: _Draw,
    report: Callable[[int], None] | None,
) -> Iterator[list[str]]:
    """Draw many items side by side, all their first characters, then all their second ones."""
    size = min(_MOST_ITEMS, max(_LEAST_ITEMS, _BATCH_TOKENS // (max_length + 1)))
    for done in range(0, len(numbers), size):
        part = numbers[done : done + size]
        streams = np.arange(part.start, part.stop, dtype=np.uint64)
        contexts = np.zeros((len(streams), model.context_length), dtype=np.uint32)
        known = start[-model.context_length :]
        contexts[:, model.context_length - len(known) :] = known
        going_on = np.arange(len(streams))
        # Which items got a character at each place, and its id.
        items, ids = [going_on[:0]], [known[:0]]
        for step in range(len(start), max_length):
            drawn = draw(_distributions(model, vocab, contexts[going_on]), streams[going_on], step)
            going_on, drawn = going_on[drawn > 0], drawn[drawn > 0]
            if not len(going_on):
                break
            items.append(going_on)
            ids.append(drawn)
            contexts[going_on, :-1] = contexts[going_on, 1:]
            contexts[going_on, -1] = drawn
        yield _items(vocab, start, len(streams), np.concatenate(items), np.concatenate(ids))
        if report is not None:
            report(done + len(streams))


def _distributions(
    model: LanguageModel, vocab: Vocab, contexts: NDArray[np.uint32]
) -> NDArray[np.float64]:
    """Return what follows each context; raise for rows of zeros, naming their context."""
    rows = np.asarray(model.next_probs(contexts), dtype=np.float64)
    empty = ~rows.any(axis=1)
    if empty.any():
        context = contexts[int(np.argmax(empty))]
        before = vocab.decode(context[context > 0])
        after = f"to any token after {shorten(before)}" if before else "to any first token"
        raise ValueError(f"the model gives no probability {after}")
    return rows


def _items(
    vocab: Vocab,
    start: NDArray[np.uint32],
    count: int,
    items: NDArray[np.intp],
    ids: NDArray[np.uint32],
) -> list[str]:
    """Return the items whose characters are given place by place, decoded in one call."""
    prompt = vocab.decode(start)
    text = vocab.decode(ids[np.argsort(items, kind="stable")])
    ends = np.cumsum(np.bincount(items, minlength=count)).tolist()
    return [prompt + text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


# Texts of words -----------------------------------------------------------------------------------


def _sample_words(
    model: LanguageModel,
    vocab: WordVocab,
    numbers: range,
    prompt: str,
    start: NDArray[np.uint32],
    max_length: int,
    draw: _Draw,
    unk: bool,
    report: Callable[[int], None] | None,
) -> list[str]:
    size = max(_BATCH_PROBS // len(vocab), 1)
    texts: list[str] = []
    for done in range(0, len(numbers), size):
        part = numbers[done : done + size]
        streams = np.arange(part.start, part.stop, dtype=np.uint64)
        for ids in _words(model, vocab, streams, start, max_length, draw, unk):
            texts.append(_join(prompt, vocab.decode(ids)))
        if report is not None:
            report(done + len(part))
    return texts


def _join(prompt: str, drawn: str) -> str:
    """Return a text of its prompt, as it was given, and what was drawn."""
    apart = bool(prompt and drawn) and not (prompt[-1].isspace() or drawn[0].isspace())
    return prompt + " " * apart + drawn


def _words(
    model: LanguageModel,
    vocab: WordVocab,
    streams: NDArray[np.uint64],
    start: NDArray[np.uint32],
    max_length: int,
    draw: _Draw,
    unk: bool,
) -> list[NDArray[np.uint32]]:
    """Draw what follows a start, of many texts side by side: all first words, all second ones."""
    has_ends = vocab.eos_token is not None
    # Before the first word of a text stands the end of another.
    front = np.empty((len(streams), 0), np.uint32)
    if has_ends:
        front = _front(model, streams, draw, unk)
    before = front.shape[1] + len(start)
    texts = np.column_stack([front, np.tile(start, (len(streams), 1))])
    ended: dict[int, NDArray[np.uint32]] = {}
    for step in range(len(start), max_length):
        if not len(streams):
            break
        words = _next_words(model, texts, streams, draw, step, unk)
        ends = (words == 1) & has_ends
        ended.update(zip(streams[ends].tolist(), texts[ends], strict=True))
        texts, streams = np.column_stack([texts, words])[~ends], streams[~ends]
    ended.update(zip(streams.tolist(), texts, strict=True))
    return [ended[stream][before:] for stream in sorted(ended)]


def _front(
    model: LanguageModel, streams: NDArray[np.uint64], draw: _Draw, unk: bool
) -> NDArray[np.uint32]:
    """Draw the words at the end of another text, and the token at its end: (n, context_length).

    A model that looks further back than the end token has seen few texts with nothing in front.
    """
    width = model.context_length
    texts = np.ones((len(streams), 1), dtype=np.uint32)
    if width == 1:
        return texts
    for i in range(_BEFORE + width):
        # Not the numbers of the steps that are to come.
        words = _next_words(model, texts, streams, draw, 2**32 + i, unk)
        texts = np.column_stack([texts, words])
    # Up to the last end token with enough words in front of it; where there is none, one is put.
    ends = texts[:, : width - 2 : -1] == 1
    texts[~ends.any(axis=1), -1] = 1
    stops = texts.shape[1] - np.argmax(ends, axis=1)
    return np.stack([text[stop - width : stop] for text, stop in zip(texts, stops, strict=True)])


def _next_words(
    model: LanguageModel,
    texts: NDArray[np.uint32],
    streams: NDArray[np.uint64],
    draw: _Draw,
    step: int,
    unk: bool,
) -> NDArray[np.uint32]:
    """Draw one more word of each text: (n, K) to (n,)."""
    rows = model.next_probs(texts[:, max(texts.shape[1] - model.context_length, 0) :])
    if not unk:
        rows[:, 0] = 0.0
        rows = _normalized(rows)
    return draw(rows, streams, step)


@dataclass(frozen=True)
class Novelty:
    """The share of samples that are in the training text already; `str` puts it in one line."""

    total: int
    """The number of samples."""
    distinct: int
    """The number of distinct samples."""
    known: int
    """The number of samples that are items of the training text."""
    new: int
    """The number of samples that are not."""

    def __str__(self) -> str:
        """Show all four numbers."""
        return (
            f"{self.total:,} samples, {self.distinct:,} distinct: {self.known:,} in the training"
            f" text, {self.new:,} new"
        )


def novelty(samples: Iterable[str], items: Iterable[str]) -> Novelty:
    """Return how many samples are among the items of the training text.

    >>> novelty(["emma", "emmy", "emmy"], ["emma", "olivia"])
    Novelty(total=3, distinct=2, known=1, new=2)
    """
    drawn, given = _all_strings("samples", samples), set(_all_strings("items", items))
    known = sum(item in given for item in drawn)
    return Novelty(len(drawn), len(set(drawn)), known, len(drawn) - known)


def _all_strings(name: str, values: Iterable[str]) -> list[str]:
    """Return a list of str; raise `TypeError` for anything else."""
    found = strings(name, values)
    for position, value in enumerate(found):
        if not isinstance(value, str):
            raise TypeError(f"{name}[{position}] is {shorten(value)}; expected a str")
    return found
