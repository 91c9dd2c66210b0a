"""What the arguments of several commands share: their types, their help, their errors."""

from __future__ import annotations

import argparse
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._checks import shorten

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EPILOG_STYLE",
    "CommandError",
    "UsageError",
    "add_command",
    "file_name",
    "folder_name",
    "make_folder",
    "number",
    "whole",
]

# Keeps the lines of examples as they are, and those of a description, which is broken here.
EPILOG_STYLE = argparse.RawDescriptionHelpFormatter
_WIDTH = 79


class UsageError(Exception):
    """A command that makes no sense; it ends with exit code 2 and the command's usage."""


class CommandError(Exception):
    """A failure on the way, with a message for the user; the command ends with exit code 1."""


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None] | None, **texts: str
) -> argparse.ArgumentParser:
    """Declare a command; without `run`, one that only has commands of its own."""
    texts["description"] = textwrap.fill(texts["description"], _WIDTH)
    parser: argparse.ArgumentParser = commands.add_parser(
        name, formatter_class=EPILOG_STYLE, allow_abbrev=False, **texts
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Make an argument's type: a whole number of at least `least`, and at most `most`."""
    limits = f"at least {least}" if most is None else f"{least} to {most}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{shorten(text)}; expected a whole number, {limits}")
        return value

    return parse


def number(least: float, *, above: bool = False) -> Callable[[str], float]:
    """Make an argument's type: a finite number of at least `least`, or above it."""
    limit = f"above {least:g}" if above else f"of at least {least:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < least or (above and value == least):
            raise argparse.ArgumentTypeError(f"{shorten(text)}; expected a number {limit}")
        return value

    return parse


def file_name(text: str) -> str:
    """Read an argument that names a file; an empty one is most often an unset variable."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; expected the name of a file")
    return text


def folder_name(text: str) -> Path:
    """Read an argument that names a folder; an empty one is most often an unset variable."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; expected the name of a folder")
    return Path(text)


def make_folder(folder: Path, option: str) -> None:
    """Make the folder of an option where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"argument {option}: cannot make the folder {folder}: {error.strerror}"
        ) from None
