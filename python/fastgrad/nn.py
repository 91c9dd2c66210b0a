"""Neurons, layers and networks of Values, and losses over what they say.

The classes are micrograd's: the same names and arguments, the same draws from Python's `random`
in the same order, the same parameters in the same order, and bit-equal outputs. Beyond it, a
layer computes its neurons in one call and makes one node a neuron, neurons know more than one
`activation`, and an `MLP` takes a whole batch.

Whoever patches or subclasses `Value`, `Neuron`, `Layer` or `MLP`, puts callables of their own among
layers or neurons, or other containers in place of lists, gets what micrograd's program gives: each
neuron and layer is called, each product and sum computed by the operands' own ops, and a batch is
answered row by row.

>>> import random
>>> from fastgrad.nn import MLP, mse_loss
>>> random.seed(1337)
>>> model = MLP(2, [4, 1])
>>> model
MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)], Layer of \
[LinearNeuron(4)]]
>>> loss = mse_loss(model([[0.0, 1.0], [1.0, 0.0]]), [1.0, -1.0])
>>> model.zero_grad()
>>> loss.backward()
>>> for p in model.parameters():
...     p.data -= 0.1 * p.grad
"""

from __future__ import annotations

import math
import sys
from itertools import chain
from operator import index

from . import _core, engine
from ._checks import as_list, shorten
from ._core import Value
from ._hints import hint_names, no_attribute, renamed
from ._state import Stateful, check_names

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from ._tables import Table

    Row: TypeAlias = Iterable[Value | float]

__all__ = [
    "MLP",
    "Layer",
    "Module",
    "Neuron",
    "Value",
    "cross_entropy",
    "hinge_loss",
    "mse_loss",
    "random",
]

_MEANT = {
    "hinge": "hinge_loss",
    "mean_squared_error": "mse_loss",
    "MSELoss": "mse_loss",
    "CrossEntropyLoss": "cross_entropy",
    "BCELoss": "cross_entropy or hinge_loss",
    "Linear": "Layer(nin, nout, activation='linear')",
    "Sequential": "MLP, or a list of callables as its layers",
    "ReLU": "activation='relu' of a Layer",
    "Tanh": "activation='tanh' of a Layer",
    "Embedding": "a list of lists of Values",
    "functional": "the functions of fastgrad.nn and fastgrad.engine",
    "clip_grad_norm_": "fastgrad.optim.clip_grad_norm",
    "clip_grad_norm": "fastgrad.optim.clip_grad_norm",
    "utils": "fastgrad.optim.clip_grad_norm",
    "softmax": "fastgrad.engine.softmax",
    "Softmax": "fastgrad.engine.softmax",
    "mse": "mse_loss",
    "svm_loss": "hinge_loss",
    "nll_loss": "cross_entropy",
    "NLLLoss": "cross_entropy",
    "binary_cross_entropy": "cross_entropy or hinge_loss",
    "Sigmoid": "activation='sigmoid' of a Layer",
    "LayerNorm": "fastgrad.engine.rms_norm",
    "init": "random.seed, from which weights are drawn",
    "Parameter": "Value",
}
# Members of an MLP as they are called elsewhere, and here.
_MLP_MEANT = {
    "forward": "the call: model(x)",
    "predict": "the call: model(x)",
    "train": "the loop of an optimizer; an MLP has no modes",
    "eval": "the call, model(x); an MLP has no modes",
    "fit": "an optimizer of fastgrad.optim, in a loop",
    "state": "state_dict()",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        """Load `random`, which micrograd's module has too, when it is asked for."""
        if name == "random":
            import random

            return random
        return renamed(__name__, _MEANT)(name)


_NAMES = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "linear": "Linear"}
_PLAIN = frozenset({Value, float, int})
_SEQUENCES = frozenset({list, tuple})
# Up to so many Values are made without asking for their memory first: about a megabyte.
_FEW = 10_000
# The most numbers of an array that become Python's own at once.
_PART = 100_000


