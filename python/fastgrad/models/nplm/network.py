"""A network with its parameters, and what it has learned of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, overload

import numpy as np

from ..._checks import shorten, whole
from ...base import AnyTexts, NotFittedError
from .._model import AnyVocab, Model

if TYPE_CHECKING:
    from typing import Never, Self, TypeAlias

    from numpy.typing import NDArray

    from .shape import Shape

    Floats: TypeAlias = NDArray[np.floating[Any]]

# What to say of a parameter that a network is made without.
_WITHOUT = {
    "W": "the network has no direct connections",
    "U": "the weights are tied; C·P is in the place of U",
    "P": "the weights are not tied; there is U",
}


class _Parameter:
    """An array of the network under its name in the paper."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, network: None, owner: type) -> Self: ...
    @overload
    def __get__(self, network: Network[Any], owner: type | None = None) -> Floats: ...
    def __get__(self, network: Network[Any] | None, owner: type | None = None) -> Self | Floats:
        if network is None:
            return self
        network._shape_of()  # raises before the parameters are drawn
        if self._name not in network._parameters:
            raise AttributeError(f"{self._name}: {_WITHOUT[self._name]}")
        return network._parameters[self._name]

    def __set__(self, network: Any, value: Never) -> NoReturn:
        name = self._name
        raise AttributeError(f"{name} cannot be replaced; set its numbers: model.{name}[...] = …")


class Network(Model[AnyVocab, AnyTexts]):
    """A network that does not change; see `NPLM` for what it computes."""

    C = _Parameter("The embeddings of the tokens: (V, m).")
    H = _Parameter("The weights of the hidden layer: (h, c·m).")
    d = _Parameter("The biases of the hidden layer: (h,).")
    U = _Parameter(
        "The weights from the hidden layer to the logits: (V, h); not with tied weights."
    )
    P = _Parameter("With tied weights, the way from the hidden layer to embeddings: (m, h).")
    b = _Parameter("The biases of the logits: (V,).")
    W = _Parameter("The direct connections, where there are any: (V, c·m).")

    # The settings of the constructor; a file of an older version lacks init and seed.
    _settings: dict[str, Any]
    # None and empty until the vocabulary is known, and the parameters are drawn.
    _shape: Shape | None
    _parameters: dict[str, NDArray[Any]]

    def _set(self, vocab: AnyVocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> None:
        self._vocab = vocab
        self._shape = shape
        self._parameters = parameters

    def _shape_of(self) -> Shape:
        if self._shape is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no parameters yet; call fit first, or give it a"
                " vocab"
            )
        return self._shape

    @classmethod
    def _of(cls, vocab: AnyVocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> Self:
        """Return a network of parameters that are at hand."""
        network = cls.__new__(cls)
        network._settings = shape.to_config() | {"init": None, "seed": None}
        network._set(vocab, shape, parameters)
        return network

    @property
    def context_length(self) -> int:
        """How many tokens before the next one the model looks at."""
        return self._settings["context_length"]

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the network, those of its constructor, as JSON-able values."""
        return {name: value for name, value in self._settings.items() if value is not None}

    def num_parameters(self) -> int:
        """Return how many numbers the parameters are."""
        return self._shape_of().num_parameters

    def __repr__(self) -> str:
        """Show the settings and the number of parameters."""
        shown = [f"{name}={self._settings[name]}" for name in _SHOWN]
        shown += [f"{name}=True" for name in ("direct", "tie_weights") if self._settings[name]]
        size = "not fitted"
        if self._shape is not None:
            parameters = f"{self.num_parameters():,} parameters of {self._settings['dtype']}"
            size = f"V = {len(self.vocab):,}, {parameters}"
        return f"{type(self).__name__}({', '.join(shown)}; {size})"

    # What it has learned of tokens.

    @property
    def embeddings(self) -> Floats:
        """The embedding of each token, the rows of C: (V, m)."""
        return self.C

    def most_similar(self, token: str, k: int = 5) -> list[tuple[str, float]]:
        """Return the `k` tokens with the largest cosine similarity to a token, and the cosines.

        The cosine is that of the angle between two embeddings, 1 for the same direction. Raises
        `ValueError` for a token that is not in the vocabulary, or a `k` that is not from 1 to
        V - 1, `TypeError` where that is no int.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> model = NPLM(Vocab("abc"), embedding_dim=2)
        >>> model.C[:] = [[0, 1], [1, 0], [3, 4], [-1, 0]]
        >>> [(token, round(cosine, 6)) for token, cosine in model.most_similar("a", k=2)]
        [('b', 0.6), ('.', 0.0)]
        """
        vocab = self.vocab
        if not isinstance(token, str) or token not in vocab.stoi:
            raise ValueError(f"token is {shorten(token)}; expected one of the vocabulary's")
        k = whole("k", k, least=1, most=len(vocab) - 1)
        embeddings = self.C.astype(np.float64)
        lengths = np.linalg.norm(embeddings, axis=1)
        i = vocab.stoi[token]
        cosines = embeddings @ embeddings[i] / np.maximum(lengths * lengths[i], 1e-300)
        order = [int(j) for j in np.argsort(-cosines, kind="stable") if j != i]
        return [(vocab.itos[j], float(cosines[j])) for j in order[:k]]


_SHOWN = ("context_length", "embedding_dim", "hidden_dim")
