"""`fastgrad eval`: how well a model predicts a text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ._options import MODEL, as_command
from ._report import grams, plural, show
from ._runs import counted_words, noted_parts
from ._texts import Text, knows_words, load_model, noted_text, read_note, text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FILE = """\
FILE is a text, UTF-8, one item a line; - is standard input. Without it the text is the one that the
model was trained on.
"""
_EXAMPLES = """
Examples:
  fastgrad eval out                       the text that it was trained on
  fastgrad eval out other.txt
  grep -i smith people.txt | fastgrad eval out -

The loss is the mean negative log-likelihood in nats per token, ends included;
the perplexity is e to the power of it. Both are inf where the model gives
something the probability 0, which smoothing prevents. A network over words is
measured on the parts of its text that it was not trained on, beside 5-grams.
"""
# The number of n-grams of a long list that are named.
_NAMED = 8


@as_command("eval", "", model=MODEL, file=_FILE, examples=_EXAMPLES)
def command(model: Path, file: str | None) -> None:
    """Print the loss and the perplexity of a text under a model."""
    loaded = load_model(model)
    (_measure_words if knows_words(loaded) else _measure)(model, loaded, file)


def _measure(place: Path, model: Any, file: str | None) -> None:
    """Measure a model of characters; of n-grams counts say all, others need all items at once."""
    from ..text import UnknownCharacterError

    text = _text(place, model, file)
    is_ngram = hasattr(model, "order")
    found: Any = text.items() if not is_ngram else None
    if is_ngram:
        found = text.counts(model.order)
    try:
        loss, perplexity = model.loss(found), model.perplexity(found)
    except UnknownCharacterError as error:
        raise _first_place(error, model.vocab, text, found) from None
    _show_text(place, model, text.name)
    if is_ngram:
        show("items", f"{found.num_items:,}")
        show(f"{grams(model.order)}s", f"{found.total:,}")
    else:
        show("items", f"{len(found):,}")
        show("tokens", f"{sum(map(len, found)) + len(found):,}")
    show("loss", f"{loss:.8f} nats per token" if math.isfinite(loss) else "inf")
    show("perplexity", f"{perplexity:.4f}")
    if is_ngram and not math.isfinite(loss):
        _explain(model, model.unseen(found), text)


def _text(place: Path, model: Any, file: str | None) -> Text:
    """Return the text to measure: the file, or the model's own text, or else the bundled names."""
    if file is None and (own := noted_text(place, model)) is not None:
        return Text(own.source, f"{own.name}, which the model was trained on")
    if file is None and read_note(place, model, "text"):
        raise _unknown(place)
    return text_of(file)


def _unknown(place: Path) -> click.ClickException:
    return click.ClickException(
        f"{place}: the text that it was trained on is not known any more; name a FILE to measure"
    )


def _measure_words(place: Path, model: Any, file: str | None) -> None:
    """Measure a model of words on a file, or on the parts of its own text that it has not seen.

    Where the text that it was trained on is at hand, counted 5-grams are measured beside it.
    """
    own = noted_parts(place, model) if read_note(place, model, "run") else None
    if file is not None:
        text = text_of(file)
        measured, name = {"text": model.vocab.read(text.source)}, text.name
    elif own is not None:
        measured, name = {"dev": own.dev, "test": own.test}, own.text.name
    else:
        raise _unknown(place)
    _show_text(place, model, name)
    counted = None if own is None else counted_words(own.train)
    for part, words in measured.items():
        show(part, f"{len(words):,} tokens, {words.unk_rate:.1%} {model.vocab.unk_token}")
        show("loss", f"{model.loss(words):.8f} nats per token")
        show("perplexity", f"{model.perplexity(words):.4f}: the model")
        if counted is not None:
            perplexity = f"{counted.perplexity(words):.4f}"
            show("", f"{perplexity}: Kneser-Ney, 5-grams of the training part")


def _show_text(place: Path, model: Any, name: str) -> None:
    show("model", f"{place}: {model!r}")
    show("text", name)


def _first_place(error: ValueError, vocab: Any, text: Text, found: Any) -> click.ClickException:
    """Return the error that says where in a text the first character is that a model lacks."""
    items = text.items() if text.is_small else []
    if isinstance(found, list):
        items = cast("list[str]", found)
    for number, item in enumerate(items, 1):
        try:
            vocab.encode(item)
        except type(error) as first:
            return click.ClickException(f"{text.name}: item {number:,}: {first}")
    return click.ClickException(f"{text.name}: {error}")


def _explain(model: Any, unseen: list[tuple[str, int]], text: Text) -> None:
    """Print what in a text has probability zero."""
    import numpy as np

    times = sum(count for _, count in unseen)
    named = ", ".join(repr(gram) for gram, _ in unseen[:_NAMED])
    more = f" and {len(unseen) - _NAMED:,} more" if len(unseen) > _NAMED else ""
    show("why inf", f"{plural(times, grams(model.order))} of probability zero: {named}{more}")
    if text.is_small:
        items = text.items()
        starts = np.cumsum([0, *(len(item) + 1 for item in items[:-1])])
        log_probs: NDArray[np.float64] = model.token_log_probs(items)
        count = int(np.logical_or.reduceat(np.isneginf(log_probs), starts).sum())
        show("", f"in {plural(count, 'item')}")
    show("", "a model with --smoothing above 0 calls nothing impossible")
