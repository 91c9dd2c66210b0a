"""The loop over chunks of steps, and everything that happens between them."""

from __future__ import annotations

import math
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .history import History, Record
from .plan import Plan, Progress
from .report import Report
from .resuming import write_saved
from .snapshots import LastTwo, Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..models.base import TrainingRun

# Seconds that a chunk of steps should take: what a call costs is small beside it, and a bar and
# Ctrl-C are quick enough.
_CHUNK = 0.075
# … or so many times as long as it takes to copy what a chunk has changed, where that is longer: a
# call copies it as well, into new memory, which takes some six times as long.
_COPIES = 200
# … but no longer than this, for work of so many seconds is lost on Ctrl-C.
_LONGEST = 3.0
# Seconds between checkpoints, or so many times as long as it takes to save one, where that is
# longer; one is saved after the first chunk that ends later.
_SAVE_EVERY = 10.0
_SAVINGS = 40
# The ends after which the best parameters are put back; after any other, a run may go on.
_COMPLETE = ("finished", "stopped early", "stopped by a callback")


class DivergedError(ArithmeticError):
    """The loss, or a parameter, became nan or infinite.

    `step` is the step in which it did, counted from 0, and `rate` that step's learning rate. The
    model has the parameters of the step before, the last whose loss is known to be finite; where
    there is none, those that it had at the start.
    """

    def __init__(self, step: int, rate: float) -> None:
        """Keep what the message names."""
        super().__init__(step, rate)
        self.step = step
        self.rate = rate

    def __str__(self) -> str:
        """Say what happened, where, and what the model is now."""
        return (
            f"the loss became nan or infinite at step {self.step}, at rate {self.rate:g}; the model"
            " keeps the last parameters whose loss was finite. A smaller rate may help"
        )


