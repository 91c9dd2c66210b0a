"""How commands print what they found: a name to the left, the finding to the right."""

from __future__ import annotations

__all__ = ["grams", "plural", "show"]

_WIDTH = 12


def show(name: str, finding: str) -> None:
    """Print one line."""
    print(f"{name:<{_WIDTH}}{finding}")


def grams(order: int) -> str:
    """Name an n-gram: bigram or trigram."""
    return "bigram" if order == 2 else "trigram"


def plural(count: int, noun: str) -> str:
    """Write a number of things: 1 item, 1,000 items."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
