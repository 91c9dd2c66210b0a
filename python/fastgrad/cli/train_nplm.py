"""`fastgrad train nplm`: a neural network over characters, from a text to a folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from .._defaults import CHARACTERS
from ._options import (
    CHARACTERS_SHOWN,
    NETWORK,
    TRAINING,
    examples,
    file_argument,
    given_options,
    options,
)
from ._places import text_of
from ._report import show
from ._runs import Items, keep_input, made_folder, resume, train
from .train_ngram import show_vocab

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

The folder gets model.safetensors, the checkpoint, which is saved every ten
seconds or so, and log.jsonl, a JSON object for each evaluation; and text.txt,
where the text is from standard input. Ctrl-C saves. Then
`fastgrad sample out`, `fastgrad eval out other.txt`, `fastgrad plot out`.
"""


@click.command("nplm", epilog=examples(_EXAMPLES))
@file_argument()
@options(
    f"out resume {NETWORK} steps lr schedule patience {TRAINING}",
    vars(CHARACTERS) | {"split": "random"},
    CHARACTERS_SHOWN,
)
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Train a network that looks at several characters.

    It is the neural probabilistic language model of Bengio et al. (2003), as the makemore lecture
    has it: the embeddings of the last characters, a hidden layer, a softmax.

    FILE is a text, UTF-8, one item a line; - is standard input. Without it the model is of 32,469
    first names, which the package carries.
    """
    if resumed(ctx, given):
        return
    args = SimpleNamespace(**given)
    check_split(args)
    if args.patience is not None and args.split == "none":
        raise click.UsageError("--patience: needs a part to measure, not --split none")
    text = text_of(args.file)
    with made_folder(args.out):
        if args.file == "-":
            text = keep_input(args.out)
        parts, model, settings = new_network(args, text)
        model.note = parts.note(model.vocab, args.split, args.seed, args.group_duplicates)

        def fit(log: str) -> Any:
            return model.fit(
                parts.train,
                parts.dev,
                steps=args.steps,
                lr=_schedule(args),
                patience=args.patience,
                progress=True,
                log=log,
                checkpoint=args.out,
                **settings,
            )

        train(fit, parts, args.out)


def resumed(ctx: click.Context, given: dict[str, Any]) -> bool:
    """Go on with a run if that is what was asked for; otherwise see that there is a folder."""
    above = ctx.parent.params.get("resume") if ctx.parent else None
    place: Path | None = given.pop("resume") or above
    if place is None:
        if given["out"] is None:
            raise click.UsageError("missing option -o/--out, the folder for the model")
        return False
    others = [option for option in given_options(ctx) if option != "--resume"]
    if others:
        raise click.UsageError(
            f"{others[0]}: not with --resume, which goes on with the text and the settings of its"
            " folder"
        )
    resume(place)
    return True


def check_split(args: Any) -> None:
    """Refuse a way to split that contradicts another."""
    if args.group_duplicates and args.split != "random":
        raise click.UsageError(
            f"--group-duplicates: not with --split {args.split}; expected random"
        )


def new_network(args: Any, text: Any) -> tuple[Items, Any, dict[str, Any]]:
    """Split a text and make a network for it; return both, and the settings of its training."""
    from ..models import NPLM
    from ..text import Vocab

    parts = Items.split(text, args.split, args.seed, args.group_duplicates)
    vocab = Vocab.from_texts(parts.items)
    _show_text(parts, vocab, args.split)
    model = NPLM(
        vocab,
        context_length=args.context_length,
        embedding_dim=args.embedding_dim,
        hidden_dim=args.hidden_dim,
        direct=args.direct,
        init=args.init,
        seed=args.seed,
    )
    show("model", repr(model))
    decay = args.weight_decay
    if decay is None:
        decay = CHARACTERS.weight_decay if args.optimizer == "adamw" else 0.0
    settings = {
        "batch_size": args.batch_size,
        "optimizer": args.optimizer,
        "weight_decay": decay,
        "seed": args.seed,
        "threads": args.threads,
    }
    return parts, model, settings


def _schedule(args: Any) -> Any:
    from ..optim.schedules import cosine, linear

    lr, steps = args.lr, args.steps
    if lr is None:
        lr = CHARACTERS.lr if args.optimizer == "adamw" else CHARACTERS.sgd_lr
    if args.schedule == "makemore":
        return [(0, lr), (steps // 2, lr / 10)] if steps > 1 else lr
    if args.schedule == "constant":
        return lr
    return (cosine if args.schedule == "cosine" else linear)(lr, 0.0, steps)


def _show_text(parts: Items, vocab: Any, method: str) -> None:
    from ..text import count_duplicates, count_overlap

    show("text", parts.text.name)
    repeated = count_duplicates(parts.items)
    show("items", f"{len(parts.items):,}, of which {repeated:,} repeat an earlier one")
    show_vocab(vocab)
    if parts.dev is None:
        return
    overlap = count_overlap(parts.train, parts.dev)
    show("split", f"{len(parts.train):,} items to train on, {len(parts.dev):,} to measure (dev)")
    advice = "; --group-duplicates has none" if method == "random" else ""
    show("", f"{overlap:,} of dev are in both{advice}" if overlap else "none in both")
