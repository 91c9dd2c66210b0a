"""How commands print what they found: a name to the left, the finding to the right."""

from __future__ import annotations

import os
import sys

from .._checks import escape

__all__ = ["grams", "plural", "show"]

_WIDTH = 12
_LAYOUT = "\n\t"


def show(name: str, finding: str) -> None:
    """Print one line, at once.

    A reader that goes away, as `head` does, misses the rest: what a command makes does not depend
    on who listens.
    """
    try:
        print(f"{name:<{_WIDTH}}{escape(finding, keep=_LAYOUT)}", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def grams(order: int) -> str:
    """Name an n-gram: bigram or trigram."""
    return "bigram" if order == 2 else "trigram"


def plural(count: int, noun: str) -> str:
    """Write a number of things: 1 item, 1,000 items."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
