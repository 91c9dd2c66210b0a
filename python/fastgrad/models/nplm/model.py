"""The network over characters: what it computes, and how it reads text."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._checks import shorten
from ..._defaults import CHARACTERS
from ..._hints import hint_names
from ...text import Vocab, read_lines
from ...text.dataset import encode_context
from .._model import CharacterModel
from .._table import check_width
from . import kernels
from .examples import Prepared, in_blocks, is_pair, prepare
from .learner import IN_FIT, Learner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .examples import CharacterTexts
    from .shape import Shape

# Up to so many probabilities a table of all contexts is made: 16 MB. With 27 tokens, context 3
# takes some 20 ms, which pays from a few thousand samples on; context 4 takes 27 times as long,
# and a sample of usual size never sees most of it.
_TABLE_CELLS = 2**21


class NPLM(Learner[Vocab, "CharacterTexts"], CharacterModel["CharacterTexts"]):
    """A neural probabilistic language model over characters.

    Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model" (JMLR 3, 2003),
    as the lecture "makemore, part 2" builds it: the token after a context has the logits

        y = b + W·x + U·tanh(d + H·x),       x the rows of C of the context's tokens, side by side

    With V tokens, c the `context_length`, m the `embedding_dim` and h the `hidden_dim`, the
    parameters are C (V, m), H (h, c·m), d (h,), U (V, h), b (V,) and, where `direct` asks for the
    direct connections, W (V, c·m). With `tie_weights` U is C·P (Press & Wolf, "Using the output
    embedding to improve language models", 2017), P (m, h). They are numpy arrays of `dtype`,
    attributes under these names, trained in place.

    `init` is "scaled" (H by (5/3)/sqrt(c·m), U and W small, biases 0: the first loss is about ln
    V), "normal" (everything standard normal, as the lecture begins), or "small" (see `WordNPLM`).
    `seed` gives the same network on every machine. `vocab` is the vocabulary; where it is None,
    `fit` takes that of its text, and draws the parameters then.

    Raises `TypeError` or `ValueError` naming the argument.

    >>> from fastgrad.models import NPLM
    >>> from fastgrad.text import Vocab
    >>> model = NPLM(context_length=3, embedding_dim=10, hidden_dim=200)
    >>> model
    NPLM(context_length=3, embedding_dim=10, hidden_dim=200; not fitted)
    >>> NPLM(Vocab("abcdefghijklmnopqrstuvwxyz"), **model.config).num_parameters()
    11897
    >>> names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
    >>> model = model.fit(names, steps=300, lr=0.1, batch_size=8)
    >>> round(float(model.history.loss[0]), 1), model.loss(names) < 1.0
    (2.4, True)
    >>> model.sample(2, seed=1) == model.sample(2, seed=1)
    True
    """

    kind = "nplm"
    _defaults = CHARACTERS
    _schedule = "cosine"

    @hint_names(vocab_size="vocab, a Vocab, or let fit take that of its text", **IN_FIT)
    def __init__(
        self,
        vocab: Vocab | None = None,
        *,
        context_length: int = CHARACTERS.context_length,
        embedding_dim: int = CHARACTERS.embedding_dim,
        hidden_dim: int = CHARACTERS.hidden_dim,
        direct: bool = False,
        tie_weights: bool = CHARACTERS.tie_weights,
        init: Literal["scaled", "normal", "small"] = CHARACTERS.init,
        seed: int = 0,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        """Check the settings, and draw the parameters if there is a vocabulary."""
        if vocab is not None and not isinstance(vocab, Vocab):
            raise TypeError(
                f"vocab is {shorten(vocab)}; expected a Vocab, as Vocab.from_texts makes it"
            )
        settings = {
            "context_length": context_length,
            "embedding_dim": embedding_dim,
            "hidden_dim": hidden_dim,
            "direct": direct,
            "tie_weights": tie_weights,
            "init": init,
            "seed": seed,
            "dtype": dtype,
        }
        self._settle(vocab, settings)

    def _set(self, vocab: Vocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> None:
        super()._set(vocab, shape, parameters)
        self._table: tuple[int, NDArray[np.float64]] | None = None

    def _read(self, train: CharacterTexts, dev: CharacterTexts | None) -> tuple[Vocab, Any, Any]:
        if is_pair(train):
            raise ValueError("train holds ids, but the model has no vocabulary; give it a vocab")
        lines = read_lines(train)
        if dev is None or is_pair(dev):
            return Vocab.from_texts(lines), lines, dev
        dev_lines = read_lines(dev)
        # As the lecture takes it, of all names: dev may have a character that train has not.
        return Vocab.from_texts([*lines, *dev_lines]), lines, dev_lines

    def _examples(self, texts: CharacterTexts, name: str) -> Prepared:
        return prepare(texts, self.vocab, self.context_length, name)

    def _encode_context(self, context: str) -> NDArray[np.uint32]:
        return encode_context(context, self.vocab, self.context_length)

    def _distributions(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        check_width(contexts, self.context_length)
        return kernels.probabilities(self._parameters, contexts)

    def loss(self, texts: CharacterTexts, *, threads: int | None = None) -> float:
        """Return the mean negative log-likelihood of a text, in nats per token.

        `texts` is a file's name, bytes, an iterable of str, or a pair of arrays as in `fit`. Raises
        `UnknownCharacterError` for a character that is not in the vocabulary.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> model = NPLM(Vocab("abc"))
        >>> round(model.loss(["cab", "bac"]), 1)  # ln 4, as nothing is known yet
        1.4
        """
        blocks = in_blocks(texts, self.vocab, self.context_length, "texts")
        losses, sizes = zip(
            *((kernels.loss(self._parameters, b, threads), len(b.targets)) for b in blocks),
            strict=True,
        )
        # A loss times its size and divided by it may be another number.
        return losses[0] if len(losses) == 1 else float(np.average(losses, weights=sizes))

    def token_log_probs(
        self, texts: CharacterTexts, *, threads: int | None = None
    ) -> NDArray[np.float64]:
        """Return the natural logarithm of the probability of each token of a text: (T,).

        The tokens are the characters of each item and its end.
        """
        blocks = in_blocks(texts, self.vocab, self.context_length, "texts")
        return -np.concatenate([kernels.losses(self._parameters, b, threads) for b in blocks])

    def _log_probs(
        self, contexts: NDArray[np.uint32], targets: NDArray[np.uint32]
    ) -> NDArray[np.float64]:
        return -kernels.losses(self._parameters, Prepared(contexts, targets), None)

    def table(self) -> NDArray[np.float64] | None:
        """Return the distributions after all contexts, or None where there are too many to pay.

        Read-only, of shape (V**context_length, V); the row's number is the context read as a number
        in base V, its first token the most significant. It is made once, about 20 ms for context 3
        and 27 tokens, and kept until a parameter changes. Beyond two million probabilities (16 MB)
        there is none.
        """
        size = len(self.vocab)
        rows = size**self.context_length
        if rows * size > _TABLE_CELLS:
            return None
        checksum = self._checksum()
        if self._table is None or self._table[0] != checksum:
            table = kernels.probabilities(self._parameters, self._all_contexts(rows))
            table.flags.writeable = False
            self._table = checksum, table
        return self._table[1]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle."""
        vars(self).update(state)
        self._table = None

    def _checksum(self) -> int:
        """Return a number that changes when a parameter does, even in place."""
        value = 0
        for array in self._parameters.values():
            value = zlib.crc32(array.data, value)
        return value

    def _all_contexts(self, rows: int) -> NDArray[np.uint32]:
        numbers = np.arange(rows, dtype=np.uint32)
        places = len(self.vocab) ** np.arange(self.context_length - 1, -1, -1, dtype=np.uint32)
        return numbers[:, None] // places % np.uint32(len(self.vocab))
