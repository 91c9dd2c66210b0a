"""The optimizer of a network: its settings and its state."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._checks import amount, shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The arrays that each optimizer keeps for every parameter, and its own settings.
_STATE = {"sgd": (), "momentum": ("velocity",), "adamw": ("mean", "square")}
_SETTINGS = {"sgd": (), "momentum": ("momentum",), "adamw": ("betas", "eps")}


@dataclass(frozen=True)
class Optimizer:
    """The update rule of a step and its settings; the formulas are those of `fastgrad.optim`.

    "sgd": p ← p - lr·(g + λ·p). "momentum": the velocity v ← μ·v + g + λ·p, then p ← p - lr·v.
    "adamw": Loshchilov & Hutter 2019, Algorithm 2. λ, the weight decay, is 0 for the biases.

    Embeddings of tokens that are in no context of the mini-batch stand still, and so does their
    optimizer state, as in PyTorch's SparseAdam; with tied weights all of them move.
    """

    optimizer: Literal["sgd", "momentum", "adamw"] = "sgd"
    weight_decay: float = 0.0
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        """Raise `ValueError` or `TypeError` for an unknown name, and settings out of range."""
        _check_name(self.optimizer)
        _check("weight_decay", self.weight_decay)
        _check("momentum", self.momentum, below=1.0)
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise TypeError(f"betas is {shorten(self.betas)}; expected two numbers")
        for i, beta in enumerate(self.betas):
            _check(f"betas[{i}]", beta, below=1.0)
        _check("eps", self.eps)
        if self.eps == 0:
            raise ValueError(f"eps is {shorten(self.eps)}; expected more than 0")

    @classmethod
    def of(cls, optimizer: Any, weight_decay: Any, **settings: Any) -> Optimizer:
        """Return an optimizer; settings that are None were not given.

        Raises `ValueError` for one that was given and that the optimizer does not have.

        >>> Optimizer.of("sgd", 0.0, momentum=0.5)
        Traceback (most recent call last):
        ValueError: momentum is 0.5, but optimizer is 'sgd'; momentum is a setting of 'momentum'
        """
        _check_name(optimizer)
        given = {name: value for name, value in settings.items() if value is not None}
        for name, value in given.items():
            if name not in _SETTINGS[optimizer]:
                owner = next(owner for owner, own in _SETTINGS.items() if name in own)
                raise ValueError(
                    f"{name} is {shorten(value)}, but optimizer is"
                    f" {shorten(optimizer)}; {name} is a setting of"
                    f" {shorten(owner)}"
                )
        return cls(optimizer, weight_decay, **given)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the arrays that it keeps beside every parameter."""
        return _STATE[self.optimizer]

    def state(self, parameters: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the state before the first step: arrays of zeros, named `mean.C` and so on."""
        return {
            f"{kind}.{name}": np.zeros_like(array)
            for kind in self.kinds
            for name, array in parameters.items()
        }

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able values; `Optimizer(**config)` undoes it."""
        return asdict(self) | {"betas": list(self.betas)}


def _check_name(optimizer: Any) -> None:
    if not isinstance(optimizer, str) or optimizer not in _STATE:
        raise ValueError(
            f"optimizer is {shorten(optimizer)}; expected one of {[*_STATE]}{_hint(optimizer)}"
        )


def _hint(optimizer: Any) -> str:
    return (
        "; did you mean 'adamw'?"
        if isinstance(optimizer, str) and "adam" in optimizer.lower()
        else ""
    )


def checked_dropout(dropout: float | tuple[float, float] | list[float]) -> tuple[float, float]:
    """Return the shares of embeddings and of hidden units to drop: one number is both."""
    shares = dropout if isinstance(dropout, (tuple, list)) else (dropout, dropout)
    if len(shares) != 2:
        raise TypeError(
            f"dropout is {shorten(dropout)}; expected a number, or a pair of them for embeddings"
            " and hidden units"
        )
    for i, share in enumerate(shares):
        _check("dropout" if shares is not dropout else f"dropout[{i}]", share, below=1.0)
    return float(shares[0]), float(shares[1])


def _check(name: str, value: Any, below: float = math.inf) -> None:
    if amount(name, value) >= below:
        raise ValueError(
            f"{name} is {shorten(value)}; expected a finite number of at least 0 and"
            f" less than {below:g}"
        )
