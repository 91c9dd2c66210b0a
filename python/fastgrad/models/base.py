"""What every language model here can do, whatever is inside it.

Code that samples or compares models knows them through `LanguageModel` alone, and code that trains
them through `Trainable` and `TrainingRun`, so that a new kind of model needs no change there. A
model says what it is by having these members; it need not inherit from anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import os
    from typing import Self, TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from ..text import Source, Vocab

    # A text, or what `fastgrad.text.windows` made of one: contexts and what follows them.
    Examples: TypeAlias = Source | tuple[NDArray[np.uint32], NDArray[np.uint32]]

__all__ = ["LanguageModel", "Trainable", "TrainingRun"]


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

        Only the last symbols of `context` count, as many as the model looks at. Boundaries in
        front, written as `vocab.eos_token`, change nothing: "..a" is "a".
        """
        ...

    def next_probs(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
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


@runtime_checkable
class TrainingRun(Protocol):
    """A model while it is trained, as a training loop sees it: data, batches and optimizer inside.

    Everything a step does follows from the arrays, the number of the step and its rate, so that
    steps may be made in chunks of any size, taken back, and made again with the same result.

    A run may also have `uniform_loss`, the loss of equal probabilities: training then stops where
    its smoothed loss is more than twice that and twice what it began with.
    """

    @property
    def batch(self) -> int:
        """How many examples a step looks at."""
        ...

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that training changes, parameters and optimizer state: themselves, by name."""
        ...

    def train(self, first_step: int, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make as many steps as there are rates, in place; give each step's loss before its update.

        Fewer losses than rates tell of a step whose loss, or a parameter after it, was not finite;
        that step was not made. An exception leaves the arrays as they were.
        """
        ...

    def dev_loss(self) -> float | None:
        """Give the loss on the development text, or None where there is none."""
        ...

    def save(
        self, path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]], config: dict[str, Any]
    ) -> None:
        """Write model and state to a file, with the loop's own arrays and configuration."""
        ...


@runtime_checkable
class Trainable(LanguageModel, Protocol):
    """A language model that learns from text step by step."""

    def copy(self) -> Self:
        """Give a model of its own with the same parameters."""
        ...

    def start(self, train: Examples, dev: Examples | None = None, **options: Any) -> TrainingRun:
        """Check data and options, and be ready for the first step."""
        ...
