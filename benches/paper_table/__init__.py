"""Published results, run again: the word models of Bengio et al. (2003) on the Brown corpus.

`brown` trains the rows of the paper's table 1 by name and puts the paper's figures beside what it
finds; `report.text` and `report.markdown` lay that out, `picture.draw` draws it. As a program:

    python benches/paper_table BROWN -o DIR

>>> from paper_table import ROWS
>>> ROWS["MLP10"].paper
Figures(train=None, valid=265, test=252)
"""

from .record import SettingsError, read_record
from .rows import MODELS, ROWS, Figures, Network, NGram, Row
from .running import brown

__all__ = [
    "MODELS",
    "ROWS",
    "Figures",
    "NGram",
    "Network",
    "Row",
    "SettingsError",
    "brown",
    "read_record",
]
