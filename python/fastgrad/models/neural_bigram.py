"""The neural bigram: one layer of weights that learns what counting finds."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import amount, list_length, whole
from .._core import train_bigram
from .._defaults import L2, NEURAL_BIGRAM_STEPS
from .._hints import hint_names
from .._progress import bar, in_notebook
from ..base import NotFittedError
from ..text import Vocab
from ..text.vocab import check_vocab
from ..training import DivergedError, History
from ..training.divergence import Smoothed
from ..training.history import ratio_interval, update_ratios
from ..training.live import LiveCurves
from ._table import TableModel, check_cells
from .ngram_counts import NgramCounts, check_order, counts_to_learn
from .saving import read_note

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from ..text import Source

# The number of times a progress bar moves in a training.
_REPORTS = 100


class NeuralBigram(TableModel):
    """A one-hot context times weights, through softmax: row `context` of the weights are logits.

    The weights W have shape (V, V), or with `order` 3 (V**2, V), V the size of the vocabulary.

    Trained without `l2`, it finds the relative frequencies that `BigramModel(smoothing=0)` counts;
    l2 pulls infrequent contexts towards equal probabilities, as smoothing does.

    `vocab` is the vocabulary; where it is None, `fit` takes that of its text. Raises `ValueError`
    for an order other than 2 or 3.

    >>> model = NeuralBigram().fit(["emma", "ava"], steps=100)
    >>> model
    NeuralBigram(order=2; 5 tokens, 100 steps)
    >>> model.W.shape
    (5, 5)
    """

    kind = "neural bigram"

    @hint_names(l2="l2 in fit", smoothing="l2 in fit", seed="seed in fit")
    def __init__(self, order: int = 2, *, vocab: Vocab | None = None) -> None:
        """Keep the settings."""
        check_order(order)
        if vocab is not None:
            check_vocab(vocab)
        super().__init__(int(order), vocab)
        self._weights: NDArray[np.float64] | None = None
        self._history = History()

    @property
    def W(self) -> NDArray[np.float64]:  # noqa: N802 - the lecture's name
        """The logits, read-only, (V**context_length, V); raises `NotFittedError` before `fit`."""
        if self._weights is None:
            raise NotFittedError("this NeuralBigram has no weights yet; call fit first")
        return self._weights

    @property
    def history(self) -> History:
        """The losses of training, each before its step, `l2` included."""
        return self._history

    @property
    def config(self) -> dict[str, Any]:
        """The settings: order."""
        return {"order": self.order}

    @hint_names(
        epochs="steps; each sees all examples", order="order in the constructor", weight_decay="l2"
    )
    def fit(
        self,
        texts: Source | NgramCounts,
        *,
        steps: int = NEURAL_BIGRAM_STEPS,
        lr: float | None = None,
        momentum: float = 0.0,
        l2: float = L2,
        batch_size: int | None = None,
        seed: int = 0,
        threads: int | None = None,
        progress: bool = False,
        update_ratio: bool = False,
        live: bool = False,
    ) -> Self:
        """Train on a text, or on counts, and return the model; `history` is what was seen.

        Minimises the mean negative log-likelihood plus `l2 * mean(W**2)` by gradient descent, from
        weights of 0 or those of an earlier call. Equal bigrams have equal losses, so that a step
        over all examples costs one softmax a context, however long the text is.

        With `lr` None steps are accelerated (Nesterov) and need no learning rate; 2,000 of them
        come within 1e-6 of the optimum for the lecture's names. With a learning rate, each is
        `W -= lr * gradient`, as in the lecture (which takes 50), with Polyak's `momentum` where
        that is not 0. With `batch_size`, each step sees that many examples, drawn by `seed`,
        instead of all.

        With `update_ratio` the history keeps the update-to-data ratio of W at about 200 of the
        steps, which `fastgrad.plots.update_ratio` draws. `live` shows the loss in a notebook while
        it falls, and elsewhere the bar that `progress` shows. Neither changes a result.

        Raises what `NgramCounts` raises, `ValueError` or `TypeError` for a setting that makes
        no sense, before anything is counted, and `DivergedError`, a `FloatingPointError`, where the
        learning rate is so high that the loss is no number any more, or rises to more than twice
        its start and twice ln V.

        >>> from fastgrad.models import BigramModel
        >>> model = NeuralBigram().fit(["emma", "ava"], l2=0.0)
        >>> counted = BigramModel(smoothing=0).fit(["emma", "ava"])
        >>> round(model.loss(["emma", "ava"]) - counted.loss(["emma", "ava"]), 3)
        0.0
        >>> model.history.loss.shape
        (2000,)
        """
        if batch_size is not None:
            batch_size = whole("batch_size", batch_size, least=1, most=2**32)
        settings = {
            "lr": None if lr is None else amount("lr", lr),
            "momentum": amount("momentum", momentum),
            "penalty": amount("l2", l2),
            "batch": batch_size,
            "seed": whole("seed", seed, most=2**64 - 1),
        }
        steps = list_length("steps", steps)
        counts = counts_to_learn(texts, self._vocab, self.order, threads, progress)
        check_cells(counts.vocab, self.order)
        size = len(counts.vocab)
        weights = np.zeros((size ** (self.order - 1), size))
        if self._weights is not None:
            weights[:] = self._weights
        curves = LiveCurves(steps) if live and in_notebook() else None
        losses, ratios = _train(
            weights,
            counts,
            steps,
            settings,
            ratio_every=ratio_interval(steps) if update_ratio else None,
            progress=bool(progress or live) and curves is None,
            curves=curves,
        )
        self._keep(counts.vocab, weights)
        self._history = History(
            losses,
            np.full(steps, math.nan if lr is None else lr),
            update_steps=np.array(list(ratios), dtype=np.int64),
            update_ratio={"W": np.array(list(ratios.values()))} if ratios else {},
        )
        return self

    def _keep(self, vocab: Vocab, weights: NDArray[np.float64]) -> None:
        weights.flags.writeable = False
        self._vocab, self._weights, self._made = vocab, weights, None

    def _make_table(self) -> NDArray[np.float64]:
        """Return e**x over the sum of its row; the largest of a row is subtracted first."""
        with np.errstate(over="ignore", under="ignore"):  # Both end in a probability of 0.
            table = np.exp(self.W - self.W.max(axis=1, keepdims=True))
            table /= table.sum(axis=1, keepdims=True)
        return table

    def _to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        seen = self._history
        tensors: dict[str, NDArray[Any]] = {"weights": self.W, "loss": seen.loss, "lr": seen.lr}
        if seen.update_ratio:
            tensors |= {"update_steps": seen.update_steps, "update_ratio": seen.update_ratio["W"]}
        return tensors, {"vocab": self.vocab.to_config()}

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> NeuralBigram:
        vocab, weights = Vocab.from_config(config["vocab"]), tensors["weights"]
        # Older files have the loss after the last step as well, and no learning rates.
        losses = tensors["loss"] if "loss" in tensors else tensors["history"][:-1]
        lrs = tensors["lr"] if "lr" in tensors else np.full(len(losses), math.nan)
        floats = (weights, losses, lrs, tensors.get("update_ratio", losses))
        if any(array.dtype != np.float64 for array in floats):
            raise ValueError("weights, losses or ratios are not of float64")
        if losses.ndim != 1 or lrs.shape != losses.shape:
            raise ValueError(f"loss has shape {losses.shape} and lr {lrs.shape}; expected (steps,)")
        ratios = {"W": tensors["update_ratio"]} if "update_ratio" in tensors else {}
        at = tensors["update_steps"] if ratios else np.empty(0, np.int64)
        if ratios and (at.dtype != np.int64 or at.ndim != 1 or at.shape != ratios["W"].shape):
            raise ValueError(f"update_steps has shape {at.shape}; expected that of update_ratio")
        size = len(vocab)
        if weights.shape not in ((size, size), (size * size, size)):
            raise ValueError(f"weights has shape {weights.shape}; expected ({size}, {size})")
        if not np.isfinite(weights).all():
            raise ValueError("weights holds nan or infinity; expected finite numbers")
        model = cls(2 if len(weights) == size else 3)
        model._keep(vocab, weights.copy())
        model._history = History(losses, lrs, update_steps=at, update_ratio=ratios)
        model.note = read_note(config)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but the table, which is computed when it is needed."""
        return vars(self) | {"_made": None}

    def __repr__(self) -> str:
        """Show the order, the vocabulary's size and the number of steps."""
        fitted = "not fitted"
        if self._weights is not None:
            fitted = f"{len(self.vocab)} tokens, {self._history.steps:,} steps"
        return f"NeuralBigram(order={self.order}; {fitted})"


