"""A network with its parameters, over whatever symbols, and what it has learned of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import numpy as np

from ..._checks import shorten, whole

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from ...text import Vocab
    from ...words import WordVocab
    from .shape import Shape

AnyVocab = TypeVar("AnyVocab", bound="Vocab | WordVocab")

# What to say of a parameter that a network is made without.
_WITHOUT = {
    "W": "the network has no direct connections",
    "U": "the network is tied; it has C·P in place of U",
    "P": "the network is not tied; it has U",
}


class _Parameter:
    """An array of the network under its name in the paper."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, network: Any, owner: type | None = None) -> Any:
        if network is None:
            return self
        if self._name not in network._parameters:
            raise AttributeError(f"{self._name}: {_WITHOUT[self._name]}")
        return network._parameters[self._name]

    def __set__(self, network: Any, value: object) -> NoReturn:
        name = self._name
        raise AttributeError(f"{name} cannot be replaced; set its numbers: model.{name}[...] = …")


class Network(Generic[AnyVocab]):
    """The part of a model that does not change anything; see `NPLM` for what it computes."""

    C = _Parameter("The features of each symbol: (V, m).")
    H = _Parameter("The weights of the hidden layer: (h, c·m).")
    d = _Parameter("The biases of the hidden layer: (h,).")
    U = _Parameter("The weights from the hidden layer to the logits: (V, h); not where tied.")
    P = _Parameter("Of a tied network, the way from the hidden layer to features: (m, h).")
    b = _Parameter("The biases of the logits: (V,).")
    W = _Parameter("The direct connections, where there are any: (V, c·m).")

    # What messages call its symbols.
    _unit = "symbols"

    def _set(self, vocab: AnyVocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> None:
        self._vocab = vocab
        self._shape = shape
        self._parameters = parameters

    @classmethod
    def _of(cls, vocab: AnyVocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> Self:
        """Make one of parameters that are at hand."""
        network = cls.__new__(cls)
        network._set(vocab, shape, parameters)
        return network

    # What it is made of.

    @property
    def vocab(self) -> AnyVocab:
        """The symbols, and the way from text to ids and back."""
        return self._vocab

    @property
    def context(self) -> int:
        """How many symbols before the next one the model looks at."""
        return self._shape.context_length

    @property
    def shape(self) -> Shape:
        """The sizes: `shape.embedding`, `shape.hidden`, `shape.dtype` and so on."""
        return self._shape

    @property
    def size(self) -> int:
        """How many numbers the parameters are."""
        return self._shape.size

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Give the arrays themselves, by the names of the paper: C, H, d, U or P, b, perhaps W."""
        return dict(self._parameters)

    def copy(self) -> Self:
        """Give a model of its own with the same parameters."""
        parameters = {name: array.copy() for name, array in self._parameters.items()}
        return self._of(self._vocab, self._shape, parameters)

    def __repr__(self) -> str:
        """Tell the sizes."""
        shape = self._shape
        options = "".join(f", {name}=True" for name in ("direct", "tied") if getattr(shape, name))
        return (
            f"{type(self).__name__}({shape.vocab_size:,} {self._unit}, context_length={shape.context_length},"
            f" embedding_dim={shape.embedding}, hidden_dim={shape.hidden}{options};"
            f" {self.size:,} parameters of {shape.dtype})"
        )

    # What it has learned of symbols.

    @property
    def embeddings(self) -> NDArray[Any]:
        """The features of each symbol, the rows of C: (V, m)."""
        return self._parameters["C"]

    def nearest(self, symbol: str, k: int = 5) -> list[tuple[str, float]]:
        """Give the `k` symbols whose features point most nearly the same way, nearest first.

        With each comes the cosine of the angle between its features and those of `symbol`, 1 for
        the same direction. `symbol` may be the boundary's. Raises `ValueError` where it is no
        symbol, or `k` is not from 1 to V - 1, `TypeError` where that is no int.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> model = NPLM(Vocab("abc"), embedding_dim=2)
        >>> model.C[:] = [[0, 1], [1, 0], [3, 4], [-1, 0]]
        >>> [(symbol, round(cosine, 6)) for symbol, cosine in model.most_similar("a", k=2)]
        [('b', 0.6), ('.', 0.0)]
        """
        symbols = self._vocab.itos
        if symbol not in symbols:
            raise ValueError(f"symbol is {shorten(symbol)}; expected one of the vocabulary's")
        k = whole("k", k, least=1, most=len(symbols) - 1)
        features = self._parameters["C"].astype(np.float64)
        lengths = np.linalg.norm(features, axis=1)
        i = symbols.index(symbol)
        cosines = features @ features[i] / np.maximum(lengths * lengths[i], 1e-300)
        order = [int(j) for j in np.argsort(-cosines, kind="stable") if j != i]
        return [(symbols[j], float(cosines[j])) for j in order[:k]]
