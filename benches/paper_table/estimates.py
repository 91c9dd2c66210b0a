"""What every model says of every token, once and for all.

A mixture is a mean of probabilities, so the probabilities of the tokens are all that its
perplexity takes. Those of the n-gram models are computed anew each time, within a second; those of
a network are kept in a file, so that no part of the corpus is looked at twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fastgrad import checkpoint
from fastgrad.models import InterpolatedTrigram, KneserNey

from .corpus import PARTS
from .networks import Training, network_settings
from .rows import Network, NGram

if TYPE_CHECKING:
    from pathlib import Path

    from fastgrad.models import WordModel
    from fastgrad.text import WordText
    from numpy.typing import NDArray

    from .corpus import Corpus
    from .record import Record

    Estimates = dict[str, NDArray[np.float64]]

__all__ = ["Estimator", "model_settings"]


def model_settings(model: NGram | Network) -> dict[str, Any]:
    """Return a model's settings as JSON-able values."""
    if isinstance(model, Network):
        return network_settings(model)
    return {"kind": model.kind, "n": model.n, "modified": model.modified}


def _probs(model: WordModel, text: WordText) -> NDArray[np.float64]:
    """Return the probability of each token of a text: (T,)."""
    return np.exp(model.token_log_probs(text))


class Estimator:
    """Makes models by name, and asks each for the probabilities of all tokens.

    `test` says whether the test part may be looked at.
    """

    def __init__(
        self,
        models: dict[str, NGram | Network],
        corpus: Corpus,
        folder: Path,
        record: Record,
        *,
        seed: int,
        threads: int | None,
        progress: bool,
        test: bool,
    ) -> None:
        """Keep what models there are and what to ask them."""
        self._models = models
        self._corpus = corpus
        self._folder = folder
        self._record = record
        self._options: dict[str, Any] = {"seed": seed, "threads": threads, "progress": progress}
        self._parts = PARTS if test else PARTS[:-1]
        self._known: dict[str, Estimates] = {}

    def of(self, name: str) -> Estimates:
        """Return the probability of each token of each part under a model: (T,) float64 each."""
        if name not in self._known:
            model = self._models[name]
            if isinstance(model, Network):
                self._known[name] = self._of_network(name, model)
            else:
                self._known[name] = self._of_ngrams(name, model)
        return self._known[name]

    def _of_ngrams(self, name: str, model: NGram) -> Estimates:
        train, valid = self._corpus.parts["train"], self._corpus.parts["valid"]
        if model.kind == "trigram":
            made = InterpolatedTrigram().fit(train, valid)
        else:
            made = KneserNey(model.n, model.modified).fit(train)
        self._record.models[name] = {"settings": model_settings(model)}
        return {part: _probs(made, self._corpus.parts[part]) for part in self._parts}

    def _of_network(self, name: str, network: Network) -> Estimates:
        note = self._record.models.setdefault(name, {"settings": model_settings(network)})
        file = self._folder / f"{name}.safetensors"
        kept = self._folder / f"{name}.probabilities.safetensors"
        found = self._kept(kept) if note.get("stopped") else {}
        if missing := [part for part in self._parts if part not in found]:
            model = Training(
                network, self._corpus, file, note, self._record.save, **self._options
            ).model()
            for part in missing:
                found[part] = _probs(model, self._corpus.parts[part])
            checkpoint.save(kept, found, {"checksum": self._corpus.facts()["checksum"]})
        return {part: found[part] for part in self._parts}

    def _kept(self, file: Path) -> Estimates:
        """Read probabilities that were kept, if they are those of this corpus."""
        if not file.exists():
            return {}
        arrays, config = checkpoint.load(file)
        facts = self._corpus.facts()
        lengths = {name: len(part) for name, part in self._corpus.parts.items()}
        fits = config.get("checksum") == facts["checksum"] and all(
            lengths.get(name) == len(array) for name, array in arrays.items()
        )
        return {name: arrays[name] for name in arrays} if fits else {}