def _train(
    weights: NDArray[np.float64],
    counts: NgramCounts,
    steps: int,
    settings: dict[str, Any],
    *,
    ratio_every: int | None,
    progress: bool,
    curves: LiveCurves | None,
) -> tuple[NDArray[np.float64], dict[int, float]]:
    """Train in place; return the loss before each step, and some steps' update-to-data ratios."""
    ids, found = counts.nonzero()
    times = found.astype(np.uint64)
    velocity = np.zeros_like(weights)
    losses = np.empty(steps)
    ratios: dict[int, float] = {}
    lr = settings["lr"] or math.nan
    smoothed = Smoothed(math.log(len(counts.vocab)), losses[:0])
    stride = max(1, steps // _REPORTS)
    first = 0
    with bar(progress, steps, "step", "training") as report:
        while first < steps:
            # A step depends on its number alone, not on the call that it is part of.
            end = min((first // stride + 1) * stride, steps)
            before = None
            if ratio_every and first % ratio_every == 0:
                end, before = first + 1, weights.copy()
            elif ratio_every:
                end = min(end, (first // ratio_every + 1) * ratio_every)
            try:
                found = train_bigram(
                    weights, velocity, ids, times, steps=end - first, first_step=first, **settings
                )
            except FloatingPointError as error:
                raise _diverged(error, lr) from None
            if (place := smoothed.add(found)) is not None:
                raise DivergedError(first + place, lr, smoothed.loss)
            losses[first:end] = found
            if before is not None:
                ratios[first] = update_ratios({"W": before}, {"W": weights})["W"]
            first = end
            if report is not None:
                report(end, f"loss {found[-1]:.4f}")
            if curves is not None:
                curves.add(end, smoothed.loss)
    if curves is not None:
        curves.draw()
    return losses, ratios


def _diverged(error: FloatingPointError, lr: float) -> DivergedError:
    """Return the error of training loops for that of the core, which ends with the step."""
    found = re.search(r"at step (\d+)", str(error))
    return DivergedError(int(found[1]) if found else 0, lr)
