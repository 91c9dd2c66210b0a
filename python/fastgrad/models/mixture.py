"""Two language models as one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import amount, shorten, whole
from ..text import read, windows
from ..words import WordVocab
from .word_model import loss_of, sample_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How many probabilities are held at a time.
_BATCH = 2**22


class Mixture:
    """The weighted mean of two models' distributions: weight · a + (1 - weight) · b.

    The models must have the same vocabulary, of characters or of words. `fit` chooses the weight on
    validation text. What one model calls impossible has the other's probability, weighted.

    Raises `ValueError` for different vocabularies, and a weight outside 0 to 1.

    >>> from fastgrad.models import KneserNey, Mixture
    >>> from fastgrad.words import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the mat with the cat")
    >>> train, validation = text.split(9)
    >>> mixture = Mixture(KneserNey.fit(train, 2), KneserNey.fit(train, 3))
    >>> round(mixture.fit(validation).perplexity(validation), 2)
    8.06
    """

    def __init__(self, a: Any, b: Any, weight: float = 0.5):
        """Keep both models; `a` has the weight, and `b` what is left of 1."""
        for name, model in (("a", a), ("b", b)):
            if not hasattr(model, "vocab"):
                raise TypeError(f"{name} is {shorten(model)}; expected a language model")
        if a.vocab != b.vocab:
            raise ValueError(
                f"the models' vocabularies are {shorten(a.vocab)} and"
                f" {shorten(b.vocab)}; expected one"
            )
        if amount("weight", weight) > 1:
            raise ValueError(f"weight is {shorten(weight)}; expected at most 1")
        self.a = a
        self.b = b
        self.weight = float(weight)

    @property
    def vocab(self) -> Any:
        """The vocabulary of both models."""
        return self.a.vocab

    @property
    def context(self) -> int:
        """How many symbols before the next one at least one of the models looks at."""
        return max(self.a.context, self.b.context)

    def fit(
        self, validation: Any, *, tolerance: float = 1e-9, max_iterations: int = 1000
    ) -> Mixture:
        """Choose the weight that makes a text most likely, by expectation maximisation.

        It begins at 1/2 and ends once an iteration moves the weight by less than `tolerance`. The
        result is this mixture.
        """
        of_both = [token_probabilities(model, validation) for model in (self.a, self.b)]
        weights = mixture_weights(
            np.stack(of_both), tolerance=tolerance, max_iterations=max_iterations
        )
        self.weight = min(float(weights[0]), 1.0)
        return self

    def probabilities(self, context: str = "") -> NDArray[np.float64]:
        """Give the distribution of the symbol after `context`; shape (V,)."""
        return self._mean(self.a.probabilities(context), self.b.probabilities(context))

    def probabilities_of(self, contexts: NDArray[Any]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of ids: (B, context) to (B, V)."""
        rows = np.asarray(contexts)
        if rows.ndim != 2:
            raise ValueError(f"contexts has shape {rows.shape}; expected (B, context)")
        parts = (rows[:, -model.context :] for model in (self.a, self.b))
        of_a, of_b = (m.probabilities_of(p) for m, p in zip((self.a, self.b), parts, strict=True))
        return self._mean(of_a, of_b)

    def token_probabilities(self, source: Any) -> NDArray[np.float64]:
        """Give the probability of each symbol of a text, given those before it: (T,)."""
        of_a, of_b = (token_probabilities(model, source) for model in (self.a, self.b))
        return self._mean(of_a, of_b)

    def loss(self, source: Any) -> float:
        """Give the mean negative log-likelihood of a text, in nats per symbol."""
        return loss_of(self.token_probabilities(source))

    def perplexity(self, source: Any) -> float:
        """Give e to the power of the loss."""
        loss = self.loss(source)
        return math.exp(loss) if loss < 709 else math.inf

    def table(self) -> None:
        """Give no table; the distributions are computed as they are asked for."""
        return

    def sample(self, n: int = 10, **options: Any) -> list[str]:
        """Make up texts; the options are those of `sample_words` or `fastgrad.sampling.sample`."""
        if isinstance(self.vocab, WordVocab):
            return sample_words(self, n, **options)
        from ..sampling import sample

        return sample(self, n, **options)

    def __repr__(self) -> str:
        """Show both models and the weight of the first."""
        return f"Mixture({self.weight:.4f} of {self.a!r}, the rest of {self.b!r})"

    def _mean(self, of_a: NDArray[np.float64], of_b: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.weight * of_a + (1.0 - self.weight) * of_b


def mixture_weights(
    probabilities: NDArray[np.float64], *, tolerance: float = 1e-9, max_iterations: int = 1000
) -> NDArray[np.float64]:
    """Give the weights of models whose weighted mean makes a text most likely: (K, T) to (K,).

    Row k holds the probability of each of T tokens under model k. The weights sum to 1; expectation
    maximisation (Dempster, Laird & Rubin, 1977) finds them, from equal ones, and ends once no
    weight moves by `tolerance`. Tokens that all models call impossible do not count.

    Raises `ValueError` for an array of another shape, or a setting out of range.

    >>> mixture_weights(np.array([[0.5, 0.1, 0.5], [0.1, 0.1, 0.5]])).round(3).tolist()
    [1.0, 0.0]
    """
    tolerance = amount("tolerance", tolerance)
    if probabilities.ndim != 2 or not len(probabilities):
        raise ValueError(
            f"probabilities has shape {probabilities.shape}; expected (K, T), K at least 1"
        )
    # Only the ratios count, and nothing where all are 0.
    total = probabilities.sum(axis=0)
    shares = probabilities[:, total > 0] / total[total > 0]
    weights = np.full(len(shares), 1.0 / len(shares))
    steps = whole("max_iterations", max_iterations, least=1)
    for _ in range(steps if shares.size else 0):
        # How likely each token comes from each of the models, as far as one can tell.
        chances = weights[:, None] * shares
        chances /= chances.sum(axis=0)
        before, weights = weights, chances.mean(axis=1)
        if np.abs(weights - before).max() < tolerance:
            break
    return weights


def token_probabilities(model: Any, source: Any) -> NDArray[np.float64]:
    """Give the probability of each symbol of a text under any model, each item's end included.

    A text of characters is asked for window by window, where the model has no shorter way.
    """
    if hasattr(model, "token_probabilities"):
        return np.asarray(model.token_probabilities(source), dtype=np.float64)
    items = source if isinstance(source, list) else read(source)
    contexts, following = windows(items, model.vocab, model.context)
    room = max(_BATCH // len(model.vocab), 1)
    found = []
    for start in range(0, len(following), room):
        rows = model.probabilities_of(contexts[start : start + room])
        found.append(np.take_along_axis(rows, following[start : start + room, None].astype(int), 1))
    return np.concatenate(found)[:, 0].astype(np.float64)
