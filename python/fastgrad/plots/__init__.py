"""Pictures with matplotlib, which is optional: `pip install matplotlib`.

Each function takes the objects that users have (counts, models, histories) and returns the
matplotlib Axes that it has drawn on. It writes a file only where `path` names one; a notebook shows
the picture.
"""

from .boundary import decision_boundary
from .curves import loss_curve, lr_curve
from .heatmap import bigram_heatmap
from .network import embedding_scatter

__all__ = [
    "bigram_heatmap",
    "decision_boundary",
    "embedding_scatter",
    "loss_curve",
    "lr_curve",
]
