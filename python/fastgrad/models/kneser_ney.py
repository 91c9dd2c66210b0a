"""N-gram models of words, counted and estimated by the core."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import amount, shorten, whole
from .._core import InterpolatedTable, KneserNeyTable
from ..words import WordText, WordVocab
from .word_model import WordModel, checked_contexts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .word_model import WordSource


class DiscountWarning(UserWarning):
    """Some of the discounts of Kneser-Ney smoothing cannot be estimated from a text."""


class _CountedModel(WordModel):
    """A model whose table of n-grams is in the core."""

    sentences: bool
    """Whether each line or paragraph starts afresh."""

    def __init__(
        self,
        vocab: WordVocab,
        context: int,
        table: KneserNeyTable | InterpolatedTable,
        sentences: bool,
    ):
        self.vocab = vocab
        self.context_length = context
        self.sentences = sentences
        self._table = table

    def next_probs(self, contexts: NDArray[Any]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of ids: (B, K) integers to (B, V).

        Only the last `context` ids of a row count; where K is smaller, the text begins there.
        """
        rows = checked_contexts(contexts, self.context_length, len(self.vocab))
        return self._table.distributions(rows)

    def token_probabilities(self, source: WordSource) -> NDArray[np.float64]:
        """Give the probability of each token of a text, given those before it: (T,).

        A part of a `WordText` goes on from the tokens before it; any other text begins at its
        first token. Raises `ValueError` for a `WordText` of another vocabulary.
        """
        return self._table.score(*self._text(source))


class KneserNey(_CountedModel):
    """Interpolated Kneser-Ney smoothing of orders 2 to 5; made by `fit`.

    With c how often an n-gram occurs, or for all but the longest n-grams how many different words
    occur in front of it (the beginning of the text is none), h a context, and h' the context
    without its first word:

        p(w | h) = max(c(h w) - D, 0) / c(h ·) + D N(h ·) / c(h ·) · p(w | h')

    c(h ·) sums over all words, N(h ·) counts those seen after h; below order 1 stands 1/V. Each
    order has its discount D = n1 / (n1 + 2 n2), n_i the number of its n-grams with count i. The
    modified form has three of them, for the counts 1, 2, and 3 or more: 1 - 2D n2/n1, 2 - 3D n3/n2,
    3 - 4D n4/n3. A text may have too few n-grams for that: n1, in the modified form n1, n2 or n3,
    is 0, or a discount is not positive. Such an order has the discount 1/2, or 1/2, 1 and 3/2, as
    with `lmplz --discount_fallback` of KenLM, and `fit` says so with a `DiscountWarning`.

    The text runs on over lines. With `sentences` each line or paragraph, whatever has a mark at its
    end, is a sentence of its own, as for KenLM and SRILM: in front of its first word stands the
    mark, there <s>, and nothing else, and no n-gram reaches beyond the mark at its end, there </s>.
    In front of n-grams that begin with <s> never stands a word; they count as often as they occur.

    Kneser & Ney, "Improved backing-off for m-gram language modeling" (1995), in the interpolated
    form of Chen & Goodman, "An empirical study of smoothing techniques for language modeling"
    (1999).

    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the cat")
    >>> train, test = text.split(9)
    >>> model = KneserNey.fit(train, order=3)
    >>> round(model.perplexity(test), 2)
    7.33
    """

    _table: KneserNeyTable

    @classmethod
    def fit(
        cls,
        text: WordText,
        order: int = 3,
        *,
        modified: bool = False,
        sentences: bool = False,
    ) -> KneserNey:
        r"""Count the n-grams of a text and estimate the model.

        Warns with `DiscountWarning` of orders that have fixed discounts. Raises `ValueError` for an
        order that is not 2 to 5, or `sentences` of a text without marks, `TypeError` for what is no
        `WordText`.

        >>> from fastgrad.text import read_words
        >>> text = read_words(["the cat sat", "the dog ran"], eos="line")
        >>> model = KneserNey.fit(text, order=2, sentences=True)
        >>> bool((model.next_probs("the cat sat\n") == model.next_probs("")).all())
        True
        """
        _check_text("text", text)
        order = whole("order", order, least=2)
        if order > 5:
            raise ValueError(f"order is {shorten(order)}; expected 2 to 5")
        eos = _eos(text, sentences)
        table = KneserNeyTable(text.ids, len(text.vocab), order, bool(modified), eos)
        if table.fallbacks:
            orders = "; ".join(_fallback(*of, bool(modified)) for of in table.fallbacks)
            warnings.warn(DiscountWarning(orders), stacklevel=2)
        return cls(text.vocab, order - 1, table, eos is not None)

    @property
    def order(self) -> int:
        """How long the longest n-grams are."""
        return self._table.order

    @property
    def discounts(self) -> list[tuple[float, float, float]]:
        """For each order from 1 the discounts of the counts 1, 2, and 3 or more."""
        return self._table.discounts

    @property
    def entries(self) -> list[int]:
        """For each order from 1 how many distinct n-grams there are; V for order 1."""
        return self._table.entries

    def __repr__(self) -> str:
        """Show the order and how many n-grams there are."""
        grams = f"{sum(self.entries):,} n-grams of {len(self.vocab):,} symbols"
        grams += ", by sentences" if self.sentences else ""
        return f"KneserNey(order {self.order}, {grams})"