class Module(Stateful):
    """Something with parameters; a subclass says which.

    >>> from fastgrad.engine import Value
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Value(2.0)
    ...     def __call__(self, x):
    ...         return self.factor * x
    ...     def parameters(self):
    ...         return [self.factor]
    >>> Scale()(3.0)
    Value(data=6.0, grad=0.0)
    """

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        _core.zero_grads(self.parameters())

    def parameters(self) -> list[Value]:
        """Return the Values that training changes, always in the same order."""
        return []

    def num_parameters(self) -> int:
        """Return the number of parameters."""
        return len(self.parameters())

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the parameters with names, by which `state_dict` has them."""
        return [(str(i), p) for i, p in enumerate(self.parameters())]

    def state_dict(self) -> dict[str, float]:
        """Return the number of every parameter by its name, which `json` can write.

        >>> MLP(1, [1]).state_dict()["layers.0.neurons.0.b"]
        0.0
        """
        return {name: p.data for name, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Set the number of every parameter from what `state_dict` has returned.

        Raises `ValueError`, with the parameters unchanged, where names are missing or unknown or
        something is no number.
        """
        named = self.named_parameters()
        check_names(state, [name for name, _ in named])
        numbers: list[float] = []
        for name, _ in named:
            number = state[name]
            try:
                if isinstance(number, bool) or not isinstance(number, (int, float)):
                    raise TypeError
                numbers.append(float(number))
            except (TypeError, OverflowError):  # An int may be larger than every float.
                raise ValueError(
                    f"state[{name!r}] is {shorten(number)}; expected a number"
                ) from None
        for (_, p), number in zip(named, numbers, strict=True):
            p.data = number


class Neuron(_core.NeuronData, Module):
    """A weighted sum of the inputs plus a bias, then an activation.

    Weights are drawn from `random.uniform(-1, 1)`, the bias starts at zero. `activation` is
    'relu', 'tanh', 'sigmoid' or 'linear'; without it `nonlin` chooses between 'relu' and
    'linear'.

    >>> import random
    >>> random.seed(1337)
    >>> Neuron(2)([1.0, -2.0])
    Value(data=0.102443419482938, grad=0.0)
    >>> Neuron(3, activation='tanh')
    TanhNeuron(3)
    """

    def __init__(self, nin: int, nonlin: bool = True, activation: str | None = None) -> None:
        """Draw `nin` weights."""
        nin = _size("nin", nin, least=0)
        if activation is None:
            activation = "relu" if nonlin else "linear"
        _check_activation(activation)
        import random  # here, since it takes longer to load than all of ours

        self.w = _drawn(nin, lambda: [Value(random.uniform(-1, 1)) for _ in range(nin)])
        self.b = Value(0.0)
        self.activation = activation

    @property
    def nonlin(self) -> bool:
        """True where there is an activation; setting it chooses 'relu' or 'linear'."""
        return self.activation != "linear"

    @nonlin.setter
    def nonlin(self, nonlin: bool) -> None:
        self.activation = "relu" if nonlin else "linear"

    def __call__(self, x: Row) -> Value:
        """Answer one row of inputs."""
        if type(x) not in _SEQUENCES:
            x = _row(x)
        w, b = self.w, self.b
        act = _core.neuron(w, x, b)
        if act is None:  # micrograd's program
            w, x = _same_length(w, x)
            act = sum((wi * xi for wi, xi in zip(w, x, strict=True)), b)
        if not self.nonlin:
            return act
        name = self.activation
        return getattr(act, "relu" if name == "linear" else name)()

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the weights as "w.0", "w.1" and so on, and the bias as "b"."""
        return [*((f"w.{i}", w) for i, w in enumerate(self.w)), ("b", self.b)]

    def parameters(self) -> list[Value]:
        """Return the weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        """Name the activation and the number of inputs, as micrograd does."""
        return f"{_NAMES[self.activation]}Neuron({len(self.w)})"

    def __getstate__(self) -> dict[str, Any]:
        """For copy and pickle: what the core keeps, and all attributes of one's own."""
        kept = {"w": self.w, "b": self.b, "activation": self.activation}
        return kept | vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state as `__getstate__` gives it."""
        for name, item in state.items():
            setattr(self, name, item)


class Layer(Module):
    """Neurons side by side over the same inputs; `nonlin` and `activation` are those of `Neuron`.

    A layer of one neuron answers with its Value, a wider one with a list.

    >>> layer = Layer(2, 3, activation='tanh')
    >>> [type(out).__name__ for out in layer([1.0, -2.0])]
    ['Value', 'Value', 'Value']
    """

    def __init__(
        self, nin: int, nout: int, *, nonlin: bool = True, activation: str | None = None
    ) -> None:
        """Make `nout` neurons of `nin` inputs."""
        nin, nout = _size("nin", nin, least=0), _size("nout", nout, least=1)
        self.neurons = _drawn(
            nout * (nin + 1), lambda: [Neuron(nin, nonlin, activation) for _ in range(nout)]
        )

    # The type of the result depends on the number of neurons, which no type says: hence Any.
    def __call__(self, x: Row) -> Any:
        """Answer one row of inputs."""
        out = _core.layer(self.neurons, _NEURON, x)
        if out is None:  # micrograd's program
            row = _row(x)
            out = [neuron(row) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def batch(self, rows: list[Any]) -> list[list[Any]]:
        """Answer each row of inputs with a list, in one call where that gives the same.

        >>> [len(out) for out in Layer(2, 3).batch([[1.0, 0.0], [0.0, 1.0]])]
        [3, 3]
        """
        rows = _kept(rows)
        outs = self._fused(rows)
        if outs is None:
            outs = _each(self, rows)
        return [out if isinstance(out, list) else [out] for out in outs]

    def _fused(self, rows: list[Any]) -> list[list[Value]] | None:
        """Answer all rows in one call into the core; None where layer or neurons have own ways."""
        if type(self).__call__ is not _LAYER_CALL:
            return None
        return _core.layer_batch(self.neurons, _NEURON, rows)

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the parameters of each neuron, as "neurons.0.w.0" and so on."""
        return _named("neurons", self.neurons)

    def parameters(self) -> list[Value]:
        """Return the parameters of each neuron in turn."""
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        """Show the neurons, as micrograd does."""
        return f"Layer of [{', '.join(str(neuron) for neuron in self.neurons)}]"


