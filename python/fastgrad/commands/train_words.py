"""`fastgrad train nplm --level word`: a network over words, from a text to a folder."""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .._checks import shorten
from .arguments import (
    CommandError,
    UsageError,
    add_command,
    number,
    whole,
)
from .new_model import add_out, made_folder, show_saved
from .report import show
from .training import LOG, keep_input, saved_on_ctrl_c
from .use_words import counted_five
from .word_texts import has_parts, new_parts, noted_parts, parts_note

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..models import WordNPLM
    from .word_texts import Parts

__all__ = ["add_level", "add_to", "resume", "with_level"]

# The command's name. Over words nearly all defaults are others than over characters, so it is a
# command of its own, which `with_level` finds.
_NAME = "nplm --level word"

_EXAMPLES = """\
examples:
  fastgrad train nplm --level word -o out               the bundled plays, less than two minutes
  fastgrad train nplm --level word book.txt -o out      a text of your own
  fastgrad train nplm --level word brown.txt -o out --tokenizer space --marks none \\
      --max-size 16383 --embedding 200 --hidden 300 --context 15 \\
      --lr 0.002 --dropout 0.5 --weight-decay 0.3       larger, slower, better
  fastgrad train nplm --level word -o out --preset paper --embedding 60    as in the paper
  fastgrad train --resume out                           go on after Ctrl-C

The first part of the text is learned, the next (--dev) measured after each epoch, and the last
(--test) left alone until `fastgrad eval out`. The folder gets model.safetensors, the checkpoint,
which is saved every ten seconds or so, and log.jsonl, a JSON object an evaluation. Then
`fastgrad sample out`, `fastgrad eval out other.txt` and `fastgrad plot out`."""


def add_level(parser: argparse.ArgumentParser) -> None:
    """Declare the option of `train nplm` that leads here."""
    parser.add_argument(
        "--level",
        choices=("character", "word"),
        default="character",
        help="what a symbol is; `--level word --help` tells of the options for words (default:"
        " %(default)s)",
    )


def with_level(argv: Sequence[str]) -> list[str]:
    """Give a command line in which `train nplm … --level word` is one name.

    Not where a run is resumed: its folder says of what it is.
    """
    line = list(argv)
    if line[:2] != ["train", "nplm"] or any(word.startswith("--resume") for word in line):
        return line
    rest: list[str] = []
    level = None
    words = iter(line[2:])
    for word in words:
        if word == "--level":
            level = next(words, None)
        elif word.startswith("--level="):
            level = word.partition("=")[2]
        else:
            rest.append(word)
    return ["train", _NAME, *rest] if level == "word" else line


