"""The command `fastgrad`: its arguments, its exit codes, and what becomes of errors.

What each command does stands in `commands`, a module for each.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from ._checks import cut, escape
from ._core import __version__
from .commands import demo, evaluate, plot, sample, train
from .commands.arguments import EPILOG_STYLE, CommandError, UsageError
from .commands.train_words import with_level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

__all__ = ["main"]

_EXAMPLES = """\
examples:
  fastgrad demo                               see everything at work
  fastgrad train bigram -o out                count the bundled names
  fastgrad sample out -n 20 --seed 1          make up names like them
  fastgrad train nplm -o out                  train a network on them, better and slower
  fastgrad train nplm --level word -o out     a network over words, on the bundled plays
  fastgrad train bigram words.txt -o out      a text of your own, one item a line
  fastgrad eval out other.txt                 how well does it predict another text?
  fastgrad plot out                           look at the table

`fastgrad COMMAND --help` tells more. Exit codes: 0 success, 1 a failure on the way, 2 a command
that makes no sense, 130 Ctrl-C, 143 SIGTERM."""


# Control characters that a message of several lines keeps; all others are escaped.
_LAYOUT = "\n\t"
# The most characters of a message; arguments that it repeats may have any length.
_LONGEST = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, or those of the process; return its exit code.

    0 is success, 1 a failure on the way, 2 a command that makes no sense (argparse leaves with
    it), 130 Ctrl-C, 143 SIGTERM.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - closed by whoever started us
    _print_anything()
    parser = _parser()
    argv = with_level(sys.argv[1:] if argv is None else argv)
    options, strange = parser.parse_known_args(argv)
    if strange:  # Told by the command's own parser, whose usage helps.
        options.parser.error(f"unrecognized arguments: {' '.join(strange)}")
    if options.run is None:
        options.parser.print_help(sys.stderr)
        return 2
    signals: list[int] = []
    try:
        with _ended_like_ctrl_c(signals):
            options.run(options)
            sys.stdout.flush()
    except KeyboardInterrupt as stop:
        # What shells report: 128 and the number of the signal.
        code = 128 + (signals or [signal.SIGINT])[0]
        return _fail(str(stop) or "interrupted", code, start="\n")
    except BrokenPipeError:
        # The reader went away, as `head` does. Python would complain once more as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UsageError as error:
        options.parser.error(str(error))
    except OSError as error:
        return _fail(_told(error))
    except MemoryError as error:
        return _fail(str(error) or "not enough memory")
    except (ArithmeticError, CommandError, ValueError) as error:
        return _fail(str(error))
    return 0


@contextmanager
def _ended_like_ctrl_c(signals: list[int]) -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, which saves; note that it came."""

    def end(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # Only the main thread may say what signals do.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(reason: str, code: int = 1, start: str = "") -> int:
    print(f"{start}fastgrad: {_shown(reason)}", file=sys.stderr)
    return code


def _shown(text: str) -> str:
    """Write a message as a terminal may see it."""
    return escape(text, keep=_LAYOUT) if len(text) <= _LONGEST else cut(text, _LONGEST)


def _told(error: OSError) -> str:
    """Say what the system refused, without its number where there is a name for it."""
    if error.strerror is None or error.filename is None:
        return error.strerror or str(error)
    return f"{error.filename}: {error.strerror}"


def _print_anything() -> None:
    """Let no character of a name or a text be an error: a terminal may know fewer than Unicode."""
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    """A parser whose messages are short and harmless, whatever was typed."""

    def error(self, message: str) -> NoReturn:
        super().error(_shown(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastgrad",
        description="micrograd and makemore at native speed: train, sample, measure, look.",
        epilog=_EXAMPLES,
        formatter_class=EPILOG_STYLE,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastgrad {__version__}")
    parser.set_defaults(run=None, parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in (demo, train, sample, evaluate, plot):
        module.add_to(commands)
    return parser
