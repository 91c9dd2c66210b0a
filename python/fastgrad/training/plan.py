"""The settings of a training run, checked before it starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .._checks import as_list, path_name, shorten, whole
from .history import ratio_interval
from .learning_rates import LearningRate, LearningRates, plan_lrs

# The number of evaluations in a run by default.
_EVALUATIONS = 20


@dataclass(frozen=True)
class Progress:
    """The progress of a run, with which callbacks are called after each evaluation.

    `step` of `steps` have been made. `loss` is the mean over the mini-batches since the last
    evaluation, `dev_loss` the loss on the development text (None without one), `lr` the learning
    rate of the last step, `examples_per_second` the speed of training alone.
    """

    step: int
    steps: int
    loss: float
    dev_loss: float | None
    lr: float
    examples_per_second: float


@dataclass(frozen=True)
class Plan:
    """The settings of a training run; `make_plan` checks them."""

    steps: int
    lrs: LearningRates
    evaluate_every: int
    patience: int | None
    callbacks: tuple[Callable[[Progress], object], ...]
    progress: bool
    log: Path | None
    checkpoint: Path | None
    update_ratio: bool = False
    live: bool = False

    @property
    def ratio_every(self) -> int:
        """The number of steps from one recorded update-to-data ratio to the next."""
        return ratio_interval(self.steps)

    def settings(self) -> dict[str, object]:
        """Return what decides the result of a run, in words or as numbers."""
        some = self.lrs.part(0, min(self.steps, 1000))
        return {
            "steps": self.steps,
            "lr": [float(lr) for lr in some[:: max(1, len(some) // 10)]],
            "evaluate_every": self.evaluate_every,
            "patience": self.patience,
        }


def make_plan(
    *,
    steps: int,
    lr: LearningRate | LearningRates,
    evaluate_every: int | None = None,
    patience: int | None = None,
    callbacks: Iterable[Callable[[Progress], object]] = (),
    progress: bool = False,
    log: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    update_ratio: bool = False,
    live: bool = False,
) -> Plan:
    """Check what a training run is to do; every learning rate is worked out here.

    Raises `ValueError` or `TypeError` naming the argument, and `OSError` where the folder of `log`
    or `checkpoint`, which is made when it is needed, cannot be made.
    """
    steps = whole("steps", steps, least=1, most=2**62)
    return Plan(
        steps=steps,
        lrs=plan_lrs(lr, steps),
        evaluate_every=(
            max(1, steps // _EVALUATIONS)
            if evaluate_every is None
            else whole("evaluate_every", evaluate_every, least=1)
        ),
        patience=None if patience is None else whole("patience", patience, least=1),
        callbacks=_checked_callbacks(callbacks),
        progress=bool(progress),
        log=_checked_file("log", log),
        checkpoint=_checked_file("checkpoint", checkpoint),
        update_ratio=bool(update_ratio),
        live=bool(live),
    )


def check_patience(patience: int | None, *, has_dev: bool) -> None:
    """Raise `ValueError` where there is nothing to measure patience on."""
    if patience is not None and not has_dev:
        raise ValueError(f"patience is {shorten(patience)}, but there is no dev to measure it on")


def _checked_callbacks(
    callbacks: Iterable[Callable[[Progress], object]],
) -> tuple[Callable[[Progress], object], ...]:
    found = callbacks
    # A callable may be iterable too, and is no list then.
    if isinstance(callbacks, Iterable) and not callable(callbacks):
        found = tuple(as_list(callbacks))
        if all(map(callable, found)):
            return found
    raise TypeError(f"callbacks is {shorten(found)}; expected a list of functions")


def _checked_file(name: str, value: str | os.PathLike[str] | None) -> Path | None:
    if value is None:
        return None
    path = Path(path_name(name, value))
    if path.is_dir():
        raise IsADirectoryError(
            f"{name} is {shorten(str(path))}, a folder; expected the path of a file"
        )
    there = next(place for place in path.absolute().parents if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{name} is {shorten(str(path))}, but {there} is no folder")
    return path
