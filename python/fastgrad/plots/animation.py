"""Embeddings that move while a network learns: a page with a slider, without any other file."""

from __future__ import annotations

import json
from html import escape as escape_html
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import array, path_name, shorten, whole
from .._files import write_atomically
from .canvas import token_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

__all__ = ["EmbeddingAnimation", "embedding_animation"]

_SIZE, _MARGIN = 560, 24  # pixels
_PAGE = """<!doctype html><meta charset="utf-8"><title>Embeddings</title>
<style>
:root { color-scheme: light dark } body { font: 14px sans-serif; margin: 8px; width: 560px }
svg { border: 1px solid #8888; display: block } text { fill: currentColor; text-anchor: middle }
div { display: flex; gap: 8px; align-items: center; margin-top: 6px } input { flex: 1 }
output { min-width: 7em }
</style>
<svg width="560" height="560" role="img" aria-label="Embeddings of tokens"></svg>
<div><button>Play</button><input type="range" min="0" value="0"><output></output></div>
<script>
const data = DATA, svg = document.querySelector("svg"), slider = document.querySelector("input")
const button = document.querySelector("button"), shown = document.querySelector("output")
const texts = data.tokens.map(token => {
  const text = document.createElementNS("http://www.w3.org/2000/svg", "text")
  text.textContent = token
  svg.append(text)
  return text
})
let timer = 0
function show() {
  const frame = data.frames[slider.value]
  texts.forEach((text, i) => {
    text.setAttribute("x", frame[i][0]); text.setAttribute("y", frame[i][1] + 5)
  })
  shown.value = "step " + data.steps[slider.value].toLocaleString("en")
}
function stop() { clearInterval(timer); timer = 0; button.textContent = "Play" }
function play() {
  if (timer) return stop()
  if (+slider.value === data.frames.length - 1) slider.value = 0
  button.textContent = "Pause"
  timer = setInterval(() => {
    slider.value = +slider.value + 1; show()
    if (+slider.value === data.frames.length - 1) stop()
  }, 120)
}
slider.max = data.frames.length - 1
slider.addEventListener("input", () => { stop(); show() })
button.addEventListener("click", play)
show()
</script>
"""


class EmbeddingAnimation:
    """Embeddings over the steps of a training; a notebook shows them with a slider."""

    def __init__(self, html: str, steps: list[int]) -> None:
        """Keep the page and the steps of its frames."""
        self.html = html
        self.steps = steps

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page, which needs no other file; `OSError` where it cannot be written."""
        write_atomically(path_name("path", path), self.html)

    def __repr__(self) -> str:
        """Show how many frames there are."""
        return f"EmbeddingAnimation({len(self.steps)} frames; steps {shorten(self.steps)})"

    def _repr_html_(self) -> str:
        # A frame of its own keeps the page's styles and names apart from the notebook's.
        return (
            f'<iframe srcdoc="{escape_html(self.html)}" width="600" height="640"'
            ' style="border: 0"></iframe>'
        )


def embedding_animation(
    snapshots: Mapping[int, ArrayLike] | Iterable[tuple[int, ArrayLike]],
    tokens: Iterable[str],
    *,
    path: str | PathLike[str] | None = None,
) -> EmbeddingAnimation:
    """Return embeddings that move from step to step, as a page with a slider and a play button.

    `snapshots` are the embeddings after some steps, a dict or pairs of the step and an array (V, m)
    whose rows belong to the `tokens`. All are drawn in the plane in which the last ones spread most
    (for m = 2, as they are), so that what moves on the picture has moved. A callback of `fit` takes
    them. Where `path` is given, the page is written to that file; it needs no other one.

    Raises `TypeError` or `ValueError` for snapshots that are none or do not fit the tokens,
    `OSError` where the file cannot be written.

    >>> from fastgrad import NPLM, plots
    >>> model, seen = NPLM(embedding_dim=2), {}
    >>> def keep(progress):
    ...     seen[progress.step] = model.C.copy()
    >>> names = ["emma", "olivia", "ava"]
    >>> _ = model.fit(names, steps=60, lr=0.1, batch_size=4, evaluate_every=20, callbacks=[keep])
    >>> plots.embedding_animation(seen, model.vocab)
    EmbeddingAnimation(3 frames; steps [20, 40, 60])
    """
    names = token_list(tokens)
    given: Any = snapshots
    pairs: list[Any] = list(given.items() if hasattr(given, "items") else given)
    if not pairs:
        raise ValueError("snapshots is empty; expected the embeddings of at least one step")
    steps: list[int] = []
    frames: list[NDArray[np.float64]] = []
    for place, pair in enumerate(pairs):
        try:
            step, embeddings = pair
            steps.append(whole("step", step))
        except (TypeError, ValueError):
            raise TypeError(
                f"snapshots[{place}] is {shorten(pair)}; expected a step and its embeddings"
            ) from None
        rows: NDArray[np.float64] = array(
            f"snapshots[{place}]", embeddings, "numbers of shape (V, m)", np.float64
        )
        if rows.ndim != 2 or len(rows) != len(names) or rows.shape != (frames or [rows])[0].shape:
            raise ValueError(
                f"snapshots[{place}] has shape {rows.shape}; expected a row for each of the"
                f" {len(names)} tokens, as many columns in all"
            )
        if not np.isfinite(rows).all():
            raise ValueError(f"snapshots[{place}] holds a number that is not finite")
        frames.append(rows)
    points = _in_plane(np.stack(frames))
    data = {"tokens": names, "steps": steps, "frames": points.round(1).tolist()}
    # A "<" in a token could end the script.
    animation = EmbeddingAnimation(
        _PAGE.replace("DATA", json.dumps(data).replace("<", "\\u003c"), 1), steps
    )
    if path is not None:
        animation.save(path)
    return animation


def _in_plane(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels of the points of each frame: (K, V, m) to (K, V, 2)."""
    width = frames.shape[2]
    if width > 2:
        last = frames[-1] - frames[-1].mean(axis=0)
        frames = frames @ np.linalg.svd(last, full_matrices=False)[2][:2].T
    if frames.shape[2] < 2:
        frames = np.pad(frames, ((0, 0), (0, 0), (0, 2 - frames.shape[2])))
    low, high = frames.min(axis=(0, 1)), frames.max(axis=(0, 1))
    # One scale for both axes: distances are comparable.
    scale = (_SIZE - 2 * _MARGIN) / max(float((high - low).max()), 1e-300)
    middle = (low + high) / 2
    # The y of a picture points down.
    return _SIZE / 2 + (frames - middle) * scale * np.array([1.0, -1.0])
