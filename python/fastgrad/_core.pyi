"""Types of the compiled core; the public names are re-exported by `fastgrad.engine` and others."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NoReturn, Self, SupportsIndex, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

__all__ = [
    "MICRO_BATCH",
    "InternalError",
    "InterpolatedTable",
    "KneserNeyTable",
    "Moments",
    "Momentum",
    "NeuronData",
    "NgramCounts",
    "Originals",
    "Recording",
    "TableSampler",
    "Value",
    "WordReader",
    "__cpu__",
    "__version__",
    "affine",
    "bigram_loss_and_gradient",
    "count_bytes",
    "count_ids",
    "count_items",
    "count_part",
    "count_path",
    "cross_entropy",
    "dot",
    "draw_rows",
    "environment",
    "expect_room",
    "layer",
    "layer_batch",
    "layout",
    "linear",
    "live_nodes",
    "log_softmax",
    "max",
    "min",
    "names",
    "neuron",
    "node_bytes",
    "normal_numbers",
    "nplm_forward",
    "nplm_gradients",
    "nplm_loss",
    "nplm_losses",
    "nplm_probabilities",
    "nplm_shard",
    "nplm_train",
    "plays",
    "read_examples",
    "rms_norm",
    "softmax",
    "sum",
    "train_bigram",
    "train_recorded",
    "value_is_patched",
    "zero_grads",
]

__version__: str
__cpu__: str
MICRO_BATCH: int

_Operand: TypeAlias = Value | float
_Operands: TypeAlias = Iterable[_Operand]
_Floats: TypeAlias = NDArray[np.float64]
_Ids32: TypeAlias = NDArray[np.uint32]
_Ids: TypeAlias = NDArray[np.uint16] | _Ids32
_Examples: TypeAlias = dict[
    tuple[tuple[Any, ...], tuple[str, ...]], tuple[NDArray[np.int64], _Floats]
]
# It is told how much is done.
_Progress: TypeAlias = Callable[[int], object] | None

@disjoint_base
class Value:
    data: float
    grad: float
    label: str
    __array_priority__: float
    def __init__(
        self,
        data: float,
        _children: Iterable[Value] = ...,
        _op: str | tuple[float, ...] | list[float] = ...,
        label: str = ...,
        *,
        local_grads: Iterable[float] | None = ...,
    ) -> None: ...
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    @property
    def _prev(self) -> tuple[Value, ...]: ...
    @property
    def _children(self) -> tuple[Value, ...]: ...
    @property
    def _local_grads(self) -> tuple[float, ...]: ...
    @property
    def _operands(self) -> tuple[Value | float, ...]: ...
    @property
    def _call_id(self) -> int | None: ...
    @property
    def _output(self) -> int: ...
    @property
    def _op(self) -> str: ...
    @property
    def _backward(self) -> Callable[[], Any]: ...
    @_backward.setter
    def _backward(self, rule: Callable[[], Any]) -> None: ...
    @_backward.deleter
    def _backward(self) -> None: ...
    def __add__(self, other: _Operand, /) -> Value: ...
    def __radd__(self, other: _Operand, /) -> Value: ...
    def __sub__(self, other: _Operand, /) -> Value: ...
    def __rsub__(self, other: _Operand, /) -> Value: ...
    def __mul__(self, other: _Operand, /) -> Value: ...
    def __rmul__(self, other: _Operand, /) -> Value: ...
    def __truediv__(self, other: _Operand, /) -> Value: ...
    def __rtruediv__(self, other: _Operand, /) -> Value: ...
    def __pow__(self, other: _Operand, mod: None = None, /) -> Value: ...
    def __rpow__(self, other: _Operand, mod: None = None, /) -> Value: ...
    def __neg__(self) -> Value: ...
    def __pos__(self) -> Value: ...
    def __abs__(self) -> Value: ...
    # Conversions that would lose the graph are refused.
    def __float__(self) -> NoReturn: ...
    def __int__(self) -> NoReturn: ...
    def __round__(self, ndigits: Any = None, /) -> NoReturn: ...
    def __lt__(self, other: Any, /) -> NoReturn: ...
    def __le__(self, other: Any, /) -> NoReturn: ...
    def __gt__(self, other: Any, /) -> NoReturn: ...
    def __ge__(self, other: Any, /) -> NoReturn: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def exp(self) -> Value: ...
    def log(self) -> Value: ...
    def sqrt(self) -> Value: ...
    def sin(self) -> Value: ...
    def cos(self) -> Value: ...
    def tanh(self) -> Value: ...
    def sigmoid(self) -> Value: ...
    def relu(self) -> Value: ...
    def abs(self) -> Value: ...
    def max(self, other: _Operand, /) -> Value: ...
    def min(self, other: _Operand, /) -> Value: ...
    def backward(self) -> None: ...
    def _propagate(self) -> None: ...
    def zero_grad(self) -> None: ...
    def item(self) -> float: ...
    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]: ...
    def __format__(self, spec: str, /) -> str: ...
    # Attributes are free: a program may set p.m and read it back. Not there at run time.
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...

def sum(values: _Operands, /) -> Value: ...
def max(a: _Operand, b: _Operand, /) -> Value: ...
def min(a: _Operand, b: _Operand, /) -> Value: ...
def dot(w: _Operands, x: _Operands, /) -> Value: ...
def affine(w: _Operands, x: _Operands, b: _Operand, /) -> Value: ...
def linear(
    x: _Operands, rows: Sequence[_Operands], bias: _Operands | None = None
) -> list[Value]: ...
def softmax(logits: _Operands, /) -> list[Value]: ...
def log_softmax(logits: _Operands, /) -> list[Value]: ...
def cross_entropy(logits: _Operands, target: SupportsIndex) -> Value: ...
def rms_norm(x: _Operands, eps: float = 1e-5) -> list[Value]: ...
def neuron(w: Any, x: _Operands, b: Any, /) -> Value | None: ...
def layer(neurons: Any, neuron_type: Originals, x: _Operands, /) -> list[Value] | None: ...
def layer_batch(
    neurons: Any, neuron_type: Originals, rows: list[Any], /
) -> list[list[Value]] | None: ...
def layout(
    sizes: list[tuple[float, float]],
    edges: list[tuple[int, int]],
    layer_gap: float,
    node_gap: float,
    /,
) -> tuple[
    list[tuple[float, float]], list[list[tuple[float, float]]], tuple[float, float], int
]: ...
def expect_room(values: int, /) -> None: ...

@final
class Originals:
    def __new__(cls, class_: type, names: tuple[str, ...]) -> Self: ...
    def intact(self) -> bool: ...

def zero_grads(params: Iterable[Any], /) -> None: ...

@disjoint_base
class NeuronData:
    w: list[Value]
    b: Value
    activation: str
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...

def names() -> bytes: ...
def plays() -> bytes: ...
def value_is_patched() -> bool: ...

class InternalError(RuntimeError):
    """A fault in fastgrad itself, not in the call; please report it with what led to it."""

def environment(name: str) -> str | None:
    """Return a variable of the environment, faster than os.environ where it is not set."""

def live_nodes() -> int:
    """Nodes alive in this process."""

def node_bytes() -> int:
    """Bytes that the allocator of nodes holds from the system, free ones included."""

@final
class Momentum:
    """State of SGD: velocities. One call a step."""

    def __new__(cls, params: Iterable[Value], /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, velocity: list[float], /) -> None: ...
    def step(self, lr: float, momentum: float, weight_decay: float, /) -> None: ...

@final
class Moments:
    """State of Adam: first and second moments, and the step count."""

    def __new__(cls, params: Iterable[Value], /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: tuple[int, list[tuple[float, float]]], /) -> None: ...
    @property
    def steps(self) -> int: ...
    def step(
        self,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        /,
    ) -> None: ...

# By their names in the paper; all float32 or all float64. The docstrings at run time say more.
_Params: TypeAlias = dict[str, NDArray[Any]]

def nplm_shard(vocab_size: int, rank: int, size: int) -> tuple[int, int]: ...
def nplm_train(
    params: _Params,
    state: Sequence[_Params],
    inputs: _Ids32,
    targets: _Ids32,
    *,
    batch: int,
    rates: _Floats,
    first_step: int = 0,
    seed: int = 0,
    optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
    momentum: float = 0.9,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    dropout: tuple[float, float] = (0.0, 0.0),
    threads: int | None = None,
    progress: _Progress = None,
    comm: Any = None,  # a fastgrad.distributed.Comm
    reduction: Literal["exact", "fast"] = "exact",
    vocab_size: int | None = None,
) -> _Floats:
    """Train in place, one step for each rate; losses of the steps done, fewer after a nan."""

def nplm_loss(
    params: _Params,
    inputs: _Ids32,
    targets: _Ids32,
    *,
    threads: int | None = None,
    comm: Any = None,  # a fastgrad.distributed.Comm
    vocab_size: int | None = None,
) -> float: ...
def nplm_losses(
    params: _Params, inputs: _Ids32, targets: _Ids32, *, threads: int | None = None
) -> _Floats: ...
def nplm_gradients(
    params: _Params,
    inputs: _Ids32,
    targets: _Ids32,
    *,
    dropout: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
    step: int = 0,
    threads: int | None = None,
) -> tuple[float, _Params]: ...
def nplm_forward(
    params: _Params, contexts: _Ids32, *, threads: int | None = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
def nplm_probabilities(
    params: _Params, contexts: _Ids32, *, threads: int | None = None
) -> _Floats: ...

@final
class WordReader:
    """A text of words, read in chunks, ended, and encoded once."""

    def __new__(cls, name: str, tokenizer: str = "space", eos: str | None = None) -> Self: ...
    def feed(self, chunk: bytes, /) -> None: ...
    def end(self) -> None: ...
    @property
    def tokens(self) -> int: ...
    @property
    def types(self) -> int: ...
    def choose(
        self,
        unk: str,
        eos: str | None = None,
        *,
        train: int | None = None,
        max_size: int | None = None,
        min_count: int = 1,
    ) -> tuple[_Ids, list[str]]: ...
    def encode(self, symbols: Sequence[str], unk: int, eos: int | None = None) -> _Ids: ...
    def take(self) -> _Ids32: ...
    def vocabulary(
        self,
        counts: NDArray[np.uint64],
        unk: str,
        eos: str | None = None,
        *,
        max_size: int | None = None,
        min_count: int = 1,
    ) -> tuple[_Ids32, list[str]]: ...
    def numbers(self, symbols: Sequence[str], unk: int, eos: int | None = None) -> _Ids32: ...

@final
class KneserNeyTable:
    """An interpolated Kneser-Ney model over ids."""

    def __new__(
        cls,
        ids: _Ids,
        size: int,
        order: int = 3,
        modified: bool = False,
        eos: int | None = None,
    ) -> Self: ...
    @property
    def order(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def entries(self) -> list[int]: ...
    @property
    def discounts(self) -> list[tuple[float, float, float]]: ...
    @property
    def fallbacks(self) -> list[tuple[int, list[int]]]: ...
    def score(self, ids: _Ids, start: int = 0) -> _Floats: ...
    def distributions(self, contexts: _Ids32, /) -> _Floats: ...

@final
class InterpolatedTable:
    """An interpolated trigram model over ids."""

    def __new__(cls, ids: _Ids, size: int, eos: int | None = None) -> Self: ...
    @property
    def size(self) -> int: ...
    @property
    def weights(self) -> _Floats: ...
    def fit(
        self, ids: _Ids, start: int = 0, *, tolerance: float, iterations: int
    ) -> list[float]: ...
    def score(self, ids: _Ids, start: int = 0) -> _Floats: ...
    def distributions(self, contexts: _Ids32, /) -> _Floats: ...

@final
class TableSampler:
    """All distributions of a language model as alias tables: (V**context, V), a row a context."""

    def __new__(
        cls,
        probabilities: _Floats,
        context: int,
        temperature: float = 1.0,
        top_k: int | None = None,
    ) -> Self: ...
    def sample(
        self,
        n: int,
        seed: int,
        prompt: Sequence[int],
        max_length: int,
        characters: str,
        threads: int | None = None,
        progress: _Progress = None,
        first: int = 0,
    ) -> list[str]:
        """Draw the items of n streams from `first` on; `characters` are those of the ids from 1."""

def draw_rows(
    probabilities: _Floats,
    streams: NDArray[np.uint64],
    step: int,
    seed: int,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> _Ids32:
    """Draw a symbol from each row of (B, V): a function of the row, its stream, step and seed."""

def normal_numbers(n: int, seed: int, stream: int = 0) -> _Floats:
    """Draw n numbers of the standard normal distribution, the same on every machine."""

def train_bigram(
    w: _Floats,
    velocity: _Floats,
    ids: _Ids32,
    counts: NDArray[np.uint64],
    *,
    steps: int,
    first_step: int = 0,
    lr: float | None = None,
    momentum: float = 0.0,
    penalty: float = 0.0,
    batch: int | None = None,
    seed: int = 0,
    progress: _Progress = None,
) -> _Floats:
    """Train w (V**(n - 1), V) in place on n-grams ids (K, n) and their counts (K,).

    Returns the total loss before each step. velocity, of w's shape, is zeros at first. Without lr:
    Nesterov's accelerated gradient at safe rates; with lr: v = momentum * v + g, w -= lr * v.
    """

def bigram_loss_and_gradient(
    w: _Floats, ids: _Ids32, counts: NDArray[np.uint64], penalty: float = 0.0
) -> tuple[float, float, _Floats]:
    """Compute the total loss, the data's part of it, and the gradient of the total."""

