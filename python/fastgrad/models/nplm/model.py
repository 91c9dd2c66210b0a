"""The model as users see it: the network, and what changes, saves and samples it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ...training import History, Loop, checked_count, make_plan
from ..saving import model_path, read_model
from . import saved
from .examples import prepare
from .network import Network
from .optimizers import Optimizer
from .run import NPLMRun
from .shape import checked_seed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Self

    from numpy.typing import NDArray

    from ...text import Vocab
    from ...training import Progress, Rate
    from ..base import Examples
    from .shape import Shape


class NPLM(Network):
    """A neural probabilistic language model over characters.

    Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model" (JMLR 3, 2003),
    as the lecture "makemore, part 2" builds it: the symbol after a context has the logits

        y = b + W·x + U·tanh(d + H·x),       x the rows of C of the context's symbols, side by side

    With V symbols, c of them as `context`, m the `embedding` and h the `hidden` units, the
    parameters are C (V, m), H (h, c·m), d (h,), U (V, h), b (V,) and, where `direct` asks for the
    direct connections, W (V, c·m). They are numpy arrays of `dtype`, attributes under these names,
    trained in place.

    `init` is "scaled" (H by (5/3)/sqrt(c·m), U and W small, biases 0: the first loss is about ln V)
    or "lecture" (everything standard normal). `seed` gives the same network on every machine.

    Raises `TypeError` or `ValueError` naming the argument.

    >>> from fastgrad.models.nplm import NPLM
    >>> from fastgrad.text import Vocab
    >>> NPLM(Vocab("abcdefghijklmnopqrstuvwxyz")).size
    11897
    >>> names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
    >>> model = NPLM(Vocab.of(names), hidden=20)
    >>> history = model.fit(names, steps=300, lr=0.1, batch=8)
    >>> round(float(history.loss[0]), 1), model.loss(names) < 1.0
    (2.4, True)
    >>> model.sample(2, seed=1) == model.sample(2, seed=1)
    True
    """

    _history: History

    @property
    def history(self) -> History:
        """What the last training saw: losses and rates, step by step."""
        return self._history

    def _set(self, vocab: Vocab, shape: Shape, parameters: dict[str, NDArray[Any]]) -> None:
        super()._set(vocab, shape, parameters)
        self._history = History()

    def start(
        self,
        train: Examples,
        dev: Examples | None = None,
        *,
        batch: int = 32,
        optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
        weight_decay: float = 0.0,
        momentum: float | None = None,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> NPLMRun:
        """Check data and settings and be ready to train: for training loops; see `fit`."""
        rule = Optimizer.of(optimizer, weight_decay, momentum=momentum, betas=betas, eps=eps)
        batch, seed = checked_count("batch", batch), checked_seed(seed)
        if threads is not None:
            threads = checked_count("threads", threads)
        examples = prepare(train, self._vocab, self.context, "train")
        if batch > len(examples.targets):
            raise ValueError(
                f"batch is {batch}, but train has {len(examples.targets)} examples; expected no"
                " more than these"
            )
        dev_examples = None if dev is None else prepare(dev, self._vocab, self.context, "dev")
        state = rule.state(self._parameters)
        return NPLMRun(self, examples, dev_examples, rule, state, batch, seed, threads)

    def fit(
        self,
        train: Examples,
        dev: Examples | None = None,
        *,
        steps: int,
        lr: Rate,
        batch: int = 32,
        optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
        weight_decay: float = 0.0,
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

        `train` and `dev` are sources of text (`fastgrad.text`), or what `windows` made of one: a
        pair of arrays, (N, context) and (N,) uint32. Each of `steps` steps draws `batch` of the
        examples, with replacement, and moves the parameters once. The draws follow from `seed` and
        the step alone; results are the same for any number of `threads`.

        `lr` is a number, a list of (step, rate), or a function of the step as in `fastgrad.optim`.
        `optimizer` is "sgd", "momentum" (with `momentum`, 0.9 by default) or "adamw" (with `betas`,
        (0.9, 0.999), and `eps`, 1e-8), the rules of `fastgrad.optim`. `weight_decay` leaves the
        biases d and b alone.

        After every `evaluate_every` steps, by default a twentieth of all, the loss on `dev` is
        measured, `callbacks` get a `Progress` each and may return True to stop, and a line is
        written to the JSONL file `log`. With `patience`, training stops after as many evaluations
        without a new lowest loss on `dev`, and at the end the best parameters are put back.
        `progress` shows a bar on a terminal. `checkpoint`, a file or an existing folder, is saved
        every ten seconds or so and at the end, and at the start where there is none yet; `resume`
        goes on from it.

        Raises `DivergedError` where the loss becomes nan or infinite, with the last good
        parameters in place, `KeyboardInterrupt` on Ctrl-C, with those of the last finished chunk
        of steps, and what a callback raises; each after saving the checkpoint. What is wrong with
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
        run = self.start(
            train,
            dev,
            batch=batch,
            optimizer=optimizer,
            weight_decay=weight_decay,
            momentum=momentum,
            betas=betas,
            eps=eps,
            seed=seed,
            threads=threads,
        )
        return self._go(Loop(run, plan))

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        train: Examples,
        dev: Examples | None = None,
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

        Raises `CheckpointError` where the file is none, `ValueError` where it holds no training
        run, or one on other examples.

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
        model, state = read_model(file, {saved.KIND: partial(saved.read_run, cls)})
        if state is None:
            raise ValueError(f"{file} holds a model without a training run; fit starts one")
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
        model._go(Loop(run, plan, state.loop.history, state.loop.best))
        return model

    def _restart(
        self, state: saved.RunState, train: Examples, dev: Examples | None, threads: int | None
    ) -> NPLMRun:
        """Be ready for the step after the last one that was saved."""
        run = self.start(train, dev, batch=state.batch, seed=state.seed, threads=threads)
        for name, examples, digest in (
            ("train", run.train_examples, state.train),
            ("dev", run.dev_examples, state.dev),
        ):
            if examples is not None and digest is not None and examples.digest() != digest:
                raise ValueError(f"{name} is not what the run was started with")
        return replace(run, optimizer=state.optimizer, state=state.remembered)

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
        return read_model(path, {saved.KIND: cls._from_parts})

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        model, _ = saved.read_run(cls, tensors, config)
        return model

    def sample(self, n: int = 10, **options: Any) -> list[str]:
        """Make up `n` items; the options are those of `fastgrad.sampling.sample`.

        Short contexts go through `table`, more than a million names a second once it is made;
        where there is none, batches go through the network, about ten times as slow.
        """
        from ...sampling import sample

        return sample(self, n, **options)
