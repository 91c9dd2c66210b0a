"""`fastgrad reproduce`: a published table, computed again."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from typing import Any

from .arguments import UsageError, add_command, folder_name, number, whole

__all__ = ["add_to"]

_EXAMPLES = """\
examples:
  fastgrad reproduce brown brown.txt.gz -o brown                all rows, 40 minutes on two cores
  fastgrad reproduce brown brown.txt.gz -o brown --rows quick   one that takes five minutes
  fastgrad reproduce brown brown.txt.gz -o brown --rows MLP9,MLP10 --epochs 2
  fastgrad reproduce brown brown.txt.gz -o try --rows best --set best.hidden=300 --valid-only
  fastgrad reproduce brown any.txt -o try --train 20000 --valid 5000 --vocabulary 1000 --epochs 1

PATH is the Brown corpus, or another text: plain, one sentence a line, tokens separated by spaces
(.gz is unpacked). Brown does not come with fastgrad; NLTK's data, for one, have it (package
`brown`, for non-commercial use), as word/tag pairs, whose tags are to be taken off.

The first tokens train, the next ones validate, the rest tests, as in Bengio, Ducharme, Vincent and
Jauvin, "A Neural Probabilistic Language Model" (JMLR 3, 2003), whose figures (table 1) stand beside
ours: compare ratios, since the corpus is not quite theirs.

Every finished row is kept in DIR at once, and a network while it is trained: after Ctrl-C, the same
command goes on. DIR gets results.json, brown.md, brown.png, and the networks as ROW.safetensors:
`fastgrad sample DIR/MLP9.safetensors`. What a network says of each token of the corpus is kept
beside it, as ROW.probabilities.safetensors. Other rows may be added later.

rows: {rows}"""

_ROWS = (
    "trigram, KN3, KN5, mKN3, mKN5 (n-gram models, always there), MLP1 to MLP10 (the paper's;\n"
    "even ones are mixtures with the trigram), quick, best, best-mixture (ours)"
)


def add_to(commands: Any) -> None:
    """Declare the command, with a command of its own for each table."""
    parser = add_command(
        commands,
        "reproduce",
        None,
        help="compute the table of a paper again",
        description="Compute a published table again, and print it beside the published figures.",
    )
    tables = parser.add_subparsers(title="tables", metavar="TABLE")
    _add_brown(tables)


def _add_brown(tables: Any) -> None:
    parser = add_command(
        tables,
        "brown",
        _run,
        help="words: n-gram models and neural networks on the Brown corpus",
        description="Train the word models of Bengio et al. (2003) on the Brown corpus, and better"
        " ones, and compare them with Kneser-Ney and with the paper's figures.",
        epilog=_EXAMPLES.format(rows=_ROWS),
    )
    parser.add_argument("path", metavar="PATH", help="the corpus; - is standard input")
    parser.add_argument(
        "-o",
        "--out",
        type=folder_name,
        default="brown",
        metavar="DIR",
        help="folder for the results, made where it is missing (default: %(default)s)",
    )
    parser.add_argument(
        "--rows", type=_names, metavar="NAME,...", help="only these rows (default: all)"
    )
    _add_training(parser.add_argument_group("training"))
    _add_corpus(parser.add_argument_group("the corpus"))


def _add_training(group: Any) -> None:
    group.add_argument(
        "--schedule",
        choices=("modern", "paper"),
        default="modern",
        help="how the paper's networks are trained: with AdamW, or with SGD at the paper's rates,"
        " which takes hours (default: %(default)s)",
    )
    group.add_argument(
        "--epochs", type=number(0, above=True), metavar="N", help="epochs of each network"
    )
    group.add_argument(
        "--minutes",
        type=number(0, above=True),
        metavar="N",
        help="no more epochs of a network than fit into so many minutes",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="ROW.SETTING=VALUE",
        help="another setting of one network: n, hidden, embedding, direct, tied, dropout,"
        " optimizer, lr, decay, weight_decay, batch, epochs, patience, minutes; may be repeated",
    )
    group.add_argument(
        "--seed", type=whole(0, 2**64 - 1), default=0, metavar="N", help="(default: %(default)s)"
    )
    group.add_argument(
        "--threads",
        type=whole(1),
        metavar="N",
        help="which change times and not results (default: one a core)",
    )
    group.add_argument(
        "--valid-only",
        action="store_true",
        help="for choosing settings: leave the test part alone",
    )
    group.add_argument(
        "--again",
        action="store_true",
        help="train anew what the folder holds with other settings",
    )


def _add_corpus(group: Any) -> None:
    for name, default, what in (
        ("train", 800_000, "tokens to train on, the first ones"),
        ("valid", 200_000, "tokens to validate on, the next ones; the rest is for the test"),
        ("vocabulary", 16_383, "symbols, one for all rare words included"),
    ):
        group.add_argument(
            f"--{name}",
            type=whole(2),
            default=default,
            metavar="N",
            help=f"{what} (default: {default:,})",
        )


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def _setting(text: str) -> tuple[str, str, Any]:
    """Read ROW.SETTING=VALUE, the value as JSON or else as the text that it is."""
    place, sign, value = text.partition("=")
    row, dot, key = place.partition(".")
    if not (sign and dot and row and key and value):
        raise argparse.ArgumentTypeError(f"{text!r}; expected ROW.SETTING=VALUE")
    try:
        return row, key, json.loads(value)
    except ValueError:
        return row, key, value


def _run(options: argparse.Namespace) -> None:
    if options.path != "-":
        os.stat(options.path)  # So that what is missing is said before anything is made.
    from ..reproduce import brown, report
    from ..reproduce.rows import choose, settled

    settings: dict[str, dict[str, Any]] = {}
    for row, key, value in options.set:
        settings.setdefault(row, {})[key] = value
    try:
        rows = choose(options.rows)
        settled(rows, options.schedule, settings)
    except ValueError as error:
        raise UsageError(f"argument --rows or --set: {error}") from None
    data = brown(
        options.path,
        options.out,
        rows=[row.name for row in rows],
        schedule=options.schedule,
        settings=settings,
        epochs=options.epochs,
        minutes=options.minutes,
        seed=options.seed,
        threads=options.threads,
        train=options.train,
        valid=options.valid,
        vocabulary=options.vocabulary,
        test=not options.valid_only,
        again=options.again,
        progress=True,
        tell=_say,
    )
    print(f"\n{report.text(data)}\n")
    kept = ["results.json", "brown.md"]
    if importlib.util.find_spec("matplotlib") is None:
        print("fastgrad: no picture, since matplotlib is not installed", file=sys.stderr)
    else:
        kept.append("brown.png")
    print(f"kept in {options.out}: {', '.join(kept)}")


def _say(line: str) -> None:
    print(line, flush=True)
