"""Telling how a run goes: a bar in the terminal, and a log with a JSON object a line."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plan import Plan, Progress


class Report:
    """A progress bar and a log, each only where the plan asks for it."""

    def __init__(self, plan: Plan, first_step: int) -> None:
        """Open the log, at its end where a run goes on, and draw the bar on a terminal."""
        self._log: IO[str] | None = None
        self._bar: Any = None
        if plan.log is not None:
            mode = "a" if first_step else "w"
            self._log = plan.log.open(mode, encoding="utf-8")
        if plan.progress:
            from tqdm import tqdm  # here, since most programs need none

            self._bar = tqdm(total=plan.steps, initial=first_step, unit="step", disable=None)

    def advance(self, steps: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(steps)

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
            rate=progress.rate,
            examples_per_second=round(progress.examples_per_second),
        )

    def end(self, step: int, event: str) -> None:
        """Log why the run is over."""
        self._write(step=step, event=event)

    def close(self) -> None:
        """Close both."""
        if self._bar is not None:
            self._bar.close()
        if self._log is not None:
            self._log.close()

    def _write(self, **entry: Any) -> None:
        if self._log is not None:
            self._log.write(json.dumps(entry, allow_nan=False) + "\n")
            self._log.flush()
