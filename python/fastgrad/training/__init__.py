"""Training of any model that keeps the protocol `fastgrad.base.Trainable`.

A model's `fit` trains in chunks of steps, each one call into Rust, with evaluations, callbacks, a
log and checkpoints between them. Where the chunks end depends on the clock; the results do not.

>>> from fastgrad.models import NPLM
>>> names = ["emma", "olivia", "ava", "mia"]
>>> seen = []
>>> model = NPLM(hidden_dim=8).fit(
...     names, steps=40, lr=0.1, batch_size=4, evaluate_every=20, callbacks=[seen.append]
... )
>>> [(progress.step, progress.lr) for progress in seen]
[(20, 0.1), (40, 0.1)]
>>> model.history.loss.shape, model.history.stopped
((40,), 'finished')
"""

from typing import TYPE_CHECKING

from .._hints import renamed
from .divergence import DivergedError
from .finder import LRSweep, lr_find
from .history import History
from .plan import Progress

__all__ = ["DivergedError", "History", "LRSweep", "Progress", "lr_find"]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        {
            "find_rate": "lr_find",
            "find_lr": "lr_find",
            "lr_finder": "lr_find",
            "LRFinder": "lr_find",
            "RateSweep": "LRSweep",
            "Trainer": "a model's fit",
            "train": "a model's fit",
            "EarlyStopping": "patience of a model's fit",
        },
    )
