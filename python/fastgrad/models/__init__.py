"""Language models: what comes next, how likely a text is, and samples.

All are trained by `fit`, which returns the model, and have the same members; see
`fastgrad.base.LanguageModel`.

>>> from fastgrad.models import BigramModel
>>> model = BigramModel().fit(["emma", "olivia", "ava"])
>>> round(model.loss(["olive"]), 3)
1.804
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._hints import renamed
from ._model import CharacterModel, Model
from .interpolated import InterpolatedTrigram
from .kneser_ney import DiscountWarning, KneserNey
from .mixture import Mixture
from .neural_bigram import NeuralBigram
from .ngram import BigramModel, NgramModel
from .ngram_counts import NgramCounts
from .nplm import NPLM, WordNPLM
from .saving import read_model
from .word_model import WordModel

if TYPE_CHECKING:
    import os

__all__ = [
    "NPLM",
    "BigramModel",
    "CharacterModel",
    "DiscountWarning",
    "InterpolatedTrigram",
    "KneserNey",
    "Mixture",
    "Model",
    "NeuralBigram",
    "NgramCounts",
    "NgramModel",
    "WordModel",
    "WordNPLM",
    "load",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        {
            "BigramCounts": "NgramCounts",
            "TrigramModel": "NgramModel(order=3)",
            "sample_words": "fastgrad.sampling.sample",
            "LanguageModel": "fastgrad.base.LanguageModel",
        },
    )


def load(path: str | os.PathLike[str]) -> CharacterModel | WordModel | Mixture:
    """Return a saved model of any kind: of a checkpoint, or of the folder that holds it.

    Raises `fastgrad.checkpoint.CheckpointError` where the file is damaged, hostile or of another
    kind, and `OSError` where there is none.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> BigramModel().fit(["emma"]).save(folder)
    >>> load(folder)
    BigramModel(smoothing=1.0; 1 items, 5 bigrams of 4 tokens)
    """
    return read_model(path, {kind: cls._from_parts for kind, cls in Model.kinds.items()})
