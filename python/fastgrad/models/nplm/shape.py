"""The sizes of a network and its initial parameters."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._checks import cut, shorten, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Parameters = dict[str, NDArray[Any]]

# The largest unsigned integer of 64 bits.
MAX_SEED = 2**64 - 1

INITS = ("scaled", "normal", "small")

# Settings as older files call them.
_OLD_NAMES = {
    "context": "context_length",
    "embedding": "embedding_dim",
    "hidden": "hidden_dim",
    "tied": "tie_weights",
}

# The initial scale of U, relative to 1/sqrt(h): small, so that all tokens are about as
# likely as each other before the first step, and the loss is ln V.
_SMALL = 0.1
# The spread of embeddings in "small": AdamW moves a number by about lr in a step, and those of
# infrequent words in few steps, so that embeddings of spread 1 would stay as they were drawn.
_EMBEDDINGS = 0.05
# The number of parameters that are drawn at a time.
_PART = 2**22


@dataclass(frozen=True)
class Shape:
    """The sizes of a network: V tokens, c of them as context, m embedding and h hidden dimensions.

    A network with tied weights has no U of its own: C, through P (m, h), serves as both the
    embeddings that go in and the weights that come out, U = C·P.
    """

    vocab_size: int
    context_length: int = 3
    embedding_dim: int = 10
    hidden_dim: int = 200
    direct: bool = False
    dtype: Literal["float32", "float64"] = "float32"
    tie_weights: bool = False

    def __post_init__(self) -> None:
        """Raise `TypeError` or `ValueError` for sizes that make no network."""
        for name in ("direct", "tie_weights"):
            if not isinstance(value := getattr(self, name), bool):
                raise TypeError(f"{name} is {shorten(value)}; expected True or False")
        whole("context_length", self.context_length, least=1)
        whole("embedding_dim", self.embedding_dim, least=1)
        # Without hidden units only the direct connections are left.
        least = 0 if self.direct and not self.tie_weights else 1
        whole("hidden_dim", self.hidden_dim, least=least)
        if type(self.dtype) is not str or self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype is {shorten(self.dtype)}; expected 'float32' or 'float64'")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter, by its name in the paper."""
        inputs = self.context_length * self.embedding_dim
        output = ("P", self.embedding_dim) if self.tie_weights else ("U", self.vocab_size)
        shapes: dict[str, tuple[int, ...]] = {
            "C": (self.vocab_size, self.embedding_dim),
            "H": (self.hidden_dim, inputs),
            "d": (self.hidden_dim,),
            output[0]: (output[1], self.hidden_dim),
            "b": (self.vocab_size,),
        }
        return shapes | {"W": (self.vocab_size, inputs)} if self.direct else shapes

    def is_output(self, name: str) -> bool:
        """Return whether a parameter, or an array of its shape, has a row for each token's logit.

        In a checkpoint `U` is such an array, and `optimizer.mean.U` too.
        """
        outputs = ("C", "b", "W") if self.tie_weights else ("U", "b", "W")
        return name.rpartition(".")[2] in outputs and not name.startswith("history.")

    def shapes_of(self, rows: slice | None) -> dict[str, tuple[int, ...]]:
        """Return the shapes where only these rows of the output layer are at hand; None is all."""
        if rows is None:
            return self.shapes
        count = rows.stop - rows.start
        return {
            name: (count, *sizes[1:]) if self.is_output(name) else sizes
            for name, sizes in self.shapes.items()
        }

    @property
    def num_parameters(self) -> int:
        """The number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able values, without the vocabulary's size."""
        config = asdict(self)
        del config["vocab_size"]
        return config

    @classmethod
    def from_config(cls, vocab_size: int, config: dict[str, Any]) -> Shape:
        """Return the shape of a `to_config`, or of an older file, whose names were others."""
        return cls(vocab_size, **{_OLD_NAMES.get(name, name): config[name] for name in config})

    def check(
        self, parameters: Mapping[str, NDArray[Any]], of: str = "", rows: slice | None = None
    ) -> None:
        """Raise `ValueError` unless these are the parameters of such a network, all finite."""
        for name, shape in self.shapes_of(rows).items():
            array = parameters.get(of + name)
            if array is None or array.shape != shape or array.dtype != self.dtype:
                found = "missing" if array is None else f"{array.shape} of {array.dtype}"
                raise ValueError(f"{of}{name} is {found}; expected {shape} of {self.dtype}")
            if not np.isfinite(array).all():
                raise ValueError(f"{of}{name} holds a number that is not finite")


