"""Scalar programs at vector speed: `jit` records a function of Values once and replays it.

See `fastgrad.jit`.
"""

from __future__ import annotations

import copy
import functools
import inspect
import os
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Generic, ParamSpec, overload

import numpy as np

from .._checks import shorten, whole
from .._core import Recording, Value
from .._threads import thread_count
from ..optim import SGD, Adam
from ..training.history import History
from . import files
from .arguments import Structure, parameter_names, read_example, rebuild_all, split_batch
from .checking import compare
from .program import Program
from .recording import PACKAGE, PASSES, JitError, current, pick, random_states, record, take
from .training import train

__all__ = ["Jit", "JitError", "JitWarning", "Program", "jit", "pick", "take"]

Arguments = ParamSpec("Arguments")

# Programs kept for examples of one structure: each stands for another way through the branches.
_MOST_PROGRAMS = 64
# The number of programs of one structure from which on a warning tells of it.
_MANY_PROGRAMS = 8
# The number of structures from which on a warning tells of it.
_MANY_STRUCTURES = 64
_NOT_YET = "nothing is recorded yet; expected a call first"


class JitWarning(UserWarning):
    """A jitted function is slow, or does not do what it may be meant to; the message says why."""

    __module__ = "fastgrad"


class Jit(Generic[Arguments]):
    """A function of numbers that is recorded once and replayed; made by `fastgrad.jit`."""

    def __init__(
        self,
        function: Callable[Arguments, Any],
        *,
        check: bool = False,
        dtype: str = "float64",
        passes: Collection[str] = PASSES,
    ) -> None:
        if not callable(function):
            raise TypeError(f"function is {shorten(function)}; expected a function")
        functools.update_wrapper(self, function)
        self.function = function
        if dtype not in ("float64", "float32"):
            raise ValueError(f"dtype is {shorten(dtype)}; expected 'float64' or 'float32'")
        if not isinstance(passes, Collection) or any(name not in PASSES for name in passes):
            raise ValueError(f"passes is {shorten(passes)}; expected some of {PASSES}")
        self.check = check
        self.dtype = dtype
        self.passes = tuple(passes)
        # The structure for which a program was recorded last is the last one.
        self._programs: dict[Structure, list[Recording]] = {}
        self._places: Counter[str] = Counter()
        self._names: list[str] = []

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        """Return the function's Value for one example; its backward() reaches the parameters.

        Numbers, and lists and arrays of numbers, are the example; what else is given belongs to the
        structure, for each of which the function is recorded anew.
        """
        if current() is not None:
            return self.function(*args, **kwargs)
        structure, rows = read_example(*self._arguments(args, kwargs))
        for recording in self._programs.get(structure, ()):
            if (part := self._replayed(recording, rows, 1.0, None)) is not None:
                break
        else:
            [part] = self._replay(structure, rows, 1.0, None)
        recording, output, gradients = part
        made = Value(output, tuple(recording.params), "jit", local_grads=gradients.tolist())
        if self.check:
            self._compare(structure, rows[0], made.data, gradients.tolist(), recording.params)
        return made

    def __get__(self, instance: object, owner: type | None = None) -> Jit[...]:
        """Return the jitted method of an instance, which has programs of its own."""
        if instance is None:
            return self
        # One that a subclass hides has a name that hides nothing.
        name = _attribute(type(instance), lambda found: found is self)
        name = name or f"jitted {self._name()}"
        try:
            # Found there from now on, without a call of __get__ but for a hidden one.
            kept = vars(instance)
            if name not in kept:
                method = types.MethodType(self.function, instance)
                kept[name] = Jit(method, **self._settings())
            return kept[name]
        except TypeError:
            raise TypeError(
                f"{shorten(instance)} cannot keep its jitted {name}; expected a method of instances"
                " that have a __dict__"
            ) from None

    def __copy__(self) -> Jit[...]:
        """Return a jitted function of its own, which is recorded anew."""
        return Jit(self.function, **self._settings())

    def __deepcopy__(self, memo: dict[int, Any]) -> Jit[...]:
        """Return what `__copy__` does; a method is that of the copied instance."""
        return Jit(copy.deepcopy(self.function, memo), **self._settings())

    def __reduce__(self) -> Any:
        """Pickle by name, as functions are; a method as that of its instance."""
        function: Any = self.function
        if isinstance(function, types.MethodType):
            plain, instance = function.__func__, function.__self__
            name = _attribute(type(instance), lambda found: found.function is plain)
            if name is not None:
                return getattr, (instance, name)
        if isinstance(function, types.FunctionType):
            found: Any = sys.modules.get(function.__module__)
            for part in function.__qualname__.split("."):
                found = getattr(found, part, None)
            if found is self:
                return function.__qualname__
            if found is not function:
                raise TypeError(
                    f"{self!r} cannot be pickled: expected a function that its module holds by its"
                    " name; save() writes its programs"
                )
        return functools.partial(Jit, **self._settings()), (function,)

    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def _settings(self) -> dict[str, Any]:
        return {"check": self.check, "dtype": self.dtype, "passes": self.passes}

    def _names_of(self, count: int) -> list[str]:
        """Return names of the first arguments, for messages."""
        if len(self._names) < count:
            self._names = parameter_names(self.function, count)
        return self._names

    def _arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], list[str], tuple[str, ...]]:
        """Return all arguments, their names, and those of the last ones, given by keyword."""
        names = self._names_of(len(args))[: len(args)]
        if not kwargs:
            return args, names, ()
        keywords = tuple(sorted(kwargs))
        return (*args, *(kwargs[name] for name in keywords)), [*names, *keywords], keywords

    def value_and_grad(
        self, *batch: Any, threads: int | None = None, **batch_by_name: Any
    ) -> float:
        """Return the mean over a batch; add its gradient to the parameters' `grad`.

        Lists, tuples and arrays hold an item an example: of an array of shape (B, n) each example
        gets a list of n numbers. A number is the same for all. The result does not depend on the
        number of threads. Arguments may be given by keyword, but for one that is called `threads`.
        """
        size, groups = split_batch(*self._arguments(batch, batch_by_name))
        threads = thread_count(threads)
        if self.check:
            self._check_batch(groups)
        # Gradients are added once nothing can fail any more.
        done = [
            part
            for structure, (_, rows) in groups.items()
            for part in self._replay(structure, rows, 1.0 / size, threads)
        ]
        for recording, _, gradients in done:
            recording.add_gradients(gradients)
        return sum(total for _, total, _ in done) / size

    def __repr__(self) -> str:
        """Show the function's name and how often it was recorded."""
        count = sum(map(len, self._programs.values()))
        name = self._name()
        return f"jit({name}; {count} program{'' if count == 1 else 's'})"

    @property
    def programs(self) -> list[Program]:
        """The programs recorded so far, one a structure and a way through the branches."""
        name = self._name()
        return [Program(r, name) for recordings in self._programs.values() for r in recordings]

    @property
    def program(self) -> Program:
        """The program that was recorded last; `JitError` before the first call."""
        for recordings in reversed(self._programs.values()):
            return Program(recordings[-1], self._name())
        raise JitError(_NOT_YET)

    def parameters(self) -> list[Value]:
        """Return the Values that the programs recorded so far depend on, each once.

        Raises `JitError` before the first call.
        """
        every = self._programs.values()
        if not every:
            raise JitError(_NOT_YET)
        found = {id(p): p for recordings in every for r in recordings for p in r.params}
        return list(found.values())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the programs and the parameters' numbers to a safetensors file.

        Raises `TypeError` where an argument other than numbers, strings and None belongs to a
        structure, and `OSError` where the file cannot be written.
        """
        files.save(path, self._programs, self._name(), self.dtype, self.passes)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Jit[...]:
        """Return a jitted function from a file: its programs, with parameters of their own.

        Nothing in the file is executed. What was not recorded before raises `JitError`, as there is
        no Python function to record. Raises `CheckpointError` for a file that `save` has not
        written, or that was damaged.
        """
        programs, name, dtype, passes = files.load(path)

        def missing(*args: Any, **kwargs: Any) -> Any:
            raise JitError(f"{name} was loaded from a file, which holds no program for this call")

        missing.__name__ = name
        loaded = cls(missing, dtype=dtype, passes=passes)
        loaded._programs = programs
        return loaded

    def _replay(
        self, structure: Structure, rows: Any, seed: float, threads: int | None
    ) -> list[tuple[Recording, float, Any]]:
        """Return programs, each with the sum of its outputs and `seed` times that of gradients."""
        known = self._programs.get(structure, [])
        if len(known) == 1 and (part := self._replayed(known[0], rows, seed, threads)) is not None:
            return [part]
        parts = [
            self._replayed(recording, rows[fitting], seed, threads)
            for recording, fitting in self._partition(structure, rows)
        ]
        assert None not in parts, "a program does not hold for an example it was made for"
        return [part for part in parts if part is not None]

    def fit(
        self,
        batch: tuple[Any, ...],
        *,
        steps: int,
        optimizer: SGD | Adam,
        batch_size: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        progress: bool = True,
        threads: int | None = None,
    ) -> History:
        """Train: in each step the gradient of the mean over a batch, then the optimizer's update.

        `batch` is a tuple of all arguments, as for `value_and_grad`. Each step takes the next
        `batch_size` examples, all of them by default, in an order drawn anew for each pass, or with
        `shuffle=False` in the order given. Afterwards parameters, their `grad` and the optimizer
        are what a loop of `zero_grad`, `value_and_grad` and `step` would leave, also where an
        exception or Ctrl-C ends it.
        """
        if not isinstance(batch, tuple):
            raise TypeError(f"batch is {shorten(batch)}; expected a tuple of arguments, as (x, y)")
        whole("steps", steps, least=0)
        if batch_size is not None:
            whole("batch_size", batch_size, least=1)
        groups = split_batch(*self._arguments(batch, {}))
        return train(
            *(self._first_program, self._partition, groups, steps, optimizer, batch_size),
            *(shuffle, seed, progress, self.dtype == "float32", thread_count(threads)),
        )

    def _replayed(
        self, recording: Recording, rows: Any, seed: float, threads: int | None
    ) -> tuple[Recording, float, Any] | None:
        """Replay a program; return None where it does not hold for a row."""
        gradients = np.empty(recording.num_params)
        single = self.dtype == "float32"
        total = recording.replay(rows, gradients, seed, single, threads)
        return (recording, total, gradients) if isinstance(total, float) else None

    def _first_program(self, structure: Structure, row: Any) -> Recording:
        """Return a program of a structure; record one, if there is none."""
        known = self._programs.get(structure)
        return known[0] if known else self._record(structure, row)

    def _partition(self, structure: Structure, rows: Any) -> list[tuple[Recording, Any]]:
        """Return the programs of a structure with the places of the rows that each can replay."""
        left = np.arange(len(rows))
        parts: list[tuple[Recording, Any]] = []
        programs = iter(self._programs.get(structure, [])[:])
        while len(left):
            recording = next(programs, None) or self._record(structure, rows[left[0]])
            fits = recording.fits(rows[left], self.dtype == "float32")
            if fits.any():
                parts.append((recording, left[fits]))
            left = left[~fits]
        return parts

    def _check_batch(self, groups: Any) -> None:
        """Compare the replay of each example with a plain call."""
        for structure, (_, rows) in groups.items():
            for row in rows:
                [(recording, output, gradients)] = self._replay(structure, row[None], 1.0, 1)
                self._compare(structure, row, output, gradients.tolist(), recording.params)

    def _record(self, structure: Structure, row: Any) -> Recording:
        """Record the function anew with an example for which no program holds."""
        names = self._names_of(len(structure[0]))
        before = random_states()
        arguments = functools.partial(rebuild_all, structure)
        recording, places = record(self.function, row.tolist(), arguments, names, self.passes)
        if random_states() != before:
            self._warn(
                f"{self._name()} drew random numbers while it was recorded, which stay the same in"
                " each replay. Give them as arguments"
            )
        programs = self._programs.pop(structure, [])
        programs.append(recording)
        self._programs[structure] = programs
        self._places.update(places)
        if len(programs) == _MANY_PROGRAMS:
            told = "; ".join(place for place, _ in self._places.most_common(3))
            self._warn_of_many(
                f"{_MANY_PROGRAMS} times for examples of one structure, since what it does depends"
                f" on their numbers: at {told}"
            )
        elif len(programs) == 1 and len(self._programs) == _MANY_STRUCTURES:
            self._warn_of_many(
                f"for {_MANY_STRUCTURES} structures of its arguments, which differ in lengths of"
                " lists, or in bools, strings and other objects, where numbers need no recording"
            )
        del programs[:-_MOST_PROGRAMS]
        return recording

    def _warn_of_many(self, recorded: str) -> None:
        self._warn(
            f"{self._name()} was recorded {recorded}. Each recording takes as long as a plain call"
        )

    def _warn(self, message: str) -> None:
        warnings.warn(message, JitWarning, stacklevel=_frames_of_ours())

    def _compare(
        self, structure: Structure, row: Any, output: float, gradients: Any, params: Any
    ) -> None:
        """Raise `JitError` where a replay and a plain call of the function differ."""
        args, by_name = rebuild_all(structure, iter(row.tolist()))
        example = dict(zip(self._names_of(len(args)), args, strict=False)) | by_name
        call: Callable[[], Any] = functools.partial(self.function, *args, **by_name)
        compare(call, example, output, gradients, params, self.dtype)


def _attribute(cls: type, is_it: Callable[[Jit[...]], bool]) -> str | None:
    """Return the name that a jitted function has in a class, if it has one."""
    members = ((name, inspect.getattr_static(cls, name)) for name in dir(cls))
    return next((name for name, found in members if isinstance(found, Jit) and is_it(found)), None)


def _frames_of_ours() -> int:
    """Return the level at which `warnings.warn`, called by the caller, tells of a user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


