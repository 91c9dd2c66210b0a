"""Reports of commands: a name to the left, the finding to the right."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from .._checks import escape

if TYPE_CHECKING:
    from ._texts import Text

_WIDTH, _NAME = 80, 12


def show(name: str, finding: str) -> None:
    """Print one finding, at once, in lines of 80 columns.

    A reader that goes away, as `head` does, misses the rest: what a command makes does not depend
    on who listens.
    """
    text = textwrap.fill(
        escape(finding),
        _WIDTH,
        initial_indent=f"{name:<{_NAME}}",
        subsequent_indent=" " * (_NAME + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_items(text: Text, count: int, items: list[str] | None) -> None:
    """Show a text, how many items it has, and how many repeat, if they are at hand."""
    from ..text import count_duplicates

    show("text", text.name)
    repeated = ""
    if items is not None:
        repeated = f", of which {count_duplicates(items):,} repeat an earlier one"
    show("items", f"{count:,}{repeated}")


def show_vocab(vocab: Any) -> None:
    """Show the size of a vocabulary of characters, and the token that ends items."""
    show("vocabulary", f"V = {len(vocab):,}, with {vocab.eos_token!r} for start and end of an item")
    if (note := vocab.eos_note()) is not None:
        show("", note)


def plural(count: int, noun: str) -> str:
    """Return a number of things: 1 item, 1,000 items."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def grams(order: int) -> str:
    """Return the name of an n-gram: bigram or trigram."""
    return "bigram" if order == 2 else "trigram"
