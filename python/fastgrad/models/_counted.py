"""N-gram models of words whose table is in the core, counted and estimated by `fit`."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..base import NotFittedError
from ..text import WordText, WordVocab
from ._model import log_of
from .saving import read_note, vocab_of, vocab_parts
from .word_model import WordModel, check_word_vocab

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from .word_model import WordTexts


class CountedModel(WordModel["WordTexts"]):
    """A model that counts a text of words, which it keeps for `save`."""

    def __init__(self, vocab: WordVocab | None, sentences: bool) -> None:
        """Keep what is known before `fit`."""
        check_word_vocab(vocab)
        self._given = self._vocab = vocab
        self.sentences = bool(sentences)
        self._texts: dict[str, WordText] = {}
        self._core_table: _core.KneserNeyTable | _core.InterpolatedTable | None = None

    @property
    def _table(self) -> Any:
        if self._core_table is None:
            raise NotFittedError(f"this {type(self).__name__} has no counts yet; call fit first")
        return self._core_table

    def _eos(self, text: WordText) -> int | None:
        """Return the id that ends each sentence, or None where the text is to run on."""
        if not self.sentences:
            return None
        if text.vocab.eos is None:
            raise ValueError(
                "sentences is True, but the text has no end tokens; expected one of"
                " read_words(..., eos='line')"
            )
        return 1

    def _distributions(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        return self._table.distributions(contexts)

    def token_log_probs(self, texts: WordTexts) -> NDArray[np.float64]:
        """Return the natural logarithm of the probability of each token of a text: (T,).

        A part of a `WordText` goes on from the tokens before it; any other text begins at its
        first token. Raises `ValueError` for a `WordText` of another vocabulary.
        """
        return log_of(self._table.score(*self._text(texts)))

    @abstractmethod
    def _fit(self) -> None:
        """Count and estimate from the texts that are kept."""

    def _to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the settings and the texts, which `_from_parts` counts again."""
        _ = self._table
        vocab, tensors = vocab_parts(self.vocab)
        for name, text in self._texts.items():
            before = text.before(self.context_length)
            tensors |= {f"{name}.before": np.array(before), f"{name}.ids": np.array(text.ids)}
        return tensors, {"vocab": vocab, "settings": self.config}

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        model = cls(**config["settings"])
        vocab = vocab_of(config["vocab"], tensors)
        for name in ("train", "dev"):
            if f"{name}.ids" in tensors:
                before = tensors[f"{name}.before"]
                whole = WordText(vocab, np.concatenate([before, tensors[f"{name}.ids"]]))
                model._texts[name] = whole.split(len(before))[1] if len(before) else whole
        model._vocab = vocab
        model._fit()
        model.note = read_note(config)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy by the texts, which are counted again."""
        return {name: value for name, value in vars(self).items() if name != "_core_table"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle."""
        vars(self).update(state)
        self._core_table = None
        if self._texts:
            self._fit()
