"""Going on with a training run, whatever kind of network it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import train_words, training
from .word_texts import is_of_words

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["resume"]


def resume(folder: Path) -> None:
    """Go on with the training run of a folder, or of a model's file in it."""
    (train_words if is_of_words(folder) else training).resume(folder)