# The classes as they are here: the fast paths are taken only as long as these are.
_NEURON = _core.Originals(
    Neuron, ("__call__", "__getattribute__", "w", "b", "activation", "nonlin")
)
_LAYER_CALL = Layer.__call__


class MLP(Module):
    """Layers one after the other: `activation` in all but the last, which is linear.

    >>> model = MLP(2, [16, 16, 1])
    >>> len(model.parameters())
    337
    >>> len(model([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    3
    """

    @hint_names(seed="random.seed(...) before it", hidden="nouts", layers="nouts")
    def __init__(self, nin: int, nouts: Sequence[int], activation: str = "relu") -> None:
        """Make one layer for each width in `nouts`."""
        # All are checked first, so that an error draws nothing from `random`.
        widths = [_size("nin", nin, least=0)]
        try:
            nouts = as_list(nouts)
        except TypeError:
            raise TypeError(f"nouts is {shorten(nouts)}; expected a list of ints") from None
        for position, width in enumerate(nouts):
            widths.append(_size(f"nouts[{position}]", width, least=1))
        _check_activation(activation)
        last = len(widths) - 2
        self.layers = _drawn(
            sum((widths[i] + 1) * widths[i + 1] for i in range(last + 1)),
            lambda: [
                Layer(widths[i], widths[i + 1], activation=activation if i < last else "linear")
                for i in range(last + 1)
            ],
        )

    # A Value, a list of them, or a list of either, as widths and inputs have it: hence Any.
    def __call__(self, x: Row | Iterable[Row]) -> Any:
        """Answer one row of inputs, or a batch with a list of answers.

        A row is a list, a tuple or a 1-D array of numbers or Values; a batch is a list or a tuple
        of rows, or a 2-D array. `[]` is a batch without rows.
        """
        # A row as a program writes it is told at a glance.
        plain = isinstance(x, list) and x and type(x[0]) in _PLAIN
        rows = None if plain else _rows(x)
        if rows is None:
            for layer in self.layers:
                x = layer(x)
            return x
        outs = self._fused(rows)
        return _each(self._answer, rows) if outs is None else outs

    def _answer(self, row: Any) -> Any:
        """Answer one row of a batch, layer by layer, as micrograd does."""
        for layer in self.layers:
            row = layer(row)
        return row

    def _fused(self, rows: list[Any]) -> list[Any] | None:
        """Answer all rows in one call a layer; None where a layer has ways of its own."""
        layers = self.layers
        if type(layers) not in _SEQUENCES or not all(isinstance(layer, Layer) for layer in layers):
            return None
        for layer in layers:
            outs = layer._fused(rows)
            if outs is None:
                return None
            rows = outs
        return [out[0] if len(out) == 1 else out for out in rows] if layers else None

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise an error that names the right member."""
            raise no_attribute(self, name, _MLP_MEANT)

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the parameters of each layer, as "layers.0.neurons.0.w.0" and so on."""
        return _named("layers", self.layers)

    def parameters(self) -> list[Value]:
        """Return the parameters of each layer in turn."""
        return [p for layer in self.layers for p in layer.parameters()]

    def summary(self) -> Table:
        """Return the layers with their neurons and numbers of parameters, as a table.

        >>> MLP(2, [16, 1]).summary()
        MLP of 2 layers
        layer     neurons   shape   parameters
        layers.0  16 ReLU   2 → 16          48
        layers.1  1 Linear  16 → 1          17
        total                               65
        """
        from ._tables import Table  # Here, since most programs never ask.

        counts = [
            layer.num_parameters() if isinstance(layer, Module) else 0 for layer in self.layers
        ]
        rows = [
            (f"layers.{i}", *_described(layer), f"{count:,}")
            for i, (layer, count) in enumerate(zip(self.layers, counts, strict=True))
        ]
        title = f"{type(self).__name__} of {len(rows)} layer{'s' * (len(rows) != 1)}"
        total = ("total", "", "", f"{sum(counts):,}")
        columns = ("layer", "neurons", "shape", "parameters")
        return Table(title, columns, [*rows, total], "<<<>")

    def _repr_html_(self) -> str:
        """Show the layers in a notebook, with the means of data and gradients."""
        from ._tables import Table

        summary = self.summary()
        numbers = [_means(layer) for layer in self.layers]
        rows = [
            (*row, *means)
            for row, means in zip(summary.rows, [*numbers, ("", "", "")], strict=True)
        ]
        columns = (*summary.columns, "mean data", "mean |data|", "mean |grad|")
        return Table(summary.title, columns, rows, "<<<>>>>")._repr_html_()

    def __repr__(self) -> str:
        """Show the layers, as micrograd does."""
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def _means(layer: Any) -> tuple[str, str, str]:
    """Return the means of the parameters, of their sizes, and of those of their gradients."""
    parameters = layer.parameters() if isinstance(layer, Module) else []
    count = len(parameters)
    if not count:
        return "", "", ""
    sums = (
        math.fsum(p.data for p in parameters),
        math.fsum(abs(p.data) for p in parameters),
        math.fsum(abs(p.grad) for p in parameters),
    )
    return f"{sums[0] / count:.4g}", f"{sums[1] / count:.4g}", f"{sums[2] / count:.4g}"


