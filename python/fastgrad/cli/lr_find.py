"""`fastgrad lr-find`: which learning rate is good."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .._defaults import CHARACTERS
from ._options import as_command, require
from ._report import show
from ._runs import made_folder
from ._texts import text_of
from .train import CHARACTERS_SHOWN, ITEMS, NETWORK, TRAINING, check_split, new_network

_EXAMPLES = """
Examples:
  fastgrad lr-find                            the bundled names
  fastgrad lr-find words.txt --optimizer sgd
  fastgrad lr-find -o out && fastgrad plot out
"""
_FILE = "lr_find.safetensors"
# The names of the file and of its learning rates in earlier versions.
_OLD_FILE, _OLD_NAME = "rates.safetensors", "rates"


@as_command(
    "lr-find",
    f"out {NETWORK} min-lr max-lr steps {TRAINING}",
    vars(CHARACTERS) | {"min_lr": 1e-3, "max_lr": 1.0, "steps": 1000, "split": "random"},
    CHARACTERS_SHOWN,
    file=ITEMS,
    examples=_EXAMPLES,
)
def command(**given: Any) -> None:
    """Find a learning rate for a network over characters; train nothing.

    Tries learning rates that rise from step to step, as the makemore lecture does, on the network
    that `fastgrad train nplm` would train, and shows the one with the lowest loss.
    """
    args = SimpleNamespace(**given)
    check_split(args)
    require(args.min_lr < args.max_lr, "--min-lr: expected less than --max-lr")
    with made_folder(args.out) if args.out else nullcontext():
        from .. import checkpoint
        from ..training import lr_find

        parts, model, settings = new_network(args, text_of(args.file))
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
    file = next(filter(Path.is_file, (folder / _FILE, folder / _OLD_FILE)), None)
    if file is None:
        return None
    from .. import checkpoint
    from ..training import LRSweep

    arrays, _ = checkpoint.load(file)
    lrs, losses = arrays.get("lrs", arrays.get(_OLD_NAME)), arrays.get("losses")
    if lrs is None or losses is None:
        raise ValueError(f"{file}: holds no sweep; `fastgrad lr-find` writes one")
    return LRSweep(lrs, losses)