def initial(shape: Shape, init: str, seed: int, rows: slice | None = None) -> Parameters:
    """Return the parameters that a network starts with, drawn by `seed`.

    Of the output layer only `rows` are returned, by default all.

    "normal" draws all of them from the standard normal distribution, as the lecture does at first.
    "scaled" draws the same numbers and multiplies: C by 1, H by (5/3)/sqrt(c·m) (He et al. 2015,
    with the gain for tanh that PyTorch uses), U and W by 0.1/sqrt of their inputs; d and b are 0.
    "small" is the same but for C, by 0.05, and H, by 1/sqrt(3·c·m), the spread of PyTorch's linear
    layers: what infrequent words mean is learned in few steps, which large embeddings would drown.
    With tied weights C is multiplied by 1/sqrt(m) if "scaled", and H by as much less, so that
    hidden units see the same; P by 0.1/sqrt(h) or, if "small", by 1/sqrt(h).

    The draws are numpy's, from PCG64 in float64, one parameter after the other: a seed gives the
    same network on every machine, in float32 the one of float64 rounded.

    Raises `MemoryError` with the sizes where there is not enough memory.
    """
    if init not in INITS:
        raise ValueError(f"init is {shorten(init)}; expected one of {', '.join(INITS)}")
    generator = np.random.Generator(np.random.PCG64(whole("seed", seed, most=MAX_SEED)))
    try:
        return _drawn(shape, init, generator, rows)
    except (MemoryError, ValueError):  # numpy has a ValueError for what no address can reach.
        sizes = ", ".join(f"{name} {sizes}" for name, sizes in shape.shapes.items())
        told = (
            f"not enough memory for a network of {shape.num_parameters:,} parameters: {sizes} of"
            f" {shape.dtype} are {shape.num_parameters * np.dtype(shape.dtype).itemsize:,} bytes,"
            " and more while they are drawn"
        )
        raise MemoryError(cut(told)) from None


def _drawn(
    shape: Shape, init: str, generator: np.random.Generator, rows: slice | None
) -> Parameters:
    factors = {} if init == "normal" else _factors(shape, small=init == "small")
    drawn: Parameters = {}
    for name, sizes in shape.shapes_of(rows).items():
        drawn[name] = np.empty(sizes, shape.dtype)
        width = math.prod(sizes[1:])
        start = rows.start * width if rows is not None and shape.is_output(name) else 0
        size = math.prod(shape.shapes[name])
        _fill(drawn[name].reshape(-1), start, size, generator, factors.get(name))
    return drawn


def _fill(
    own: NDArray[Any], start: int, size: int, generator: np.random.Generator, factor: float | None
) -> None:
    """Draw `size` numbers, and keep those from `start` on; in parts, between which Ctrl-C works."""
    part = np.empty(min(size, _PART))
    for at in range(0, size, _PART):
        numbers = part[: size - at]
        generator.standard_normal(out=numbers)
        first, end = max(at, start), min(at + len(numbers), start + len(own))
        if first < end:
            kept = numbers[first - at : end - at]
            # Adding 0 makes -0.0 a plain 0.
            own[first - start : end - start] = kept if factor is None else kept * factor + 0.0


def _factors(shape: Shape, *, small: bool) -> dict[str, float]:
    """Return the spread that each parameter starts with, unless all are standard normal."""
    inputs = shape.context_length * shape.embedding_dim
    output = 1 / math.sqrt(shape.hidden_dim or 1)
    rest = {"d": 0.0, "U": _SMALL * output, "b": 0.0}
    if small:
        sizes = {"C": _EMBEDDINGS, "H": 1 / math.sqrt(3 * inputs), "W": _SMALL / math.sqrt(inputs)}
        return rest | sizes | {"P": output}
    # Logits are products of rows of C where weights are tied.
    spread = 1 / math.sqrt(shape.embedding_dim) if shape.tie_weights else 1.0
    return rest | {
        "C": spread,
        "H": 5 / 3 / math.sqrt(inputs) / spread,
        "W": _SMALL / math.sqrt(inputs) / spread,
        "P": _SMALL * output,
    }