def add_to(models: Any) -> None:
    """Declare the command."""
    parser = add_command(
        models,
        _NAME,
        _train,
        help="the same over words, with a vocabulary of thousands",
        description="Train the neural probabilistic language model of Bengio et al. (2003) on"
        " running text, word by word.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="text to train on, UTF-8, may end in .gz; - is standard input (default: the bundled"
        " plays, see data/README.md)",
    )
    add_out(parser)
    _add_text(parser.add_argument_group("the text"))
    _add_network(parser.add_argument_group("the network"))
    _add_training(parser.add_argument_group("the training"))


def _add_text(group: Any) -> None:
    default = "(default: %(default)s)"
    group.add_argument(
        "--tokenizer",
        choices=("simple", "space"),
        default="simple",
        help=f"cut words from punctuation, or only at whitespace {default}",
    )
    group.add_argument(
        "--marks",
        choices=("paragraph", "line", "none"),
        default="paragraph",
        help=f"what has a mark at its end, where samples end too {default}",
    )
    group.add_argument(
        "--max-size",
        type=whole(2),
        default=8_000,
        metavar="N",
        help=f"size of the vocabulary; other words are one symbol {default}",
    )
    group.add_argument(
        "--min-count",
        type=whole(1),
        default=1,
        metavar="N",
        help=f"how often a word of the vocabulary must occur {default}",
    )
    for name, what in (("dev", "measured while training"), ("test", "left alone")):
        help_text = f"share of the text that is {what} {default}"
        group.add_argument(
            f"--{name}", type=_share(above=True), default=0.1, metavar="SHARE", help=help_text
        )


def _add_network(group: Any) -> None:
    for name, default, what in (
        ("context", 4, "words that it looks at"),
        ("embedding", 100, "features of a word"),
        ("hidden", 100, "hidden units"),
    ):
        help_text = f"{what} (default: %(default)s)"
        group.add_argument(f"--{name}", type=whole(1), default=default, metavar="N", help=help_text)
    group.add_argument(
        "--direct", action="store_true", help="connect features and output directly as well"
    )
    group.add_argument(
        "--tied",
        action=argparse.BooleanOptionalAction,
        help="use the features of words for the output as well (default: only with the modern"
        " preset)",
    )


def _add_training(group: Any) -> None:
    group.add_argument(
        "--preset",
        choices=("modern", "paper"),
        default="modern",
        help="where what follows is not given: AdamW, a rate that climbs and falls, and dropout;"
        " or plain SGD and early stopping, as in the paper (default: %(default)s)",
    )
    group.add_argument(
        "--epochs",
        type=number(0, above=True),
        metavar="N",
        help="how often the text is learned (default: 4 with the modern preset, 20 with the"
        " paper's)",
    )
    group.add_argument(
        "--steps", type=whole(1), metavar="N", help="mini-batches to learn from, not --epochs"
    )
    group.add_argument(
        "--batch",
        type=whole(1),
        default=256,
        metavar="N",
        help="examples a step (default: %(default)s)",
    )
    group.add_argument("--optimizer", choices=("adamw", "momentum", "sgd"), help="how weights move")
    group.add_argument(
        "--lr",
        type=number(0),
        metavar="RATE",
        help="learning rate: the highest of a step, or with the paper's preset that of an example",
    )
    group.add_argument(
        "--schedule",
        choices=("cosine", "linear", "constant"),
        help="how the rate falls after it has climbed, with the modern preset (default: cosine)",
    )
    group.add_argument("--weight-decay", type=number(0), metavar="W", help="of all but biases")
    group.add_argument(
        "--dropout",
        type=_share(),
        metavar="SHARE",
        help="of features and hidden units that an example does without",
    )
    group.add_argument(
        "--patience", type=whole(1), metavar="N", help="stop after N epochs without a new best"
    )
    group.add_argument(
        "--seed",
        type=whole(0, 2**64 - 1),
        default=0,
        metavar="N",
        help="of weights, batches and dropout (default: %(default)s)",
    )
    group.add_argument(
        "--threads",
        type=whole(1),
        metavar="N",
        help="they do not change the result (default: as many as pay)",
    )


def _share(*, above: bool = False) -> Callable[[str], float]:
    """Make an argument's type: a number of at least 0, or above it, and below 1."""
    read = number(0, above=above)

    def parse(text: str) -> float:
        value = read(text)
        if value >= 1:
            raise argparse.ArgumentTypeError(f"{shorten(text)}; expected a share, below 1")
        return value

    return parse


def _train(options: argparse.Namespace) -> None:
    _check(options)
    with made_folder(options.out):
        kept = keep_input(options.out) if options.file == "-" else None
        _train_on(new_parts(options, kept), options)


def _train_on(parts: Parts, options: argparse.Namespace) -> None:
    from ..models import WordNPLM
    from ..models.nplm import presets

    _show_text(parts)
    settings = _settings(options, len(parts.train))
    model = WordNPLM(
        parts.whole.vocab,
        context_length=options.context_length,
        embedding_dim=options.embedding,
        hidden_dim=options.hidden,
        direct=options.direct,
        tie_weights=options.preset == "modern" if options.tied is None else options.tied,
        counts=parts.train.counts,
        init=presets.init_for(settings["optimizer"]),
        seed=options.seed,
    )
    show("model", repr(model))
    model.note = parts_note(options, parts.text)
    start = perf_counter()
    with saved_on_ctrl_c(options.out):
        model.fit(
            parts.train,
            parts.dev,
            progress=True,
            log=options.out / LOG,
            checkpoint=options.out,
            seed=options.seed,
            threads=options.threads,
            **settings,
        )
    _show_result(model, parts, perf_counter() - start, 0)
    show_saved(options.out)


def resume(place: Path, before: WordNPLM) -> None:
    """Go on with the training run of a folder, or of a model's file in it, where `before` is."""
    from ..checkpoint import CheckpointError

    folder = place if place.is_dir() else place.parent
    if not has_parts(place, before):
        raise CommandError(f"{folder}: there is no note of how a run over words began")
    parts = noted_parts(place, before)
    if parts is None:
        raise CommandError(f"{folder}: the text of the training run is not there any more")
    made = len(before.history.loss)
    show("text", parts.text.name)
    show("model", repr(before))
    show("resumed", f"after {made:,} steps")
    start = perf_counter()
    with saved_on_ctrl_c(place):
        try:
            model = type(before).resume(
                place, parts.train, parts.dev, progress=True, log=folder / LOG
            )
        except CheckpointError:
            raise
        except ValueError as error:
            raise CommandError(f"{place}: {error}; has {parts.text.name} changed?") from None
    _show_result(model, parts, perf_counter() - start, made)
    show("saved", str(place / "model.safetensors" if place.is_dir() else place))


def _settings(options: argparse.Namespace, tokens: int) -> dict[str, Any]:
    """Give the settings of the preset, with those that were asked for in their place."""
    from ..models.nplm import presets

    batch = min(options.batch, tokens)
    epochs = options.epochs
    if options.steps is not None:
        epochs = options.steps / presets.steps_of(tokens, 1, batch)
    asked = {"epochs": epochs, "lr": options.lr, "schedule": options.schedule}
    given = {name: value for name, value in asked.items() if value is not None}
    if options.preset == "paper":
        settings = presets.paper(batch_size=batch, **given)
    else:
        settings = presets.modern(tokens, batch_size=batch, **given)
    for name in ("optimizer", "weight_decay", "dropout", "patience"):
        if (value := getattr(options, name)) is not None:
            settings[name] = value
    return settings


def _check(options: argparse.Namespace) -> None:
    """Refuse options that say different things."""
    if options.steps is not None and options.epochs is not None:
        raise UsageError("argument --steps: not together with --epochs")
    if options.preset == "paper" and options.schedule is not None:
        raise UsageError("argument --schedule: not with --preset paper, which has its own")


def _show_text(parts: Parts) -> None:
    """Tell what was read."""
    whole, vocab = parts.whole, parts.whole.vocab
    show("text", parts.text.name)
    show(
        "tokens",
        f"{len(whole):,}: {len(parts.train):,} to train on, {len(parts.dev):,} to measure (dev),"
        f" {len(parts.test):,} left alone (test)",
    )
    types = "" if whole.types is None else f" of {whole.types:,} different tokens"
    show("vocabulary", f"|V| = {len(vocab):,}{types}; {whole.unk_rate:.1%} of the text is rare")


def _show_result(model: Any, parts: Parts, seconds: float, made: int) -> None:
    """Tell the perplexity on dev, beside that of counted 5-grams."""
    from ..models import Mixture

    steps = len(model.history.loss) - made
    stopped = "" if model.history.stopped == "finished" else f"; {model.history.stopped}"
    show(
        "steps", (f"{steps:,} in {seconds:.1f} s" if steps else "none were left to make") + stopped
    )
    counted = counted_five(parts.train)
    both = Mixture(model, counted).fit(parts.dev)
    show("perplexity", f"dev {model.perplexity(parts.dev):.1f}: the network")
    show("", f"dev {counted.perplexity(parts.dev):.1f}: Kneser-Ney, 5-grams counted on the same")
    show("", f"dev {both.perplexity(parts.dev):.1f}: both, {both.weight:.0%} of the network")
