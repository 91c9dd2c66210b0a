"""A progress bar for long work, where somebody watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ._checks import escape


class Report(Protocol):
    """What a bar is told: the amount done so far, and a word on how it goes."""

    def __call__(self, done: int, note: str = "") -> None:
        """Move the bar."""


@contextmanager
def bar(wanted: bool, total: int | None, unit: str, description: str) -> Iterator[Report | None]:
    """Give a function to call with the amount done so far, or None where no bar is wanted.

    Nothing is shown where standard error is not a terminal.
    """
    if not wanted:
        yield None
        return
    # Loaded here, since most programs never show a bar.
    from tqdm import tqdm

    scaled, description = unit == "B", escape(description)
    # disable=None is tqdm's word for "unless at a terminal".
    with tqdm(total=total, unit=unit, unit_scale=scaled, desc=description, disable=None) as shown:

        def report(done: int, note: str = "") -> None:
            if note:
                shown.set_postfix_str(note, refresh=False)
            shown.update(done - shown.n)

        yield report
