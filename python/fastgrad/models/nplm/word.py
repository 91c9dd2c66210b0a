"""The network over words: running text, and a vocabulary of thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._checks import array
from ..._defaults import WORDS
from ..._hints import hint_names
from ...text import WordVocab
from ..word_model import WordModel, check_word_vocab, text_of, text_to_learn
from . import kernels
from .examples import Prepared, prepare_pair
from .learner import IN_FIT, Learner

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    from ...base import Examples
    from ..word_model import WordTexts
    from .saved import RowsOf

    # A text, or the examples that somebody has made of one.
    WordExamples: TypeAlias = WordTexts | Examples


class WordNPLM(Learner[WordVocab, "WordExamples"], WordModel["WordExamples"]):
    """A neural probabilistic language model over words, as in the paper.

    Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model" (JMLR 3, 2003).
    Formula, parameters, settings and training are those of `NPLM`; a token is a word, and the text
    runs on over lines, so that a context reaches as far back as it is long. Where the text begins,
    the end token stands in front of it, or where the vocabulary has none, the one for unknown
    words. `fastgrad.models.nplm.presets` has settings for `fit`, the paper's and modern ones.

    With `counts`, how often each word occurs in the text that is to be learned (V,), as
    `WordText.counts` has them, b starts at the logarithm of each word's share, with 1 added to each
    count: the network then begins as good as a model of single words, and does not have to learn
    first that most words are infrequent. A model without a vocabulary takes them from the text of
    `fit`. `init` is "small", for AdamW, "scaled", for plain SGD, whose steps are as small as the
    weights behind them, or "normal", all from the standard normal distribution.

    A text is a `WordText`, an array of ids, or a file's name, bytes or an iterable of str; a part
    of a `WordText` goes on from the words before it.

    Raises `TypeError` or `ValueError` naming the argument.

    >>> from fastgrad.models import WordNPLM
    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the cat " * 20)
    >>> train, dev = text.split(0.9)
    >>> model = WordNPLM(context_length=3, embedding_dim=8, hidden_dim=16, tie_weights=False)
    >>> model = model.fit(train, dev, epochs=30, batch_size=16, lr=0.01, optimizer="adamw")
    >>> model
    WordNPLM(context_length=3, embedding_dim=8, hidden_dim=16; V = 8, 600 parameters of float32)
    >>> model.perplexity(dev) < 1.5
    True
    >>> model.sample(1, prompt="the dog", max_length=5, temperature=0)
    ['the dog sat on the']
    """

    kind = "word nplm"
    _defaults = WORDS
    _schedule = "warmup"

    @hint_names(vocab_size="vocab, a WordVocab, or let fit take that of its text", **IN_FIT)
    def __init__(
        self,
        vocab: WordVocab | None = None,
        *,
        context_length: int = WORDS.context_length,
        embedding_dim: int = WORDS.embedding_dim,
        hidden_dim: int = WORDS.hidden_dim,
        direct: bool = False,
        tie_weights: bool = WORDS.tie_weights,
        counts: NDArray[np.integer[Any]] | None = None,
        init: Literal["small", "scaled", "normal"] = WORDS.init,
        seed: int = 0,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        """Check the settings, and draw the parameters if there is a vocabulary."""
        check_word_vocab(vocab)
        if counts is not None and vocab is None:
            raise ValueError("counts are given, but no vocab; fit takes both from its text")
        biases = None if counts is None or vocab is None else _log_shares(counts, len(vocab))
        settings = {
            "context_length": context_length,
            "embedding_dim": embedding_dim,
            "hidden_dim": hidden_dim,
            "direct": direct,
            "tie_weights": tie_weights,
            "init": init,
            "seed": seed,
            "dtype": dtype,
        }
        self._settle(vocab, settings)
        if biases is not None:
            self._parameters["b"][:] = biases

    def _read(self, train: Any, dev: Any) -> tuple[WordVocab, Any, Any]:
        text = text_to_learn(train, None)
        return text.vocab, text, dev

    def _prepared(
        self, train: WordExamples, dev: WordExamples | None, rows_of: RowsOf | None = None
    ) -> tuple[Any, Any]:
        is_new = self._shape is None
        text, dev = super()._prepared(train, dev, rows_of)
        if is_new:
            shares = _log_shares(text.counts, len(text.vocab))
            self._parameters["b"][:] = shares if rows_of is None else shares[rows_of(len(shares))]
        return text, dev

    def _distributions(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        missing = self.context_length - contexts.shape[1]
        padded = np.pad(contexts, ((0, 0), (missing, 0)), constant_values=self._front)
        return kernels.probabilities(self._parameters, padded)

    def token_log_probs(
        self, texts: WordExamples, *, threads: int | None = None
    ) -> NDArray[np.float64]:
        """Return the natural logarithm of the probability of each token of a text: (T,).

        A part of a `WordText` goes on from the tokens before it; any other text begins at its
        first token. Raises `ValueError` for a `WordText` of another vocabulary.
        """
        return -kernels.losses(self._parameters, self._examples(texts, "texts"), threads)

    def loss(self, texts: WordExamples, *, threads: int | None = None) -> float:
        """Return the mean negative log-likelihood of a text, in nats per token, ends included."""
        return kernels.loss(self._parameters, self._examples(texts, "texts"), threads)

    @property
    def _front(self) -> int:
        """The id that stands before the beginning of a text."""
        return 1 if self.vocab.eos else 0

    def _examples(self, texts: WordExamples, name: str) -> Prepared:
        if isinstance(texts, tuple):
            return prepare_pair(texts, len(self.vocab), self.context_length, name)
        text = text_of(texts, self.vocab, name)
        ids = text._with_context(self.context_length, self._front)
        return Prepared(ids[:-1], ids[self.context_length :])


def _log_shares(counts: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Return the logarithm of each word's share of a text, with 1 added to each count: (V,)."""
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
