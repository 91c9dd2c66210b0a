"""Training of any model that follows `fastgrad.models.base.Trainable`.

A model's `fit` makes a plan, checks it, and has `Loop` make the steps: in chunks of which each is
one call into Rust, with evaluations, callbacks, a log and checkpoints between them. Where the
chunks end depends on the clock; the results do not.

>>> from fastgrad.models import NPLM
>>> from fastgrad.text import Vocab
>>> names = ["emma", "olivia", "ava", "mia"]
>>> model = NPLM(Vocab.from_texts(names), hidden_dim=8)
>>> seen = []
>>> history = model.fit(
...     names, steps=40, lr=0.1, batch_size=4, evaluate_every=20, callbacks=[seen.append]
... )
>>> [(progress.step, progress.lr) for progress in seen]
[(20, 0.1), (40, 0.1)]
>>> history.loss.shape, history.stopped
((40,), 'finished')
"""

from .divergence import DivergedError
from .finder import LRSweep, lr_find
from .history import History
from .loop import Interrupted, Loop
from .plan import Plan, Progress, make_plan
from .learning_rates import LearningRate, LearningRates, plan_lrs
from .resuming import Saved, history_arrays, read_history, read_saved

__all__ = [
    "DivergedError",
    "History",
    "Interrupted",
    "Loop",
    "Plan",
    "Progress",
    "LearningRate",
    "LRSweep",
    "LearningRates",
    "Saved",
    "lr_find",
    "history_arrays",
    "make_plan",
    "plan_lrs",
    "read_history",
    "read_saved",
]
