"""`fastgrad train nplm`: a neural network from a text to a folder, and on from a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .arguments import (
    CommandError,
    UsageError,
    add_command,
    folder_name,
    make_folder,
    number,
    whole,
)
from .places import has_model, note_text, noted_text
from .report import show
from .texts import add_file, text_of
from .train_words import add_level

if TYPE_CHECKING:
    import argparse

    from .texts import Text

__all__ = ["add_to", "resume"]

_EXAMPLES = """\
examples:
  fastgrad train nplm -o out                            the bundled names, about ten seconds
  fastgrad train nplm words.txt -o out                  a text of your own, one item a line
  fastgrad train nplm -o out --embedding 32 --hidden 400 --batch 128     larger, better, slower
  fastgrad train nplm names.txt -o out --split lecture --context 3 --embedding 10 --hidden 200 \\
      --init lecture --optimizer sgd --lr 0.1 --schedule lecture --batch 32 --steps 200000 \\
      --weight-decay 0                                  the lecture's run
  fastgrad train nplm -o out --find-rate                only look which learning rate is good
  fastgrad train --resume out                           go on after Ctrl-C

The folder gets model.safetensors, the checkpoint, which is saved every ten seconds or so, and
log.jsonl, a JSON object an evaluation. Then `fastgrad sample out`, `fastgrad eval out other.txt`
and `fastgrad plot out`."""

# Besides the note of the text: how it was split, so that a run can go on with the same parts.
_NOTE = "run.json"
_LOG = "log.jsonl"
RATES = "rates.safetensors"
# What the learning-rate finder tries, as in the lecture.
_SWEEP_STEPS = 1000


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
    parser.add_argument(
        "-o",
        "--out",
        type=folder_name,
        required=True,
        metavar="DIR",
        help="folder for the model, made where it is missing; a model that is there is kept as"
        " model.safetensors.previous",
    )
    add_level(parser)
    _add_network(parser.add_argument_group("the network"))
    _add_training(parser.add_argument_group("the training"))
    parser.add_argument(
        "--find-rate",
        action="store_true",
        help="try learning rates from 0.001 to 1 in 1,000 steps, tell the best, and train nothing",
    )


def _add_network(group: Any) -> None:
    for name, default, what in (
        ("context", 8, "symbols that it looks at"),
        ("embedding", 24, "features of a symbol"),
        ("hidden", 200, "hidden units"),
    ):
        help_text = f"{what} (default: %(default)s)"
        group.add_argument(f"--{name}", type=whole(1), default=default, metavar="N", help=help_text)
    group.add_argument(
        "--direct", action="store_true", help="connect features and output directly as well"
    )
    group.add_argument(
        "--init",
        choices=("scaled", "lecture"),
        default="scaled",
        help="what weights start as: scaled to their inputs, or plainly normal as in the lecture"
        " (default: %(default)s)",
    )


def _add_training(group: Any) -> None:
    default = "(default: %(default)s)"
    group.add_argument(
        "--steps",
        type=whole(1),
        default=30_000,
        metavar="N",
        help=f"mini-batches to learn from {default}",
    )
    group.add_argument(
        "--batch", type=whole(1), default=64, metavar="N", help=f"examples a step {default}"
    )
    group.add_argument(
        "--lr", type=number(0), default=0.004, metavar="RATE", help=f"learning rate {default}"
    )
    group.add_argument(
        "--schedule",
        choices=("cosine", "linear", "constant", "lecture"),
        default="cosine",
        help="how the rate falls: to 0 along a curve or a line, not at all, or to a tenth half-way"
        " (default: %(default)s)",
    )
    group.add_argument(
        "--optimizer",
        choices=("adamw", "momentum", "sgd"),
        default="adamw",
        help=f"how weights move {default}",
    )
    group.add_argument(
        "--weight-decay",
        type=number(0),
        default=0.03,
        metavar="W",
        help=f"of all but biases {default}",
    )
    group.add_argument(
        "--split",
        choices=("random", "lecture", "none"),
        default="random",
        help="how 80 %% are chosen to train on: by --seed, as in the lecture, or all for training"
        " (default: %(default)s)",
    )
    group.add_argument(
        "--seed",
        type=whole(0, 2**64 - 1),
        default=0,
        metavar="N",
        help=f"of split, weights and batches {default}",
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


def _train(options: argparse.Namespace) -> None:
    if options.patience is not None and options.split == "none":
        raise UsageError("argument --patience: needs a part to measure, not --split none")
    text = text_of(options.file)
    items = text.items()
    make_folder(options.out, "-o/--out")
    from ..models import NPLM
    from ..text import Vocab

    vocab = Vocab.of(items)
    train, dev = _parts(items, options.split, options.seed)
    _show_text(text, items, vocab, train, dev)
    model = NPLM(
        vocab,
        context=options.context,
        embedding=options.embedding,
        hidden=options.hidden,
        direct=options.direct,
        init=options.init,
        seed=options.seed,
    )
    show("model", repr(model))
    settings = {
        "batch": options.batch,
        "optimizer": options.optimizer,
        "weight_decay": options.weight_decay,
        "seed": options.seed,
        "threads": options.threads,
    }
    if options.find_rate:
        _find_rate(model, train, options.out, settings)
        return
    rate = _rate(options.schedule, options.lr, options.steps)
    _note(options, text, len(items), vocab.characters)
    start = perf_counter()
    try:
        model.fit(
            train,
            dev,
            steps=options.steps,
            lr=rate,
            patience=options.patience,
            progress=True,
            log=options.out / _LOG,
            checkpoint=options.out,
            **settings,
        )
    except KeyboardInterrupt as stop:
        raise _with_advice(stop, options.out) from None
    _show_result(model, train, dev, perf_counter() - start, len(model.history.loss), options.batch)
    show("saved", str(options.out / "model.safetensors"))


def resume(folder: Path) -> None:
    """Go on with the training run of a folder."""
    from ..models import NPLM

    if not has_model(folder):
        raise CommandError(f"{folder}: there is no model; `fastgrad train nplm -o {folder}` trains")
    before = NPLM.load(folder)
    text, note = noted_text(folder, before), _read_note(folder)
    if text is None or note is None:
        raise CommandError(
            f"{folder}: there is no note of the text of a training run, or it is not there any more"
        )
    items = text.items()
    train, dev = _parts(items, note["split"], note["seed"])
    made = len(before.history.loss)
    show("text", text.name)
    show("model", repr(before))
    show("resumed", f"after {made:,} steps")
    start = perf_counter()
    try:
        model = NPLM.resume(folder, train, dev, progress=True, log=folder / _LOG)
    except KeyboardInterrupt as stop:
        raise _with_advice(stop, folder) from None
    steps = len(model.history.loss) - made
    _show_result(model, train, dev, perf_counter() - start, steps, note["batch"])
    show("saved", str(folder / "model.safetensors"))


def _with_advice(stop: KeyboardInterrupt, folder: Path) -> KeyboardInterrupt:
    """Say how to go on, where the training had begun and so was saved."""
    done = str(stop).partition(";")[0]
    if not done:
        return stop
    return KeyboardInterrupt(f"{done}, which are saved: `fastgrad train --resume {folder}`")


def _parts(items: list[str], method: str, seed: int) -> tuple[list[str], list[str] | None]:
    """Split items as a command's option says; the test part is left alone."""
    if method == "none":
        return items, None
    from ..text import split

    parts = split(items, method="lecture") if method == "lecture" else split(items, seed=seed)
    return parts.train, parts.dev


