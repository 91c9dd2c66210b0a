"""The model over words: running text, and a vocabulary of thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._checks import array, shorten
from ...words import WordVocab
from ..word_model import WordModel, checked_contexts, text_of
from . import kernels
from .examples import Prepared, prepare_pair
from .learner import Learner
from .shape import Shape, initial

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    from ..word_model import WordSource

    # A text, or the examples that somebody has made of one.
    WordExamples: TypeAlias = WordSource | tuple[NDArray[np.uint32], NDArray[np.uint32]]


class WordNPLM(Learner[WordVocab], WordModel):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A neural probabilistic language model over words, as in the paper.

    Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model" (JMLR 3, 2003).
    Formula, parameters and training are those of `NPLM`; a symbol is a word, and the text runs on
    over lines, so that a context reaches as far back as it is long. Where the text begins, the
    mark stands in front of it, or where the vocabulary has no marks, the symbol for rare words.

    `tied` gives the output layer the input's features (Press & Wolf, "Using the output embedding
    to improve language models", 2017): U = C·P with P (m, h), which saves V·h parameters.
    `fastgrad.models.nplm.presets` has settings for `fit`, the paper's and modern ones.

    With `counts`, how often each word occurs in the text that is to be learned (V,), as
    `WordText.counts` tells, b starts at the logarithm of each word's share, with 1 added to each
    count: the network then begins as good as a model of single words, and does not have to learn
    first that most words are rare. `init` is "small", for AdamW, "scaled", for plain SGD, whose
    steps are as small as the weights behind them, or "lecture", all from the standard normal
    distribution.

    A text is a `WordText`, an array of ids, or a source that is read with the model's vocabulary;
    a part of a `WordText` goes on from the words before it.

    Raises `TypeError` or `ValueError` naming the argument.

    >>> from fastgrad.models import WordNPLM
    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the cat " * 20)
    >>> train, dev = text.split(0.9)
    >>> model = WordNPLM(text.vocab, context_length=3, embedding_dim=8, hidden_dim=16, counts=train.counts)
    >>> model
    WordNPLM(8 words, context_length=3, embedding_dim=8, hidden_dim=16; 600 parameters of float32)
    >>> history = model.fit(train, dev, epochs=30, batch_size=16, lr=0.01, optimizer="adamw")
    >>> model.perplexity(dev) < 1.5
    True
    >>> model.sample(1, prompt="the dog", max_length=5, temperature=0)
    ['the dog sat on the']
    """

    kind = "word nplm"
    _unit = "words"
    _batch = 256

    def __init__(
        self,
        vocab: WordVocab,
        *,
        context: int = 4,
        embedding: int = 60,
        hidden: int = 100,
        direct: bool = False,
        tied: bool = False,
        counts: NDArray[np.integer[Any]] | None = None,
        init: Literal["small", "scaled", "lecture"] = "small",
        seed: int = 0,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        """Draw the parameters; b is what `counts` make of it."""
        if not isinstance(vocab, WordVocab):
            raise TypeError(f"vocab is {shorten(vocab)}; expected a WordVocab, as of `read_words`")
        shape = Shape(len(vocab), context, embedding, hidden, direct, dtype, tied)
        biases = None if counts is None else _log_shares(counts, len(vocab))
        parameters = initial(shape, init, seed)
        if biases is not None:
            parameters["b"][:] = biases
        self._set(vocab, shape, parameters)

    def next_probs(self, contexts: NDArray[Any]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of ids: (B, K) integers to (B, V).

        Only the last `context` ids of a row count; where K is smaller, the text begins there.
        """
        rows = checked_contexts(contexts, self.context_length, len(self.vocab))
        missing = self.context_length - rows.shape[1]
        padded = np.pad(rows, ((0, 0), (missing, 0)), constant_values=self._front)
        return kernels.probabilities(self._parameters, padded)

    def losses(self, source: WordExamples, *, threads: int | None = None) -> NDArray[np.float64]:
        """Give the negative log-likelihood of each token of a text, in nats: (T,).

        Raises `ValueError` for a `WordText` of another vocabulary.
        """
        return kernels.losses(self._parameters, self._examples(source, "source"), threads)

    def token_probabilities(self, source: WordExamples) -> NDArray[np.float64]:
        """Give the probability of each token of a text, given those before it: (T,).

        A part of a `WordText` goes on from the tokens before it; any other text begins at its
        first token. Raises `ValueError` for a `WordText` of another vocabulary.
        """
        return np.exp(-self.losses(source))

    def loss(self, source: WordExamples, *, threads: int | None = None) -> float:
        """Give the mean negative log-likelihood of a text, in nats per token, marks included."""
        return kernels.loss(self._parameters, self._examples(source, "source"), threads)

    @property
    def _front(self) -> int:
        """The id that stands before the beginning of a text."""
        return 1 if self.vocab.eos else 0

    def _examples(self, source: WordExamples, name: str) -> Prepared:
        if isinstance(source, tuple):
            return prepare_pair(source, len(self.vocab), self.context_length, name)
        text = text_of(source, self.vocab, name)
        before = text.before(self.context_length)
        front = np.full(self.context_length - len(before), self._front, dtype=np.uint32)
        ids = np.concatenate([front, before, text.ids], dtype=np.uint32)
        return Prepared(ids[:-1], ids[self.context_length :])


def _log_shares(counts: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Give the logarithm of each word's share of a text, with 1 added to each count: (V,)."""
    found = array("counts", counts, f"{size} counts")
    if found.shape != (size,) or found.dtype.kind not in "iu":
        raise ValueError(
            f"counts has shape {found.shape} and dtype {found.dtype}; expected {(size,)} of"
            " integers, a count for each word"
        )
    # A negative number without a sign is very large.
    wrong = (found < 0) | (found >= 2**63)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(f"counts[{place}] is {found[place]}; expected 0 to 2**63 - 1")
    more = found.astype(np.float64) + 1
    return np.log(more / more.sum())
