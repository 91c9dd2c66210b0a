"""The base of language models of words, which read running text, without items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._checks import shorten
from .._defaults import WORD_TEXTS
from .._hints import hint_names
from ..base import AnyTexts
from ..text import WordText, WordVocab, read_words
from ..text.word_reading import check_surrogates
from ._model import Model, mean_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import TypeIs

    from ..base import Ids
    from ..text import Source

    # Ids as they are, or a text that is read with the model's vocabulary.
    WordTexts: TypeAlias = WordText | Ids | Source


class WordModel(Model[WordVocab, AnyTexts]):
    """A distribution of the next word, given the words before it, whatever line they are on.

    Where a text begins, contexts are shorter. A text is a `WordText`, an array of ids, or a file's
    name, bytes or an iterable of str, which are read with the model's vocabulary; a part of a
    `WordText` goes on from the words before it.
    """

    def loss(self, texts: AnyTexts) -> float:
        """Return the mean negative log-likelihood of a text, in nats per token, ends included.

        It is `inf` where a token has probability 0; it is never nan. Raises `ValueError` for a
        `WordText` of another vocabulary.
        """
        return mean_loss(self.token_log_probs(texts))

    @hint_names(rare="unk", context="prompt", greedy="temperature=0")
    def sample(
        self,
        n: int = 10,
        *,
        seed: int | None = 0,
        prompt: str = "",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        max_length: int = 50,
        offset: int = 0,
        threads: int | None = None,
        progress: bool = False,
        unk: bool = False,
    ) -> list[str]:
        """Return `n` texts drawn from the model; see `fastgrad.sampling.sample`."""
        return self._sample(
            n,
            seed=seed,
            prompt=prompt,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            max_length=max_length,
            offset=offset,
            threads=threads,
            progress=progress,
            unk=unk,
        )

    def _text_log_probs(self, text: str) -> NDArray[np.float64]:
        check_surrogates("text", text)
        return self.token_log_probs(text.encode())

    def _encode_context(self, context: str) -> NDArray[np.uint32]:
        ids = self.vocab.encode(context)
        return ids[max(len(ids) - self.context_length, 0) :]

    def _text(self, texts: WordTexts) -> tuple[NDArray[Any], int]:
        """Return ids for the core, and the place among them where the text begins."""
        text = text_of(texts, self.vocab)
        before = text.before(self.context_length)
        if len(before):
            return np.concatenate([before, text.ids]), len(before)
        return text.ids, 0


def text_of(texts: WordTexts, vocab: WordVocab, name: str = "texts") -> WordText:
    """Return a text as ids of a vocabulary, whatever it comes as."""
    if isinstance(texts, WordText):
        if texts.vocab != vocab:
            raise ValueError(
                f"{name} is of {shorten(texts.vocab)}; expected the model's, {shorten(vocab)}"
            )
        return texts
    return WordText(vocab, texts) if _is_array(texts) else vocab.read(texts)


def _is_array(texts: WordTexts) -> TypeIs[Ids]:
    return isinstance(texts, np.ndarray)


def text_to_learn(texts: WordTexts, vocab: WordVocab | None, name: str = "train") -> WordText:
    """Return a training text as ids: of a vocabulary that is given, or of one that it decides.

    A text is read for a vocabulary as the command line reads it, see `fastgrad.text.read_words`.
    """
    if vocab is not None:
        return text_of(texts, vocab, name)
    if isinstance(texts, WordText):
        return texts
    if isinstance(texts, (np.ndarray, tuple)):
        raise ValueError(f"{name} holds ids, but the model has no vocabulary; give it a vocab")
    return read_words(
        texts,
        vocab_size=WORD_TEXTS.vocab_size,
        min_count=WORD_TEXTS.min_count,
        tokenizer=WORD_TEXTS.tokenizer,
        eos=WORD_TEXTS.eos,
    )


def check_word_vocab(vocab: object) -> None:
    """Raise `TypeError` for what is no vocabulary of words."""
    if vocab is not None and not isinstance(vocab, WordVocab):
        raise TypeError(f"vocab is {shorten(vocab)}; expected a WordVocab, as of `read_words`")
