"""The model over characters as users see it: what it says of text, and samples."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._checks import shorten
from ...text import Vocab
from ...text.windows import encode_context
from . import kernels
from .examples import checked_contexts, in_blocks, prepare
from .learner import Learner
from .shape import Shape, initial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..base import Examples
    from .examples import Prepared

# Up to so many probabilities a table of all contexts is made: 16 MB. With 27 symbols, context 3
# takes some 20 ms, which pays from a few thousand samples on; context 4 takes 27 times as long,
# and a sample of usual size never sees most of it.
_TABLE_CELLS = 2**21


class NPLM(Learner[Vocab]):
    """A neural probabilistic language model over characters.

    Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model" (JMLR 3, 2003),
    as the lecture "makemore, part 2" builds it: the symbol after a context has the logits

        y = b + W·x + U·tanh(d + H·x),       x the rows of C of the context's symbols, side by side

    With V symbols, c of them as `context`, m the `embedding` and h the `hidden` units, the
    parameters are C (V, m), H (h, c·m), d (h,), U (V, h), b (V,) and, where `direct` asks for the
    direct connections, W (V, c·m). They are numpy arrays of `dtype`, attributes under these names,
    trained in place.

    `init` is "scaled" (H by (5/3)/sqrt(c·m), U and W small, biases 0: the first loss is about ln
    V), "lecture" (everything standard normal), or "small" (see `WordNPLM`). `seed` gives the same
    network on every machine.

    Raises `TypeError` or `ValueError` naming the argument.

    >>> from fastgrad.models.nplm import NPLM
    >>> from fastgrad.text import Vocab
    >>> NPLM(Vocab("abcdefghijklmnopqrstuvwxyz")).size
    11897
    >>> names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
    >>> model = NPLM(Vocab.from_texts(names), hidden_dim=20)
    >>> history = model.fit(names, steps=300, lr=0.1, batch_size=8)
    >>> round(float(history.loss[0]), 1), model.loss(names) < 1.0
    (2.4, True)
    >>> model.sample(2, seed=1) == model.sample(2, seed=1)
    True
    """

    kind = "nplm"
    _batch = 32

    def __init__(
        self,
        vocab: Vocab,
        *,
        context: int = 3,
        embedding: int = 10,
        hidden: int = 200,
        direct: bool = False,
        tied: bool = False,
        init: Literal["scaled", "lecture", "small"] = "scaled",
        seed: int = 0,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        """Draw the parameters."""
        if not isinstance(vocab, Vocab):
            raise TypeError(
                f"vocab is {shorten(vocab)}; expected a Vocab, as Vocab.from_texts(items) makes it"
            )
        shape = Shape(len(vocab), context, embedding, hidden, direct, dtype, tied)
        self._set(vocab, shape, initial(shape, init, seed))

    def _set(self, vocab: Vocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> None:
        super()._set(vocab, shape, parameters)
        self._table: tuple[int, NDArray[np.float64]] | None = None

    def _examples(self, source: Examples, name: str) -> Prepared:
        return prepare(source, self._vocab, self.context_length, name)

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
        blocks = in_blocks(source, self._vocab, self.context_length, "source")
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

        Only the last symbols of `context` count, as many as the model looks at. Boundaries in
        front, written as `vocab.eos_token`, change nothing: "..a" is "a".

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> model = NPLM(Vocab("abc"))
        >>> chances = model.next_probs("ca")
        >>> chances.shape, round(float(chances.sum()), 6)
        ((4,), 1.0)
        >>> bool((model.next_probs(".ca") == chances).all())
        True
        """
        ids = encode_context(context, self._vocab, self.context_length)
        return kernels.probabilities(self._parameters, ids[None])[0]

    def next_probs(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Give the distributions after many contexts of uint32 ids: (B, context) to (B, V)."""
        checked = checked_contexts(contexts, len(self._vocab), self.context_length, "contexts")
        return kernels.probabilities(self._parameters, checked)

    def table(self) -> NDArray[np.float64] | None:
        """Give the distributions after all contexts, or None where there are too many to pay.

        Read-only, of shape (V**context, V); the row's number is the context read as a number in
        base V, its first symbol the most significant. It is made once, about 20 ms for context 3
        and 27 symbols, and kept until a parameter changes. Beyond two million probabilities (16 MB)
        there is none.
        """
        rows = len(self._vocab) ** self.context_length
        if rows * len(self._vocab) > _TABLE_CELLS:
            return None
        checksum = self._checksum()
        if self._table is None or self._table[0] != checksum:
            table = kernels.probabilities(self._parameters, self._all_contexts(rows))
            table.flags.writeable = False
            self._table = checksum, table
        return self._table[1]

    def sample(self, n: int = 10, **options: Any) -> list[str]:
        """Make up `n` items; the options are those of `fastgrad.sampling.sample`.

        Short contexts go through `table`, more than a million names a second once it is made;
        where there is none, batches go through the network, about ten times as slow.
        """
        from ...sampling import sample

        return sample(self, n, **options)

    def _checksum(self) -> int:
        """Give a number that changes when a parameter does, even in place."""
        value = 0
        for array in self._parameters.values():
            value = zlib.crc32(array.data, value)
        return value

    def _all_contexts(self, rows: int) -> NDArray[np.uint32]:
        numbers = np.arange(rows, dtype=np.uint32)
        places = len(self._vocab) ** np.arange(self.context_length - 1, -1, -1, dtype=np.uint32)
        return numbers[:, None] // places % np.uint32(len(self._vocab))
