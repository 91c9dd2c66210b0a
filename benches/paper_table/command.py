"""The command line: `python benches/paper_table BROWN -o DIR`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXAMPLES = """\
examples:
  python benches/paper_table brown.txt.gz -o brown                all rows, 40 minutes on two cores
  python benches/paper_table brown.txt.gz -o brown --rows quick   one that takes five minutes
  python benches/paper_table brown.txt.gz -o brown --rows MLP9,MLP10 --epochs 2
  python benches/paper_table brown.txt.gz -o try --rows best --set best.hidden_dim=300 --valid-only
  python benches/paper_table any.txt -o try --train 20000 --valid 5000 --vocabulary 1000 --epochs 1

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code: 0, 1 for a failure, 2 for usage, 130 for Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(argv)
    # SIGTERM saves what there is, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(parser, options)
    except KeyboardInterrupt as stop:
        print(f"\npaper_table: {stop or 'interrupted'}", file=sys.stderr)
        return 130
    except (OSError, MemoryError, ArithmeticError, ValueError) as error:
        print(f"paper_table: {_reason(error)}", file=sys.stderr)
        return 1
    return 0


def _reason(error: Exception) -> str:
    """Return what went wrong, of a file in the form "name: reason"."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or "not enough memory"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python benches/paper_table",
        description="Train the word models of Bengio et al. (2003) on the Brown corpus, and better"
        "\nones, and compare them with Kneser-Ney and with the paper's figures.",
        epilog=_EXAMPLES.format(rows=_ROWS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("path", metavar="PATH", help="the corpus; - is standard input")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("brown"),
        metavar="DIR",
        help="folder for the results, made where it is missing (default: %(default)s)",
    )
    parser.add_argument(
        "--rows", type=_names, metavar="NAME,...", help="only these rows (default: all)"
    )
    _add_training(parser.add_argument_group("training"))
    _add_corpus(parser.add_argument_group("the corpus"))
    return parser


def _add_training(group: Any) -> None:
    group.add_argument(
        "--schedule",
        choices=("modern", "paper"),
        default="modern",
        help="how the paper's networks are trained: with AdamW, or with SGD at the paper's learning"
        " rates, which takes hours (default: %(default)s)",
    )
    group.add_argument("--epochs", type=float, metavar="N", help="epochs of each network")
    group.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="no more epochs of a network than fit into so many minutes",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="ROW.SETTING=VALUE",
        help="another setting of one network: n, hidden_dim, embedding_dim, direct, tie_weights,"
        " dropout, optimizer, lr, decay, weight_decay, batch_size, epochs, patience, minutes;"
        " may be repeated",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    group.add_argument(
        "--threads",
        type=int,
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
            type=int,
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


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.path != "-":
        os.stat(options.path)  # So that what is missing is said before anything is made.
    from paper_table import brown, report
    from paper_table.rows import choose, settled

    settings: dict[str, dict[str, Any]] = {}
    for row, key, value in options.set:
        settings.setdefault(row, {})[key] = value
    try:
        rows = choose(options.rows)
        settled(rows, options.schedule, settings)
    except ValueError as error:
        parser.error(f"argument --rows or --set: {error}")
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
        print("paper_table: no picture, since matplotlib is not installed", file=sys.stderr)
    else:
        kept.append("brown.png")
    print(f"kept in {options.out}: {', '.join(kept)}")


def _say(line: str) -> None:
    print(line, flush=True)
