"""`fastgrad train`: from a text to a model in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from . import train_ngram, train_nplm, train_word_nplm
from ._options import Commands, epilog, option, require, tells_what_was_saved
from ._runs import resume as resume_run

_EXAMPLES = """
Examples:
  fastgrad train bigram words.txt -o out     count, in no time
  fastgrad train nplm words.txt -o out       train a network: slower, better
  fastgrad train word-nplm book.txt -o out   a network over words
  fastgrad train --resume out                go on with a network after Ctrl-C

`fastgrad train MODEL --help` tells more.
"""


@click.group(
    "train",
    cls=Commands,
    params=[option("resume")],
    invoke_without_command=True,
    subcommand_metavar="MODEL [ARGS]...",
    epilog=epilog(_EXAMPLES),
)
@tells_what_was_saved
def command(resume: Path | None) -> None:
    """Train a model of a text and save it in a folder."""
    ctx = click.get_current_context()
    model = ctx.invoked_subcommand
    if resume is not None and model is None:
        resume_run(resume)
    elif model is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)
    require(
        resume is None or model in (None, "nplm", "word-nplm"),
        "--resume: only `train nplm` and `train word-nplm` go on",
    )


for _command in (
    train_ngram.bigram,
    train_ngram.ngram,
    train_ngram.neural_bigram,
    train_nplm.command,
    train_word_nplm.command,
):
    command.add_command(_command)
