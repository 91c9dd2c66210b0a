"""The loop over chunks of steps, and everything that happens between them."""

from __future__ import annotations

import math
import os
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from .._checks import escape
from .divergence import DivergedError, Smoothed
from .history import History, Record, update_ratios
from .plan import Plan, Progress, check_patience
from .report import Report
from .resuming import write_saved
from .snapshots import Best, LastTwo, Snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..base import TrainingRun

# Seconds that a chunk of steps should take: what a call costs is small beside it, and a bar and
# Ctrl-C are quick enough.
_CHUNK = 0.075
# … or so many times as long as it takes to copy what a chunk has changed, where that is longer: a
# call copies it as well, into new memory, which takes some six times as long.
_COPIES = 200
# … or so many times as long as ranks take to exchange what a chunk has changed.
_EXCHANGES = 20
# … but no longer than this, for work of so many seconds is lost on Ctrl-C.
_LONGEST = 3.0
# Seconds between checkpoints, or so many times as long as it takes to save one, where that is
# longer; one is saved after the first chunk that ends later.
_SAVE_EVERY = 10.0
_SAVINGS = 40
# The ends after which the best parameters are put back; after any other, a run may go on.
_COMPLETE = ("finished", "stopped early", "stopped by a callback")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a message that tells how far the run has come, and what of it is saved."""

    def __init__(self, steps: int, total: int, place: Path | None, saved: bool) -> None:
        """Write the message; `saved` is whether the checkpoint has all that was learned."""
        self.done = f"interrupted after {steps:,} of {total:,} steps"
        self.saved = saved
        if place is None:
            left = "the model keeps what it has learned"
        elif saved:
            left = f"saved in {escape(str(place))}, from where resume() goes on"
        else:
            left = f"this was not saved: {escape(str(place))} is what it was"
        super().__init__(f"{self.done}; {left}")


class Loop:
    """One training run: `Loop(run, plan).go()` makes its steps and returns its history."""

    def __init__(
        self,
        run: TrainingRun,
        plan: Plan,
        past: History | None = None,
        best: Best | None = None,
        evaluated: int | None = None,
    ) -> None:
        """Take the steps that were made before from `past`, and the best arrays so far.

        The last evaluation was after `evaluated` steps; by default, where the history has it.
        """
        check_patience(plan.patience, has_dev=plan.patience is None or run.dev_loss() is not None)
        self._run = run
        self._plan = plan
        self._record = Record(plan.lrs, past)
        self._first = self._record.steps
        self._is_resumed = past is not None
        # A checkpoint may have been saved when an evaluation was due and not done.
        self._evaluated = self._record.last_dev_step if evaluated is None else evaluated
        self._record.cut_dev(self._evaluated)
        # A run that does not say what equal probabilities would lose is held to no limit.
        self._uniform = getattr(run, "uniform_loss", math.inf)
        self._smoothed = Smoothed(self._uniform, self._record.losses)
        self._smoothed_start = self._smoothed.loss
        # Ranks that share a run make its snapshots together.
        self._snapshots: Snapshots = getattr(run, "snapshots", None) or Snapshots(run.arrays)
        self._last_two = LastTwo(self._snapshots, self._first)
        # The lowest dev loss of an evaluation, which early stopping puts back.
        self._best = best if plan.patience is not None else None
        # The lowest loss of an evaluation or of the start, which divergence goes back to.
        self._good = best
        self._was = (self._first, self._evaluated, "" if past is None else past.stopped)
        # The file that was there before the run; the saves after the first replace the run's own.
        self._file_before = None if self._is_resumed else _identity(plan.checkpoint)
        # True once the checkpoint's file is of this run and has all of it.
        self._is_saved = self._is_resumed
        self._chunk = 1
        self._seconds = 0.0
        self._timed_from = self._first
        self._save_at = monotonic() + _SAVE_EVERY

    def go(self) -> History:
        """Make the steps that remain.

        Raises `DivergedError` where the loss is not finite or rises beyond its limit,
        `KeyboardInterrupt` on Ctrl-C, and whatever a callback raises, all after saving what was
        asked to be saved; `OSError` where a file cannot be written.
        """
        report = Report(self._plan, self._first, self._evaluated, is_resumed=self._is_resumed)
        try:
            self._go(report)
        except KeyboardInterrupt:
            self._stop_early("interrupted", report)
            raise Interrupted(
                self._record.steps, self._plan.steps, self._plan.checkpoint, self._is_saved
            ) from None
        finally:
            report.close()
        return self._record.history()

    def history(self) -> History:
        """Return what was seen so far, also of a run that has failed."""
        return self._record.history()

    def _go(self, report: Report) -> None:
        try:
            self._start(report)
            self._finish(self._make_steps(report), report)
        except DivergedError:
            self._finish("diverged", report)
            raise
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._stop_early("failed", report)
            raise

    def _start(self, report: Report) -> None:
        """Save before the first step, so that whatever happens there is something to resume.

        Not over a file that is there: it may be a model that somebody wants back.
        """
        place = self._plan.checkpoint
        if place is None or self._is_resumed:
            report.begin()
        elif not place.exists():
            self._save(report)
        if self._good is None and math.isfinite(self._uniform):
            self._good = Best(self._snapshots.copy(self._first), None)

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
            self._advance()
            report.move_to(record.steps, self._smoothed.loss, self._speed())
            if monotonic() > self._save_at:
                self._save(report)

    def _is_due(self) -> bool:
        steps = self._record.steps
        planned = steps % self._plan.evaluate_every == 0 or steps == self._plan.steps
        return planned and steps > self._evaluated

    def _advance(self) -> None:
        """Make one chunk of steps, which ends before or at the next evaluation."""
        first, every = self._record.steps, self._plan.evaluate_every
        end = min(first + self._chunk, (first // every + 1) * every, self._plan.steps)
        is_measured = self._plan.update_ratio and first % self._plan.ratio_every == 0
        if is_measured:
            end = first + 1
        elif self._plan.update_ratio:
            end = min(end, (first // self._plan.ratio_every + 1) * self._plan.ratio_every)
        start = perf_counter()
        losses = self._run.train(first, self._plan.lrs.part(first, end))
        seconds = perf_counter() - start
        if (place := self._smoothed.add(losses)) is not None:
            self._rose_too_high(first + place)
        self._record.add(losses)
        if len(losses) < end - first:
            self._not_finite()
        if is_measured:
            # The newer snapshot is of the arrays before this step; optimizer state has a dot in its
            # name.
            before, after = self._last_two.newer.arrays, self._run.arrays
            parameters = {name: array for name, array in after.items() if "." not in name}
            self._record.add_ratios(update_ratios(before, parameters))
        self._is_saved = False
        self._seconds += seconds
        start = perf_counter()
        self._last_two.take(self._record.steps)
        exchanged: float = getattr(self._run, "exchange_seconds", 0.0)
        fit = max(_CHUNK, _COPIES * (perf_counter() - start), _EXCHANGES * exchanged)
        fit = min(fit, _LONGEST)
        # The time of a step varies, so the chunk grows by a factor of 4 at most.
        fitting = int(fit * len(losses) / max(seconds, 1e-9))
        self._chunk = max(1, min(fitting, 4 * self._chunk))

    def _evaluate(self, report: Report) -> str:
        """Look at the dev loss, and tell; return a reason to stop, or nothing."""
        record = self._record
        loss = self._run.dev_loss()
        if loss is not None and not math.isfinite(loss):
            # The last update has done it, and no batch has been tried since.
            self._not_finite()
        self._keep_best(loss)
        if loss is not None:
            record.add_dev(loss)
        progress = self._progress(loss)
        report.note(progress)
        # Not earlier: an evaluation that Ctrl-C has cut short is forgotten, and made again.
        self._evaluated = record.steps
        self._is_saved = False
        if self._callbacks_stop(progress):
            return "stopped by a callback"
        return "stopped early" if self._patience_is_over() else ""

    def _keep_best(self, dev_loss: float | None) -> None:
        """Copy the arrays where the loss is the lowest so far."""
        loss = self._smoothed.loss if dev_loss is None else dev_loss
        is_good = self._good is not None and self._is_better_than(self._good, loss)
        is_best = self._plan.patience is not None and self._record.is_lowest(dev_loss)
        if is_good or is_best:
            best = Best(self._snapshots.copy(self._record.steps), loss)
            self._good = best if is_good else self._good
            self._best = best if is_best else self._best

    def _is_better_than(self, good: Best, loss: float | None) -> bool:
        """Compare with the best so far; with the start, which has no dev loss, as smoothed."""
        than = good.loss
        if than is None:
            than, loss = self._smoothed_start or self._smoothed.start, self._smoothed.loss
        return loss is not None and than is not None and loss < than

    def _callbacks_stop(self, progress: Progress) -> bool:
        try:
            answers = [callback(progress) for callback in self._plan.callbacks]
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._record.stopped = "failed in a callback"
            raise
        # Only True stops training; other objects that are true, such as a list, do not.
        return any(type(answer) in (bool, np.bool_) and bool(answer) for answer in answers)

    def _patience_is_over(self) -> bool:
        patience = self._plan.patience
        return patience is not None and self._record.since_best() >= patience

    def _progress(self, dev_loss: float | None) -> Progress:
        record, speed = self._record, self._speed()
        self._timed_from, self._seconds = record.steps, 0.0
        return Progress(
            step=record.steps,
            steps=self._plan.steps,
            loss=record.mean_since(self._evaluated),
            dev_loss=dev_loss,
            lr=self._lr(record.steps - 1),
            examples_per_second=speed,
        )

    def _speed(self) -> float:
        """Return the examples per second since the last evaluation."""
        steps = self._record.steps - self._timed_from
        return steps * self._run.batch_size / max(self._seconds, 1e-9)

    def _not_finite(self) -> NoReturn:
        """Go back to where the last loss came from, or to the best where that loss is too high."""
        step = self._record.steps
        before = max(step - 1, self._first)
        self._is_saved = False
        if step > before and self._smoothed.is_high(self._record.losses[before]):
            self._back_to_best()
        else:
            snapshot = self._last_two.before(before)
            _surely(lambda: self._snapshots.put(snapshot))
            if before > snapshot.step:
                self._run.train(snapshot.step, self._plan.lrs.part(snapshot.step, before))
            self._cut(before)
        raise DivergedError(step, self._lr(min(step, self._plan.steps - 1)))

    def _rose_too_high(self, step: int) -> NoReturn:
        loss = self._smoothed.loss
        self._is_saved = False
        self._back_to_best()
        raise DivergedError(step, self._lr(step), loss)

    def _back_to_best(self) -> None:
        """Set the parameters to the best that were seen, where a run keeps them."""
        if self._good is not None:
            snapshot = self._good.snapshot
            _surely(lambda: self._snapshots.put(snapshot))
            self._cut(snapshot.step)

    def _lr(self, step: int) -> float:
        return float(self._plan.lrs.part(step, step + 1)[0])

    def _cut(self, step: int) -> None:
        """Forget what came after so many steps."""
        self._evaluated = min(self._evaluated, step)
        self._record.cut(step)
        self._record.cut_dev(self._evaluated)
        self._smoothed = Smoothed(self._uniform, self._record.losses)

    def _finish(self, stopped: str, report: Report) -> None:
        """Put the best back where the run is complete, save, and log why it is over."""
        self._record.stopped = stopped
        if stopped in _COMPLETE and self._best is not None:
            best = self._best.snapshot
            _surely(lambda: self._snapshots.put(best))
        if (self._record.steps, self._evaluated, stopped) == self._was:
            return  # A run that was over is resumed: there is nothing new to save.
        if stopped == "diverged" and self._record.steps == self._first and self._has_file():
            return  # Nothing was learned: the model that is there may be a better one.
        self._save(report)
        report.end(self._record.steps, stopped)

    def _stop_early(self, stopped: str, report: Report) -> None:
        """Take back what was begun and not ended, and save, unless there is nothing to save."""
        if not self._record.stopped:
            newest = self._last_two.newer
            _surely(lambda: self._snapshots.put(newest))
            self._cut(newest.step)
            self._record.stopped = stopped
        try:
            if self._is_saved or (self._record.steps, self._evaluated) == self._was[:2]:
                return
            self._save(report)
            report.end(self._record.steps, self._record.stopped)
        except KeyboardInterrupt:
            pass  # Ctrl-C once more; the message tells that this was not saved.

    def _has_file(self) -> bool:
        return self._plan.checkpoint is not None and self._plan.checkpoint.exists()

    def _save(self, report: Report) -> None:
        if self._plan.checkpoint is None:
            return
        start = monotonic()
        # A run in danger may have to go back to its best parameters, so these are saved too.
        best = self._good if self._best is None and self._smoothed.is_in_danger else self._best
        arrays, config = write_saved(self._plan, self._record.history(), best, self._evaluated)
        is_first = _identity(self._plan.checkpoint) == self._file_before
        self._run.save(self._plan.checkpoint, arrays, config, keep_previous=is_first)
        self._is_saved = True
        report.begin()
        end = monotonic()
        self._save_at = end + max(_SAVE_EVERY, _SAVINGS * (end - start))


def _identity(path: Path | None) -> tuple[int, ...] | None:
    """Return numbers that tell a file from those before and after it; None where there is none."""
    try:
        found = os.stat(path) if path is not None else None
    except FileNotFoundError:
        return None
    return found and (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _surely(copy: Callable[[], None]) -> None:
    """Copy arrays whatever signal comes: half-copied, they are no parameters of anything."""
    while True:
        try:
            copy()
        except KeyboardInterrupt:
            continue
        return
