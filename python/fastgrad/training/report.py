"""Reports on a run: a progress bar, and a log with a JSON object a line."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

from .._files import named_errors, write_atomically
from .._progress import bar, in_notebook
from .live import LiveCurves

if TYPE_CHECKING:
    from pathlib import Path

    from .plan import Plan, Progress


class Report:
    """A progress bar and a log, each only where the plan asks for it.

    The log of an earlier run is replaced by `begin` and not before: as long as this run is not
    saved, the earlier one may be wanted back.
    """

    def __init__(self, plan: Plan, first_step: int, evaluated: int, *, is_resumed: bool) -> None:
        """Open the log, at its end, and draw the bar."""
        self._path = plan.log
        self._first, self._evaluated, self._is_resumed = first_step, evaluated, is_resumed
        self._pending: list[str] | None = []
        self._log: IO[str] | None = None
        if self._path is not None:
            self._log = _opened(self._path)
        self._live = LiveCurves(plan.steps) if plan.live and in_notebook() else None
        self._open = ExitStack()
        self._bar = self._open.enter_context(
            bar(
                plan.progress or (plan.live and self._live is None),
                plan.steps,
                "step",
                initial=first_step,
            )
        )
        self._dev = ""

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

    def move_to(self, step: int, loss: float | None, speed: float) -> None:
        """Move bar and curves, and show the loss and the examples per second."""
        if self._live is not None:
            self._live.add(step, loss)
        self._move_bar(step, loss, speed)

    def _move_bar(self, step: int, loss: float | None, speed: float) -> None:
        if self._bar is not None:
            shown = "" if loss is None else f"loss {loss:.4f}, "
            self._bar(step, f"{shown}{self._dev}{speed:,.0f} ex/s")

    def note(self, progress: Progress) -> None:
        """Show an evaluation, and log it."""
        self._dev = "" if progress.dev_loss is None else f"dev {progress.dev_loss:.4f}, "
        if self._live is not None:
            self._live.add(progress.step, None, progress.dev_loss)
        self._move_bar(progress.step, progress.loss, progress.examples_per_second)
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
        """Draw the last curves, and close bar and log."""
        self._open.close()
        if self._live is not None:
            self._live.draw()
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
        """Return the lines that are not of steps which are made again, nor half of one."""
        with open(path, encoding="utf-8", errors="replace") as log:
            return [line for line in log if line.endswith("\n") and not self._is_made_again(line)]

    def _is_made_again(self, line: str) -> bool:
        try:
            entry = json.loads(line)
            return entry["step"] > (self._first if "event" in entry else self._evaluated)
        except (ValueError, TypeError, LookupError, RecursionError):
            return False  # A line of somebody else.


def _opened(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8")