@overload
def jit(
    function: Callable[Arguments, Any],
    *,
    check: bool = False,
    dtype: str = ...,
    passes: Collection[str] = ...,
) -> Jit[Arguments]: ...
@overload
def jit(
    *, check: bool = False, dtype: str = ..., passes: Collection[str] = ...
) -> Callable[[Callable[Arguments, Any]], Jit[Arguments]]: ...
def jit(
    function: Any = None,
    *,
    check: bool = False,
    dtype: str = "float64",
    passes: Collection[str] = PASSES,
) -> Any:
    """Record a function of numbers and Values once, and replay it in vectors.

    Write it for one example, with floats and Values. The first call records what it does; calls
    with other numbers replay that, for one example or for a batch, with the same values and
    gradients up to rounding. Lists of other lengths, and branches that come out otherwise, are
    recorded when they first appear.

    >>> import numpy as np
    >>> from fastgrad import Value, jit
    >>> w, b = Value(2.0), Value(0.5)
    >>> @jit
    ... def loss(x, target):
    ...     return (w * x + b - target) ** 2
    >>> loss.value_and_grad(np.array([0.0, 1.0]), np.array([0.5, 2.0]))
    0.125
    >>> w.grad, b.grad
    (0.5, 0.5)

    The Values that the function closes over are its parameters: they are read before each replay,
    and their `grad` is added to. Replacing a parameter by another Value needs a new `jit`.

    `.data` is a number without gradient, and comparisons of such numbers are recorded as branches;
    `fastgrad.take` and `fastgrad.pick` select by a number of the example without a branch. What a
    replay cannot repeat raises `JitError` while it is recorded: setting `.data`, reading `.grad`,
    calling `backward()`, own ops with a `_backward`; those with `local_grads` are followed.
    What the function does besides (printing, drawing random numbers) happens when it is recorded,
    and then never again.

    With `check=True` every replay is compared with a plain call, which takes as long as that;
    a difference raises `JitError`.

    With `dtype="float32"` replays compute in single precision, which is faster for batches; results
    have about six digits. Parameters and optimizers stay in double precision.

    `passes` are those that simplify a recording, all by default: "fold" computes what depends on
    constants alone, "share" computes equal scalars once, "sums" makes sums of products, "matrices"
    makes products of matrices of these. Leave one out to see in `program` what it brings.
    """
    if function is None:
        return functools.partial(jit, check=check, dtype=dtype, passes=passes)
    return Jit(function, check=check, dtype=dtype, passes=passes)
