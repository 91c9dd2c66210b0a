"""How commands print what they found: a name to the left, the finding to the right."""

from __future__ import annotations

__all__ = ["grams", "show"]

_WIDTH = 12


def show(name: str, finding: str) -> None:
    """Print one line."""
    print(f"{name:<{_WIDTH}}{finding}")


def grams(order: int) -> str:
    """Name n-grams: bigrams or trigrams."""
    return "bigrams" if order == 2 else "trigrams"
