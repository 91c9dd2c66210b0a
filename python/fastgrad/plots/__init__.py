"""Pictures with matplotlib, which is optional: `pip install matplotlib`.

Each function takes the objects that users have (counts, models, histories) and returns the
matplotlib Axes that it has drawn on. It writes a file only where `path` names one; a notebook shows
the picture.
"""

from typing import TYPE_CHECKING

from .._hints import renamed
from .animation import EmbeddingAnimation, embedding_animation
from .boundary import decision_boundary
from .curves import loss_curve, lr_curve
from .heatmap import bigram_heatmap
from .inside import activations, gradients, update_ratio
from .network import embedding_scatter

__all__ = [
    "EmbeddingAnimation",
    "activations",
    "bigram_heatmap",
    "decision_boundary",
    "embedding_animation",
    "embedding_scatter",
    "gradients",
    "loss_curve",
    "lr_curve",
    "update_ratio",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        {
            "rate_sweep": "lr_curve",
            "loss": "loss_curve",
            "plot_decision_boundary": "decision_boundary",
            "embeddings": "embedding_scatter",
            "scatter": "embedding_scatter",
            "tsne": "embedding_scatter",
            "lr_find": "lr_curve",
            "show": "matplotlib.pyplot.show",
            "plot_loss": "loss_curve",
            "activation_histogram": "activations",
            "plot_activations": "activations",
            "plot_gradients": "gradients",
            "gradient_histogram": "gradients",
            "update_to_data": "update_ratio",
            "update_to_data_ratio": "update_ratio",
            "plot_embeddings": "embedding_scatter",
            "word_scatter": "embedding_scatter(model, tokens=...)",
            "plot_bigrams": "bigram_heatmap",
            "heatmap": "bigram_heatmap",
        },
    )
