"""A progress bar for long work, where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(
    wanted: bool, total: int | None, unit: str, description: str
) -> Iterator[Callable[[int], None] | None]:
    """Give a function to call with the amount done so far, or None where no bar is wanted.

    Nothing is shown where standard error is not a terminal.
    """
    if not wanted:
        yield None
        return
    # Loaded here, since most programs never show a bar.
    from tqdm import tqdm

    scaled = unit == "B"
    # disable=None is tqdm's word for "unless at a terminal".
    with tqdm(total=total, unit=unit, unit_scale=scaled, desc=description, disable=None) as shown:

        def report(done: int) -> None:
            shown.update(done - shown.n)

        yield report
