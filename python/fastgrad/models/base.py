"""What every language model here can do, whatever is inside it.

Code that samples, trains or compares models knows them through `LanguageModel` alone, so that a
new kind of model needs no change there. A model says what it is by having these members; it need
not inherit from anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..text import Source, Vocab

__all__ = ["LanguageModel"]


@runtime_checkable
class LanguageModel(Protocol):
    """A distribution of the next symbol, given the symbols before it.

    V is the size of the vocabulary, the boundary included; symbol 0 is the boundary, which stands
    in front of each item as often as the context is long, and once behind it. Losses are mean
    negative log-likelihoods in nats per symbol, the end of each item included.
    """

    @property
    def vocab(self) -> Vocab:
        """The symbols, and the way from text to ids and back."""
        ...

    @property
    def context(self) -> int:
        """How many symbols before the next one the model looks at; 1 for a bigram."""
        ...

    def probabilities(self, context: str = "") -> NDArray[np.float64]:
        """Give the distribution of the symbol after `context`, the start of an item; shape (V,).

        Only the last symbols of `context` count, as many as the model looks at.
        """
        ...

    def probabilities_of(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of ids: (B, context) to (B, V)."""
        ...

    def table(self) -> NDArray[np.float64] | None:
        """Give the distributions after all contexts, or None where that would not pay.

        Shape (V**context, V); the row's number is the context read as a number in base V, its
        first symbol the most significant. Rows may sum to 0: nothing is known after them.
        """
        ...

    def loss(self, source: Source) -> float:
        """Give the mean negative log-likelihood of a text, in nats per symbol."""
        ...

    def perplexity(self, source: Source) -> float:
        """Give e to the power of the loss."""
        ...

    def sample(self, n: int = 10, **options: Any) -> list[str]:
        """Make up items; the options are those of `fastgrad.sampling.sample`."""
        ...