@final
class Recording:
    """A scalar program, recorded from the graph of one example, and its parameters."""

    def __new__(
        cls,
        output: Value,
        inputs: Sequence[Value],
        constants: Sequence[Value],
        detached: Sequence[tuple[Value, Value]],
        selected: Sequence[tuple[Value, Sequence[Value], Value]],
        highest: Sequence[tuple[Value, Sequence[Value]]],
        local_grads: Sequence[tuple[Value, int, Value]],
        guards: Sequence[tuple[str, Value, Value, bool, int]],
        passes: Sequence[str],
    ) -> Self:
        """Record the graph of output; each list tells of leaves where their numbers come from.

        selected are (leaf, choices, leaf of the index), local_grads (own op, place of an operand,
        derivative by it), guards (comparison, x, y, outcome, place); passes names those to do.
        """
    @property
    def params(self) -> list[Value]: ...
    @property
    def num_params(self) -> int: ...
    def replay(
        self,
        rows: _Floats,
        gradients: _Floats,
        seed: float,
        single: bool,
        threads: int | None = None,
    ) -> float | tuple[int, str, int]:
        """Compute seed times the sum of the gradients of rows (B, inputs) into gradients.

        Returns the sum of the outputs, or (row, reason, place) of the first row that needs another
        program. With single it computes in float32.
        """
    def add_gradients(self, gradients: _Floats) -> None:
        """Add gradients (parameters,) to the parameters' grad."""
    def fits(self, rows: _Floats, single: bool) -> NDArray[np.bool_]:
        """Tell for each row whether no op fails and all guards come out as recorded."""
    def describe(
        self,
    ) -> tuple[int, int, int, int, list[tuple[str, str, int, tuple[int, int, int] | None]]]:
        """Return scalars recorded and left, bytes, inputs, (section, name, results, shape)s."""
    def source(self, name: str, rust: bool) -> str:
        """Return the program as a function in C or Rust."""
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the program as arrays by name, for a file."""
    @staticmethod
    def from_arrays(
        arrays: dict[str, NDArray[Any]], params: list[Value], passes: Sequence[str]
    ) -> Recording:
        """Make the recording that arrays() wrote, with these parameters, by these passes."""
    def places(self, params: list[Value]) -> _Ids32:
        """Return where its parameters are in params, to which missing ones are appended."""

def read_examples(
    arguments: tuple[Any, ...],
    names: list[str],
    keywords: tuple[str, ...],
    read: Callable[[Any, str], Any],
    column: Callable[[Any], Any] | None = None,
) -> tuple[int, _Examples] | None:
    """Read one example or, with column, a batch: places and rows by structures and keywords.

    column(argument) gives a list, an array of float64 or what is the same for all examples, and
    read(object, name) a float, a list or a pair ("static", object) for other objects. Returns the
    number of examples too, or None where arguments differ in it or have none.
    """

def train_recorded(
    tasks: list[tuple[Recording, _Floats, _Ids32]],
    rule: tuple[Any, ...],
    data: _Floats,
    gradients: _Floats,
    first: _Floats,
    second: _Floats,
    steps: int,
    lrs: _Floats,
    order: _Ids32,
    starts: NDArray[np.uint64],
    losses: _Floats,
    done: NDArray[np.uint64],
    single: bool,
    threads: int | None = None,
    progress: _Progress = None,
) -> tuple[int, int, str, int] | None:
    """Train data in place over recorded programs, tasks (recording, rows, places in data).

    rule is ("sgd", momentum, weight decay) or ("adam", beta1, beta2, eps, weight decay, decoupled);
    order (N, 2) holds task and row of the examples of all steps, starts where each step's begin.
    Sets done[0] to the number of steps made. Returns None, or (task, row, reason, place) of an
    example that needs another program.
    """

@final
class NgramCounts:
    """Counts of the n-grams of characters of a text. Id 0 is the boundary."""

    @property
    def order(self) -> int: ...
    @property
    def characters(self) -> str:
        """The alphabet, ascending, without the boundary; id i + 1 is characters[i]."""

    @property
    def items(self) -> int:
        """The number of items counted."""

    @property
    def total(self) -> int:
        """The number of n-grams counted."""

    @staticmethod
    def from_entries(
        order: int, characters: str, items: int, ids: _Ids32, counts: NDArray[np.uint64]
    ) -> NgramCounts:
        """Make counts from what `entries` returns; ValueError for entries that no text has."""

    def dense(self) -> NDArray[np.uint64]:
        """Return all counts, shape (V,) * order; MemoryError beyond 2**27 cells."""

    def entries(self) -> tuple[_Ids32, NDArray[np.uint64]]:
        """List what occurs: ids (K, order), ascending, and counts; `top` the k most frequent."""

    def with_characters(self, characters: str) -> NgramCounts:
        """Return the same counts over a larger alphabet; ValueError where it lacks a character."""

    def top(self, k: int) -> tuple[_Ids32, NDArray[np.uint64]]: ...
    def __add__(self, other: NgramCounts, /) -> NgramCounts: ...
    def __radd__(self, other: NgramCounts, /) -> NgramCounts: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def count_path(
    path: str | os.PathLike[str],
    order: int = 2,
    threads: int | None = None,
    progress: _Progress = None,
    blank: bool = False,
) -> NgramCounts:
    """Count a file, one item a line; "-" is standard input. Raises what `open` raises.

    Raises `ValueError` for a file without items, unless `blank` is true.
    """

def count_part(
    path: str | os.PathLike[str],
    start: int,
    stop: int,
    order: int = 2,
    threads: int | None = None,
    progress: _Progress = None,
) -> NgramCounts:
    """Count bytes of a regular file; both ends are starts of lines, or the file's."""

def count_bytes(
    data: bytes,
    order: int = 2,
    threads: int | None = None,
    progress: _Progress = None,
    blank: bool = False,
) -> NgramCounts:
    """Count a text in memory, one item a line."""

def count_items(items: Iterable[str], order: int = 2, threads: int | None = None) -> NgramCounts:
    """Count strings, one item each."""

def count_ids(ids: _Ids32, characters: str, order: int = 2) -> NgramCounts:
    """Count ids, shape (N,), of which one or more 0 stand between items."""
