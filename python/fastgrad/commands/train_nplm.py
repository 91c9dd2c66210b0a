"""`fastgrad train nplm`: a neural network from a text to a folder, and on from a checkpoint."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .arguments import (
    CommandError,
    UsageError,
    add_command,
    folder_name,
    number,
    whole,
)
from .new_model import add_out, made_folder, show_saved
from .report import show
from .resuming import resume
from .texts import add_file, text_of
from .train_words import add_level
from .training import LOG, RunNote, keep_input, parts_of, saved_on_ctrl_c, show_result

if TYPE_CHECKING:
    from pathlib import Path

    from .texts import Text

__all__ = ["RATES", "add_to"]

_EXAMPLES = """\
examples:
  fastgrad train nplm -o out                            the bundled names, about ten seconds
  fastgrad train nplm words.txt -o out                  a text of your own, one item a line
  fastgrad train nplm -o out --embedding 32 --hidden 400 --batch 128     larger, better, slower
  fastgrad train nplm names.txt -o out --split lecture --context 3 --embedding 10 --hidden 200 \\
      --init lecture --optimizer sgd --lr 0.1 --schedule lecture --batch 32 --steps 200000 \\
      --weight-decay 0                                  the lecture's run
  fastgrad train nplm --find-rate                       only look which learning rate is good
  fastgrad train --resume out                           go on after Ctrl-C

The folder gets model.safetensors, the checkpoint, which is saved every ten seconds or so, and
log.jsonl, a JSON object an evaluation; and text.txt, where the text is from standard input. Ctrl-C
saves. Then `fastgrad sample out`, `fastgrad eval out other.txt` and `fastgrad plot out`."""

RATES = "rates.safetensors"
# What the learning-rate finder tries, as in the lecture.
_SWEEP_STEPS = 1000

# What options stand for that are not given; parsed, they are None, so that it is known.
_DEFAULTS = {
    "context_length": 8,
    "embedding_dim": 24,
    "hidden_dim": 200,
    "direct": False,
    "init": "scaled",
    "steps": 30_000,
    "batch_size": 64,
    "lr": 0.004,
    "schedule": "cosine",
    "optimizer": "adamw",
    "weight_decay": 0.03,
    "split": "random",
    "group_duplicates": False,
    "seed": 0,
    "patience": None,
    "threads": None,
    "lr_find": False,
}


def add_to(models: Any) -> None:
    """Declare the command."""
    parser = add_command(
        models,
        "nplm",
        _train,
        help="a neural network that looks at several symbols",
        description="Train the neural probabilistic language model of Bengio et al. (2003), as the"
        " lecture does: the last symbols' features, a hidden layer, a softmax.",
        epilog=_EXAMPLES,
    )
    add_file(parser, "to train on")
    add_out(parser, required=False)
    parser.add_argument(
        "--resume",
        type=folder_name,
        default=argparse.SUPPRESS,  # So that it does not hide the one of `fastgrad train`.
        metavar="DIR",
        help="go on with a run that was interrupted, to the same result; goes without all else",
    )
    add_level(parser)
    _add_network(parser.add_argument_group("the network"))
    _add_training(parser.add_argument_group("the training"))
    parser.add_argument(
        "--find-rate",
        action="store_true",
        default=None,
        help="try learning rates from 0.001 to 1 in 1,000 steps, tell the best, and train nothing;"
        " -o, which it can do without, keeps them for `fastgrad plot`",
    )


def _add_network(group: Any) -> None:
    for name, what in (
        ("context", "symbols that it looks at"),
        ("embedding", "features of a symbol"),
        ("hidden", "hidden units"),
    ):
        help_text = f"{what} {_default(name)}"
        group.add_argument(f"--{name}", type=whole(1), metavar="N", help=help_text)
    group.add_argument(
        "--direct",
        action="store_true",
        default=None,
        help="connect features and output directly as well",
    )
    group.add_argument(
        "--init",
        choices=("scaled", "lecture"),
        help="what weights start as: scaled to their inputs, or plainly normal as in the lecture"
        f" {_default('init')}",
    )


def _add_training(group: Any) -> None:
    group.add_argument(
        "--steps",
        type=whole(1),
        metavar="N",
        help=f"mini-batches to learn from {_default('steps')}",
    )
    group.add_argument(
        "--batch", type=whole(1), metavar="N", help=f"examples a step {_default('batch')}"
    )
    group.add_argument(
        "--lr", type=number(0), metavar="RATE", help=f"learning rate {_default('lr')}"
    )
    group.add_argument(
        "--schedule",
        choices=("cosine", "linear", "constant", "lecture"),
        help="how the rate falls: to 0 along a curve or a line, not at all, or to a tenth half-way"
        f" {_default('schedule')}",
    )
    group.add_argument(
        "--optimizer",
        choices=("adamw", "momentum", "sgd"),
        help=f"how weights move {_default('optimizer')}",
    )
    group.add_argument(
        "--weight-decay",
        type=number(0),
        metavar="W",
        help=f"of all but biases {_default('weight_decay')}",
    )
    group.add_argument(
        "--split",
        choices=("random", "lecture", "none"),
        help="how 80 %% are chosen to train on: by --seed, as in the lecture, or all for training"
        f" {_default('split')}",
    )
    group.add_argument(
        "--keep-repeats-together",
        action="store_true",
        default=None,
        help="have all copies of an item in one part of the random split, so that none is both"
        " trained on and measured",
    )
    group.add_argument(
        "--seed",
        type=whole(0, 2**64 - 1),
        metavar="N",
        help=f"of split, weights and batches {_default('seed')}",
    )
    group.add_argument(
        "--patience",
        type=whole(1),
        metavar="N",
        help="stop after N evaluations, a twentieth of the steps apart, without a new best",
    )
    group.add_argument(
        "--threads",
        type=whole(1),
        metavar="N",
        help="they do not change the result (default: as many as pay)",
    )


def _default(name: str) -> str:
    return f"(default: {_DEFAULTS[name]})"


def _train(options: argparse.Namespace) -> None:
    _check(options)
    if getattr(options, "resume", None) is not None:
        resume(options.resume)
        return
    text = text_of(options.file)
    with made_folder(options.out) if options.out else nullcontext():
        if text.source == "-" and not options.lr_find:
            text = keep_input(options.out)
        items = text.items()
        train, dev = parts_of(
            items,
            options.split or _DEFAULTS["split"],
            options.seed or 0,
            group_duplicates=bool(options.group_duplicates),
        )
        _settle(options, sum(map(len, train)) + len(train))
        _make(options, text, items, train, dev)


def _settle(options: argparse.Namespace, examples: int) -> None:
    """Give options that were not given their defaults; see to it that the batch fits."""
    if options.batch is None:
        options.batch = min(_DEFAULTS["batch"], examples)
    if options.batch > examples:
        raise CommandError(
            f"--batch is {options.batch}, but the part to train on has only {examples:,} examples,"
            " a symbol each; expected no more than these"
        )
    for name, value in _DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def _make(
    options: argparse.Namespace,
    text: Text,
    items: list[str],
    train: list[str],
    dev: list[str] | None,
) -> None:
    from ..models import NPLM
    from ..text import Vocab

    vocab = Vocab.from_texts(items)
    _show_text(text, items, vocab)
    if dev is not None:
        _show_split(train, dev, options.split)
    model = NPLM(
        vocab,
        context_length=options.context_length,
        embedding_dim=options.embedding,
        hidden_dim=options.hidden,
        direct=options.direct,
        init=options.init,
        seed=options.seed,
    )
    show("model", repr(model))
    settings = {
        "batch_size": options.batch,
        "optimizer": options.optimizer,
        "weight_decay": options.weight_decay,
        "seed": options.seed,
        "threads": options.threads,
    }
    if options.lr_find:
        _find_rate(model, train, options.out, settings)
        return
    together = options.group_duplicates
    note = RunNote(options.split, options.seed, options.batch, together)
    model.note = note.whole(text, len(items), vocab.characters)
    start = perf_counter()
    with saved_on_ctrl_c(options.out):
        model.fit(
            train,
            dev,
            steps=options.steps,
            lr=_rate(options.schedule, options.lr, options.steps),
            patience=options.patience,
            progress=True,
            log=options.out / LOG,
            checkpoint=options.out,
            **settings,
        )
    show_result(model, train, dev, perf_counter() - start, len(model.history.loss), options.batch)
    show_saved(options.out)


def _check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other, or that would change nothing."""
    given = [name for name in ("file", "out", *_DEFAULTS) if getattr(options, name) is not None]
    if getattr(options, "resume", None) is not None:
        if given:
            raise UsageError(
                f"argument {_option(given[0])}: not with --resume, which goes on with the text and"
                " the settings of its folder"
            )
        return
    if options.out is None and not options.lr_find:
        raise UsageError("the following arguments are required: -o/--out")
    if options.patience is not None and options.split == "none":
        raise UsageError("argument --patience: needs a part to measure, not --split none")
    if options.group_duplicates and options.split not in (None, "random"):
        raise UsageError(
            f"argument --keep-repeats-together: not with --split {options.split}; expected random"
        )
    for name in ("steps", "lr", "schedule", "patience"):
        if options.lr_find and name in given:
            raise UsageError(
                f"argument {_option(name)}: not with --find-rate, which tries rates from 0.001 to 1"
                f" in {_SWEEP_STEPS:,} steps"
            )


