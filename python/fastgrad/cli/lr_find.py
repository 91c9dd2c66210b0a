"""`fastgrad lr-find`: which learning rate is good."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from .._defaults import CHARACTERS
from ._options import CHARACTERS_SHOWN, NETWORK, TRAINING, examples, file_argument, options
from ._places import text_of
from ._report import show
from ._runs import made_folder
from .train_nplm import check_split, new_network

_EXAMPLES = """
Examples:
  fastgrad lr-find                            the bundled names
  fastgrad lr-find words.txt --optimizer sgd
  fastgrad lr-find -o out && fastgrad plot out
"""
_FILE = "lr_find.safetensors"
# What earlier versions called it, and the learning rates in it.
_OLD_FILE, _OLD_NAME = "rates.safetensors", "rates"


@click.command("lr-find", epilog=examples(_EXAMPLES))
@file_argument()
@options(
    f"out {NETWORK} min-lr max-lr steps {TRAINING}",
    vars(CHARACTERS) | {"min_lr": 1e-3, "max_lr": 1.0, "steps": 1000, "split": "random"},
    CHARACTERS_SHOWN,
)
def command(**given: Any) -> None:
    """Find a learning rate for a network over characters; train nothing.

    Tries learning rates that rise from step to step, as the makemore lecture does, on the network
    that `fastgrad train nplm` would train, and shows the one with the lowest loss.

    FILE is a text, UTF-8, one item a line; - is standard input. Without it the network is for
    32,469 first names, which the package carries.
    """
    args = SimpleNamespace(**given)
    check_split(args)
    if args.min_lr >= args.max_lr:
        raise click.UsageError("--min-lr: expected less than --max-lr")
    text = text_of(args.file)
    with made_folder(args.out) if args.out else nullcontext():
        from .. import checkpoint
        from ..training import lr_find

        parts, model, settings = new_network(args, text)
        sweep = lr_find(model, parts.train, args.min_lr, args.max_lr, args.steps, **settings)
        show("lowest loss", f"at learning rate {sweep.best():.4g}, of {len(sweep.lrs):,} tried")
        if args.out is None:
            show("saved", "nothing; with -o DIR, `fastgrad plot DIR` draws what was tried")
            return
        arrays = {"lrs": sweep.lrs, "losses": sweep.losses}
        checkpoint.save(args.out / _FILE, arrays, {"sweep": args.optimizer})
    show("saved", f"{args.out / _FILE}; `fastgrad plot {args.out}` draws it")


def read_sweep(folder: Path) -> Any:
    """Return the sweep that the command left in a folder, or None where there is none."""
    file = next((folder / name for name in (_FILE, _OLD_FILE) if (folder / name).is_file()), None)
    if file is None:
        return None
    from .. import checkpoint
    from ..training import LRSweep

    arrays, _ = checkpoint.load(file)
    lrs, losses = arrays.get("lrs", arrays.get(_OLD_NAME)), arrays.get("losses")
    if lrs is None or losses is None:
        raise ValueError(f"{file}: holds no sweep; `fastgrad lr-find` writes one")
    return LRSweep(lrs, losses)
