"""The interpolated trigram model of words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._checks import MOST, amount, whole
from .._hints import hint_names
from ..text import WordVocab
from ._counted import CountedModel
from .word_model import text_of, text_to_learn

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from .word_model import WordTexts


class InterpolatedTrigram(CountedModel):
    """A mixture of uniform, unigram, bigram and trigram frequencies of words.

        p(w | u v) = a0 / V + a1 p1(w) + a2 p2(w | v) + a3 p3(w | u v)

    p1, p2, p3 are relative frequencies in the training text; p2 is p1 after a word v, and p3 is p2
    after two words u v, that were never seen in front of another one. The weights depend on the
    bin ceil(-ln((1 + x) / T)) of x, how often u v was seen in front of a word, in a training text
    of T tokens: bin 0 holds the most frequent contexts, the last one the unseen. Expectation
    maximisation fits them to other text, from equal weights.

    With `sentences` a line or paragraph starts afresh, as for `KneserNey`: v of its first word is
    the end token, and there is no u.

    Jelinek & Mercer, "Interpolated estimation of Markov source parameters from sparse data"
    (1980); with these bins, Bengio, Ducharme, Vincent & Jauvin, "A neural probabilistic language
    model" (2003), section 4.1 ("Del. Int." of their table 1).

    `vocab` is the vocabulary; where it is None, `fit` takes that of its training text. The
    iterations of `fit` end once one has gained less than `tolerance` nats per token.

    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the cat")
    >>> train, dev = text.split(9)
    >>> model = InterpolatedTrigram().fit(train, dev)
    >>> round(model.perplexity(dev), 2)
    2.28
    """

    kind = "interpolated trigram"
    _losses: list[float]

    @hint_names()
    def __init__(
        self,
        sentences: bool = False,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 1000,
        vocab: WordVocab | None = None,
    ) -> None:
        """Keep the settings."""
        self._tolerance = amount("tolerance", tolerance)
        self._max_iterations = whole("max_iterations", max_iterations, least=1, most=MOST)
        super().__init__(vocab, sentences)

    @hint_names(tolerance="tolerance in the constructor")
    def fit(self, train: WordTexts, dev: WordTexts) -> Self:
        """Count the n-grams of one text, fit the weights to another, and return the model.

        Weights of bins that the dev text has no token in stay equal. Raises `ValueError` for a dev
        text of another vocabulary, or `sentences` of a text without end tokens.
        """
        text = text_to_learn(train, self._given)
        self._eos(text)
        texts = {"train": text, "dev": text_of(dev, text.vocab, "dev")}
        before = self._texts, self._vocab
        self._texts, self._vocab = texts, text.vocab
        try:
            self._fit()
        except BaseException:
            self._texts, self._vocab = before
            raise
        return self

    def _fit(self) -> None:
        text, dev = self._texts["train"], self._texts["dev"]
        table = _core.InterpolatedTable(text.ids, len(text.vocab), self._eos(text))
        ids, start = self._text(dev)
        self._losses = table.fit(
            ids, start, tolerance=self._tolerance, iterations=self._max_iterations
        )
        self._core_table = table

    @property
    def losses(self) -> list[float]:
        """The loss on the dev text before each iteration, in nats per token; never growing."""
        _ = self._table
        return self._losses

    @property
    def context_length(self) -> int:
        """The number of words before the next one that the model looks at: 2."""
        return 2

    @property
    def config(self) -> dict[str, Any]:
        """The settings: sentences, tolerance, max_iterations."""
        return {
            "sentences": self.sentences,
            "tolerance": self._tolerance,
            "max_iterations": self._max_iterations,
        }

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights of 1/V, p1, p2 and p3 in each bin: (bins, 4)."""
        return self._table.weights

    def num_parameters(self) -> int:
        """Return how many numbers the weights are."""
        return self.weights.size

    def bin_of(self, frequency: int) -> int:
        """Return the bin of contexts that were seen so often."""
        _ = self._table
        share = (1 + whole("frequency", frequency, most=MOST)) / len(self._texts["train"])
        return max(math.ceil(-math.log(share)), 0)

    def __repr__(self) -> str:
        """Show the number of bins."""
        settings = "sentences=True; " * self.sentences
        fitted = "not fitted"
        if self._core_table is not None:
            fitted = f"{len(self.weights)} bins, {len(self.vocab):,} tokens"
        return f"InterpolatedTrigram({settings}{fitted})"
