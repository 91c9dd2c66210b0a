"""Going on with a training run, whatever kind of network it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import train_words, training
from .arguments import CommandError
from .new_model import told_on_ctrl_c
from .places import has_model

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["resume"]


def resume(place: Path) -> None:
    """Go on with the training run of a folder, or of a model's file in it."""
    if not has_model(place):
        raise CommandError(f"{place}: there is no model; `fastgrad train nplm -o {place}` trains")
    from ..models import NPLM, WordNPLM, load

    model = load(place)
    with told_on_ctrl_c(place):
        if isinstance(model, WordNPLM):
            train_words.resume(place, model)
        elif isinstance(model, NPLM):
            training.resume(place, model)
        else:
            raise CommandError(_refusal(place, model))


def _refusal(place: Path, model: Any) -> str:
    """Say what is there instead of a network, and where that may be."""
    from ..checkpoint import previous
    from ..models.saving import model_path

    file = model_path(place)
    before = previous(file)
    kept = f"; the model before it is kept as {before}" if before.is_file() else ""
    return (
        f"{file}: holds a {type(model).__name__}, which --resume cannot go on with; expected a"
        f" network of `fastgrad train nplm`{kept}"
    )
