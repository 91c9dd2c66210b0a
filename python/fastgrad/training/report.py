"""Telling how a run goes: a bar in the terminal, and a log with a JSON object a line."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from .._files import named_errors, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from .plan import Plan, Progress


class Report:
    """A progress bar and a log, each only where the plan asks for it.

    The log of an earlier run is replaced by `begin` and not before: as long as this run is not
    saved, the earlier one may be wanted back.
    """

    def __init__(self, plan: Plan, first_step: int, evaluated: int, *, is_resumed: bool) -> None:
        """Open the log, at its end, and draw the bar on a terminal."""
        self._path = plan.log
        self._first, self._evaluated, self._is_resumed = first_step, evaluated, is_resumed
        self._pending: list[str] | None = []
        self._log: IO[str] | None = None
        self._bar: Any = None
        if self._path is not None:
            self._log = _opened(self._path)
        if plan.progress:
            from tqdm import tqdm  # here, since most programs need none

            self._bar = tqdm(total=plan.steps, initial=first_step, unit="step", disable=None)

    def begin(self) -> None:
        """Make the log this run's: empty, or of a resumed run up to where it goes on."""
        lines, self._pending = self._pending, None
        if lines is None or self._path is None or self._log is None:
            return
        if self._path.is_file():
            kept = self._kept(self._path) if self._is_resumed else []
            self._log.close()
            write_atomically(self._path, "".join(kept + lines))
            self._log = _opened(self._path)
        else:  # A device or a pipe.
            self._put("".join(lines))

    def move_to(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def note(self, progress: Progress) -> None:
        """Show an evaluation, and log it."""
        if self._bar is not None:
            dev = "" if progress.dev_loss is None else f"dev {progress.dev_loss:.4f}, "
            speed = f"{progress.examples_per_second:,.0f} examples/s"
            self._bar.set_postfix_str(f"loss {progress.loss:.4f}, {dev}{speed}")
        self._write(
            step=progress.step,
            loss=progress.loss,
            dev_loss=progress.dev_loss,
            lr=progress.lr,
            examples_per_second=round(progress.examples_per_second),
        )

    def end(self, step: int, event: str) -> None:
        """Log why the run is over."""
        self._write(step=step, event=event)

    def close(self) -> None:
        """Close both."""
        if self._bar is not None:
            self._bar.close()
        if self._log is not None and self._path is not None:
            with named_errors(self._path):
                self._log.close()

    def _write(self, **entry: Any) -> None:
        if self._log is None:
            return
        line = json.dumps(entry, allow_nan=False) + "\n"
        if self._pending is None:
            self._put(line)
        else:
            self._pending.append(line)

    def _put(self, text: str) -> None:
        if self._log is not None and self._path is not None and text:
            with named_errors(self._path):
                self._log.write(text)
                self._log.flush()

    def _kept(self, path: Path) -> list[str]:
        """Give the lines that are not of steps which are made again, nor half of one."""
        with open(path, encoding="utf-8", errors="replace") as log:
            return [line for line in log if line.endswith("\n") and not self._is_made_again(line)]

    def _is_made_again(self, line: str) -> bool:
        try:
            entry = json.loads(line)
            return entry["step"] > (self._first if "event" in entry else self._evaluated)
        except (ValueError, TypeError, LookupError, RecursionError):
            return False  # A line of somebody else.


def _opened(path: Path) -> IO[str]:
    return path.open("a", encoding="utf-8")
