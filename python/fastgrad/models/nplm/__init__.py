"""The neural probabilistic language model of Bengio et al. (2003), over characters.

`NPLM` is the model; `examples/from_bigram_to_nplm.py` shows it at work.

>>> from fastgrad.models.nplm import NPLM, Shape
>>> Shape(symbols=27, context=8, embedding=24, hidden=400).size
88675
"""

from .model import NPLM
from .shape import Shape

__all__ = ["NPLM", "Shape"]