class InterpolatedTrigram(_CountedModel):
    """A mixture of uniform, unigram, bigram and trigram frequencies; made by `fit`.

        p(w | u v) = a0 / V + a1 p1(w) + a2 p2(w | v) + a3 p3(w | u v)

    p1, p2, p3 are relative frequencies in the training text; p2 is p1 after a word v, and p3 is p2
    after two words u v, that were never seen in front of another one. The weights depend on the
    bin ceil(-ln((1 + x) / T)) of x, how often u v was seen in front of a word, in a training text
    of T tokens: bin 0 holds the most frequent contexts, the last one the unseen. Expectation
    maximisation fits them to other text, from equal weights.

    With `sentences` a line or paragraph starts afresh, as for `KneserNey`: v of its first word is
    the mark, and there is no u.

    Jelinek & Mercer, "Interpolated estimation of Markov source parameters from sparse data"
    (1980); with these bins, Bengio, Ducharme, Vincent & Jauvin, "A neural probabilistic language
    model" (2003), section 4.1 ("Del. Int." of their table 1).

    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the cat")
    >>> train, validation = text.split(9)
    >>> model = InterpolatedTrigram.fit(train, validation)
    >>> round(model.perplexity(validation), 2)
    2.28
    """

    _table: InterpolatedTable
    _tokens: int
    losses: list[float]
    """The loss on the validation text before each iteration, in nats per token; never growing."""

    @classmethod
    def fit(
        cls,
        train: WordText,
        validation: WordSource,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 1000,
        sentences: bool = False,
    ) -> InterpolatedTrigram:
        """Count the n-grams of one text, and fit the weights to another.

        The iterations end once one has gained less than `tolerance` nats per token. Weights of
        bins that the validation text has no token in stay equal.

        Raises `TypeError` for a training text that is no `WordText`, `ValueError` for a validation
        text of another vocabulary, a setting out of range, or `sentences` of a text without marks.
        """
        _check_text("train", train)
        tolerance = amount("tolerance", tolerance)
        max_iterations = whole("max_iterations", max_iterations, least=1)
        eos = _eos(train, sentences)
        table = InterpolatedTable(train.ids, len(train.vocab), eos)
        model = cls(train.vocab, 2, table, eos is not None)
        ids, start = model._text(validation)
        model.losses = model._table.fit(ids, start, tolerance=tolerance, iterations=max_iterations)
        model._tokens = len(train)
        return model

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights of 1/V, p1, p2 and p3 in each bin: (bins, 4)."""
        return self._table.weights

    def bin_of(self, frequency: int) -> int:
        """Give the bin of contexts that were seen so often."""
        return max(math.ceil(-math.log((1 + whole("frequency", frequency)) / self._tokens)), 0)

    def __repr__(self) -> str:
        """Show how many bins there are."""
        return f"InterpolatedTrigram({len(self.weights)} bins, {len(self.vocab):,} symbols)"


def _check_text(name: str, text: Any) -> None:
    if not isinstance(text, WordText):
        raise TypeError(f"{name} is {shorten(text)}; expected a WordText, as `read_words` gives it")


def _eos(text: WordText, sentences: bool) -> int | None:
    """Return the id that ends each sentence, or None where the text is to run on."""
    if not sentences:
        return None
    if text.vocab.eos is None:
        raise ValueError(
            "sentences is True, but the text has no marks; expected one of"
            " `read_words(..., eos='line')`"
        )
    return 1


def _fallback(order: int, missing: list[int], modified: bool) -> str:
    """Say why an order has fixed discounts, and which."""
    found = f"no n-gram has the count {' or '.join(map(str, missing))}"
    why = found if missing else "a discount came out as 0 or less"
    return f"order {order}: {why}; discounts are {'0.5, 1 and 1.5' if modified else '0.5'}"
