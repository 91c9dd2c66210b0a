"""The members that all language models of the package have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from .. import _checks, _display
from .._checks import shorten
from .._hints import hint_names, no_attribute
from .._tables import Table
from ..base import AnyTexts, NotFittedError
from ..text import Vocab, WordVocab
from ..text.dataset import contexts_before
from .explanation import Explanation
from .saving import read_model, write_model

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    from ..training import History
    from .saving import Note

AnyVocab = TypeVar("AnyVocab", Vocab, WordVocab)

# Members as they are called elsewhere, and here.
_MEANT = {
    "probabilities": "next_probs",
    "probabilities_of": "next_probs",
    "predict": "next_probs",
    "predict_proba": "next_probs",
    "predict_log_proba": "next_probs",
    "forward": "next_probs",
    "token_probabilities": "token_log_probs",
    "log_probability": "log_prob",
    "logprob": "log_prob",
    "score": "loss or log_prob",
    "nll": "loss",
    "evaluate": "loss",
    "generate": "sample",
    "train": "fit",
    "start": "fit",
    "size": "num_parameters()",
    "parameters": "num_parameters(), or the arrays by name: W, or C, H, d, U, b",
    "get_params": "config",
    "shape": "config",
    "context": "context_length",
    "nearest": "most_similar",
    "W1": "H, whose rows are the columns of W1",
    "b1": "d",
    "W2": "U, whose rows are the columns of W2",
    "b2": "b",
    "weights": "W",
    "weight": "W",
    "lambdas": "weights",
    "embedding": "C",
    "probs": "next_probs",
    "logits": "next_probs and its logarithm, or forward(X).logits of an NPLM",
    "activations": "forward(X) of an NPLM",
    "gradients": "gradients(X, Y) of an NPLM",
    "grad": "gradients(X, Y) of an NPLM",
    "grads": "gradients(X, Y) of an NPLM",
    "backward": "gradients(X, Y) of an NPLM",
    "logscore": "log_prob",
    "letter_losses": "explain",
    "loss_by_token": "explain",
    "losses": "history.loss, or token_log_probs",
    "lossi": "history.loss",
    "prob": "next_probs",
    "predict_next": "next_probs",
    "nll_loss": "loss",
    "cross_entropy": "loss",
    "entropy": "loss, in nats per token",
    "vocabulary": "vocab",
    "stoi": "vocab.stoi",
    "itos": "vocab.itos",
    "chars": "vocab.itos",
    "vocab_size": "len(model.vocab)",
    "most_common": "counts.most_common",
    "to": "threads; models train on the processor",
    "cuda": "threads; models train on the processor",
    "train_loss": "history.loss",
    "val_loss": "history.dev_loss",
    "dev_loss": "history.dev_loss",
    "similarity": "most_similar",
    "similar_words": "most_similar",
    "wv": "embeddings and most_similar",
    "get_embeddings": "embeddings",
    "hidden": "forward(X).hidden of an NPLM",
    "unmasked_score": "log_prob",
    "N": "counts.N",
    "plot": "the functions of fastgrad.plots",
    "num_params": "num_parameters()",
    "n_params": "num_parameters()",
    "block_size": "context_length",
    "state_dict": "save and load",
    "load_state_dict": "save and load",
    "save_pretrained": "save",
    "from_pretrained": "load",
    "eval": "loss; a model has no modes",
    "unigram": "counts",
}


class Model(ABC, Generic[AnyVocab, AnyTexts]):
    """A language model: what it says of contexts and texts, and how it is sampled and kept."""

    kind: ClassVar[str]
    """The name of this kind of model in files."""
    kinds: ClassVar[dict[str, type[Model[Any]]]] = {}
    """The classes of all kinds."""
    _vocab: AnyVocab | None
    note: Note | None = None
    """JSON-able values about where the model came from, saved with it; or None."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the class of a kind."""
        super().__init_subclass__(**options)
        if "kind" in vars(cls):
            Model.kinds[cls.kind] = cls

    @property
    def vocab(self) -> AnyVocab:
        """The tokens, and the way from text to ids and back; `fit` takes them from its text.

        Raises `NotFittedError` before `fit`, unless the model was given a vocabulary.
        """
        if self._vocab is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no vocabulary yet; call fit first, or give it a"
                " vocab"
            )
        return self._vocab

    @property
    @abstractmethod
    def context_length(self) -> int:
        """The number of tokens before the next one that the model looks at."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The settings that the model was made with, as JSON-able values."""

    @property
    def history(self) -> History | None:
        """The losses of training, step by step; None for a model that is counted."""
        return None

    @abstractmethod
    def num_parameters(self) -> int:
        """Return how many numbers `fit` determines."""

    @abstractmethod
    def loss(self, texts: AnyTexts) -> float:
        """Return the mean negative log-likelihood of a text, in nats per token."""

    def perplexity(self, texts: AnyTexts) -> float:
        """Return e to the power of the loss: as many equal choices would be as hard to guess."""
        return perplexity_of(self.loss(texts))

    def next_probs(
        self, context: str | Sequence[str] | NDArray[np.integer[Any]] = ""
    ) -> NDArray[np.float64]:
        """Return the distribution of the next token after a context, (V,), or after many, (B, V).

        `context` is a str, the start of a text; a list of them; or ids, of any integer type: one
        context (K,) or many (B, K). Only its last `context_length` tokens count. The numbers are
        float64 and sum to 1, or are all 0 where a model without smoothing has never seen the
        context.

        Raises `UnknownCharacterError`, a `ValueError`, for a character that is not in the
        vocabulary, `ValueError` for an id that is not, and `NotFittedError` before `fit`.
        """
        if isinstance(context, str):
            return self._distributions(self._encode_context(context)[None])[0]
        if _is_texts(context):
            found = np.empty((len(context), len(self.vocab)))
            rows = [self._encode_context(text) for text in context]
            # Contexts of words are shorter at the start of a text: those of a length together.
            for width in set(map(len, rows)):
                places = [place for place, row in enumerate(rows) if len(row) == width]
                found[places] = self._distributions(np.stack([rows[place] for place in places]))
            return found
        expected = "a str, a list of str, or ids of shape (K,) or (B, K)"
        dims = _checks.array("context", context, expected).ndim
        if dims not in (1, 2):
            raise TypeError(f"context is {_checks.shorten(context)}; expected {expected}")
        ids = _checks.ids("context", context, len(self.vocab), dims=dims)
        if dims == 1:
            return self._distributions(self._last(ids[None]))[0]
        return self._distributions(self._last(ids))

    @abstractmethod
    def _distributions(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return the distributions after contexts of checked ids: (B, K) to (B, V)."""

    @abstractmethod
    def _encode_context(self, context: str) -> NDArray[np.uint32]:
        """Return the ids of the last tokens of the start of a text: (K,)."""

    def _last(self, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the last `context_length` columns of contexts, or all where there are fewer."""
        return np.ascontiguousarray(ids[:, max(ids.shape[1] - self.context_length, 0) :])

    @abstractmethod
    def token_log_probs(self, texts: Any) -> NDArray[np.float64]:
        """Return the natural logarithm of the probability of each token of a text: (T,)."""

    def log_prob(self, text: str) -> float:
        """Return the natural logarithm of the probability of one literal text, its end included.

        It is `-inf` where a token has probability 0.
        """
        return float(np.sum(self._text_log_probs(_checks.string("text", text))))

    @abstractmethod
    def _text_log_probs(self, text: str) -> NDArray[np.float64]:
        """Return the log-probability of each token of one literal text."""

    def explain(self, text: str, k: int = 3) -> Explanation:
        """Return the loss of one literal text token by token, as a table.

        Each row has a token, its probability after the tokens before it, its loss in nats, and the
        `k` most probable tokens in its place. The last token of an item of characters is its end.

        Raises `UnknownCharacterError` for a character that is not in the vocabulary, `ValueError`
        for a text without tokens, `NotFittedError` before `fit`.

        >>> from fastgrad.models import BigramModel
        >>> BigramModel(smoothing=0).fit(["emma", "ava"]).explain("ema", k=2)
        'ema': a loss of 0.4479 nats per token
        token  probability    loss  most probable
        e           0.5000  0.6931  a 0.50  e 0.50
        m           1.0000  0.0000  m 1.00
        a           0.5000  0.6931  a 0.50  m 0.50
        .           0.6667  0.4055  . 0.67  v 0.33
        mean                0.4479
        """
        k = _checks.whole("k", k)
        log_probs = self._text_log_probs(_checks.string("text", text))
        vocab = self.vocab
        if isinstance(vocab, Vocab):
            ids = np.append(vocab.encode(text), np.uint32(0))
            contexts = list(contexts_before(ids, self.context_length))
        else:
            ids = vocab.read(text.encode()).ids.astype(np.uint32)
            contexts = [ids[:place] for place in range(len(ids))]
        if not len(ids):
            raise ValueError(f"text is {_checks.shorten(text)}; expected at least one token")
        alternatives: list[list[tuple[str, float]]] = []
        for context in contexts:
            probs = self._distributions(self._last(context[None]))[0]
            best = np.argsort(-probs, kind="stable")[:k]
            alternatives.append([(vocab.itos[i], float(probs[i])) for i in best if probs[i] > 0])
        return Explanation(text, [vocab.itos[i] for i in ids], log_probs, alternatives)

    def table(self) -> NDArray[np.float64] | None:
        """Return the distributions after all contexts, or None where that would not pay."""
        return None

    def _sample(self, n: int, **settings: Any) -> list[str]:
        from ..sampling import sample

        return sample(self, n, **settings)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a checkpoint, exactly; see `fastgrad.checkpoint`.

        Where `path` is a folder, or ends in a separator, the file is `model.safetensors` in it;
        folders that are missing are made. Raises `NotFittedError` before `fit`, `OSError` where the
        file cannot be written.
        """
        write_model(path, self.kind, *self._to_parts(), self.note)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the model that `save` wrote.

        Raises `CheckpointError` for anything else, `OSError` where the file cannot be read.
        """
        return read_model(path, {cls.kind: cls._from_parts})

    @abstractmethod
    def _to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and JSON-able values, from which `_from_parts` makes the model again."""

    @classmethod
    @abstractmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Any:
        """Return the model of its parts; raise for what are none."""

    def _repr_html_(self) -> str:
        """Show the model in a notebook: its settings, and what it has learned or how."""
        return _display.stacked(self, [self._table_of_settings()._repr_html_(), *self._pictures()])

    def _table_of_settings(self) -> Table:
        try:
            parameters = f"{self.num_parameters():,}"
        except NotFittedError:
            parameters = "not fitted"
        rows = [(name, shorten(value)) for name, value in self.config.items()]
        return Table("settings", ("name", "value"), [*rows, ("num_parameters", parameters)], "<<")

    def _pictures(self) -> list[str]:
        return [] if self.history is None else [self.history._curves()]

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            # A property that raises, such as with NotFittedError, leads here: ask it again.
            if hasattr(member := getattr(type(self), name, None), "__get__"):
                return member.__get__(self, type(self))
            raise no_attribute(self, name, _MEANT)


class CharacterModel(Model[Vocab, AnyTexts]):
    """A model of items of characters, each ended by the end-of-sequence token."""

    @hint_names(context="prompt", greedy="temperature=0")
    def sample(
        self,
        n: int = 10,
        *,
        seed: int | None = 0,
        prompt: str = "",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        max_length: int = 100,
        offset: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> list[str]:
        """Return `n` items drawn from the model; see `fastgrad.sampling.sample`."""
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
        )

    def _text_log_probs(self, text: str) -> NDArray[np.float64]:
        targets = np.append(self.vocab.encode(text), np.uint32(0))
        return self._log_probs(contexts_before(targets, self.context_length), targets)

    @abstractmethod
    def _log_probs(
        self, contexts: NDArray[np.uint32], targets: NDArray[np.uint32]
    ) -> NDArray[np.float64]:
        """Return the log-probability of each token after its context."""


def perplexity_of(loss: float) -> float:
    """Return e**loss, infinite where no float can hold it."""
    return math.exp(loss) if loss < 709 else math.inf


def mean_loss(log_probs: NDArray[np.float64]) -> float:
    """Return the mean negative log-probability: inf where one is -inf, never -0.0."""
    return float(-np.mean(log_probs)) + 0.0


def log_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return natural logarithms, -inf for 0."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def _is_texts(context: Sequence[str] | NDArray[np.integer[Any]]) -> bool:
    """Return whether contexts are given as a list of str."""
    return isinstance(context, (list, tuple)) and all(isinstance(text, str) for text in context)
