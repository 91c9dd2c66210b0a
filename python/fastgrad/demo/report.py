"""The output of the demo: headlines, tables, and progress where there is a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["headline", "progress", "table"]


def headline(text: str) -> None:
    """Begin a section."""
    print(f"\n{text}")


def progress(steps: int, name: str) -> Iterable[int]:
    """Count steps under a bar, which is left out where it would not be seen as one."""
    return tqdm(range(steps), desc=f"  {name:<9}", unit="step", disable=None, leave=False)


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print rows under a head: the first column to the left unless it holds numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        if not head[0]:
            cells[0] = row[0].ljust(widths[0])
        print("  " + "   ".join(cells).rstrip())
