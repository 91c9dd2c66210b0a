"""A progress bar for long work, where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from ._checks import escape

# Losses and speed take the place of the rate of steps: all of it fits 80 columns.
_TRAINING = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
# The width of a text bar where no terminal says how wide it is.
_COLUMNS = 80


class Report(Protocol):
    """The call that moves a bar: the amount done so far, and a word on how it goes."""

    def __call__(self, done: int, note: str = "") -> None:
        """Move the bar."""


@contextmanager
def bar(
    wanted: bool, total: int | None, unit: str, description: str = "", *, initial: int = 0
) -> Generator[Report | None]:
    """Yield a function to call with the amount done so far, or None where no bar is wanted.

    It is shown in notebooks, as a widget where ipywidgets is installed and as text otherwise, and
    on terminals; where standard error is neither, nothing is.
    """
    if not wanted:
        yield None
        return
    kind, options = _kind()
    # Without a description no colon is to stand in front.
    options |= {"desc": escape(description)} if description else {}
    options |= {"bar_format": _TRAINING} if unit == "step" else {}
    with kind(total=total, initial=initial, unit=unit, unit_scale=unit == "B", **options) as shown:

        def report(done: int, note: str = "") -> None:
            if note:
                shown.set_postfix_str(note, refresh=False)
            if done != shown.n:
                shown.update(done - shown.n)

        yield report


def _kind() -> tuple[Any, dict[str, Any]]:
    """Return the kind of bar that suits where it is shown, and its options."""
    # Loaded here, since most programs never show a bar.
    if not in_notebook():
        from tqdm import tqdm

        # disable=None is tqdm's word for "unless at a terminal".
        return tqdm, {"disable": None, "dynamic_ncols": True}
    if find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm

        return tqdm, {}
    from tqdm import tqdm

    return tqdm, {"ncols": _COLUMNS}


def in_notebook() -> bool:
    """Return whether the program runs in a kernel of Jupyter."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and hasattr(get_ipython(), "kernel")
