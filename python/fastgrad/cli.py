"""The command `fastgrad`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ._core import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# What shells report for a program that ended on Ctrl-C: 128 and the number of the signal.
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, or those of the process; return its exit code.

    0 is success, 1 a failure on the way, 2 a command that makes no sense, 130 Ctrl-C.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"argument --out: cannot make the folder {options.out}: {error.strerror}")
    try:
        from . import demo  # imports numpy, which `--version` need not wait for

        demo.run(options.out)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nfastgrad: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader went away, as `head` does. Python would complain once more as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"fastgrad: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastgrad", description="micrograd at native speed: see it at work."
    )
    parser.add_argument("--version", action="version", version=f"fastgrad {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="train a classifier, compare with micrograd, draw the result",
        description="Work out micrograd's README expression, train its demo's classifier, measure"
        " a step beside micrograd's where that is installed, and draw the decision boundary.",
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("out"),
        metavar="DIR",
        help="folder for the picture, made where it is missing (default: %(default)s)",
    )
    return parser
