"""The command `fastgrad`: its exit codes, and what becomes of errors; a module for each command.

numpy, models and matplotlib are imported only when a command runs, so that `--help` answers at
once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import click
from click.shell_completion import shell_complete

from .._checks import cut, escape
from .._core import __version__
from . import demo, evaluate, lr_find, plot, run, sample, train
from ._options import Commands, epilog, hint_for
from ._ranks import end

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

__all__ = ["main"]

_EXAMPLES = """
Examples:
  fastgrad demo                           see everything at work
  fastgrad train bigram -o out            count the bundled names
  fastgrad sample out -n 20 --seed 1      make up names like them
  fastgrad train nplm -o out              a network: better, and slower
  fastgrad train word-nplm -o out         a network over words
  fastgrad train bigram words.txt -o out  a text of your own, one item a line
  fastgrad eval out other.txt             how well does it predict that text?
  fastgrad plot out                       look at what it has learned
  fastgrad run microgpt.py                your own engine's script, faster

Exit codes: 0 success, 1 a failure on the way, 2 a command that makes no
sense, 130 Ctrl-C, 143 SIGTERM. For completion in bash:
  eval "$(_FASTGRAD_COMPLETE=bash_source fastgrad)"
"""
_COMPLETE = "_FASTGRAD_COMPLETE"

# Allowed in a message of several lines; all other control characters are escaped.
_LAYOUT = "\n\t"
# A message may hold the longest path that a system knows.
_LONGEST = 5000
_LONGEST_PATH = 4096


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=epilog(_EXAMPLES),
    context_settings={"show_default": True, "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="fastgrad", message="%(prog)s %(version)s")
@click.pass_context
def _fastgrad(ctx: click.Context) -> None:
    """micrograd and makemore at native speed: train, sample, measure, look."""  # noqa: D403
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


for _module in (demo, train, lr_find, sample, evaluate, plot, run):
    _fastgrad.add_command(_module.command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, or those of the process; return its exit code.

    0 is success, 1 a failure on the way, 2 a command that makes no sense, 130 Ctrl-C, 143 SIGTERM.
    """
    code = _run(argv)
    end(code)
    return code


def _run(argv: Sequence[str] | None) -> int:
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - closed by whoever started us
    errors = getattr(sys.stdout, "errors", None)
    # A terminal may know fewer characters than Unicode.
    _escape_as("backslashreplace", sys.stdout, sys.stderr)
    if instruction := os.environ.get(_COMPLETE):
        return shell_complete(_fastgrad, {}, "fastgrad", _COMPLETE, instruction)
    arguments = list(sys.argv[1:] if argv is None else argv)
    signals: list[int] = []

    def end_like_ctrl_c(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        raise KeyboardInterrupt  # Which saves.

    # Only the main thread may say what signals do.
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end_like_ctrl_c) if is_main else None
    try:
        # click's own main would turn Ctrl-C into another error, and say less.
        with _fastgrad.make_context("fastgrad", arguments) as ctx:
            script: Callable[[], int] | None = _fastgrad.invoke(ctx)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except KeyboardInterrupt as stop:
        # The exit code of shells: 128 plus the number of the signal.
        code = 128 + (signals or [signal.SIGINT])[0]
        return _fail(str(stop) or "interrupted", code, start="\n")
    except BrokenPipeError:
        # The reader went away, as `head` does. Python would complain once more as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except click.UsageError as error:
        return _refuse(error)
    except click.ClickException as error:
        return _fail(error.format_message())
    except (ArithmeticError, ImportError, MemoryError, OSError, ValueError) as error:
        return _fail(_reason(error))
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)
    if script is None:
        return 0
    _escape_as(errors, sys.stdout)
    return script()


def _escape_as(errors: str | None, *streams: object) -> None:
    """Set what becomes of characters that a stream's encoding lacks."""
    for stream in streams:
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors=errors)


def _fail(reason: str, code: int = 1, start: str = "") -> int:
    print(f"{start}fastgrad: {escape(cut(reason, _LONGEST), keep=_LAYOUT)}", file=sys.stderr)
    return code


def _refuse(error: click.UsageError) -> int:
    """Print what is wrong with a command line, and where to look."""
    command = "fastgrad" if error.ctx is None else error.ctx.command_path
    reason = " ".join(cut(error.format_message()).split()).rstrip(".")
    if isinstance(error, click.NoSuchOption):
        reason = f"no option {error.option_name}{hint_for(error)}"
    print(escape(f"{command}: {reason}"), f"Try `{command} --help`.", sep="\n", file=sys.stderr)
    return 2


def _reason(error: Exception) -> str:
    """Return what went wrong; of what the system refused, without its number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error) or "not enough memory"
    if error.filename is None:
        return error.strerror
    name = str(error.filename)
    return f"{name if len(name) <= _LONGEST_PATH else cut(name)}: {error.strerror}"
