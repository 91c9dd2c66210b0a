"""What language models of words share: running text, which has no items and no boundary."""

from __future__ import annotations

import math
import secrets
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._checks import MOST, check_temperature, list_length, shorten, whole
from .._checks import ids as checked_ids
from .._core import draw_rows
from ..words import WordText, WordVocab

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..text import Source

    # Ids as they are, or a text that is read with the model's vocabulary.
    WordSource: TypeAlias = WordText | NDArray[np.integer[Any]] | Source
    Draw: TypeAlias = Callable[..., NDArray[np.uint32]]

# How many probabilities are held at a time.
_BATCH = 2**22
# How many words are drawn to find the end of a text, behind which a sample begins.
_BEFORE = 16


class WordModel(ABC):
    """A distribution of the next word, given the words before it, whatever line they are on.

    It has the members of `LanguageModel`, with a `WordVocab` for vocabulary and no boundary: where
    a text begins, contexts are shorter. A class made from this one says what follows contexts
    (`probabilities_of`) and how likely the words of a text are (`token_probabilities`).
    """

    vocab: WordVocab
    """The words, and the way from text to ids and back."""
    context: int
    """How many words before the next one the model looks at."""

    @abstractmethod
    def probabilities_of(self, contexts: NDArray[Any]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of ids: (B, K) integers to (B, V).

        Only the last `context` ids of a row count; where K is smaller, the text begins there.
        """

    @abstractmethod
    def token_probabilities(self, source: WordSource) -> NDArray[np.float64]:
        """Give the probability of each token of a text, given those before it: (T,).

        A part of a `WordText` goes on from the tokens before it; any other text begins at its
        first token. Raises `ValueError` for a `WordText` of another vocabulary.
        """

    def probabilities(self, context: str = "") -> NDArray[np.float64]:
        """Give the distribution of the word after `context`, the start of a text; shape (V,)."""
        ids = self.vocab.encode(context)
        return self.probabilities_of(ids[max(len(ids) - self.context, 0) :][None])[0]

    def loss(self, source: WordSource) -> float:
        """Give the mean negative log-likelihood of a text, in nats per token, marks included.

        It is `inf` where a token has probability 0; it is never nan.
        """
        return loss_of(self.token_probabilities(source))

    def perplexity(self, source: WordSource) -> float:
        """Give e to the power of the loss: as many equal choices would be as hard to guess."""
        loss = self.loss(source)
        # Of a loss above 709 the exponential is beyond what a float can hold.
        return math.exp(loss) if loss < 709 else math.inf

    def table(self) -> None:
        """Give no table: there would be V**context rows."""
        return

    def sample(self, n: int = 10, **options: Any) -> list[str]:
        """Make up `n` texts; the options are those of `sample_words`."""
        return sample_words(self, n, **options)

    def _text(self, source: WordSource) -> tuple[NDArray[Any], int]:
        """Give ids that the core can read, and where among them the text begins."""
        text = text_of(source, self.vocab)
        before = text.before(self.context)
        if len(before):
            return np.concatenate([before, text.ids]), len(before)
        return text.ids, 0


def text_of(source: WordSource, vocab: WordVocab, name: str = "source") -> WordText:
    """Give a text as ids of a vocabulary, whatever it comes as."""
    if isinstance(source, WordText):
        if source.vocab != vocab:
            raise ValueError(
                f"{name} is of {shorten(source.vocab)}; expected the model's, {shorten(vocab)}"
            )
        return source
    return WordText(vocab, source) if isinstance(source, np.ndarray) else vocab.read(source)


def loss_of(probabilities: NDArray[np.float64]) -> float:
    """Give the mean negative logarithm, inf where a probability is 0."""
    if not probabilities.all():
        return math.inf
    # The zero turns -0.0, the loss where all is certain, into 0.0.
    return float(-np.mean(np.log(probabilities))) + 0.0


def checked_contexts(contexts: NDArray[Any], context: int, size: int) -> NDArray[np.uint32]:
    """Give the last columns of an array of contexts, as many as a model looks at."""
    rows = checked_ids("contexts", contexts, size, dims=2)
    return np.ascontiguousarray(rows[:, max(rows.shape[1] - context, 0) :])


def sample_words(
    model: Any,
    n: int = 10,
    *,
    first: int = 0,
    seed: int | None = 0,
    prompt: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    max_length: int = 50,
    rare: bool = False,
) -> list[str]:
    """Make up `n` texts of words, word after word, each drawn from the model's distribution.

    A text begins with `prompt`, or with what the model draws first. Where the vocabulary has marks,
    it begins behind one, with the end of another text in front that is drawn and left out; it ends
    where the model draws a mark, or when it has `max_length` words, those of the prompt included.
    `temperature`, `top_k` and `seed` are those of `fastgrad.sampling.sample`. Text i of a seed is
    the same whatever `n`, and the texts are those from number `first` on. The symbol for rare words
    is drawn only with `rare`.

    Raises `ValueError` for a setting out of range, and where the model gives no probability to any
    word.

    >>> from fastgrad.models import KneserNey
    >>> from fastgrad.words import read_words
    >>> model = KneserNey.fit(read_words(b"the cat sat on the mat and the dog sat on the cat"))
    >>> model.sample(1, prompt="the dog", max_length=6, temperature=0)
    ['the dog sat on the cat']
    """
    n, first = list_length("n", n), whole("first", first, most=MOST)
    vocab: WordVocab = model.vocab
    # Without an end mark, a text always reaches its maximal length.
    check_length = whole if vocab.marks else list_length
    max_length = min(check_length("max_length", max_length), MOST)
    seed = secrets.randbits(64) if seed is None else whole("seed", seed, most=2**64 - 1)
    check_temperature(temperature)
    if top_k is not None:
        top_k = min(whole("top_k", top_k, least=1), len(vocab))
    start = vocab.encode(prompt)
    if len(start) > max_length:
        raise ValueError(
            f"prompt has {len(start)} words; expected at most max_length, {max_length}"
        )
    room = max(_BATCH // len(vocab), 1)
    texts: list[str] = []
    for start_of_batch in range(first, first + n, room):
        end = min(start_of_batch + room, first + n)
        streams = np.arange(start_of_batch, end, dtype=np.uint64)
        draw = partial(draw_rows, seed=seed, temperature=temperature, top_k=top_k)
        drawn = _batch(model, streams, start, max_length, rare, draw)
        texts += [_join(prompt, vocab.decode(words)) for words in drawn]
    return texts


def _join(prompt: str, drawn: str) -> str:
    """Put a text together of its prompt, as it was given, and what was drawn."""
    apart = bool(prompt and drawn) and not (prompt[-1].isspace() or drawn[0].isspace())
    return prompt + " " * apart + drawn


def _batch(
    model: Any,
    streams: NDArray[np.uint64],
    start: NDArray[np.uint32],
    max_length: int,
    rare: bool,
    draw: Draw,
) -> list[NDArray[np.uint32]]:
    """Draw what follows a start, of many texts side by side: all first words, all second ones."""
    marked = model.vocab.marks is not None
    # Before the first word of a line stands the end of another.
    front = _front(model, streams, rare, draw) if marked else np.empty((len(streams), 0), np.uint32)
    before = front.shape[1] + len(start)
    texts = np.column_stack([front, np.tile(start, (len(streams), 1))])
    ended: dict[int, NDArray[np.uint32]] = {}
    for step in range(len(start), max_length):
        if not len(streams):
            break
        words = _next_words(model, texts, streams, rare, partial(draw, step=step))
        ends = (words == 1) & marked
        ended.update(zip(streams[ends].tolist(), texts[ends], strict=True))
        texts, streams = np.column_stack([texts, words])[~ends], streams[~ends]
    ended.update(zip(streams.tolist(), texts, strict=True))
    return [ended[stream][before:] for stream in sorted(ended)]


def _front(model: Any, streams: NDArray[np.uint64], rare: bool, draw: Draw) -> NDArray[np.uint32]:
    """Draw the words at the end of another text, and the mark behind them: (n, context).

    A model that looks further back than the mark has seen few texts with nothing in front of it.
    """
    width = model.context
    texts = np.ones((len(streams), 1), dtype=np.uint32)
    if width == 1:
        return texts
    for i in range(_BEFORE + width):
        # Not the numbers of the steps that are to come.
        words = _next_words(model, texts, streams, rare, partial(draw, step=2**32 + i))
        texts = np.column_stack([texts, words])
    # Up to the last mark with enough words in front of it; where there is none, one is put.
    marks = texts[:, : width - 2 : -1] == 1
    texts[~marks.any(axis=1), -1] = 1
    ends = texts.shape[1] - np.argmax(marks, axis=1)
    return np.stack([text[end - width : end] for text, end in zip(texts, ends, strict=True)])


def _next_words(
    model: Any,
    texts: NDArray[np.uint32],
    streams: NDArray[np.uint64],
    rare: bool,
    draw: Callable[..., NDArray[np.uint32]],
) -> NDArray[np.uint32]:
    """Draw one more word of each text: (n, K) to (n,)."""
    rows = model.probabilities_of(texts[:, max(texts.shape[1] - model.context, 0) :])
    if not rare:
        rows[:, 0] = 0.0
        total = rows.sum(axis=1, keepdims=True)
        rows = np.divide(rows, total, out=rows, where=total > 0)
    return draw(rows, streams)
