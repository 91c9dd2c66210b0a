"""A network with its parameters, and everything that is read off them."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from ...text import Vocab
from . import kernels
from .examples import checked_contexts, in_blocks
from .shape import Shape, initial

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from ..base import Examples

# Up to so many probabilities a table of all contexts is made: 16 MB. With 27 symbols, context 3
# takes some 20 ms, which pays from a few thousand samples on; context 4 takes 27 times as long,
# and a sample of usual size never sees most of it.
_TABLE_CELLS = 2**21


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
            raise AttributeError(f"{self._name}: the network has no direct connections")
        return network._parameters[self._name]

    def __set__(self, network: Any, value: object) -> NoReturn:
        name = self._name
        raise AttributeError(f"{name} cannot be replaced; set its numbers: model.{name}[...] = …")


class Network:
    """The part of `NPLM` that does not change anything: see there."""

    C = _Parameter("The features of each symbol: (V, m).")
    H = _Parameter("The weights of the hidden layer: (h, c·m).")
    d = _Parameter("The biases of the hidden layer: (h,).")
    U = _Parameter("The weights from the hidden layer to the logits: (V, h).")
    b = _Parameter("The biases of the logits: (V,).")
    W = _Parameter("The direct connections, where there are any: (V, c·m).")

    def __init__(
        self,
        vocab: Vocab,
        *,
        context: int = 3,
        embedding: int = 10,
        hidden: int = 200,
        direct: bool = False,
        init: Literal["scaled", "lecture"] = "scaled",
        seed: int = 0,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        """Draw the parameters."""
        if not isinstance(vocab, Vocab):
            raise TypeError(f"vocab is {vocab!r}; expected a Vocab, as Vocab.of(items) makes it")
        shape = Shape(len(vocab), context, embedding, hidden, direct, dtype)
        self._set(vocab, shape, initial(shape, init, seed))

    def _set(self, vocab: Vocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> None:
        self._vocab = vocab
        self._shape = shape
        self._parameters = parameters
        self._table: tuple[int, NDArray[np.float64]] | None = None

    @classmethod
    def _of(cls, vocab: Vocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> Self:
        """Make one of parameters that are at hand."""
        network = cls.__new__(cls)
        network._set(vocab, shape, parameters)
        return network

    # What it is made of.

    @property
    def vocab(self) -> Vocab:
        """The symbols, and the way from text to ids and back."""
        return self._vocab

    @property
    def context(self) -> int:
        """How many symbols before the next one the model looks at."""
        return self._shape.context

    @property
    def shape(self) -> Shape:
        """The sizes: `shape.embedding`, `shape.hidden`, `shape.direct`, `shape.dtype`."""
        return self._shape

    @property
    def size(self) -> int:
        """How many numbers the parameters are."""
        return self._shape.size

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Give the arrays themselves, by the names of the paper: C, H, d, U, b and, if any, W."""
        return dict(self._parameters)

    def copy(self) -> Self:
        """Give a model of its own with the same parameters."""
        parameters = {name: array.copy() for name, array in self._parameters.items()}
        return self._of(self._vocab, self._shape, parameters)

    def __repr__(self) -> str:
        """Tell the sizes."""
        shape = self._shape
        direct = ", direct=True" if shape.direct else ""
        return (
            f"{type(self).__name__}({shape.symbols} symbols, context={shape.context},"
            f" embedding={shape.embedding}, hidden={shape.hidden}{direct};"
            f" {self.size:,} parameters of {shape.dtype})"
        )

    # What it says of text.

    def loss(self, source: Examples, *, threads: int | None = None) -> float:
        """Give the mean negative log-likelihood of a text, in nats per symbol.

        The text is a source or a pair of arrays, as in `fit`. Raises `UnknownCharacterError` for a
        character that is not in the vocabulary.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> model = NPLM(Vocab("abc"))
        >>> round(model.loss(["cab", "bac"]), 1)  # ln 4, as nothing is known yet
        1.4
        """
        blocks = in_blocks(source, self._vocab, self.context, "source")
        losses, sizes = zip(
            *((kernels.loss(self._parameters, b, threads), len(b.targets)) for b in blocks),
            strict=True,
        )
        # A loss times its size and divided by it may be another number.
        return losses[0] if len(losses) == 1 else float(np.average(losses, weights=sizes))

    def perplexity(self, source: Examples, *, threads: int | None = None) -> float:
        """Give e to the power of the loss: as many equal choices would be as hard to guess."""
        loss = self.loss(source, threads=threads)
        # Of a loss above 709 the exponential is beyond what a float can hold.
        return math.exp(loss) if loss < 709 else math.inf

    def probabilities(self, context: str = "") -> NDArray[np.float64]:
        """Give the distribution of the symbol after `context`, the start of an item; shape (V,).

        Only the last symbols of `context` count, as many as the model looks at.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> chances = NPLM(Vocab("abc")).probabilities("ca")
        >>> chances.shape, round(float(chances.sum()), 6)
        ((4,), 1.0)
        """
        ids = np.zeros((1, self.context), dtype=np.uint32)
        last = self._vocab.encode(context)[-self.context :]
        ids[0, self.context - len(last) :] = last
        return kernels.probabilities(self._parameters, ids)[0]

    def probabilities_of(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of uint32 ids: (B, context) to (B, V)."""
        checked = checked_contexts(contexts, len(self._vocab), self.context, "contexts")
        return kernels.probabilities(self._parameters, checked)

    def table(self) -> NDArray[np.float64] | None:
        """Give the distributions after all contexts, or None where there are too many to pay.

        Read-only, of shape (V**context, V); the row's number is the context read as a number in
        base V, its first symbol the most significant. It is made once, about 20 ms for context 3
        and 27 symbols, and kept until a parameter changes. Beyond two million probabilities (16 MB)
        there is none.
        """
        rows = len(self._vocab) ** self.context
        if rows * len(self._vocab) > _TABLE_CELLS:
            return None
        checksum = self._checksum()
        if self._table is None or self._table[0] != checksum:
            table = kernels.probabilities(self._parameters, self._all_contexts(rows))
            table.flags.writeable = False
            self._table = checksum, table
        return self._table[1]

    # What it has learned of symbols.

    @property
    def embeddings(self) -> NDArray[Any]:
        """The features of each symbol, the rows of C: (V, m)."""
        return self._parameters["C"]

    def nearest(self, symbol: str, k: int = 5) -> list[tuple[str, float]]:
        """Give the `k` symbols whose features point most nearly the same way, nearest first.

        With each comes the cosine of the angle between its features and those of `symbol`, 1 for
        the same direction. `symbol` may be the boundary's. Raises `ValueError` where it is no
        symbol, or `k` is not from 1 to V - 1.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> model = NPLM(Vocab("abc"), embedding=2)
        >>> model.C[:] = [[0, 1], [1, 0], [3, 4], [-1, 0]]
        >>> [(symbol, round(cosine, 6)) for symbol, cosine in model.nearest("a", k=2)]
        [('b', 0.6), ('.', 0.0)]
        """
        symbols = self._vocab.symbols
        if symbol not in symbols:
            raise ValueError(f"symbol is {symbol!r}; expected one of the vocabulary's")
        if not 1 <= k < len(symbols):
            raise ValueError(f"k is {k!r}; expected at least 1 and less than {len(symbols)}")
        features = self._parameters["C"].astype(np.float64)
        lengths = np.linalg.norm(features, axis=1)
        i = symbols.index(symbol)
        cosines = features @ features[i] / np.maximum(lengths * lengths[i], 1e-300)
        order = [int(j) for j in np.argsort(-cosines, kind="stable") if j != i]
        return [(symbols[j], float(cosines[j])) for j in order[:k]]

    def _checksum(self) -> int:
        """Give a number that changes when a parameter does, even in place."""
        value = 0
        for array in self._parameters.values():
            value = zlib.crc32(array.data, value)
        return value

    def _all_contexts(self, rows: int) -> NDArray[np.uint32]:
        numbers = np.arange(rows, dtype=np.uint32)
        places = len(self._vocab) ** np.arange(self.context - 1, -1, -1, dtype=np.uint32)
        return numbers[:, None] // places % np.uint32(len(self._vocab))
