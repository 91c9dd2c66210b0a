"""A training run out of a checkpoint, checked as closely as what a user passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .history import History
from .plan import checked_count
from .rates import expand_rates, plan_rates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .rates import Rate

_KINDS = {
    "history.loss": np.float64,
    "history.dev_step": np.int64,
    "history.dev_loss": np.float64,
    "rates.step": np.int64,
    "rates.rate": np.float64,
}
_BEST = "best."


@dataclass(frozen=True)
class Saved:
    """Where a run had come to, and what it was to do."""

    history: History
    steps: int
    rates: NDArray[np.float64]
    evaluate_every: int
    patience: int | None
    best: dict[str, NDArray[Any]] | None

    def planned(self, steps: int | None, lr: Rate | None) -> tuple[int, NDArray[np.float64]]:
        """Give how many steps the resumed run is to have in all, and every step's rate.

        The steps made keep theirs. Raises `ValueError` where there are to be more steps than the
        saved rates, or fewer than were made.
        """
        made = len(self.history.loss)
        total = self.steps if steps is None else checked_count("steps", steps)
        if total < made:
            raise ValueError(f"steps is {steps}, but {made} were made already; expected no fewer")
        if lr is None and total > self.steps:
            raise ValueError(
                f"steps is {steps}, but rates were saved for {self.steps}; expected lr as well"
            )
        rates = self.rates[:total] if lr is None else plan_rates(lr, total)
        return total, np.concatenate([self.rates[:made], rates[made:]])


def read_saved(arrays: Mapping[str, NDArray[Any]], config: Any) -> Saved:
    """Check and read what a loop has saved.

    Raises `ValueError` or `TypeError` where it is not that.
    """
    if not isinstance(config, dict):
        raise TypeError(f"training is {config!r}; expected its settings")
    found = {name: _checked(name, arrays.get(name)) for name in _KINDS}
    steps = checked_count("training.steps", config.get("steps"))
    changes = found["rates.step"]
    rates = found["rates.rate"]
    if (
        not len(changes)
        or len(changes) != len(rates)
        or changes[0] != 0
        or changes[-1] >= steps
        or (np.diff(changes) <= 0).any()
    ):
        raise ValueError("training.rates do not fit its steps")
    loss, dev_step = found["history.loss"], found["history.dev_step"]
    if len(loss) > steps or len(dev_step) != len(found["history.dev_loss"]):
        raise ValueError("training.history does not fit its steps")
    planned = expand_rates(changes, rates, steps)
    patience = config.get("patience")
    best = {name.removeprefix(_BEST): a for name, a in arrays.items() if name.startswith(_BEST)}
    return Saved(
        history=History(
            loss=loss,
            rate=planned[: len(loss)].copy(),
            dev_step=dev_step,
            dev_loss=found["history.dev_loss"],
            stopped=str(config.get("stopped", "")),
        ),
        steps=steps,
        rates=planned,
        evaluate_every=checked_count("training.evaluate_every", config.get("evaluate_every")),
        patience=None if patience is None else checked_count("training.patience", patience),
        best=best or None,
    )


def _checked(name: str, array: NDArray[Any] | None) -> NDArray[Any]:
    if array is None or array.ndim != 1 or array.dtype != _KINDS[name]:
        raise ValueError(f"{name} is missing or damaged; expected (K,) {_KINDS[name].__name__}")
    finite = np.isfinite(array).all() and (array >= 0).all()
    if not finite:
        raise ValueError(f"{name} holds a number that is not finite and at least 0")
    return array
