"""Pictures with matplotlib, which is optional: `pip install matplotlib`.

Each function takes the objects that users have (counts, models, histories) and returns the
matplotlib Axes that it has drawn on. It writes a file only where `path` names one; a notebook shows
the picture.
"""

from typing import TYPE_CHECKING

from .._hints import renamed
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

if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        {
            "rate_sweep": "lr_curve",
            "plot_loss": "loss_curve",
            "plot_embeddings": "embedding_scatter",
            "word_scatter": "embedding_scatter(model, tokens=...)",
            "plot_bigrams": "bigram_heatmap",
            "heatmap": "bigram_heatmap",
        },
    )
