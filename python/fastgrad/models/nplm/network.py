"""A network with its parameters, and what it has learned of tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, overload

import numpy as np

from ..._checks import shorten, whole
from ..._hints import hint_names, needs
from ..._tables import Table
from ...base import AnyTexts, NotFittedError
from .._model import AnyVocab, Model
from . import kernels
from .examples import checked_contexts, checked_examples

if TYPE_CHECKING:
    from typing import Never, Self, TypeAlias

    from numpy.typing import NDArray

    from ...base import Ids
    from .shape import Shape

    Floats: TypeAlias = NDArray[np.floating[Any]]

# Messages for a parameter that a network is made without.
_HOW = "make them by X, Y = fastgrad.text.build_dataset(texts, model.vocab, context_length=...)"
_WITHOUT = {
    "W": "the network has no direct connections",
    "U": "the weights are tied; C·P is in the place of U",
    "P": "the weights are not tied; there is U",
}


class Activations(NamedTuple):
    """The outputs of the layers of a network for B contexts, a row each."""

    embedding: Floats
    """x, the rows of C of the context's tokens side by side: (B, c·m)."""
    hidden: Floats
    """a = tanh(d + H·x): (B, h)."""
    logits: Floats
    """y, whose softmax are the probabilities: (B, V)."""


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
        """The number of tokens before the next one that the model looks at."""
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

    # Inside the network.

    def summary(self) -> Table:
        """Return the layers with what they compute, their arrays, shapes and sizes, as a table.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> NPLM(Vocab("abc"), context_length=3, embedding_dim=2, hidden_dim=5).summary()
        NPLM: V = 4 tokens, contexts of 3, float32
        layer      computes           array  shape   parameters
        embedding  x = rows of C      C      (4, 2)           8
        hidden     a = tanh(d + H·x)  H      (5, 6)          30
                                      d      (5,)             5
        output     y = b + U·a        U      (4, 5)          20
                                      b      (4,)             4
        total                                                67
        """
        shape = self._shape_of()
        output = "C·(P·a)" if shape.tie_weights else "U·a"
        layers = {
            "C": ("embedding", "x = rows of C"),
            "H": ("hidden", "a = tanh(d + H·x)"),
            "P" if shape.tie_weights else "U": (
                "output",
                f"y = b + W·x + {output}" if shape.direct else f"y = b + {output}",
            ),
        }
        rows = [
            (*layers.get(name, ("", "")), name, str(sizes), f"{math.prod(sizes):,}")
            for name, sizes in shape.shapes.items()
        ]
        title = (
            f"{type(self).__name__}: V = {shape.vocab_size:,} tokens, contexts of"
            f" {shape.context_length}, {shape.dtype}"
        )
        columns = ("layer", "computes", "array", "shape", "parameters")
        total = ("total", "", "", "", f"{shape.num_parameters:,}")
        return Table(title, columns, [*rows, total], "<<<<>")

    @needs(_HOW)
    def forward(self, X: Ids) -> Activations:  # noqa: N803 - the lecture's name
        """Return what each layer makes of contexts: embedding, hidden layer and logits.

        `X` are ids (B, context_length) of any integer type, as `fastgrad.text.build_dataset` makes
        them; the arrays are of the model's `dtype`: `embedding` (B, c·m), `hidden` (B, h) after
        tanh, `logits` (B, V). There is no dropout.

        Raises `TypeError` or `ValueError` for what are no such ids.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab, build_dataset
        >>> model = NPLM(Vocab("abc"), context_length=3, embedding_dim=2, hidden_dim=5)
        >>> X, Y = build_dataset(["cab"], model.vocab, context_length=3)
        >>> x, a, y = model.forward(X)
        >>> x.shape, a.shape, y.shape
        ((4, 6), (4, 5), (4, 4))
        """
        size = self._shape_of().vocab_size
        contexts = checked_contexts(X, size, self.context_length, "X")
        return Activations(*kernels.forward(self._parameters, contexts))

    @needs(_HOW)
    def gradients(
        self,
        X: Ids,  # noqa: N803 - the lecture's names
        Y: Ids,  # noqa: N803
    ) -> dict[str, Floats]:
        """Return the gradient of the mean loss of a batch with respect to each parameter.

        `X` are the contexts, ids (B, context_length), and `Y` the ids that follow them, (B,), as
        `fastgrad.text.build_dataset` makes them. The gradients are arrays of the parameters' shapes
        and dtype by their names in the paper, those that a step without dropout and weight decay
        uses.

        Raises `TypeError` or `ValueError` for what are no such ids, or for none.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab, build_dataset
        >>> model = NPLM(Vocab("abc"), context_length=3, embedding_dim=2, hidden_dim=5)
        >>> X, Y = build_dataset(["cab"], model.vocab, context_length=3)
        >>> {name: gradient.shape for name, gradient in model.gradients(X, Y).items()}
        {'C': (4, 2), 'H': (5, 6), 'd': (5,), 'U': (4, 5), 'b': (4,)}
        """
        size = self._shape_of().vocab_size
        examples = checked_examples(X, Y, size, self.context_length, ("X", "Y"))
        if not len(examples.targets):
            raise ValueError("X and Y are empty; expected at least one example")
        return kernels.gradients(self._parameters, examples)

    # The embeddings.

    @property
    def embeddings(self) -> Floats:
        """The embedding of each token, the rows of C: (V, m)."""
        return self.C

    @hint_names(topn="k", top_n="k", n="k")
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