def _rate(schedule: str, lr: float, steps: int) -> Any:
    from ..optim import cosine, linear

    if schedule == "lecture":
        return [(0, lr), (steps // 2, lr / 10)] if steps > 1 else lr
    if schedule == "constant":
        return lr
    return (cosine if schedule == "cosine" else linear)(lr, 0.0, steps)


def _show_text(
    text: Text, items: list[str], vocab: Any, train: list[str], dev: list[str] | None
) -> None:
    from ..text import repeats

    show("text", text.name)
    show("items", f"{len(items):,}, of which {repeats(items):,} repeat an earlier one")
    show("symbols", f"V = {len(vocab):,}, with {vocab.boundary!r} for start and end of an item")
    if (boundary := vocab.boundary_note()) is not None:
        show("", boundary)
    if dev is not None:
        known = set(train)
        leaked = sum(item in known for item in dev)
        show("split", f"{len(train):,} items to train on, {len(dev):,} to measure (dev)")
        show("", f"{leaked:,} of the latter are among the former too" if leaked else "none in both")


def _show_result(
    model: Any, train: list[str], dev: list[str] | None, seconds: float, steps: int, batch: int
) -> None:
    """Tell losses, beside those of bigrams counted on the same items."""
    from ..models import BigramModel

    speed = steps * batch / max(seconds, 1e-9)
    stopped = "" if model.history.stopped == "finished" else f"; {model.history.stopped}"
    show("steps", f"{steps:,} in {seconds:.1f} s, {speed:,.0f} examples a second{stopped}")
    bigrams = BigramModel.fit(train, smoothing=1.0)
    for name, what in (("loss", model), ("bigrams", bigrams)):
        measured = f"train {what.loss(train):.4f}"
        # The bigrams know no symbol that only dev has; the network knows those of the whole text.
        if dev is not None and set("".join(dev)) <= set(what.vocab.characters):
            measured += f", dev {what.loss(dev):.4f}"
        show(name, f"{measured} nats a symbol")


def _find_rate(model: Any, train: list[str], folder: Path, settings: dict[str, Any]) -> None:
    from .. import checkpoint
    from ..training import find_rate

    sweep = find_rate(model, train, steps=_SWEEP_STEPS, **settings)
    arrays = {"rates": sweep.rates, "losses": sweep.losses}
    checkpoint.save(folder / RATES, arrays, {"sweep": settings["optimizer"]})
    show("lowest loss", f"at rate {sweep.lowest():.4g}, of {len(sweep.rates):,} tried")
    show("saved", f"{folder / RATES}; `fastgrad plot {folder}` draws it")


def _note(options: argparse.Namespace, text: Text, items: int, characters: str) -> None:
    note_text(options.out, text, items, characters)
    note = {"split": options.split, "seed": options.seed, "batch": options.batch}
    (options.out / _NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")


def _read_note(folder: Path) -> dict[str, Any] | None:
    try:
        note = json.loads((folder / _NOTE).read_bytes())
        if note["split"] in ("random", "lecture", "none") and type(note["seed"]) is int:
            return {"split": note["split"], "seed": note["seed"], "batch": int(note["batch"])}
    except (OSError, ValueError, LookupError, TypeError):
        pass  # What cannot be read is not there.
    return None
