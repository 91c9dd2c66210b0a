"""The training loop of a jitted function: batches are drawn here, steps are made in the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._checks import shorten
from .._core import Recording, Value, train_recorded
from .._progress import bar
from ..optim import SGD, Adam
from ..training.history import History
from .arguments import Structure

__all__ = ["train"]

# Steps made in one call; their learning rates are looked up before it.
_CHUNK = 1000
# Examples that are listed for one call, at most, unless a step has more.
_LISTED = 1 << 20


def train(
    first: Callable[[Structure, Any], Recording],
    partition: Callable[[Structure, Any], list[tuple[Recording, Any]]],
    batch: tuple[int, dict[Structure, tuple[Any, Any]]],
    steps: int,
    optimizer: SGD | Adam,
    batch_size: int | None,
    shuffle: bool,
    seed: int,
    progress: bool,
    single: bool,
    threads: int | None,
) -> History:
    """Train for some steps over what `split_batch` has returned.

    `first` returns a program for the examples of one structure, which a step tries; `partition`
    finds the one for each of them, where it does not hold for all.
    """
    if not isinstance(optimizer, SGD | Adam):
        raise TypeError(f"optimizer is {shorten(optimizer)}; expected one of fastgrad.optim")
    size, groups = batch
    examples = _Examples(size, groups, first, partition, optimizer.params, single)
    if all(
        int(places.min(initial=len(optimizer.params))) >= len(optimizer.params)
        for _, _, places in examples.tasks
    ):
        raise ValueError(
            "the optimizer holds none of the function's parameters; expected some of"
            " parameters() of the jitted function"
        )
    state = _State(optimizer, examples)
    per_step = batch_size or size
    order = _Order(size, shuffle and batch_size is not None, seed)
    losses, lrs = np.empty(steps), np.empty(steps)
    made = 0
    try:
        with bar(progress, steps, "step") as report:
            while made < steps:
                count = min(steps - made, _CHUNK, max(1, _LISTED // per_step))
                chosen = order.next(count * per_step)
                lrs[made : made + count] = [state.lr(step) for step in range(count)]
                end, base = made + count, made

                def told(done: int, base: int = base) -> None:
                    if report is not None:
                        report(base + done)

                while made < end:
                    skipped = (made - base) * per_step
                    stop = state.train(
                        examples, chosen[skipped:], lrs[made:end], losses[made:end], threads, told
                    )
                    made += state.done
                    if stop is not None:
                        # The function reads the parameters as they are now.
                        state.write_params()
                        examples.record_anew(stop[0], stop[1])
                if report is not None:
                    note = f", loss {losses[base:made].mean():.4f}"
                    report(made, note)
    finally:
        state.write_back()
    return History(loss=losses[:made], lr=lrs[:made])


class _Order:
    """The examples of all steps: one pass over all after the other."""

    def __init__(self, size: int, shuffle: bool, seed: int) -> None:
        self._everything = np.arange(size, dtype=np.int64)
        self._rng = np.random.default_rng(seed) if shuffle else None
        self._left = np.empty(0, dtype=np.int64)

    def next(self, count: int) -> Any:
        """Return the next examples, (count,) int64."""
        passes = -(-(count - len(self._left)) // len(self._everything))
        rng = self._rng
        if rng is None:
            drawn = [np.tile(self._everything, max(passes, 0))]
        else:
            drawn = [rng.permutation(self._everything) for _ in range(passes)]
        found = np.concatenate([self._left, *drawn])
        self._left = found[count:]
        return found[:count]


class _Examples:
    """All examples, and the program that replays each."""

    def __init__(
        self,
        size: int,
        groups: dict[Structure, tuple[Any, Any]],
        first: Callable[[Structure, Any], Recording],
        partition: Callable[[Structure, Any], list[tuple[Recording, Any]]],
        trained: list[Value],
        single: bool,
    ) -> None:
        self.single = single
        self._partition = partition
        self._groups = [(structure, rows) for structure, (_, rows) in groups.items()]
        # Those of which each example has the program that was found for it.
        self._partitioned: set[int] = set()
        self.params = list(trained)
        self.tasks: list[tuple[Recording, Any, Any]] = []
        self._task_of: dict[tuple[int, int], int] = {}
        self._group_of_task: list[int] = []
        # Each example's group, task and row within the group.
        self._group = np.empty(size, dtype=np.int64)
        self._pairs = np.empty((size, 2), dtype=np.uint32)
        for group, (structure, (places, rows)) in enumerate(groups.items()):
            self._group[places] = group
            self._pairs[places, 0] = self._task(group, first(structure, rows[0]))
            self._pairs[places, 1] = np.arange(len(rows))

    def _task(self, group: int, recording: Recording) -> int:
        """Return the number of the task of a program, for which there may be none yet."""
        key = group, id(recording)
        if key not in self._task_of:
            self._task_of[key] = len(self.tasks)
            self._group_of_task.append(group)
            rows = self._groups[group][1]
            self.tasks.append((recording, rows, recording.places(self.params)))
        return self._task_of[key]

    def pairs(self, chosen: Any) -> Any:
        """Return task and row of examples, uint32 (n, 2)."""
        return self._pairs[chosen]

    def record_anew(self, task: int, row: int) -> None:
        """Find or record another program for a row whose program does not hold.

        The first time that this happens in a group, all of it is partitioned.
        """
        group = self._group_of_task[task]
        structure, rows = self._groups[group]
        examples = np.flatnonzero(self._group == group)
        if group in self._partitioned:
            examples, rows = examples[row : row + 1], rows[row : row + 1]
        self._partitioned.add(group)
        for recording, fitting in self._partition(structure, rows):
            self._pairs[examples[fitting], 0] = self._task(group, recording)


class _State:
    """Parameters and optimizer as arrays, for the length of a training."""

    def __init__(self, optimizer: SGD | Adam, examples: _Examples) -> None:
        self._optimizer = optimizer
        self._values = examples.params
        self._data = np.array([param.data for param in examples.params])
        self._gradients = np.array([param.grad for param in examples.params])
        moments = np.array(optimizer._state(), dtype=np.float64)
        self._first = np.ascontiguousarray(moments[:, 0])
        adam = isinstance(optimizer, Adam)
        self._second = np.ascontiguousarray(moments[:, 1]) if adam else np.empty(0)
        self._start = optimizer.steps
        self._made = 0
        self._done = np.zeros(1, dtype=np.uint64)

    @property
    def done(self) -> int:
        """The number of steps that the last call has made."""
        return int(self._done[0])

    def lr(self, step: int) -> float:
        """Return the learning rate of a coming step, counted from the next."""
        planned = self._optimizer.lr
        at = self._start + self._made + step
        return float(planned(at) if callable(planned) else planned)

    def train(
        self, examples: _Examples, chosen: Any, lrs: Any, losses: Any, threads: Any, told: Any
    ) -> Any:
        """Make steps; return None or the task and row that need another program."""
        self._append(examples.params)
        size = len(chosen) // len(lrs)
        starts = np.arange(len(lrs) + 1, dtype=np.uint64) * np.uint64(size)
        optimizer = self._optimizer
        rule: tuple[Any, ...] = (
            ("adam", *optimizer.betas, optimizer.eps, optimizer.weight_decay, optimizer._decoupled)
            if isinstance(optimizer, Adam)
            else ("sgd", optimizer.momentum, optimizer.weight_decay)
        )
        self._done[0] = 0
        try:
            return train_recorded(
                *(examples.tasks, rule, self._data, self._gradients, self._first, self._second),
                *(self._start + self._made, lrs, examples.pairs(chosen), starts, losses),
                *(self._done, examples.single, threads, told),
            )
        finally:
            self._made += self.done

    def _append(self, params: list[Value]) -> None:
        """Read the parameters that programs recorded meanwhile have in addition."""
        new = params[len(self._data) :]
        self._data = np.concatenate([self._data, [param.data for param in new]])
        self._gradients = np.concatenate([self._gradients, [param.grad for param in new]])

    def write_params(self) -> None:
        """Write the trained parameters back."""
        trained = len(self._first)
        for param, number in zip(self._values[:trained], self._data.tolist(), strict=False):
            param.data = number

    def write_back(self) -> None:
        """Write parameters, gradients of the last step and the optimizer's state back."""
        self.write_params()
        for param, number in zip(self._values, self._gradients.tolist(), strict=False):
            param.grad = number
        columns = [self._first] + ([self._second] if len(self._second) else [])
        self._optimizer._set(np.stack(columns, axis=1).tolist(), self._start + self._made)
