"""The parts of `fastgrad demo`: each system of the library at work, on known numbers."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from .._core import __version__
from . import bigram, nplm, scalar

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]


def run(out: Path) -> None:
    """Show everything on standard output, and save the pictures in the folder `out`."""
    print(f"fastgrad {__version__} on Python {platform.python_version()}, {platform.machine()}")
    scalar.show(out)
    bigram.show(out)
    nplm.show(out)
