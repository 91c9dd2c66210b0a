"""How commands print what they found: a name to the left, the finding to the right."""

from __future__ import annotations

import os
import sys
import textwrap

from .._checks import escape

_NAME, _WIDTH = 12, 80


def show(name: str, finding: str) -> None:
    """Print one finding, at once, in lines of 80 columns.

    A reader that goes away, as `head` does, misses the rest: what a command makes does not depend
    on who listens.
    """
    lines = [escape(finding)]
    if len(lines[0]) > _WIDTH - _NAME:
        lines = textwrap.wrap(
            lines[0],
            _WIDTH - _NAME,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    text = f"\n{'':{_NAME}}".join(lines)
    try:
        print(f"{name:<{_NAME}}{text}", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plural(count: int, noun: str) -> str:
    """Return a number of things: 1 item, 1,000 items."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
