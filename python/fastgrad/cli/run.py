"""`fastgrad run`: a script of your own, with fastgrad's Value in the place of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import Command, Name, epilog

if TYPE_CHECKING:
    from collections.abc import Callable

_EXAMPLES = """
Examples:
  fastgrad run microgpt.py        Karpathy's gist; input.txt beside it spares the network
  fastgrad run train.py --epochs 5
"""


@click.command(
    "run",
    cls=Command,
    params=[
        click.Argument(("file",), type=Name(exists=True, dir_okay=False, path_type=Path)),
        click.Argument(("args",), nargs=-1, type=click.UNPROCESSED),
    ],
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=epilog(_EXAMPLES),
)
def command(file: Path, args: tuple[str, ...]) -> Callable[[], int]:
    """Run a script that has its own scalar Value, with fastgrad's in its place.

    FILE runs as `python FILE ARGS...` runs it, and prints the same numbers. Its class with data,
    grad and backward(), there or in a module beside it, is tried on sample numbers as soon as it is
    made. Methods that differ from fastgrad's, or that fastgrad lacks, stay. A class that cannot be
    replaced is left alone. Standard error says what was done.
    """
    from .._script import run

    # Called by `main` when it has put back the signals and streams that it changed.
    return partial(run, file, file.read_bytes(), args)
