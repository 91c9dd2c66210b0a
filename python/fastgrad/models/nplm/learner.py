"""Networks that learn: trained in place, saved, loaded, and resumed half-way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..._checks import shorten, thread_count, whole
from ...checkpoint import CheckpointError
from ...training import History, Loop, make_plan
from ..saving import model_path, read_model
from . import saved
from .network import AnyVocab, Network
from .optimizers import Optimizer, checked_dropout
from .run import NPLMRun, steps_of
from .shape import MAX_SEED

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Self

    from numpy.typing import NDArray

    from ...training import Progress, Rate
    from ..saving import Note
    from .examples import Prepared
    from .shape import Shape


class Learner(Network[AnyVocab], ABC):
    """The training of `NPLM` and of `WordNPLM`, which say what their examples are."""

    # What its files say that they hold.
    kind: ClassVar[str]
    # How many examples a step looks at unless told otherwise.
    _batch: ClassVar[int]

    _history: History
    note: Note | None
    """What was noted about where the model came from, plain JSON, saved with it; or None."""

    @property
    def history(self) -> History:
        """What the last training saw: losses and rates, step by step."""
        return self._history

    @abstractmethod
    def _examples(self, source: Any, name: str) -> Prepared:
        """Make examples of a source of text, or check those that were made before."""

    def _set(self, vocab: AnyVocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> None:
        super()._set(vocab, shape, parameters)
        self._history = History()
        self.note = None

    def start(
        self,
        train: Any,
        dev: Any = None,
        *,
        batch: int | None = None,
        optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
        weight_decay: float = 0.0,
        dropout: float | tuple[float, float] = 0.0,
        momentum: float | None = None,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> NPLMRun:
        """Check data and settings and be ready to train: for training loops; see `fit`."""
        rule = Optimizer.of(optimizer, weight_decay, momentum=momentum, betas=betas, eps=eps)
        batch = None if batch is None else whole("batch", batch, least=1)
        seed, shares = whole("seed", seed, most=MAX_SEED), checked_dropout(dropout)
        threads = thread_count(threads)
        examples = self._examples(train, "train")
        if batch is None:
            batch = min(self._batch, len(examples.targets))
        elif batch > len(examples.targets):
            raise ValueError(
                f"batch is {shorten(batch)}, but train has {len(examples.targets)} examples;"
                " expected no more than these"
            )
        dev_examples = None if dev is None else self._examples(dev, "dev")
        state = rule.state(self._parameters)
        return NPLMRun(self, examples, dev_examples, rule, state, batch, seed, shares, threads)

    def fit(
        self,
        train: Any,
        dev: Any = None,
        *,
        steps: int | None = None,
        epochs: float | None = None,
        lr: Rate,
        batch: int | None = None,
        optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
        weight_decay: float = 0.0,
        dropout: float | tuple[float, float] = 0.0,
        momentum: float | None = None,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        seed: int = 0,
        evaluate_every: int | None = None,
        patience: int | None = None,
        callbacks: Iterable[Callable[[Progress], object]] = (),
        progress: bool = False,
        log: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        threads: int | None = None,
    ) -> History:
        """Train the parameters in place, and return what was seen on the way.

        `train` and `dev` are texts, as `loss` takes them, or examples: a pair of arrays, (N,
        context) and (N,) of integers, as `fastgrad.text.windows` makes one. Each step draws `batch`
        of the examples, with replacement, and moves the parameters once; by default 32 of
        characters, 256 of words, or all where there are fewer. There are `steps` of them, or as
        many as draw N examples `epochs` times (N/batch rounded up, times `epochs`, which may be a
        fraction). The draws follow from `seed` and the step alone; results are the same for any
        number of `threads`.

        `lr` is a number, a list of (step, rate), or a function of the step as in `fastgrad.optim`.
        `optimizer` is "sgd", "momentum" (with `momentum`, 0.9 by default) or "adamw" (with `betas`,
        (0.9, 0.999), and `eps`, 1e-8), the rules of `fastgrad.optim`. `weight_decay` leaves the
        biases d and b alone. A step changes those rows of C only that its examples have in their
        contexts: all others stand still, decay and momentum included, as with PyTorch's
        `SparseAdam`. Where the network is tied, all rows change. `dropout` is the share of features
        and of hidden units, or a pair of both shares, that each example does without while it is
        learned from; those that are left count for more (Srivastava et al., "Dropout", 2014), so
        that nothing changes for a trained model.

        After every `evaluate_every` steps, by default a twentieth of all, with `epochs` one epoch,
        the loss on `dev` is measured, `callbacks` get a `Progress` each and may return True to
        stop, and a line is written to the JSONL file `log`. With `patience`, training stops after
        as many evaluations without a new lowest loss on `dev`, and at the end the best parameters
        are put back. `progress` shows a bar on a terminal. `checkpoint`, a file or an existing
        folder, is saved every ten seconds or so, more rarely where saving takes long, and at the
        end, and at the start where there is none yet; `resume` goes on from it.

        Raises `DivergedError` where the loss becomes nan or infinite, with the last good
        parameters in place, or where it rises to more than twice its start and twice ln V, with the
        best parameters seen; `KeyboardInterrupt` on Ctrl-C, with those of the last finished chunk
        of steps; and what a callback raises; each after saving the checkpoint. What is wrong with
        an argument is raised before anything is changed. Training again starts at step 0 with the
        parameters as they are: give another `seed`, or the same batches come again.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.optim import cosine
        >>> from fastgrad.text import Vocab
        >>> names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
        >>> model = NPLM(Vocab.of(names), hidden=20)
        >>> rate = cosine(0.02, 0.0, steps=200)
        >>> history = model.fit(
        ...     names[:6], names[6:], steps=200, batch=8, lr=rate, optimizer="adamw", patience=3
        ... )
        >>> history.stopped
        'stopped early'
        >>> bool(model.loss(names[6:]) == history.dev_loss.min())
        True
        """
        if (steps is None) == (epochs is None):
            raise TypeError(
                f"steps is {shorten(steps)} and epochs is {shorten(epochs)}; expected one of them"
            )
        run = self.start(
            train,
            dev,
            batch=batch,
            optimizer=optimizer,
            weight_decay=weight_decay,
            dropout=dropout,
            momentum=momentum,
            betas=betas,
            eps=eps,
            seed=seed,
            threads=threads,
        )
        if steps is None:
            steps = steps_of(len(run.train_examples.targets), epochs, run.batch)
            every = steps_of(len(run.train_examples.targets), 1, run.batch)
            evaluate_every = every if evaluate_every is None else evaluate_every
        plan = make_plan(
            steps=steps,
            lr=lr,
            evaluate_every=evaluate_every,
            patience=patience,
            callbacks=callbacks,
            progress=progress,
            log=log,
            checkpoint=None if checkpoint is None else model_path(checkpoint, "checkpoint"),
        )
        return self._go(Loop(run, plan))

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        train: Any,
        dev: Any = None,
        *,
        steps: int | None = None,
        lr: Rate | None = None,
        callbacks: Iterable[Callable[[Progress], object]] = (),
        progress: bool = False,
        log: str | os.PathLike[str] | None = None,
        threads: int | None = None,
    ) -> Self:
        """Go on with a training run from its checkpoint; return the model when it is done.

        With the same `train` and `dev`, the result is bit for bit that of a run that was never
        interrupted. Rates were saved with it, even those of a function; `lr` replaces them for the
        steps to come, and is needed where `steps` asks for more than were planned. `log` is
        continued, and the checkpoint goes on to be saved at `path`.

        Raises `CheckpointError` where the file is none or holds no training run, and `ValueError`
        where it holds one on other examples.

        >>> import pathlib, tempfile
        >>> from fastgrad.models import NPLM
        >>> from fastgrad.text import Vocab
        >>> names = ["emma", "olivia", "ava", "mia"]
        >>> path = pathlib.Path(tempfile.mkdtemp(), "run.safetensors")
        >>> model = NPLM(Vocab.of(names), hidden=8)
        >>> _ = model.fit(names, steps=20, lr=0.1, batch=4, checkpoint=path)
        >>> longer = NPLM.resume(path, names, steps=50, lr=0.01)
        >>> longer.history.rate[[0, 19, 20, 49]].tolist()
        [0.1, 0.1, 0.01, 0.01]
        """
        file = model_path(path)
        model, state = read_model(file, {cls.kind: partial(saved.read_run, cls)})
        if state is None:
            raise CheckpointError(f"{file}: holds a model without a training run; fit starts one")
        run = model._restart(state, train, dev, threads)
        total, rates = state.loop.planned(steps, lr)
        plan = make_plan(
            steps=total,
            lr=rates,
            evaluate_every=state.loop.evaluate_every,
            patience=state.loop.patience,
            callbacks=callbacks,
            progress=progress,
            log=log,
            checkpoint=file,
        )
        loop = state.loop
        model._go(Loop(run, plan, loop.history, loop.best, loop.evaluated))
        return model

    def _restart(self, state: saved.RunState, train: Any, dev: Any, threads: int | None) -> NPLMRun:
        """Be ready for the step after the last one that was saved."""
        run = self.start(train, dev, batch=state.batch, seed=state.seed, threads=threads)
        for name, examples, digest in (
            ("train", run.train_examples, state.train),
            ("dev", run.dev_examples, state.dev),
        ):
            if examples is not None and digest is not None and examples.digest() != digest:
                raise ValueError(f"{name} is not what the run was started with")
        return replace(
            run, optimizer=state.optimizer, state=state.remembered, dropout=state.dropout
        )

    def _go(self, loop: Loop) -> History:
        try:
            loop.go()
        finally:
            self._history = loop.history()
        return self._history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, vocabulary and history to a checkpoint; see `fastgrad.checkpoint`.

        Where `path` is a folder, the file is `model.safetensors` in it. What it takes to go on
        training is saved by `fit(checkpoint=...)` instead.
        """
        saved.write(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model from a file of `save` or `fit`; `CheckpointError` for anything else."""
        return read_model(path, {cls.kind: cls._from_parts})

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        model, _ = saved.read_run(cls, tensors, config)
        return model
