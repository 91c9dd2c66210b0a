"""The calls into Rust, each in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _core
from ..._threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from ...distributed import Comm
    from .examples import Prepared
    from .optimizers import Optimizer

    Reduction: TypeAlias = Literal["exact", "fast"]
    OutputLayer: TypeAlias = Literal["whole", "sharded"]

    Parameters = dict[str, NDArray[Any]]


def train(
    parameters: Parameters,
    state: Parameters,
    examples: Prepared,
    optimizer: Optimizer,
    lrs: NDArray[np.float64],
    *,
    batch_size: int,
    first_step: int,
    seed: int,
    dropout: tuple[float, float],
    threads: int | None,
    progress: Callable[[int], object] | None = None,
    comm: Comm | None = None,
    reduction: Reduction = "exact",
    vocab_size: int | None = None,
) -> NDArray[np.float64]:
    """Make a step for each learning rate, in place; return the losses before each.

    There are fewer losses where one was not finite. All ranks of `comm` make this call; what their
    arrays hold then, `_core.nplm_train` tells.
    """
    return _core.nplm_train(
        parameters,
        [{name: state[f"{kind}.{name}"] for name in parameters} for kind in optimizer.kinds],
        examples.contexts,
        examples.targets,
        batch=batch_size,
        rates=lrs,
        first_step=first_step,
        seed=seed,
        optimizer=optimizer.optimizer,
        momentum=optimizer.momentum,
        betas=(optimizer.betas[0], optimizer.betas[1]),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
        dropout=dropout,
        threads=thread_count(threads),
        progress=progress,
        comm=comm,
        reduction=reduction,
        vocab_size=vocab_size,
    )


def loss(
    parameters: Parameters,
    examples: Prepared,
    threads: int | None,
    comm: Comm | None = None,
    vocab_size: int | None = None,
) -> float:
    """Return the mean negative log-likelihood of the examples.

    All ranks of `comm` make this call, each with its rows of the output layer.
    """
    return _core.nplm_loss(
        parameters,
        examples.contexts,
        examples.targets,
        threads=thread_count(threads),
        comm=comm,
        vocab_size=vocab_size,
    )


def losses(parameters: Parameters, examples: Prepared, threads: int | None) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each example: (N,)."""
    return _core.nplm_losses(
        parameters, examples.contexts, examples.targets, threads=thread_count(threads)
    )


def forward(
    parameters: Parameters, contexts: NDArray[np.uint32]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return embedding (B, c·m), hidden layer (B, h) and logits (B, V) of contexts (B, c)."""
    return _core.nplm_forward(parameters, contexts)


def gradients(parameters: Parameters, examples: Prepared) -> Parameters:
    """Return the gradients of the mean loss of the examples, by parameter."""
    return _core.nplm_gradients(parameters, examples.contexts, examples.targets)[1]


def probabilities(parameters: Parameters, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the distribution after each context: (B, c) to (B, V) float64."""
    return _core.nplm_probabilities(parameters, contexts)
