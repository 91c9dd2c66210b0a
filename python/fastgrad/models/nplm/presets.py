"""Settings for `WordNPLM.fit`: those of the paper, and those of today.

Each function returns keyword arguments, to be changed at will.

>>> from fastgrad.models import WordNPLM
>>> from fastgrad.models.nplm import presets
>>> from fastgrad.text import read_words
>>> text = read_words(b"the cat sat on the mat and the dog sat on the cat " * 20)
>>> train, dev = text.split(0.9)
>>> model = WordNPLM(text.vocab, context_length=3, embedding_dim=8, hidden_dim=16)
>>> settings = presets.modern(len(train), epochs=10, batch_size=16) | {"dropout": 0.0}
>>> len(model.fit(train, dev, **settings).history.dev_loss)
10
"""

from __future__ import annotations

from typing import Any, Literal

from ..._checks import shorten, whole
from ..._defaults import WORDS
from ..._hints import hint_names
from ...optim.schedules import constant, cosine, inverse_time_decay, linear, warmup
from .run import steps_of

# The decay of the paper's learning rate per example, and its weight decay.
_FALL, _DECAY = 1e-8, 1e-4
# The learning rate climbs in so small a part of all steps.
_WARMUP = 20


def init_for(optimizer: str) -> Literal["small", "scaled"]:
    """Return the `init` that suits an optimizer over words: "small" for AdamW, else "scaled".

    Steps of SGD and momentum are as small as the weights behind them, those of AdamW are not.

    >>> init_for("adamw"), init_for("sgd")
    ('small', 'scaled')
    """
    return "small" if optimizer == "adamw" else "scaled"


@hint_names()
def paper(
    *, epochs: float = 20, batch_size: int = 256, lr: float = 1e-3, patience: int | None = 2
) -> dict[str, Any]:
    """Return the settings of Bengio et al. (2003), section 4.2: SGD, slowly falling, with decay.

    The paper moves the parameters after each example, with the learning rate `lr` / (1 + 1e-8 t)
    after t of them. A mini-batch of B examples has the mean of their gradients, and B times that
    learning rate, so that as many examples move the parameters as far: step k has the learning rate
    B·lr / (1 + 1e-8·B·k). All but the biases decay, by 1e-4 times the learning rate. Training ends
    when the loss on the dev text has not fallen for `patience` evaluations, one an epoch; the best
    parameters are kept. For `patience`, `fit` needs a dev text.

    >>> settings = paper(batch_size=100)
    >>> settings["lr"](0), round(settings["lr"](1_000_000), 6)
    (0.1, 0.05)
    """
    batch_size = whole("batch_size", batch_size, least=1)
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": "sgd",
        "lr": inverse_time_decay(lr * batch_size, _FALL * batch_size),
        "weight_decay": _DECAY,
        "patience": patience,
    }


@hint_names()
def modern(
    tokens: int,
    *,
    epochs: float = 4,
    batch_size: int = WORDS.batch_size,
    lr: float = WORDS.lr,
    schedule: Literal["cosine", "linear", "constant"] = WORDS.schedule,
    dropout: float | tuple[float, float] = WORDS.dropout,
    weight_decay: float = WORDS.weight_decay,
) -> dict[str, Any]:
    """Return settings for `tokens` tokens of training text: AdamW, warm-up, cosine, dropout.

    The learning rate climbs to `lr` in the first twentieth of all steps, and then falls to 0 along
    a cosine or a line, or stays. The defaults suit a small network with tied weights and half a
    million tokens; larger networks want a lower learning rate and more dropout.

    >>> settings = modern(1000, epochs=4, batch_size=100)
    >>> [round(settings["lr"](step), 5) for step in (0, 1, 2, 21, 40)]
    [0.002, 0.004, 0.004, 0.002, 0.0]
    """
    batch_size = whole("batch_size", batch_size, least=1)
    steps = steps_of(whole("tokens", tokens, least=1), epochs, batch_size)
    warmup_steps = max(1, steps // _WARMUP)
    later = {
        "cosine": cosine(lr, 0.0, max(steps - warmup_steps, 1)),
        "linear": linear(lr, 0.0, max(steps - warmup_steps, 1)),
        "constant": constant(lr),
    }
    if schedule not in later:
        raise ValueError(f"schedule is {shorten(schedule)}; expected one of {[*later]}")
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": "adamw",
        "lr": warmup(later[schedule], warmup_steps),
        "weight_decay": weight_decay,
        "dropout": dropout,
    }
