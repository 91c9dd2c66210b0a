"""The protocol of language models, which sampling and training know them by.

Code that samples or compares models knows them through `LanguageModel` alone, and code that trains
them through `Trainable` and `TrainingRun`, so that a new kind of model needs no change there. A
model has these members; it need not inherit from anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import os
    from typing import Self, TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from .text import Source, Vocab, WordText, WordVocab

    Ids: TypeAlias = NDArray[np.integer[Any]]
    # X and Y of `fastgrad.text.build_dataset`.
    Examples: TypeAlias = tuple[Ids, Ids]
    # The texts that a kind of model takes.
    Texts: TypeAlias = Source | WordText | Ids | Examples

# The kinds of texts that a model takes.
if TYPE_CHECKING:
    import typing_extensions

    AnyTexts = typing_extensions.TypeVar("AnyTexts", contravariant=True, default=Any)
else:
    AnyTexts = TypeVar("AnyTexts", contravariant=True)

__all__ = ["LanguageModel", "NotFittedError", "Trainable", "TrainingRun"]


class NotFittedError(ValueError, AttributeError):
    """A model was asked for what only `fit` tells it; named as scikit-learn's."""


@runtime_checkable
class LanguageModel(Protocol):
    """A distribution of the next token, given the tokens before it.

    V is the size of the vocabulary. Losses are mean negative log-likelihoods in nats per token.
    """

    @property
    def vocab(self) -> Vocab | WordVocab:
        """The tokens, and the way from text to ids and back."""
        ...

    @property
    def context_length(self) -> int:
        """The number of tokens before the next one that the model looks at; 1 for a bigram."""
        ...

    def next_probs(self, context: Any = "") -> NDArray[np.float64]:
        """Return the distribution of the token after a context, (V,), or after many, (B, V)."""
        ...

    def table(self) -> NDArray[np.float64] | None:
        """Return the distributions after all contexts, or None where that would not pay.

        Shape (V**context_length, V); the row's number is the context read as a number in base V,
        its first token the most significant. Rows may sum to 0: nothing is known after them.
        """
        ...

    def loss(self, texts: Any) -> float:
        """Return the mean negative log-likelihood of a text, in nats per token."""
        ...

    def perplexity(self, texts: Any) -> float:
        """Return e to the power of the loss."""
        ...


@runtime_checkable
class TrainingRun(Protocol):
    """A model while it is trained, as a training loop sees it: data, batches and optimizer inside.

    Everything a step does follows from the arrays, the number of the step and its learning rate,
    so that steps may be made in chunks of any size, taken back, and made again with the same
    result.

    A run may also have `uniform_loss`, the loss of equal probabilities: training then stops where
    its smoothed loss is more than twice that and twice what it began with.
    """

    @property
    def batch_size(self) -> int:
        """The number of examples in a step."""
        ...

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that training changes, parameters and optimizer state: themselves, by name."""
        ...

    def train(self, first_step: int, lrs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make as many steps as there are learning rates, in place; return the loss before each.

        Fewer losses than learning rates tell of a step whose loss, or a parameter after it, was not
        finite; that step was not made. An exception leaves the arrays as they were.
        """
        ...

    def dev_loss(self) -> float | None:
        """Return the loss on the development text, or None where there is none."""
        ...

    def save(
        self,
        path: str | os.PathLike[str],
        arrays: dict[str, NDArray[Any]],
        config: dict[str, Any],
        *,
        keep_previous: bool = True,
    ) -> None:
        """Write model and state to a file, with the loop's own arrays and configuration.

        With `keep_previous`, the file that is replaced is kept as `<name>.previous`.
        """
        ...


@runtime_checkable
class Trainable(LanguageModel, Protocol[AnyTexts]):
    """A language model that learns from text step by step."""

    def copy(self) -> Self:
        """Return a model of its own with the same parameters."""
        ...

    def _start(
        self,
        train: AnyTexts,
        dev: AnyTexts | None = None,
        *,
        batch_size: int | None = None,
        optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
        weight_decay: float = 0.0,
        seed: int = 0,
        threads: int | None = None,
    ) -> TrainingRun:
        """Check data and settings, and be ready for the first step."""
        ...
