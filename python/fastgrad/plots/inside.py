"""Pictures of activations, gradients and updates, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._checks import shorten
from .canvas import axes_for, finish, legible

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["activations", "gradients", "update_ratio"]

_COLOURS = ("#2f6db3", "#d9822b", "#3a8f5c", "#8a5fb0", "#b0413e", "#777777", "#2a9d9d")
# A curve has about as many points as its numbers can tell apart.
_FEWEST_BINS, _MOST_BINS = 8, 60
# Beyond these, tanh and the sigmoid are so flat that hardly any gradient comes through: the
# lecture's 0.97, and where the sigmoid is as far along its way.
_SATURATED = {"tanh": (-0.97, 0.97), "sigmoid": (0.015, 0.985)}
# The lecture's rule of thumb for the update-to-data ratio.
_GOOD_RATIO = 1e-3


class _Outputs(NamedTuple):
    """The outputs of one layer for B examples."""

    name: str
    values: Floats
    """(B, units)."""
    activation: str
    """Its name as of `Neuron`; "" where there is none."""


def activations(
    model: Any,
    X: ArrayLike,  # noqa: N803 - the lecture's name
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str = "Activations",
) -> Axes:
    """Draw how the activations of each layer are distributed, as the lecture does; return the Axes.

    `model` is an `NPLM` or `WordNPLM` and `X` contexts of ids, (B, context_length), or an `MLP` of
    Values and `X` rows of inputs. Drawn are the layers with an activation function, and of an NPLM
    the embeddings, too. The legend has mean and standard deviation of each layer, the share of its
    activations that are *saturated*, beyond 0.97 of tanh (or so far along the sigmoid), where
    hardly any gradient comes through, and the share of its units that are *dead*, saturated for all
    examples or, of relu, 0 for all of them.

    Where `path` is given, the picture is written to that file; otherwise a notebook shows it. `ax`
    are the Axes to draw on, those of a new figure if None.

    Raises `TypeError` for a model of another kind, `ValueError` for no examples or activations that
    are not finite, `OSError` where the file cannot be written, `ImportError` without matplotlib.

    >>> import os, tempfile
    >>> from fastgrad import NPLM, Vocab
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "activations.png")
    ...     ax = activations(NPLM(Vocab("abc"), context_length=2), [[0, 1], [1, 2]], path=path)
    ...     os.path.getsize(path) > 1000
    True
    """
    layers = _layers(model, X)
    everything = np.concatenate([layer.values.ravel() for layer in layers])
    if not everything.size:
        raise ValueError("X has no rows; expected at least one")
    if not np.isfinite(everything).all():
        raise ValueError("the activations are not all finite")
    span = float(everything.min()), float(everything.max())
    axes = axes_for(ax, path, 7.6, 4.6)
    for colour, layer in zip(_colours(len(layers)), layers, strict=True):
        middles, density = _density(layer.values.ravel(), span)
        axes.plot(middles, density, color=colour, linewidth=1.6, label=_summary(layer))
    axes.set(xlabel="activation", ylabel="density")
    _make_room(axes, len(layers))
    return _finished(axes, title, path)


def gradients(
    model: Any,
    X: ArrayLike | None = None,  # noqa: N803 - the lecture's names
    Y: ArrayLike | None = None,  # noqa: N803
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str = "Gradients",
) -> Axes:
    """Draw how large the gradients of each layer's weights are; return the Axes.

    `model` is an `NPLM` or `WordNPLM`, and `X` and `Y` a batch as for its `gradients`; or an `MLP`
    of Values whose `backward` has run, without `X` and `Y`. Drawn is the distribution of the
    absolute values, on a logarithmic axis: curves far apart belong to layers that learn at
    different speeds. The legend has the spread of the gradients over that of the weights, and the
    share of gradients that are 0.

    `path` and `ax` are those of `activations`. Raises as it does; `ValueError` where all gradients
    are 0.

    >>> import os, tempfile
    >>> from fastgrad import NPLM, Vocab
    >>> model = NPLM(Vocab("abc"), context_length=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "gradients.png")
    ...     ax = gradients(model, [[0, 1], [1, 2]], [2, 0], path=path)
    ...     os.path.getsize(path) > 1000
    True
    """
    pairs = _gradients(model, X, Y)
    sizes = {
        name: np.abs(gradient, dtype=np.float64).ravel() for name, (gradient, _) in pairs.items()
    }
    everything = np.concatenate(list(sizes.values()))
    if not np.isfinite(everything).all():
        raise ValueError("the gradients are not all finite")
    if not everything.any():
        raise ValueError("all gradients are 0; call backward() of the loss first")
    logs: dict[str, Floats] = {name: np.log10(size[size > 0]) for name, size in sizes.items()}
    span = float(np.log10(everything[everything > 0].min())), float(np.log10(everything.max()))
    axes = axes_for(ax, path, 7.6, 4.6)
    for colour, (name, (gradient, weights)) in zip(
        _colours(len(pairs)), pairs.items(), strict=True
    ):
        zeros = 1 - np.count_nonzero(gradient) / gradient.size
        label = f"{name} {gradient.shape}: {_ratio(gradient, weights)}, {zeros:.0%} are 0"
        middles, density = _density(logs[name], span)
        axes.plot(10**middles, density * (1 - zeros), color=colour, linewidth=1.6, label=label)
    axes.set_xscale("log")
    axes.set(xlabel="absolute value of the gradient", ylabel="density (per power of ten)")
    _make_room(axes, len(pairs))
    return _finished(axes, title, path)


def update_ratio(
    history: Any,
    *,
    path: str | PathLike[str] | None = None,
    ax: Axes | None = None,
    title: str = "Updates relative to parameters",
) -> Axes:
    """Draw the update-to-data ratio of each array over the steps, as the lecture does.

    `history` is a model that was trained with `fit(..., update_ratio=True)`, or its history: drawn
    is the standard deviation of an update divided by that of the parameter. About 1e-3, the dashed
    line, is the lecture's rule of thumb: far below it an array learns too slowly, far above it the
    learning rate is too high. Biases that start at 0 begin far above it.

    `path` and `ax` are those of `activations`. Returns the Axes. Raises `ValueError` for a history
    without ratios, `TypeError` for what has none, `OSError` where the file cannot be written,
    `ImportError` without matplotlib.

    >>> import os, tempfile
    >>> from fastgrad import NPLM
    >>> model = NPLM().fit(["emma", "ava"], steps=20, lr=0.1, batch_size=4, update_ratio=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "updates.png")
    ...     ax = update_ratio(model, path=path)
    ...     os.path.getsize(path) > 1000
    True
    """
    seen = getattr(history, "history", history)
    if not hasattr(seen, "update_ratio"):
        raise TypeError(
            f"history is {shorten(history)}; expected a model trained with fit, or its history"
        )
    if not seen.update_ratio:
        raise ValueError("history has no ratios; train with fit(..., update_ratio=True)")
    axes = axes_for(ax, path, 7.6, 4.6)
    colours = _colours(len(seen.update_ratio))
    for colour, (name, ratios) in zip(colours, seen.update_ratio.items(), strict=True):
        # A logarithmic axis has no place for 0, nor for what is not finite.
        shown = np.where(np.isfinite(ratios) & (ratios > 0), ratios, np.nan)
        axes.plot(seen.update_steps, shown, color=colour, linewidth=1.2, label=legible(name))
    axes.axhline(_GOOD_RATIO, color="#808080", linewidth=0.9, linestyle="--", label="0.001")
    axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="std of update / std of parameter")
    return _finished(axes, title, path)


def _layers(model: Any, inputs: Any) -> list[_Outputs]:
    """Return what is drawn of a model's layers."""
    if hasattr(model, "forward"):
        made = model.forward(inputs)
        layers = [("embedding", made.embedding, ""), ("hidden", made.hidden, "tanh")]
        return [_Outputs(*layer) for layer in layers if layer[1].shape[1]]
    layers = [layer for layer in _mlp_layers(model) if hasattr(layer, "batch")]
    if not layers:
        raise TypeError(f"model is {shorten(model)}; expected an NPLM or an MLP")
    rows = np.asarray(inputs, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"X has shape {rows.shape}; expected rows of inputs")
    found: list[_Outputs] = []
    values: list[Any] = rows.tolist()
    for number, layer in enumerate(layers):
        values = [[value.data for value in row] for row in layer.batch(values)]
        kind = layer.neurons[0].activation
        array = np.asarray(values, dtype=np.float64).reshape(len(rows), -1)
        found.append(_Outputs(f"layers.{number}", array, "" if kind == "linear" else kind))
    return [layer for layer in found if layer.activation] or found


