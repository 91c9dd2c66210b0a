"""What `fastgrad eval` and `fastgrad plot` do with a model over words."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from .arguments import CommandError
from .places import picture_path
from .report import show
from .texts import text_of
from .word_texts import noted_parts

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw", "measure"]

# So many of the most frequent words are drawn: more would lie on each other.
_DRAWN = 300


def measure(place: Path, model: Any, file: str | None) -> None:
    """Measure a model on a file, or on the parts of its own text that it was not trained on.

    Where the text that it was trained on is at hand, counted 5-grams are measured beside it.
    """
    own = noted_parts(place, model)
    if file is not None:
        text = text_of(file)
        measured = {"text": model.vocab.read(text.source)}
        name = text.name
    elif own is not None:
        measured, name = {"dev": own.dev, "test": own.test}, own.text.name
    else:
        raise CommandError(
            f"{place}: the text that it was trained on is not known any more; name a FILE to"
            " measure"
        )
    show("model", f"{place}: {model!r}")
    show("text", name)
    counted = None if own is None else counted_five(own.train)
    for part, words in measured.items():
        _show_part(part, words, model, counted)


def counted_five(train: Any) -> Any:
    """Count 5-grams to compare with; print a line where the text is too short for discounts."""
    from ..models import DiscountWarning, KneserNey

    with warnings.catch_warnings(record=True, category=DiscountWarning) as caught:
        warnings.simplefilter("always", DiscountWarning)
        counted = KneserNey.fit(train, 5)
    for warning in caught:
        show("note", f"the text is short for Kneser-Ney: {warning.message}")
    return counted


def _show_part(part: str, words: Any, model: Any, counted: Any) -> None:
    show(part, f"{len(words):,} tokens, {words.unk_rate:.1%} rare")
    loss = model.loss(words)
    show("loss", f"{loss:.8f} nats a token")
    show("perplexity", f"{_perplexity(loss):.4f}: the network")
    if counted is not None:
        show("", f"{counted.perplexity(words):.4f}: Kneser-Ney, 5-grams of the training part")


def _perplexity(loss: float) -> float:
    return math.exp(loss) if loss < 709 else math.inf


def draw(model: Any, folder: Path, out: Path | None) -> None:
    """Draw the most frequent words, and unless `out` is a file, losses where it was trained."""
    from ..plots import loss_curve, word_scatter

    also_losses = out is None or out.is_dir()
    embeddings = picture_path(out, folder, "embeddings.png")
    # Ids are in the order of counts; before them stand the symbol for rare words and the mark.
    first = 2 if model.vocab.eos else 1
    chosen = slice(first, first + _DRAWN)
    words = model.vocab.itos[chosen]
    title = f"What the network has learned of the {len(words)} most frequent words"
    word_scatter(model.embeddings[chosen], words, embeddings, title)
    print(embeddings)
    if also_losses and len(model.history.loss):
        losses = embeddings.with_name("loss.png")
        loss_curve(model, losses, title="Loss while training")
        print(losses)
