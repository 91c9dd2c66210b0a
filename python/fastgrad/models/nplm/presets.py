"""Settings for `WordNPLM.fit`: those of the paper, and those of today.

Each function gives keyword arguments, to be changed at will.

>>> from fastgrad.models import WordNPLM
>>> from fastgrad.models.nplm import presets
>>> from fastgrad.text import read_words
>>> text = read_words(b"the cat sat on the mat and the dog sat on the cat " * 20)
>>> train, dev = text.split(0.9)
>>> model = WordNPLM(text.vocab, context_length=3, embedding_dim=8, hidden_dim=16)
>>> settings = presets.modern(len(train), epochs=10, batch_size=16) | {"dropout": 0.0}
>>> history = model.fit(train, dev, **settings)
>>> len(history.dev_loss)
10
"""

from __future__ import annotations

from typing import Any, Literal

from ..._checks import shorten, whole
from ...optim import constant, cosine, inverse, linear, warmup
from .run import steps_of

# What the paper's rate falls by with each example, and what its weights decay by.
_FALL, _DECAY = 1e-8, 1e-4
# The rate climbs in so small a part of all steps.
_WARM = 20


def init_for(optimizer: str) -> Literal["small", "scaled"]:
    """Say what a network over words had better start as: "small" for AdamW, otherwise "scaled".

    Steps of SGD and momentum are as small as the weights behind them, those of AdamW are not.

    >>> init_for("adamw"), init_for("sgd")
    ('small', 'scaled')
    """
    return "small" if optimizer == "adamw" else "scaled"


def paper(
    *, epochs: float = 20, batch: int = 256, lr: float = 1e-3, patience: int | None = 2
) -> dict[str, Any]:
    """Give the settings of Bengio et al. (2003), section 4.2: SGD, slowly falling, with decay.

    The paper moves the parameters after each example, at the rate `lr` / (1 + 1e-8 t) after t of
    them. A mini-batch of B examples has the mean of their gradients, and B times that rate, so that
    as many examples move the parameters as far: step k has the rate B·lr / (1 + 1e-8·B·k). All but
    the biases decay, by 1e-4 times the rate. Training ends when the loss on the development text
    has not fallen for `patience` evaluations, one an epoch; the best parameters are kept. For
    `patience`, `fit` needs a development text.

    >>> settings = paper(batch_size=100)
    >>> settings["lr"](0), round(settings["lr"](1_000_000), 6)
    (0.1, 0.05)
    """
    batch = whole("batch", batch, least=1)
    return {
        "epochs": epochs,
        "batch_size": batch,
        "optimizer": "sgd",
        "lr": inverse(lr * batch, _FALL * batch),
        "weight_decay": _DECAY,
        "patience": patience,
    }


def modern(
    tokens: int,
    *,
    epochs: float = 4,
    batch: int = 256,
    lr: float = 4e-3,
    schedule: Literal["cosine", "linear", "constant"] = "cosine",
    dropout: float | tuple[float, float] = 0.2,
    weight_decay: float = 0.01,
) -> dict[str, Any]:
    """Give settings for `tokens` tokens of training text: AdamW, warm-up, cosine, dropout.

    The rate climbs to `lr` in the first twentieth of all steps, and then falls to 0 along a cosine
    or a line, or stays. The defaults suit a small tied network and half a million tokens; larger
    networks want a lower rate and more dropout.

    >>> settings = modern(1000, epochs=4, batch_size=100)
    >>> [round(settings["lr"](step), 5) for step in (0, 1, 2, 21, 40)]
    [0.002, 0.004, 0.004, 0.002, 0.0]
    """
    batch = whole("batch", batch, least=1)
    steps = steps_of(whole("tokens", tokens, least=1), epochs, batch)
    warm = max(1, steps // _WARM)
    later = {
        "cosine": cosine(lr, 0.0, max(steps - warm, 1)),
        "linear": linear(lr, 0.0, max(steps - warm, 1)),
        "constant": constant(lr),
    }
    if schedule not in later:
        raise ValueError(f"schedule is {shorten(schedule)}; expected one of {[*later]}")
    return {
        "epochs": epochs,
        "batch_size": batch,
        "optimizer": "adamw",
        "lr": warmup(later[schedule], warm),
        "weight_decay": weight_decay,
        "dropout": dropout,
    }
