"""`fastgrad sample`: items that a model makes up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from .._checks import escape
from ._options import MODEL, as_command, chosen
from ._report import plural
from ._texts import Text, knows_words, load_model, noted_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXAMPLES = """
Examples:
  fastgrad sample out -n 20 --seed 1
  fastgrad sample out --prompt ma --temperature 0.7 --top-k 5
  fastgrad sample out -n 1000000 > names.txt

Standard output has the samples, one a line, as UTF-8, and nothing else.
Standard error tells how many of them are in the text that the model was
trained on, as long as that is where it was.
"""
_SHOWN = {
    "prompt": "empty",
    "top_k": "all",
    "top_p": "1, all",
    "max_length": "100 characters or 50 words",
    "compare_to": "the one that the model was trained on",
}
# A hundred megabytes of names, a fraction of a second's work.
_PART = 2**20
# Lines a write. An unbuffered standard output, as PYTHONUNBUFFERED makes it, says nothing when it
# could not write all that it was given, but refuses what comes next.
_LINES = 500


@as_command(
    "sample",
    "n seed prompt temperature top-k top-p max-length compare-to threads",
    {"n": 10, "seed": 0, "temperature": 1.0},
    _SHOWN,
    model=MODEL,
    examples=_EXAMPLES,
)
def command(model: Path, **given: Any) -> None:
    """Print items or texts that a model makes up, one a line."""
    args = SimpleNamespace(**given)
    loaded = load_model(model)
    text = _text_to_compare(loaded, model, args.compare_to)
    known: set[str] = set() if text is None else set(text.items())
    # Commands read UTF-8, so samples are written as UTF-8 into a pipe, on any system.
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(encoding="utf-8")
    found, on_terminal = 0, sys.stdout.isatty()
    for samples in _parts(loaded, args, on_terminal):
        for start in range(0, len(samples), _LINES):
            part = "\n".join(samples[start : start + _LINES]) + "\n"
            # A vocabulary from elsewhere may hold what steers a terminal; a file gets it as it is.
            sys.stdout.write(escape(part, keep="\n\t") if on_terminal else part)
        found += sum(sample in known for sample in samples)
    sys.stdout.flush()
    compared = "; --compare-to FILE tells how many are in a text"
    if text is not None:
        compared = f": {found:,} in the text ({text.name}), {args.n - found:,} new"
    print(escape(plural(args.n, "sample") + compared), file=sys.stderr)


def _parts(model: Any, args: Any, on_terminal: bool) -> Iterator[list[str]]:
    """Make the samples, in parts that fit into memory however many there are."""
    from .._progress import bar

    settings = chosen(args, "seed prompt temperature top_k top_p max_length threads")
    # A bar between the samples would spoil both, and few of them are there at once.
    wanted = args.n > _PART and not on_terminal
    with bar(wanted, args.n, " samples", "sampling") as report:
        for offset in range(0, args.n, _PART):
            samples = model.sample(min(_PART, args.n - offset), offset=offset, **settings)
            yield samples
            if report is not None:
                report(offset + len(samples))


def _text_to_compare(model: Any, place: Path, file: str | None) -> Text | None:
    if file is not None:
        return Text(file, file)
    text = None if knows_words(model) else noted_text(place, model)
    return text if text is not None and text.is_small else None
