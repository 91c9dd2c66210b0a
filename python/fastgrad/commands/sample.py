"""`fastgrad sample`: items that a model makes up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .._checks import escape
from .arguments import add_command, file_name, number, whole
from .places import add_model, load_model, noted_text
from .report import plural
from .texts import Text
from .word_texts import knows_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["add_to"]

_EXAMPLES = """\
examples:
  fastgrad sample out -n 20 --seed 1
  fastgrad sample out --prompt ma --temperature 0.7 --top-k 5
  fastgrad sample out -n 1000000 > names.txt

Standard output has the samples, one a line, as UTF-8, and nothing else. Standard error tells how
many of them are in the text that the model was trained on, as long as that is where it was."""


# A hundred megabytes of names, a fraction of a second's work.
_PART = 2**20
# Lines a write. An unbuffered standard output, as PYTHONUNBUFFERED makes it, says nothing when it
# could not write all that it was given, but refuses what comes next.
_LINES = 500


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "sample",
        _run,
        help="make up items",
        description="Print items that a model makes up, one a line.",
        epilog=_EXAMPLES,
    )
    add_model(parser)
    parser.add_argument(
        "-n", type=whole(0), default=10, metavar="N", help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--seed",
        type=whole(0, 2**64 - 1),
        default=0,
        metavar="N",
        help="the same seed gives the same samples on every machine (default: %(default)s)",
    )
    parser.add_argument(
        "--prompt", default="", metavar="TEXT", help="how each sample begins (default: empty)"
    )
    parser.add_argument(
        "--temperature",
        type=number(0),
        default=1.0,
        metavar="T",
        help="below 1 bolder, above 1 wilder, 0 always the likeliest (default: 1)",
    )
    parser.add_argument(
        "--top-k", type=whole(1), metavar="K", help="only the K likeliest symbols (default: all)"
    )
    parser.add_argument(
        "--max-length",
        type=whole(1),
        metavar="N",
        help="cut longer samples to N characters (default: 100) or words (default: 50)",
    )
    parser.add_argument(
        "--against",
        type=file_name,
        metavar="FILE",
        help="text to look the samples up in (default: the one that the model was trained on)",
    )


def _run(options: argparse.Namespace) -> None:
    model = load_model(options.model)
    words = knows_words(model)
    if options.max_length is None:
        options.max_length = 50 if words else 100
    text = None if words and options.against is None else _text_to_compare(options, model)
    known = None if text is None else set(text.items())
    # What this library reads is UTF-8, whatever a pipe on this system otherwise is.
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(encoding="utf-8")
    found, on_terminal = 0, sys.stdout.isatty()
    for samples in _parts(model, options):
        for start in range(0, len(samples), _LINES):
            part = "\n".join(samples[start : start + _LINES]) + "\n"
            # A vocabulary from elsewhere may hold what steers a terminal; a file gets it as it is.
            sys.stdout.write(escape(part, keep="\n\t") if on_terminal else part)
        if known is not None:
            found += sum(sample in known for sample in samples)
    sys.stdout.flush()
    print(escape(_compared(options.n, found, text)), file=sys.stderr)


def _parts(model: Any, options: argparse.Namespace) -> Iterator[list[str]]:
    """Make the samples, in parts that fit into memory however many there are."""
    from tqdm import tqdm

    # A bar between the samples would spoil both.
    hidden = True if sys.stdout.isatty() else None
    with tqdm(total=options.n, unit=" items", leave=False, delay=0.5, disable=hidden) as bar:
        for first in range(0, options.n, _PART):
            samples = model.sample(
                min(_PART, options.n - first),
                first=first,
                seed=options.seed,
                prompt=options.prompt,
                temperature=options.temperature,
                top_k=options.top_k,
                max_length=options.max_length,
            )
            yield samples
            bar.update(len(samples))


def _text_to_compare(options: argparse.Namespace, model: Any) -> Text | None:
    if options.against is not None:
        return Text(options.against, options.against)
    text = noted_text(options.model, model)
    return text if text is not None and text.is_small else None


def _compared(total: int, found: int, text: Text | None) -> str:
    """Say how many samples are in a text, and how many are new."""
    if text is None:
        return f"{plural(total, 'sample')}; --against FILE tells how many are in a text"
    return f"{plural(total, 'sample')}: {found:,} in the text ({text.name}), {total - found:,} new"