def _described(layer: Any) -> tuple[str, str]:
    """Return the neurons and the shape of a layer; of a callable of one's own, its name."""
    neurons: list[Any] = as_list(getattr(layer, "neurons", ()))
    if not neurons or not all(isinstance(neuron, Neuron) for neuron in neurons):
        return getattr(layer, "__name__", type(layer).__name__), ""
    # In the order in which they come, each kind once.
    kinds = dict.fromkeys(_NAMES[neuron.activation] for neuron in neurons)
    return f"{len(neurons)} {', '.join(kinds)}", f"{len(neurons[0].w)} → {len(neurons)}"


def mse_loss(predictions: Iterable[Value | float], targets: Iterable[Value | float]) -> Value:
    """Mean of (prediction - target)².

    >>> from fastgrad.engine import Value
    >>> mse_loss([Value(1.0), Value(3.0)], [1.0, 1.0])
    Value(data=2.0, grad=0.0)
    """
    predictions = _numbers("predictions", predictions)
    targets = _numbers("targets", targets)
    _check_pair("predictions", predictions, "targets", targets)
    errors = [p - t for p, t in zip(predictions, targets, strict=True)]
    return engine.dot(errors, errors) / len(errors)


def hinge_loss(scores: Iterable[Value | float], labels: Iterable[float]) -> Value:
    """Mean of relu(1 - label * score), the max-margin loss; labels are -1 or 1.

    >>> from fastgrad.engine import Value
    >>> hinge_loss([Value(0.5), Value(-3.0)], [1, -1])
    Value(data=0.25, grad=0.0)
    """
    scores = _numbers("scores", scores)
    signs = _numbers("labels", labels)
    _check_pair("scores", scores, "labels", signs)
    _check_signs(signs)
    scores = [score if isinstance(score, Value) else Value(score) for score in scores]
    misses = [(1.0 - y * score).relu() for y, score in zip(signs, scores, strict=True)]
    return engine.sum(misses) / len(misses)


