"""Curves of losses that grow in a notebook while a run trains."""

from __future__ import annotations

from importlib import import_module
from math import isfinite
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Points = Sequence[tuple[int, float]]

# Seconds between two pictures.
_EVERY = 0.5
# A curve with more points than this drops every second one.
_MOST_POINTS = 400
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 560, 280, 56, 30, 36, 24  # pixels
_TRAIN, _DEV = "#2f6db3", "#d9822b"


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
        return {
            "text/plain": told,
            "text/html": curves_svg(told, self._steps, {_TRAIN: self._train, _DEV: self._dev}),
        }


def curves_svg(title: str, steps: int, curves: dict[str, Points]) -> str:
    """Return curves over so many steps, by colour, as SVG text."""
    losses = [loss for points in curves.values() for _, loss in points] or [0.0, 1.0]
    low, high = min(losses), max(losses)
    span = high - low or 1.0

    def x(step: float) -> float:
        return _LEFT + step / steps * (_WIDTH - _LEFT - _RIGHT)

    def y(loss: float) -> float:
        return _HEIGHT - _BOTTOM - (loss - low) / span * (_HEIGHT - _BOTTOM - _TOP - 8)

    parts = [
        f'<text x="{_LEFT}" y="{_TOP - 8}">{title}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{_TOP - 8}" text-anchor="end"><tspan fill="{_TRAIN}">'
        f'mini-batches</tspan> <tspan fill="{_DEV}">dev</tspan></text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        loss, step = low + share * span, round(share * steps)
        parts += [
            f'<path d="M{_LEFT} {y(loss):.1f}H{_WIDTH - _RIGHT}" stroke="#8884"/>',
            f'<text x="{_LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.2f}</text>',
            f'<text x="{x(step):.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{step:,}</text>',
        ]
    for colour, points in curves.items():
        places = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in points)
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"'
        ' style="font: 12px sans-serif; stroke-width: 1.5" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )
