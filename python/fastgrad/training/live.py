"""Curves of losses that grow in a notebook while a run trains."""

from __future__ import annotations

from importlib import import_module
from math import isfinite
from time import monotonic
from typing import Any

from .. import _display

# Seconds between two pictures.
_EVERY = 0.5
# A curve with more points than this drops every second one.
_MOST_POINTS = 400


class LiveCurves:
    """The smoothed loss of mini-batches, and that on dev: one picture that is replaced in place."""

    def __init__(self, steps: int) -> None:
        """Show the empty picture; `ImportError` where there is no IPython."""
        display = import_module("IPython.display").display

        self._steps = steps
        self._train: list[tuple[int, float]] = []
        self._dev: list[tuple[int, float]] = []
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)
        self._drawn = monotonic()

    def add(self, step: int, loss: float | None, dev_loss: float | None = None) -> None:
        """Add what was seen after a step; the picture is replaced twice a second at most."""
        if loss is not None and isfinite(loss):
            self._train.append((step, loss))
        if dev_loss is not None:
            self._dev.append((step, dev_loss))
        if len(self._train) > _MOST_POINTS:
            self._train = self._train[::2]
        if monotonic() - self._drawn >= _EVERY:
            self.draw()

    def draw(self) -> None:
        """Replace the picture."""
        if self._handle is not None:
            self._handle.update(self._bundle(), raw=True)
        self._drawn = monotonic()

    def _bundle(self) -> dict[str, str]:
        told = "loss"
        if self._train:
            told = f"step {self._train[-1][0]:,} of {self._steps:,}, loss {self._train[-1][1]:.4f}"
        if self._dev:
            told += f", dev {self._dev[-1][1]:.4f}"
        series = {
            name: ([step for step, _ in points], [loss for _, loss in points])
            for name, points in (("mini-batches", self._train), ("dev", self._dev))
            if points
        }
        picture = _display.curves(series, "steps", right=self._steps)
        return {"text/plain": told, "text/html": f"<div>{told}</div>{picture}"}
