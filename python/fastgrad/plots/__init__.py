"""Pictures with matplotlib, which is optional: `pip install matplotlib`.

All of them save a PNG and leave pyplot, its figures and its backend alone. They take numbers,
arrays and strings, and know of models no more than which of their attributes hold these.
"""

from .boundary import decision_boundary
from .curves import loss_curve
from .heatmap import bigram_heatmap
from .network import embedding_scatter, rate_sweep
from .words import word_scatter

__all__ = [
    "bigram_heatmap",
    "decision_boundary",
    "embedding_scatter",
    "loss_curve",
    "rate_sweep",
    "word_scatter",
]
