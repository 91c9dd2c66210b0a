"""Language models: what comes next, how likely a text is, and samples.

All follow the protocol `LanguageModel` of `fastgrad.models.base`.

>>> from fastgrad.models import BigramModel
>>> model = BigramModel.fit(["emma", "olivia", "ava"], smoothing=1.0)
>>> round(model.loss(["olive"]), 3)
1.804
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import LanguageModel
from .bigram import BigramModel
from .counts import NgramCounts
from .mixture import Mixture
from .neural_bigram import NeuralBigram
from .ngram import DiscountWarning, InterpolatedTrigram, KneserNey
from .nplm import NPLM, WordNPLM
from .saving import read_model
from .word_model import WordModel, sample_words

if TYPE_CHECKING:
    import os

__all__ = [
    "NPLM",
    "NgramCounts",
    "BigramModel",
    "DiscountWarning",
    "InterpolatedTrigram",
    "KneserNey",
    "LanguageModel",
    "Mixture",
    "NeuralBigram",
    "WordModel",
    "WordNPLM",
    "load",
    "sample_words",
]


def load(path: str | os.PathLike[str]) -> BigramModel | NeuralBigram | NPLM | WordNPLM:
    """Read a saved model of any kind: a checkpoint, or the folder that holds `model.safetensors`.

    Raises `fastgrad.checkpoint.CheckpointError` where the file is damaged, hostile or of another
    kind, and `OSError` where there is none.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> BigramModel.fit(["emma"]).save(folder)
    >>> load(folder)
    BigramModel(1 items, 5 bigrams of 4 symbols; smoothing 0.0)
    """
    makers: dict[str, Any] = {
        "bigram": BigramModel._from_parts,
        "neural bigram": NeuralBigram._from_parts,
        NPLM.kind: NPLM._from_parts,
        WordNPLM.kind: WordNPLM._from_parts,
    }
    return read_model(path, makers)