def cross_entropy(logits: Any, targets: int | Iterable[int]) -> Value:
    """Mean of -log(softmax(logits)[target]) over rows of logits, or of the one row.

    >>> from fastgrad.engine import Value
    >>> row = [Value(0.0), Value(0.0)]
    >>> round(cross_entropy(row, 1).data, 12)
    0.69314718056
    >>> round(cross_entropy([row, row], [0, 1]).data, 12)
    0.69314718056
    """
    target = _as_index(targets)
    if target is not None:
        return engine.cross_entropy(logits, target)
    rows = _listed("logits", logits)
    wanted = _listed("targets", targets)
    _check_pair("logits", rows, "targets", wanted)
    for position, item in enumerate(wanted):
        if _as_index(item) is None:
            raise TypeError(f"targets[{position}] is {shorten(item)}; expected an int")
    return engine.sum(map(engine.cross_entropy, rows, wanted)) / len(rows)


def _size(name: str, size: Any, least: int) -> int:
    """Read a number of inputs or outputs, an int of at least `least`."""
    number = _as_index(size)
    if number is None:
        raise TypeError(f"{name} is {shorten(size)}; expected an int")
    if number < least:
        raise ValueError(f"{name} is {shorten(number)}; expected at least {least}")
    return number


def _named(name: str, modules: Iterable[Any]) -> list[tuple[str, Value]]:
    """Return the parameters of several modules, those of callables of one's own left out."""
    return [
        (f"{name}.{i}.{inner}", p)
        for i, module in enumerate(modules)
        if hasattr(module, "named_parameters")
        for inner, p in module.named_parameters()
    ]


def _check_activation(activation: Any) -> None:
    if not isinstance(activation, str) or activation not in _NAMES:
        known = ", ".join(map(repr, _NAMES))
        raise ValueError(f"activation is {shorten(activation)}; expected one of {known}")


def _as_index(number: Any) -> int | None:
    """Read an int, or something that stands for one as numpy's do; None for all else."""
    try:
        return index(number)
    except TypeError:
        return None


def _drawn(values: int, draw: Callable[[], list[Any]]) -> list[Any]:
    """Make the Values of a network; where memory cannot hold them, `random` is as it was."""
    if values <= _FEW:
        return draw()
    import random

    if values >= sys.maxsize:
        raise MemoryError(f"no memory holds {shorten(values)} Values")
    _core.expect_room(values)
    state = random.getstate()
    try:
        return draw()
    except BaseException:
        random.setstate(state)
        raise


