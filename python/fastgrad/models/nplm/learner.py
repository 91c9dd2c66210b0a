"""Networks that learn: trained in place, saved, loaded, and resumed half-way."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..._checks import shorten, whole
from ..._hints import hint_names
from ..._threads import thread_count
from ...base import AnyTexts
from ...checkpoint import CheckpointError, load_mapped
from ...distributed import as_comm
from ...distributed.together import same, together
from ...distributed.training import follow, lead
from ...optim.schedules import cosine, warmup_cosine
from ...training import History
from ...training.loop import Loop
from ...training.plan import check_patience, make_plan
from .._model import AnyVocab
from ..saving import model_path, read_model
from . import saved
from .network import Network
from .optimizers import Optimizer, checked_dropout
from .ranks import OUTPUT_LAYERS, REDUCTIONS, RanksRun, rows_of
from .run import NPLMRun, steps_of
from .shape import INITS, MAX_SEED, Shape, initial
from .sharded import ShardedRun

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Self

    from numpy.typing import NDArray

    from ..._defaults import Defaults
    from ...base import TrainingRun
    from ...distributed import Comm
    from ...training import Progress
    from ...training.learning_rates import LearningRate
    from ...training.plan import Plan
    from ...training.resuming import Saved
    from .examples import Prepared
    from .kernels import OutputLayer, Reduction
    from .saved import RowsOf

# The part of all steps in which the learning rate of AdamW over words climbs.
_WARMUP = 20


# Arguments of `fit` that are often given to the constructor instead, and the paper's n.
IN_FIT = {
    "batch_size": "batch_size in fit",
    "device": "threads in fit",
    "dropout": "dropout in fit",
    "epochs": "epochs in fit",
    "lr": "lr in fit",
    "n": "context_length, which is n - 1",
    "optimizer": "optimizer in fit",
    "steps": "steps in fit",
}


class Learner(Network[AnyVocab, AnyTexts]):
    """The training of `NPLM` and of `WordNPLM`, which define their examples."""

    _defaults: ClassVar[Defaults]
    _schedule: ClassVar[Literal["cosine", "warmup"]]

    _history: History

    def _settle(self, vocab: AnyVocab | None, settings: dict[str, Any]) -> None:
        """Check the settings of the constructor; draw the parameters if there is a vocabulary."""
        self._settings = settings
        self._vocab, self._shape, self._parameters = None, None, {}
        self._history = History()
        # Raises for settings that make no network, whatever the vocabulary will be.
        self._shape_for(2)
        if settings["init"] not in INITS:
            raise ValueError(
                f"init is {shorten(settings['init'])}; expected one of {', '.join(INITS)}"
            )
        whole("seed", settings["seed"], most=MAX_SEED)
        if vocab is not None:
            self._draw(vocab)

    def _shape_for(self, vocab_size: int) -> Shape:
        names = [name for name in asdict(Shape(2)) if name != "vocab_size"]
        return Shape(vocab_size, **{name: self._settings[name] for name in names})

    def _draw(self, vocab: AnyVocab, rows_of: RowsOf | None = None) -> None:
        """Draw the parameters for a vocabulary; of the output layer only `rows_of` it."""
        shape = self._shape_for(len(vocab))
        rows = None if rows_of is None else rows_of(len(vocab))
        drawn = initial(shape, self._settings["init"], self._settings["seed"], rows)
        self._set(vocab, shape, drawn)

    @property
    def history(self) -> History:
        """The losses and learning rates of training, step by step."""
        return self._history

    @abstractmethod
    def _read(self, train: AnyTexts, dev: AnyTexts | None) -> tuple[AnyVocab, Any, Any]:
        """Return the vocabulary that texts decide, and the texts as they were read for it."""

    @abstractmethod
    def _examples(self, texts: AnyTexts, name: str) -> Prepared:
        """Return the examples of a text, or check those that were made before."""

    def _prepared(
        self, train: AnyTexts, dev: AnyTexts | None, rows_of: RowsOf | None = None
    ) -> tuple[Any, Any]:
        """Return the texts; draw the parameters where their vocabulary decides.

        With `rows_of` the model has only those rows of the output layer afterwards.
        """
        if self._shape is None:
            vocab, train, dev = self._read(train, dev)
            self._draw(vocab, rows_of)
        elif rows_of is not None:
            shape, rows = self._shape, rows_of(self._shape.vocab_size)
            self._parameters = {
                name: array[rows].copy() if shape.is_output(name) else array.copy()
                for name, array in self._parameters.items()
            }
        return train, dev

    def _start(
        self,
        train: AnyTexts,
        dev: AnyTexts | None = None,
        *,
        batch_size: int | None = None,
        optimizer: Literal["sgd", "momentum", "adamw"] = "sgd",
        weight_decay: float = 0.0,
        dropout: float | tuple[float, float] = 0.0,
        momentum: float | None = None,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        seed: int = 0,
        threads: int | None = None,
        rows_of: RowsOf | None = None,
    ) -> NPLMRun:
        """Check data and settings and be ready to train: for training loops; see `fit`."""
        rule = Optimizer.of(optimizer, weight_decay, momentum=momentum, betas=betas, eps=eps)
        if batch_size is not None:
            batch_size = whole("batch_size", batch_size, least=1)
        seed, shares = whole("seed", seed, most=MAX_SEED), checked_dropout(dropout)
        threads = thread_count(threads)
        train, dev = self._prepared(train, dev, rows_of)
        examples = self._examples(train, "train")
        if batch_size is None:
            batch_size = min(self._defaults.batch_size, len(examples.targets))
        elif batch_size > len(examples.targets):
            raise ValueError(
                f"batch_size is {shorten(batch_size)}, but train has {len(examples.targets)}"
                " examples; expected no more than these"
            )
        dev_examples = None if dev is None else self._examples(dev, "dev")
        state = rule.state(self._parameters)
        return NPLMRun(self, examples, dev_examples, rule, state, batch_size, seed, shares, threads)

    @hint_names(l2="weight_decay", sharded="output_layer")
    def fit(
        self,
        train: AnyTexts,
        dev: AnyTexts | None = None,
        *,
        steps: int | None = None,
        epochs: float | None = None,
        lr: LearningRate | None = None,
        batch_size: int | None = None,
        optimizer: Literal["sgd", "momentum", "adamw"] | None = None,
        weight_decay: float | None = None,
        dropout: float | tuple[float, float] | None = None,
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
        update_ratio: bool = False,
        live: bool = False,
        threads: int | None = None,
        comm: object = None,
        reduction: Reduction = "exact",
        output_layer: OutputLayer = "whole",
    ) -> Self:
        """Train the parameters in place, and return the model; `history` is what was seen.

        `train` and `dev` are texts, as `loss` takes them, or examples: a pair of arrays, (N,
        context_length) and (N,) of integers, as `fastgrad.text.build_dataset` makes one. Without a
        vocabulary the model takes that of its texts: the characters of both, or the words of
        `train`. A second call goes on with the parameters as
        they are; give another `seed`, or the same mini-batches come again.

        Each step draws `batch_size` of the N examples, with replacement, and moves the parameters
        once (default: 64 of characters, 256 of words, all where there are fewer). There are `steps`
        of them, or as many as draw N examples `epochs` times, which may be a fraction (default:
        30,000 steps over characters, 4 epochs over words). The draws follow from `seed` and the
        number of the step alone; results are the same for any number of `threads`.

        `lr` is the learning rate: a number, a list of (step, learning rate), or a function of the
        step as in `fastgrad.optim.schedules`. `optimizer` is "adamw" (with `betas`, (0.9, 0.999),
        and `eps`, 1e-8), "sgd" or "momentum" (with `momentum`, 0.9), the rules of `fastgrad.optim`.
        Without either, AdamW's learning rate falls from 0.004 to 0 along a cosine, over words after
        a warm-up; with `lr` alone the optimizer is plain SGD, as in the lecture; SGD without an
        `lr` takes 0.1. `weight_decay` leaves the biases d and b alone (default: 0.03 over
        characters and 0.01 over words with AdamW, otherwise 0). A step changes only those rows of C
        that its examples have in their contexts: all others stand still, decay and momentum
        included, as with PyTorch's `SparseAdam`; with tied weights all rows change. `dropout` is
        the share of embeddings and of hidden units, or a pair of both shares, that is dropped for
        each example (Srivastava et al., "Dropout", 2014; default: 0.2 over words with AdamW,
        otherwise 0).

        After every `evaluate_every` steps (default: a twentieth of all, with `epochs` one epoch)
        the loss on `dev` is measured, `callbacks` get a `Progress` each and may return True to
        stop, and a line is written to the JSONL file `log`. With `patience`, training stops after
        as many evaluations without a new lowest loss on `dev`, and at the end the best parameters
        are put back. `progress` shows a bar on a terminal. `checkpoint`, a file or a folder, is
        saved every ten seconds or so, more rarely where saving takes long, and at the end, and at
        the start where there is none yet; `resume` goes on from it. Missing folders of `log` and
        `checkpoint` are made. A file that `checkpoint` had before the run is kept as
        `<name>.previous`; a run that diverges before it has learned anything leaves it in place.

        With `update_ratio` the history keeps the update-to-data ratio of each array, at about 200
        of the steps, which `fastgrad.plots.update_ratio` draws; it changes no result. `live` shows
        curves of the losses that grow in a notebook, and elsewhere the bar.

        `comm`, a communicator such as `mpi4py.MPI.COMM_WORLD`, trains on all its ranks, which call
        `fit` with the same arguments and have the same model at the end. With `reduction` "exact"
        that is, bit for bit, the model of one process; with "fast" gradients are added up in the
        communicator's order. Rank 0 calls `callbacks`, writes files and shows the bar. With
        `output_layer` "sharded", for vocabularies too large for one machine, each rank has only its
        rows of U, b and W (of C where it is tied) and of the optimizer's state. Then `checkpoint`
        is needed, in a folder that all ranks see: the parameters at the end are mapped from it into
        memory. Until then, and after an exception, the model is what it was before the call.

        Raises `DivergedError` where the loss becomes nan or infinite, or rises to more than twice
        its start and twice ln V, with good parameters in place (the last, or the best seen);
        `KeyboardInterrupt` on Ctrl-C, with those of the last finished chunk of steps; and what a
        callback raises; each after saving the checkpoint. What is wrong with an argument is raised
        before anything is changed.

        >>> from fastgrad.models import NPLM
        >>> from fastgrad.optim.schedules import cosine
        >>> names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
        >>> model = NPLM(context_length=3, embedding_dim=10, hidden_dim=20)
        >>> model = model.fit(
        ...     names, names, steps=200, batch_size=8, lr=cosine(0.02, 0.0, steps=200), patience=3
        ... )
        >>> bool(model.loss(names) == model.history.dev_loss[-1])
        True
        >>> model = NPLM(context_length=3, embedding_dim=10, hidden_dim=20)
        >>> model = model.fit(names, steps=300, lr=0.1, batch_size=8)
        >>> model.loss(names) < 1.0
        True
        """
        if steps is not None and epochs is not None:
            raise TypeError(
                f"steps is {shorten(steps)} and epochs is {shorten(epochs)}; expected one of them"
            )
        if optimizer is None:
            optimizer = self._defaults.optimizer if lr is None else "sgd"
        is_adamw = optimizer == "adamw"
        if weight_decay is None:
            weight_decay = self._defaults.weight_decay if is_adamw else 0.0
        if dropout is None:
            dropout = self._defaults.dropout if is_adamw else 0.0
        if steps is None and epochs is None:
            steps, epochs = self._defaults.steps, self._defaults.epochs
        ranks = None if comm is None else as_comm(comm)
        rows_of = checked_rows(ranks, reduction, output_layer)
        if rows_of is not None and checkpoint is None:
            raise ValueError(
                "checkpoint is None, but output_layer is 'sharded'; expected a file for the"
                " parameters, of which no rank has all"
            )
        model = self if rows_of is None else copy.copy(self)

        def prepare() -> tuple[NPLMRun, Plan]:
            run = model._start(
                train,
                dev,
                batch_size=batch_size,
                optimizer=optimizer,
                weight_decay=weight_decay,
                dropout=dropout,
                momentum=momentum,
                betas=betas,
                eps=eps,
                seed=seed,
                threads=threads,
                rows_of=rows_of,
            )
            made, every = steps, evaluate_every
            if made is None:
                examples = len(run.train_examples.targets)
                made = steps_of(examples, epochs, run.batch_size)
                every = steps_of(examples, 1, run.batch_size) if every is None else every
            plan = make_plan(
                steps=made,
                lr=self._default_lr(made, is_adamw) if lr is None else lr,
                evaluate_every=every,
                patience=patience,
                callbacks=callbacks,
                progress=progress,
                log=log,
                checkpoint=None if checkpoint is None else model_path(checkpoint, "checkpoint"),
                update_ratio=update_ratio,
                live=live,
            )
            check_patience(plan.patience, has_dev=dev is not None)
            return run, plan

        before = self._vocab, self._shape, self._parameters
        try:
            run, plan = model._prepared_on(ranks, reduction, output_layer, prepare)
        except BaseException:
            # A vocabulary and parameters that only this call brought are gone with it.
            self._vocab, self._shape, self._parameters = before
            raise
        model._go(run, plan)
        vars(self).update(vars(model))
        return self

    def _prepared_on(
        self,
        comm: Comm | None,
        reduction: Reduction,
        output_layer: OutputLayer,
        prepare: Callable[[], tuple[NPLMRun, Plan]],
    ) -> tuple[NPLMRun, Plan]:
        """Prepare a run, on all ranks of `comm` if there are any; raise what any of them raises."""
        if comm is None:
            return prepare()
        kind = RanksRun if output_layer == "whole" else ShardedRun

        def prepare_here() -> tuple[RanksRun, Plan]:
            run, plan = prepare()
            if plan.update_ratio and output_layer == "sharded":
                raise ValueError(
                    "update_ratio is True, but output_layer is 'sharded'; expected False, as no"
                    " rank has all rows to measure"
                )
            return kind(**vars(run), comm=comm, reduction=reduction), plan

        run, plan = together(comm, prepare_here)
        for what, value in (run.settings() | plan.settings()).items():
            same(comm, what, value)
        return run, plan

    def _default_lr(self, steps: int, is_adamw: bool) -> LearningRate:
        steps = whole("steps", steps, least=1, most=2**62)
        if not is_adamw:
            return self._defaults.sgd_lr
        if self._schedule == "warmup":
            return warmup_cosine(self._defaults.lr, steps, max(1, steps // _WARMUP))
        return cosine(self._defaults.lr, 0.0, steps)

    @classmethod
    @hint_names(l2="weight_decay", sharded="output_layer")
    def resume(
        cls,
        path: str | os.PathLike[str],
        train: AnyTexts,
        dev: AnyTexts | None = None,
        *,
        steps: int | None = None,
        lr: LearningRate | None = None,
        callbacks: Iterable[Callable[[Progress], object]] = (),
        progress: bool = False,
        log: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        update_ratio: bool | None = None,
        live: bool = False,
        comm: object = None,
        reduction: Reduction = "exact",
        output_layer: OutputLayer = "whole",
    ) -> Self:
        """Go on with a training run from its checkpoint; return the model when it is done.

        With the same `train` and `dev`, the result is bit for bit that of a run that was never
        interrupted. Learning rates were saved with it, even those of a function; `lr` replaces them
        for the steps to come, and is needed where `steps` asks for more than were planned. `log` is
        continued, and the checkpoint goes on to be saved at `path`. `live` is that of `fit`, and
        `update_ratio` too, which is as it was where it is None. With `comm` all ranks read the
        checkpoint, and train as in `fit`; their number, and `output_layer`, may be others than
        before.

        Raises `CheckpointError` where the file is none or holds no training run, and `ValueError`
        where it holds one on other examples.

        >>> import pathlib, tempfile
        >>> from fastgrad.models import NPLM
        >>> names = ["emma", "olivia", "ava", "mia"]
        >>> path = pathlib.Path(tempfile.mkdtemp(), "run.safetensors")
        >>> model = NPLM(hidden_dim=8).fit(names, steps=20, lr=0.1, batch_size=4, checkpoint=path)
        >>> longer = NPLM.resume(path, names, steps=50, lr=0.01)
        >>> longer.history.lr[[0, 19, 20, 49]].tolist()
        [0.1, 0.1, 0.01, 0.01]
        """
        ranks = None if comm is None else as_comm(comm)
        rows_of = checked_rows(ranks, reduction, output_layer)
        file = model_path(path)

        def read() -> tuple[Self, saved.RunState]:
            model, state = cls._read_rows(file, rows_of)
            if state is None:
                raise CheckpointError(
                    f"{file}: holds a model without a training run; fit starts one"
                )
            return model, state

        model, state = read() if ranks is None else together(ranks, read)
        past = state.loop

        def prepare() -> tuple[NPLMRun, Plan]:
            total, lrs = past.planned(steps, lr)
            run = model._restart(state, train, dev, threads)
            plan = make_plan(
                steps=total,
                lr=lrs,
                evaluate_every=past.evaluate_every,
                patience=past.patience,
                callbacks=callbacks,
                progress=progress,
                log=log,
                checkpoint=file,
                update_ratio=past.update_ratio if update_ratio is None else update_ratio,
                live=live,
            )
            return run, plan

        model._go(*model._prepared_on(ranks, reduction, output_layer, prepare), past)
        return model

    @classmethod
    def _read_rows(
        cls, file: str | os.PathLike[str], rows_of: RowsOf | None
    ) -> tuple[Self, saved.RunState | None]:
        """Return the model and the run of a checkpoint; of the output layer only `rows_of` it."""
        maker = partial(saved.read_run, cls, rows_of=rows_of)
        return read_model(file, {cls.kind: maker}, mapped=rows_of is not None)

    def _restart(
        self, state: saved.RunState, train: AnyTexts, dev: AnyTexts | None, threads: int | None
    ) -> NPLMRun:
        """Be ready for the step after the last one that was saved."""
        run = self._start(train, dev, batch_size=state.batch_size, seed=state.seed, threads=threads)
        for name, examples, digest in (
            ("train", run.train_examples, state.train),
            ("dev", run.dev_examples, state.dev),
        ):
            if examples is not None and digest is not None and examples.digest() != digest:
                raise ValueError(f"{name} is not what the run was started with")
        return replace(
            run, optimizer=state.optimizer, state=state.remembered, dropout=state.dropout
        )

    def _go(self, run: NPLMRun, plan: Plan, past: Saved | None = None) -> None:
        """Train, from where a run that was saved had come to; on ranks if the run is of them."""

        def go(run: TrainingRun) -> None:
            if past is None:
                loop = Loop(run, plan)
            else:
                loop = Loop(run, plan, past.history, past.best, past.evaluated)
            try:
                loop.go()
            finally:
                self._history = loop.history()

        if not isinstance(run, RanksRun):
            go(run)
            return
        best = None if past is None or past.best is None else past.best.snapshot
        if run.comm.rank == 0:
            lead(run, run.comm, go, lambda: self._history, best)
        else:
            follow(run, run.comm, partial(setattr, self, "_history"), best)
        if run.output_layer == "sharded":
            tensors, _ = together(run.comm, partial(load_mapped, plan.checkpoint or ""))
            self._parameters = {name: tensors[name] for name in self._shape_of().shapes}

    def copy(self) -> Self:
        """Return a model of its own with the same parameters and no history."""
        made = copy.copy(self)
        made._parameters = {name: array.copy() for name, array in self._parameters.items()}
        made._history = History()
        made.note = None
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a model of its own with the same parameters and history."""
        made = self.copy()
        made._history, made.note = self._history, copy.deepcopy(self.note, memo)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but what is made when needed."""
        return {name: value for name, value in vars(self).items() if name != "_table"}

    def _to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return saved.parts(self)

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        model, _ = saved.read_run(cls, tensors, config)
        return model


def checked_rows(
    comm: Comm | None, reduction: Reduction, output_layer: OutputLayer
) -> RowsOf | None:
    """Check how ranks share the work; return the rows of this one where it is to have no others."""
    for name, value, known in (
        ("reduction", reduction, REDUCTIONS),
        ("output_layer", output_layer, OUTPUT_LAYERS),
    ):
        if value not in known:
            raise ValueError(f"{name} is {shorten(value)}; expected one of {', '.join(known)}")
    if output_layer == "whole":
        return None
    if comm is None:
        raise ValueError(
            "output_layer is 'sharded', but comm is None; expected the communicator of the ranks"
        )
    if reduction != "exact":
        raise ValueError(
            f"reduction is {shorten(reduction)}, but output_layer is 'sharded'; expected 'exact',"
            " as 'fast' needs all rows on every rank"
        )
    return partial(rows_of, rank=comm.rank, size=comm.size)