class Loop:
    """One training run: `Loop(run, plan).go()` makes its steps and returns its history."""

    def __init__(
        self,
        run: TrainingRun,
        plan: Plan,
        past: History | None = None,
        best: dict[str, NDArray[Any]] | None = None,
    ) -> None:
        """Take the steps that were made before from `past`, and the best arrays so far."""
        if plan.patience is not None and run.dev_loss() is None:
            raise ValueError(f"patience is {plan.patience}, but there is no dev to measure it on")
        self._run = run
        self._plan = plan
        self._record = Record(plan.rates, past)
        self._first = self._record.steps
        # A checkpoint may have been saved when an evaluation was due and not done.
        self._evaluated = self._record.dev_steps[-1] if self._record.dev_steps else 0
        self._last_two = LastTwo(run.arrays, self._first)
        self._best = None if best is None else Snapshot(self._first, best)
        self._chunk = 1
        self._seconds = 0.0
        self._timed_from = self._first
        self._save_at = monotonic() + _SAVE_EVERY

    def go(self) -> History:
        """Make the steps that remain.

        Raises `DivergedError` where the loss is not finite, `KeyboardInterrupt` on Ctrl-C, and
        whatever a callback raises, all after saving what was asked to be saved; `OSError` where a
        file cannot be written.
        """
        record, report = self._record, Report(self._plan, self._first)
        try:
            self._save_first()
            record.stopped = self._make_steps(report)
        except KeyboardInterrupt:
            self._rewind(self._last_two.newer.step)
            record.stopped = "interrupted"
            raise KeyboardInterrupt(self._advice()) from None
        except DivergedError:
            record.stopped = "diverged"
            raise
        finally:
            try:
                # Not after an error of another kind, which may have come from saving.
                if record.stopped:
                    self._finish(report)
            finally:
                report.close()
        return record.history()

    def history(self) -> History:
        """Give what was seen so far, also of a run that has failed."""
        return self._record.history()

    def _make_steps(self, report: Report) -> str:
        """Make chunks of steps until there is a reason to stop; return it."""
        record, plan = self._record, self._plan
        if self._patience_is_over():  # A run that had stopped is resumed.
            return "stopped early"
        while True:
            if self._is_due():
                reason = self._evaluate(report)
                if reason:
                    return reason
            if record.steps >= plan.steps:
                return "finished"
            report.advance(self._advance())
            if monotonic() > self._save_at:
                self._save()

    def _is_due(self) -> bool:
        steps = self._record.steps
        planned = steps % self._plan.evaluate_every == 0 or steps == self._plan.steps
        return planned and steps > self._evaluated

    def _advance(self) -> int:
        """Make one chunk of steps, which ends before or at the next evaluation."""
        first, every = self._record.steps, self._plan.evaluate_every
        end = min(first + self._chunk, (first // every + 1) * every, self._plan.steps)
        start = perf_counter()
        losses = self._run.train(first, self._plan.rates.part(first, end))
        seconds = perf_counter() - start
        self._record.add(losses)
        if len(losses) < end - first:
            self._diverged()
        self._seconds += seconds
        start = perf_counter()
        self._last_two.take(self._record.steps)
        fit = min(max(_CHUNK, _COPIES * (perf_counter() - start)), _LONGEST)
        # How long a step takes varies: the chunk grows by a factor of 4 at most.
        fitting = int(fit * len(losses) / max(seconds, 1e-9))
        self._chunk = max(1, min(fitting, 4 * self._chunk))
        return len(losses)

    def _evaluate(self, report: Report) -> str:
        """Look at the dev loss, and tell; return a reason to stop, or nothing."""
        record, plan = self._record, self._plan
        loss = self._run.dev_loss()
        if loss is not None and not math.isfinite(loss):
            # The last update has done it, and no batch has been tried since.
            self._diverged()
        if loss is not None:
            if plan.patience is not None and loss < min(record.dev_losses, default=math.inf):
                self._best = Snapshot.of(self._run.arrays, record.steps)
            record.add_dev(loss)
        progress = self._progress(loss)
        self._evaluated = record.steps
        report.note(progress)
        if self._callbacks_stop(progress):
            return "stopped by a callback"
        return "stopped early" if self._patience_is_over() else ""

    def _callbacks_stop(self, progress: Progress) -> bool:
        try:
            answers = [callback(progress) for callback in self._plan.callbacks]
        except BaseException:
            self._record.stopped = "failed in a callback"  # So that what was learned is saved.
            raise
        # What other objects say of their truth is no wish to stop.
        return any(isinstance(answer, bool | np.bool_) and answer for answer in answers)

    def _patience_is_over(self) -> bool:
        patience, record = self._plan.patience, self._record
        return patience is not None and bool(record.dev_losses) and record.since_best() >= patience

    def _progress(self, dev_loss: float | None) -> Progress:
        record = self._record
        steps, seconds = record.steps - self._timed_from, self._seconds
        self._timed_from, self._seconds = record.steps, 0.0
        return Progress(
            step=record.steps,
            steps=self._plan.steps,
            loss=record.mean_since(self._evaluated),
            dev_loss=dev_loss,
            rate=self._rate(record.steps - 1),
            examples_per_second=steps * self._run.batch / max(seconds, 1e-9),
        )

    def _diverged(self) -> NoReturn:
        """Go back to where the last loss came from: what was made of it since is at fault."""
        step = self._record.steps
        self._rewind(max(step - 1, self._first))
        raise DivergedError(step, self._rate(min(step, self._plan.steps - 1)))

    def _rate(self, step: int) -> float:
        return float(self._plan.rates.part(step, step + 1)[0])

    def _rewind(self, step: int) -> None:
        """Set the arrays to what they were after `step` steps, making some of them again."""
        snapshot = self._last_two.before(step)
        snapshot.put(self._run.arrays)
        if step > snapshot.step:
            self._run.train(snapshot.step, self._plan.rates.part(snapshot.step, step))
        self._record.cut(step)

    def _finish(self, report: Report) -> None:
        report.end(self._record.steps, self._record.stopped)
        if self._record.stopped in _COMPLETE and self._best is not None:
            self._best.put(self._run.arrays)
        self._save()

    def _save_first(self) -> None:
        """Save before the first step, so that whatever happens there is something to resume.

        Not over a file that is there: it may be a model that somebody wants back.
        """
        if self._plan.checkpoint is not None and not self._plan.checkpoint.exists():
            self._save()

    def _save(self) -> None:
        if self._plan.checkpoint is None:
            return
        start = monotonic()
        best = None if self._best is None else self._best.arrays
        arrays, config = write_saved(self._plan, self._record.history(), best)
        self._run.save(self._plan.checkpoint, arrays, config)
        end = monotonic()
        self._save_at = end + max(_SAVE_EVERY, _SAVINGS * (end - start))

    def _advice(self) -> str:
        done = f"interrupted after {self._record.steps:,} of {self._plan.steps:,} steps"
        if self._plan.checkpoint is None:
            return f"{done}; the model keeps what it has learned"
        return f"{done}; saved in {self._plan.checkpoint}, from where resume() goes on"