def _each(answer: Callable[[Any], Any], rows: list[Any]) -> list[Any]:
    """Ask for one answer after the other; what goes wrong is told by the row."""
    outs: list[Any] = []
    for position, row in enumerate(rows):
        try:
            outs.append(answer(row))
        except Exception as error:
            error.add_note(f"in row {position} of a batch of {len(rows)}")
            raise
    return outs


def _row(x: Any) -> Any:
    """List an iterator, which can be read only once; a Value on its own is a row of one."""
    if isinstance(x, Value):
        return (x,)
    return as_list(x) if hasattr(x, "__next__") else x


def _kept(rows: Any) -> list[Any]:
    """List rows, which are lists and tuples mostly, so that each can be read again."""
    rows = as_list(rows)
    return rows if _SEQUENCES.issuperset(map(type, rows)) else [_row(row) for row in rows]


def _same_length(w: Any, x: Any) -> tuple[list[Any], list[Any]]:
    """List weights and inputs, and refuse a row that does not fit."""
    weights = as_list(w)
    try:
        row = as_list(x)
    except TypeError:
        raise TypeError(f"x is {shorten(x)}; expected a list of Values and numbers") from None
    if len(weights) != len(row):
        raise ValueError(f"x has length {len(row)}, expected {len(weights)}, one for each weight")
    return weights, row


def _rows(x: Iterable[Any]) -> list[Any] | None:
    """List the rows of a batch; None where x is a single row."""
    dimensions = getattr(x, "ndim", 1)
    if dimensions == 2:
        return _python_numbers(x)
    if dimensions != 1:
        raise ValueError(f"x has {dimensions} dimensions; expected 1 (a row) or 2 (a batch)")
    if not isinstance(x, (list, tuple)):
        return None
    if x and not isinstance(x[0], (list, tuple)) and getattr(x[0], "ndim", 0) == 0:
        return None
    return _kept(x)


def _python_numbers(array: Any) -> Any:
    """Return an array as lists of Python's own numbers, several times faster to compute with."""
    shape = getattr(array, "shape", ())
    if math.prod(shape) <= _PART:
        return array.tolist()
    # Between two parts Python looks for a signal, which may be Ctrl-C.
    rows = max(_PART // max(math.prod(shape[1:]), 1), 1)
    parts = (array[start : start + rows].tolist() for start in range(0, len(array), rows))
    return list(chain.from_iterable(parts))


def _listed(name: str, items: Any) -> list[Any]:
    """Make a list of an argument that may be any iterable or an array."""
    if hasattr(items, "tolist"):
        items = _python_numbers(items)
    try:
        return as_list(items)
    except TypeError:
        raise TypeError(f"{name} is {shorten(items)}; expected a list") from None


def _numbers(name: str, items: Any) -> list[Any]:
    """Make a list of an argument, and refuse what is neither a Value nor a number in it."""
    found = _listed(name, items)
    strange = {kind for kind in set(map(type, found)) if not _is_number(kind)}
    for position, item in enumerate(found if strange else ()):
        if type(item) in strange:
            raise TypeError(f"{name}[{position}] is {shorten(item)}; expected a Value or a number")
    return found


def _is_number(kind: type[Any]) -> bool:
    # numpy's scalars turn into a float as its arrays do, but have no length.
    return kind in _PLAIN or (
        issubclass(kind, Value) or (hasattr(kind, "__float__") and not hasattr(kind, "__len__"))
    )


def _check_pair(name: str, items: list[Any], other_name: str, others: list[Any]) -> None:
    if len(items) != len(others):
        raise ValueError(
            f"{name} has {len(items)} items and {other_name} has {len(others)};"
            " expected as many of both"
        )
    if not items:
        raise ValueError(f"{name} and {other_name} are empty; expected at least one item of each")


def _check_signs(labels: list[Any]) -> None:
    for position, label in enumerate(labels if set(labels) - {-1, 1} else ()):
        if label not in (-1, 1):
            raise ValueError(f"labels[{position}] is {shorten(label)}; expected -1 or 1")
