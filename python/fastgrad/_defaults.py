"""The defaults of networks and of their training, for Python and the command line alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Defaults:
    """The settings of a network, and of its training where nothing else is asked for."""

    context_length: int
    embedding_dim: int
    hidden_dim: int
    tie_weights: bool
    init: Literal["scaled", "small"]
    batch_size: int
    optimizer: Literal["adamw"]
    lr: float
    schedule: Literal["cosine"]
    weight_decay: float
    dropout: float
    steps: int | None
    epochs: float | None
    patience: int | None = None
    seed: int = 0
    # The learning rate of SGD, whose steps are of another size.
    sgd_lr: float = 0.1


CHARACTERS = Defaults(
    context_length=8,
    embedding_dim=24,
    hidden_dim=200,
    tie_weights=False,
    init="scaled",
    batch_size=64,
    optimizer="adamw",
    lr=0.004,
    schedule="cosine",
    weight_decay=0.03,
    dropout=0.0,
    steps=30_000,
    epochs=None,
)

WORDS = Defaults(
    context_length=4,
    embedding_dim=100,
    hidden_dim=100,
    tie_weights=True,
    init="small",
    batch_size=256,
    optimizer="adamw",
    lr=0.004,
    schedule="cosine",
    weight_decay=0.01,
    dropout=0.2,
    steps=None,
    epochs=4.0,
)


@dataclass(frozen=True)
class WordTexts:
    """The default settings with which a text of words is read."""

    tokenizer: Literal["simple"] = "simple"
    eos: Literal["paragraph"] = "paragraph"
    vocab_size: int = 8_000
    min_count: int = 1
    dev_fraction: float = 0.1
    test_fraction: float = 0.1


WORD_TEXTS = WordTexts()
SMOOTHING = 1.0
"""The number that counting models add to each count."""
NEURAL_BIGRAM_STEPS, L2 = 2000, 0.01
KNESER_NEY_ORDER, KNESER_NEY_MODIFIED = 5, True
