"""The neural probabilistic language model of Bengio et al. (2003), over characters."""

from .model import NPLM
from .shape import Shape

__all__ = ["NPLM", "Shape"]
