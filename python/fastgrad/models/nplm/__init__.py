"""The neural probabilistic language model of Bengio et al. (2003), over characters and words.

`NPLM` is the model over characters, `WordNPLM` the one over words, and `presets` has settings for
the latter. `examples/from_bigram_to_nplm.py` shows the first at work.

>>> from fastgrad.models.nplm import NPLM, Shape
>>> Shape(vocab_size=27, context_length=8, embedding_dim=24, hidden_dim=400).num_parameters
88675
"""

from . import presets
from .model import NPLM
from .network import Activations
from .shape import Shape
from .word import WordNPLM

__all__ = ["NPLM", "Activations", "Shape", "WordNPLM", "presets"]
