"""A network of the table: trained with a checkpoint, and never twice."""

from __future__ import annotations

from dataclasses import asdict
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
from fastgrad.checkpoint import previous
from fastgrad.models import WordNPLM
from fastgrad.models.nplm import presets
from fastgrad.optim.schedules import inverse_time_decay, warmup_cosine

from .machine import machine

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from pathlib import Path

    from fastgrad.optim.schedules import Schedule
    from fastgrad.training import Progress

    from .corpus import Corpus
    from .rows import Network

__all__ = ["Training", "network_settings"]

# Steps that tell how long one takes, after some that warm up.
_TRIAL = 8
# The share of the allowed time that steps may take; the rest is for evaluations and saving.
_FOR_STEPS = 0.85


def network_settings(network: Network) -> dict[str, Any]:
    """Return a network and its training as JSON-able values."""
    return {"kind": "network", **asdict(network)}


class Training:
    """The training of one network, which may be interrupted and gone on with.

    `note` is what is known of it, and is kept up to date: `save` is called whenever it has changed.
    """

    def __init__(
        self,
        network: Network,
        corpus: Corpus,
        file: Path,
        note: MutableMapping[str, Any],
        save: Callable[[], None],
        *,
        seed: int,
        threads: int | None,
        progress: bool,
    ) -> None:
        """Keep what is to be trained, and where it is saved."""
        self.network = network
        self.corpus = corpus
        self.file = file
        self.note = note
        self.save = save
        self.seed = seed
        self.threads = threads
        self.progress = progress

    def model(self) -> WordNPLM:
        """Return the trained network, going on with its training where that is not finished.

        Raises `KeyboardInterrupt` on Ctrl-C, after saving; `DivergedError` where the loss is not
        finite any more.
        """
        if self.note.get("stopped"):
            return WordNPLM.load(self.file)
        if "steps" not in self.note:
            # A file without a note is what is left of another run.
            self.file.unlink(missing_ok=True)
            self.note.update(steps=self._steps(), seconds=0.0, processor_seconds=0.0, valid=[])
            self.save()
        going_on = self.file.exists()
        used, started = self.note["seconds"], perf_counter()
        processor_used, processor_started = self.note["processor_seconds"], process_time()

        def keep_time() -> None:
            self.note["seconds"] = used + perf_counter() - started
            self.note["processor_seconds"] = processor_used + process_time() - processor_started
            self.note["threads"] = self.threads or machine()["cores"]
            self.save()

        def evaluated(progress: Progress) -> None:
            self._note_evaluation(progress)
            keep_time()

        try:
            model = self._resumed(evaluated) if going_on else self._fitted(evaluated)
            self.note["stopped"] = model.history.stopped
            self.note["epochs"] = self._epochs(len(model.history.loss))
            self.note["parameters"] = model.num_parameters()
        finally:
            keep_time()
        # From here on it is a model, without what it takes to train on.
        model.save(self.file)
        previous(self.file).unlink(missing_ok=True)
        return model

    def _resumed(self, evaluated: Callable[[Progress], None]) -> WordNPLM:
        train, valid = self.corpus.parts["train"], self.corpus.parts["valid"]
        return WordNPLM.resume(
            self.file,
            train,
            valid,
            callbacks=[evaluated],
            progress=self.progress,
            threads=self.threads,
        )

    def _fitted(self, evaluated: Callable[[Progress], None]) -> WordNPLM:
        net, steps = self.network, self.note["steps"]
        model = self._new()
        model.fit(
            self.corpus.parts["train"],
            self.corpus.parts["valid"],
            steps=steps,
            lr=self._lr(steps),
            evaluate_every=self._evaluate_every(steps),
            patience=net.patience,
            callbacks=[evaluated],
            progress=self.progress,
            checkpoint=self.file,
            **self._options(),
        )
        return model

    def _new(self) -> WordNPLM:
        net = self.network
        return WordNPLM(
            self.corpus.text.vocab,
            context_length=net.n - 1,
            embedding_dim=net.embedding_dim,
            hidden_dim=net.hidden_dim,
            direct=net.direct,
            tie_weights=net.tie_weights,
            counts=self.corpus.parts["train"].counts,
            init=presets.init_for(net.optimizer),
            seed=self.seed,
        )

    def _options(self) -> dict[str, Any]:
        net = self.network
        return {
            "batch_size": min(net.batch_size, len(self.corpus.parts["train"])),
            "optimizer": net.optimizer,
            "weight_decay": net.weight_decay,
            "dropout": net.dropout,
            "seed": self.seed,
            "threads": self.threads,
        }

    def _evaluate_every(self, steps: int) -> int:
        """Return an epoch, or half of one where there are few: evaluating costs a tenth of one."""
        part = self._epoch if steps > 5 * self._epoch else self._epoch // 2
        return max(min(part, steps), 1)

    @property
    def _epoch(self) -> int:
        """How many steps look at as many examples as there are."""
        return max(round(len(self.corpus.parts["train"]) / self.network.batch_size), 1)

    def _epochs(self, steps: int) -> float:
        return steps * self.network.batch_size / len(self.corpus.parts["train"])

    def _steps(self) -> int:
        """Return how many steps there are to be: all, or as many as there is time for."""
        wanted = max(round(self.network.epochs * self._epoch), 1)
        if self.network.minutes is None:
            return wanted
        seconds = _FOR_STEPS * 60 * self.network.minutes
        return max(min(wanted, int(seconds / self._seconds_of_a_step())), 1)

    def _seconds_of_a_step(self) -> float:
        """Make some steps of a network that is then forgotten."""
        run = self._new()._start(self.corpus.parts["train"], **self._options())
        seconds = 0.0
        for _ in ("warm-up", "measured"):
            start = perf_counter()
            run.train(0, np.full(_TRIAL, self.network.lr))
            seconds = (perf_counter() - start) / _TRIAL
        return max(seconds, 1e-6)

    def _lr(self, steps: int) -> Schedule:
        net = self.network
        if net.optimizer == "sgd":
            # The paper's is for one example, and a batch has the mean of their gradients.
            return inverse_time_decay(net.lr * net.batch_size, net.decay * net.batch_size)
        return warmup_cosine(net.lr, steps, max(steps // 20, 1))

    def _note_evaluation(self, progress: Progress) -> None:
        if progress.dev_loss is not None:
            steps = [entry for entry in self.note["valid"] if entry["step"] < progress.step]
            entry = {"step": progress.step, "loss": progress.loss, "valid": progress.dev_loss}
            self.note["valid"] = [*steps, entry]
