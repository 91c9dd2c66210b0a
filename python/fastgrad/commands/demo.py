"""`fastgrad demo`: each of the library's systems at work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import add_command, make_folder

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "demo",
        _run,
        help="see everything at work, beside numbers that are known",
        description="Work out micrograd's README expression, train its demo's classifier, measure"
        " a step beside micrograd's where that is installed, and draw the decision boundary. Then"
        " count the bundled names, train a network to the same model, make up names, and draw the"
        " table. Last train a network that looks at five letters, which takes some five seconds.",
        epilog="examples:\n  fastgrad demo\n  fastgrad demo --out pictures",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out"),
        metavar="DIR",
        help="folder for the pictures, made where it is missing (default: %(default)s)",
    )


def _run(options: argparse.Namespace) -> None:
    make_folder(options.out, "--out")
    from .. import demo

    demo.run(options.out)
