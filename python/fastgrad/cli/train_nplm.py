"""`fastgrad train nplm`: a neural network over characters, from a text to a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from click.core import ParameterSource

from .._defaults import CHARACTERS
from ._options import (
    CHARACTERS_SHOWN,
    ITEMS,
    NETWORK,
    TRAINING,
    as_command,
    require,
)  # fmt: skip
from ._report import show, show_vocab
from ._runs import Items, keep_input, made_folder, resume, train
from ._texts import Text, text_of

_EXAMPLES = """
Examples:
  fastgrad train nplm -o out               the bundled names, in ten seconds
  fastgrad train nplm words.txt -o out     a text of yours, one item a line
  fastgrad train nplm -o out --embedding-dim 32 --hidden-dim 400 \\
      --batch-size 128                     larger, better, slower
  fastgrad train --resume out              go on after Ctrl-C

The run of the makemore lecture:
  fastgrad train nplm names.txt -o out --split makemore --context-length 3 \\
      --embedding-dim 10 --hidden-dim 200 --init normal --optimizer sgd \\
      --schedule makemore --batch-size 32 --steps 200000

The folder gets model.safetensors, saved every ten seconds or so, log.jsonl, a
JSON object for each evaluation, and text.txt, a text from standard input.
Ctrl-C saves. Then `fastgrad sample out`, `eval` and `plot`.
"""
# What of the options the constructor takes, and of those of training both `fit` and `lr_find`.
_MODEL = ("context_length", "embedding_dim", "hidden_dim", "direct", "init", "seed")
_TRAINING = ("batch_size", "optimizer", "seed", "threads")


@as_command(
    "nplm",
    f"out resume {NETWORK} steps lr schedule patience {TRAINING}",
    vars(CHARACTERS) | {"split": "random"},
    CHARACTERS_SHOWN,
    file=ITEMS,
    examples=_EXAMPLES,
)
def command(**given: Any) -> None:
    """Train a network that looks at several characters.

    It is the neural probabilistic language model of Bengio et al. (2003), as the makemore lecture
    has it: the embeddings of the last characters, a hidden layer, a softmax.
    """
    if resumed(given):
        return
    args = SimpleNamespace(**given)
    check_split(args)
    require(
        args.patience is None or args.split != "none",
        "--patience: needs a part to measure, not --split none",
    )
    with made_folder(args.out):
        parts, model, settings = new_network(args, text_to_keep(args))
        model.note = parts.note(model.vocab)
        settings |= {"steps": args.steps, "lr": _lr(args), "patience": args.patience}
        train(partial(model.fit, checkpoint=args.out, **settings), parts, args.out)


def resumed(given: dict[str, Any]) -> bool:
    """Go on with a run if that is what was asked for; otherwise see that there is a folder."""
    ctx = click.get_current_context()
    above = ctx.parent.params.get("resume") if ctx.parent else None
    place: Path | None = given.pop("resume") or above
    if place is None:
        require(given["out"] is not None, "missing option -o/--out, the folder for the model")
        return False
    typed = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    for parameter in ctx.command.params:
        if parameter.name in given and ctx.get_parameter_source(parameter.name) in typed:
            is_option = isinstance(parameter, click.Option)
            written = parameter.opts[-1] if is_option else parameter.make_metavar(ctx)
            raise click.UsageError(
                f"{written}: not with --resume, which goes on with the text and the settings of its"
                " folder"
            )
    resume(place)
    return True


def check_split(args: Any) -> None:
    """Refuse a way to split that contradicts another."""
    require(
        args.split == "random" or not args.group_duplicates,
        f"--group-duplicates: not with --split {args.split}; expected random",
    )


def text_to_keep(args: Any, *, words: bool = False) -> Text:
    """Return the text to train on; standard input is kept in the folder of the run."""
    return keep_input(args.out) if args.file == "-" else text_of(args.file, words=words)


def new_network(args: Any, text: Text) -> tuple[Items, Any, dict[str, Any]]:
    """Split a text and make a network for it; return both, and the settings of its training."""
    from ..models import NPLM
    from ..text import Vocab

    parts = Items.cut(text, args.split, args.seed, args.group_duplicates)
    vocab = Vocab.from_texts(parts.items)
    _show_text(parts, vocab)
    model = NPLM(vocab, **{name: getattr(args, name) for name in _MODEL})
    show("model", repr(model))
    settings = {name: getattr(args, name) for name in _TRAINING}
    settings["weight_decay"] = args.weight_decay
    if args.weight_decay is None:
        settings["weight_decay"] = CHARACTERS.weight_decay if args.optimizer == "adamw" else 0.0
    return parts, model, settings


def _lr(args: Any) -> Any:
    """Return the learning rate of each step."""
    from ..optim.schedules import cosine, linear

    lr, steps = args.lr, args.steps
    if lr is None:
        lr = CHARACTERS.lr if args.optimizer == "adamw" else CHARACTERS.sgd_lr
    if args.schedule == "makemore":
        return [(0, lr), (steps // 2, lr / 10)] if steps > 1 else lr
    if args.schedule == "constant":
        return lr
    return (cosine if args.schedule == "cosine" else linear)(lr, 0.0, steps)


def _show_text(parts: Items, vocab: Any) -> None:
    from ..text import count_duplicates, count_overlap

    show("text", parts.text.name)
    repeated = count_duplicates(parts.items)
    show("items", f"{len(parts.items):,}, of which {repeated:,} repeat an earlier one")
    show_vocab(vocab)
    if parts.dev is None:
        return
    overlap = count_overlap(parts.train, parts.dev)
    show("split", f"{len(parts.train):,} items to train on, {len(parts.dev):,} to measure (dev)")
    advice = "; --group-duplicates has none" if parts.how["split"] == "random" else ""
    show("", f"{overlap:,} of dev are in both{advice}" if overlap else "none in both")