def _option(name: str) -> str:
    """Say how an option is written."""
    return {"file": "FILE", "out": "-o/--out"}.get(name, f"--{name.replace('_', '-')}")


def _rate(schedule: str, lr: float, steps: int) -> Any:
    from ..optim import cosine, linear

    if schedule == "lecture":
        return [(0, lr), (steps // 2, lr / 10)] if steps > 1 else lr
    if schedule == "constant":
        return lr
    return (cosine if schedule == "cosine" else linear)(lr, 0.0, steps)


def _show_text(text: Text, items: list[str], vocab: Any) -> None:

    show("text", text.name)
    show("items", f"{len(items):,}, of which {count_duplicates(items):,} repeat an earlier one")
    show("symbols", f"V = {len(vocab):,}, with {vocab.eos_token!r} for start and end of an item")
    if (boundary := vocab.eos_note()) is not None:
        show("", boundary)


def _show_split(train: list[str], dev: list[str], method: str) -> None:
    known = set(train)
    leaked = sum(item in known for item in dev)
    show("split", f"{len(train):,} items to train on, {len(dev):,} to measure (dev)")
    advice = "; --keep-repeats-together has none" if method == "random" else ""
    what = f"{leaked:,} of the latter are among the former too{advice}"
    show("", what if leaked else "none in both")


def _find_rate(model: Any, train: list[str], folder: Path | None, settings: dict[str, Any]) -> None:
    from .. import checkpoint
    from ..training import lr_find

    sweep = lr_find(model, train, steps=_SWEEP_STEPS, **settings)
    show("lowest loss", f"at rate {sweep.best():.4g}, of {len(sweep.lrs):,} tried")
    if folder is None:
        show("saved", "nothing; with -o DIR, `fastgrad plot DIR` draws what was tried")
        return
    arrays = {"rates": sweep.lrs, "losses": sweep.losses}
    checkpoint.save(folder / RATES, arrays, {"sweep": settings["optimizer"]})
    show("saved", f"{folder / RATES}; `fastgrad plot {folder}` draws it")
