"""The state of a training run in a checkpoint, checked as closely as a user's arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import amount, shorten, whole
from .history import History
from .learning_rates import LearningRates, plan_lrs
from .snapshots import Best, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .learning_rates import LearningRate
    from .plan import Plan

    Arrays = Mapping[str, NDArray[Any]]

_BEST = "best."
_RATIO = "history.update_ratio."


@dataclass(frozen=True)
class Saved:
    """The state and the settings of a run."""

    history: History
    steps: int
    lrs: LearningRates
    evaluate_every: int
    patience: int | None
    best: Best | None
    evaluated: int
    """The number of steps made before the last evaluation."""
    update_ratio: bool

    def planned(self, steps: int | None, lr: LearningRate | None) -> tuple[int, LearningRates]:
        """Return how many steps the resumed run is to have in all, and every step's learning rate.

        The steps made keep theirs. Raises `ValueError` where there are to be more steps than
        learning rates were saved for, or fewer than were made.
        """
        made = len(self.history.loss)
        total = self.steps if steps is None else whole("steps", steps, least=1)
        if total < made:
            raise ValueError(
                f"steps is {shorten(total)}, but {made} were made already; expected no fewer"
            )
        if lr is None and total > self.steps:
            raise ValueError(
                f"steps is {shorten(total)}, but learning rates were saved for {self.steps};"
                " expected lr as well"
            )
        later = plan_lrs(self.lrs if lr is None else lr, total)
        return total, self.lrs.then(made, later)


def history_arrays(history: History) -> dict[str, NDArray[Any]]:
    """Return a history as named arrays for a checkpoint."""
    lrs = LearningRates.of(history.lr)
    ratios: dict[str, NDArray[Any]] = {
        _RATIO + name: array for name, array in history.update_ratio.items()
    }
    if ratios:
        ratios["history.update_step"] = history.update_steps
    return ratios | {
        "history.loss": history.loss,
        "history.rate_step": lrs.starts,
        "history.rate": lrs.values,
        "history.dev_step": history.dev_steps,
        "history.dev_loss": history.dev_loss,
    }


def read_history(arrays: Arrays, stopped: str = "") -> History:
    """Undo `history_arrays`; `ValueError` where the arrays are not of one history."""
    loss = _checked(arrays, "history.loss", np.float64)
    dev_steps = _checked(arrays, "history.dev_step", np.int64)
    dev_loss = _checked(arrays, "history.dev_loss", np.float64)
    if len(dev_steps) != len(dev_loss) or (dev_steps > len(loss)).any():
        raise ValueError("history.dev_steps does not fit the other arrays of the history")
    lrs = _read_lrs(arrays, "history", len(loss))
    steps, ratios = _read_ratios(arrays, len(loss))
    return History(loss, lrs.part(0, len(loss)), dev_steps, dev_loss, stopped, steps, ratios)


def _read_ratios(
    arrays: Arrays, steps: int
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Return the update-to-data ratios, which only some runs keep."""
    names = [name for name in arrays if name.startswith(_RATIO)]
    if not names:
        return np.empty(0, np.int64), {}
    made = _checked(arrays, "history.update_step", np.int64)
    ratios: dict[str, NDArray[np.float64]] = {}
    for name in names:
        array = arrays[name]
        if array.shape != made.shape or array.dtype != np.float64 or (array < 0).any():
            raise ValueError(f"{name} is damaged; expected {made.shape} float64 of at least 0")
        ratios[name.removeprefix(_RATIO)] = array
    if (made >= steps).any() or (np.diff(made) <= 0).any():
        raise ValueError(f"history.update_step does not fit the {steps} steps")
    return made, ratios


def write_saved(
    plan: Plan, history: History, best: Best | None, evaluated: int
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return a run as named arrays and settings for a checkpoint."""
    lrs = {"plan.rate_step": plan.lrs.starts, "plan.rate": plan.lrs.values}
    arrays = history_arrays(history) | lrs
    config = {
        "steps": plan.steps,
        "evaluate_every": plan.evaluate_every,
        "patience": plan.patience,
        "stopped": history.stopped,
        "evaluated": evaluated,
        "update_ratio": plan.update_ratio,
    }
    if best is not None:
        arrays |= {_BEST + name: array for name, array in best.snapshot.arrays.items()}
        config |= {"best_step": best.snapshot.step, "best_loss": best.loss}
    return arrays, config


def read_saved(arrays: Arrays, config: dict[str, Any]) -> Saved:
    """Undo `write_saved`; `ValueError` or `TypeError` where it is not what that has made."""
    if not isinstance(config, dict):
        raise TypeError(
            f"the settings of the training are {shorten(config)}; expected a dictionary"
        )
    history = read_history(arrays, str(config.get("stopped", "")))
    steps = whole("steps", config.get("steps"), least=1)
    if len(history.loss) > steps:
        raise ValueError(
            f"steps is {shorten(steps)}, but the history has {len(history.loss)} of them"
        )
    patience = config.get("patience")
    every = whole("evaluate_every", config.get("evaluate_every"), least=1)
    return Saved(
        history=history,
        steps=steps,
        lrs=_read_lrs(arrays, "plan", steps),
        evaluate_every=every,
        patience=None if patience is None else whole("patience", patience, least=1),
        best=_read_best(arrays, config, history),
        evaluated=_read_evaluated(config, history, every),
        update_ratio=bool(config.get("update_ratio", False)),
    )


def _read_best(arrays: Arrays, config: Any, history: History) -> Best | None:
    best = {name.removeprefix(_BEST): a for name, a in arrays.items() if name.startswith(_BEST)}
    if not best:
        return None
    step, loss = config.get("best_step"), config.get("best_loss")
    if step is None:  # Older files have the best of the evaluations, and do not say which it was.
        if not len(history.dev_loss):
            raise ValueError("best_step is missing")
        place = int(np.argmin(history.dev_loss))
        step, loss = int(history.dev_steps[place]), float(history.dev_loss[place])
    step = whole("best_step", step, most=len(history.loss))
    return Best(Snapshot(step, best), None if loss is None else amount("best_loss", loss))


def _read_evaluated(config: Any, history: History, every: int) -> int:
    made, evaluated = len(history.loss), config.get("evaluated")
    if evaluated is not None:
        return whole("evaluated", evaluated, most=made)
    # Older files do not tell, and have it from the dev losses, or where they would have been.
    if len(history.dev_steps):
        return int(history.dev_steps[-1])
    return made if history.stopped == "finished" else made // every * every


def _read_lrs(arrays: Arrays, of: str, steps: int) -> LearningRates:
    starts = _checked(arrays, f"{of}.rate_step", np.int64)
    values = _checked(arrays, f"{of}.rate", np.float64)
    fits = len(starts) == len(values) and bool(len(starts)) == bool(steps)
    # Ascending, from 0 on, and before the last step.
    ends = np.append(starts, steps)
    if not fits or ends[0] != 0 or (np.diff(ends) <= 0).any():
        raise ValueError(f"{of}.rate does not fit the {steps} steps")
    return LearningRates(starts, values, steps)


def _checked(arrays: Arrays, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    array = arrays.get(name)
    if array is None or array.ndim != 1 or array.dtype != dtype:
        raise ValueError(f"{name} is missing or damaged; expected (K,) {dtype.__name__}")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"{name} holds a number that is not finite and at least 0")
    return array
