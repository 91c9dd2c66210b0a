"""`fastgrad demo`: each of the library's systems at work."""

from __future__ import annotations

from pathlib import Path

import click

from ._options import Command, epilog, option
from ._texts import make_folder


@click.command(
    "demo",
    cls=Command,
    params=[option("out", "fastgrad-demo", help="Folder for pictures, made where it is missing.")],
    epilog=epilog("Examples:\n  fastgrad demo\n  fastgrad demo --out pictures"),
)
def command(out: Path) -> None:
    """See everything at work, beside numbers that are known.

    Computes micrograd's README expression, trains its demo's classifier, measures a step beside
    micrograd's where that is installed, and draws the decision boundary. Then counts the bundled
    names, trains a network to the same model, makes up names, and draws the table. Last it trains
    a network that looks at five letters, which takes some five seconds.
    """
    if (out / "model.safetensors").exists():
        raise click.UsageError(f"--out: {out} holds a model; expected another folder for pictures")
    make_folder(out, "--out")
    from .. import demo

    demo.run(out)