def _mlp_layers(model: Any) -> list[Any]:
    return list(getattr(model, "layers", ()))


def _gradients(model: Any, inputs: Any, targets: Any) -> dict[str, tuple[Floats, Floats]]:
    """Return the gradients of each layer's weights, and the weights."""
    if hasattr(model, "gradients"):
        if inputs is None or targets is None:
            raise TypeError("X and Y are needed for an NPLM: contexts, and what follows them")
        found = model.gradients(inputs, targets)
        return {name: (g, getattr(model, name)) for name, g in found.items() if g.ndim == 2}
    pairs: dict[str, tuple[Floats, Floats]] = {}
    for number, layer in enumerate(_mlp_layers(model)):
        rows = [neuron.w for neuron in getattr(layer, "neurons", ())]
        if rows:
            pairs[f"layers.{number}"] = (
                np.array([[w.grad for w in row] for row in rows]),
                np.array([[w.data for w in row] for row in rows]),
            )
    if not pairs:
        raise TypeError(f"model is {shorten(model)}; expected an NPLM or an MLP")
    return pairs


def _summary(layer: _Outputs) -> str:
    """Return a layer's line of the legend."""
    values = layer.values.astype(np.float64)
    told = f"{layer.name}: mean {values.mean():.2f}, std {values.std():.2f}"
    if layer.activation in _SATURATED:
        low, high = _SATURATED[layer.activation]
        flat = (values < low) | (values > high)
        return f"{told}, {flat.mean():.0%} saturated, {flat.all(axis=0).mean():.0%} dead"
    if layer.activation == "relu":
        off = values == 0
        return f"{told}, {off.mean():.0%} are 0, {off.all(axis=0).mean():.0%} dead"
    return told


def _ratio(gradient: Floats, weights: Floats) -> str:
    spread = float(np.std(weights, dtype=np.float64))
    if not spread:
        return "weights without spread"
    return f"grad/data {np.std(gradient, dtype=np.float64) / spread:.1e}"


def _density(
    values: Floats, span: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points over a span, and the density of values there; all 0 without values."""
    bins = int(np.clip(2 * np.sqrt(values.size), _FEWEST_BINS, _MOST_BINS))
    counts, edges = np.histogram(values.astype(np.float64), bins, span)
    return (edges[1:] + edges[:-1]) / 2, counts / max(values.size, 1) / (edges[1] - edges[0])


def _make_room(axes: Axes, lines: int) -> None:
    """Leave room for a legend of so many lines above the curves."""
    axes.set_ylim(0, axes.get_ylim()[1] * (1 + 0.08 * lines))


def _colours(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]


def _finished(axes: Axes, title: str, path: str | PathLike[str] | None) -> Axes:
    axes.set_title(legible(title), parse_math=False)
    axes.grid(color="#888888", alpha=0.28, linewidth=0.6)
    axes.legend(frameon=False, fontsize=9)
    return finish(axes, path)
