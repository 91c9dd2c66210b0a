"""`fastgrad train`: from a text to a model in a folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from . import train_nplm, train_words
from .arguments import UsageError, add_command, folder_name, number, whole
from .new_model import add_out, made_folder, show_items, show_saved, show_symbols
from .places import text_note
from .report import grams, show
from .resuming import resume
from .texts import add_file, text_of

if TYPE_CHECKING:
    from .texts import Text

__all__ = ["add_to"]

_EXAMPLES = """\
examples:
  fastgrad train bigram words.txt -o out      count, in no time; a model that is easily understood
  fastgrad train nplm words.txt -o out        train a network, which takes longer and knows more
  fastgrad train --resume out                 go on with a network after Ctrl-C

`fastgrad train MODEL --help` tells more."""

_BIGRAM_EXAMPLES = """\
examples:
  fastgrad train bigram -o out                         the bundled names
  fastgrad train bigram words.txt -o out               a text of your own, one item a line
  fastgrad train bigram words.txt -o out --order 3     trigrams: two symbols tell of the third
  fastgrad train bigram -o out --neural --penalty 0    a network that finds the same model
  fastgrad train bigram -o out --neural --lr 50 --steps 200             as in the lecture
  zcat big.txt.gz | fastgrad train bigram - -o out     a file of any size, in constant memory

Then `fastgrad sample out`, `fastgrad eval out other.txt` and `fastgrad plot out`."""

# Options that only the network has; where they are not given, the library's defaults hold.
_NEURAL = ("steps", "lr", "penalty", "batch", "seed")


def add_to(commands: Any) -> None:
    """Declare the command, with a command of its own for each kind of model."""
    parser = add_command(
        commands,
        "train",
        None,
        help="train a model of a text",
        description="Train a model of a text and save it in a folder.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "--resume",
        action=_Resume,
        type=folder_name,
        metavar="DIR",
        help="go on with the training of a network that was interrupted, to the same result",
    )
    models = parser.add_subparsers(title="models", metavar="MODEL")
    _add_bigram(models)
    train_nplm.add_to(models)
    train_words.add_to(models)


class _Resume(argparse.Action):
    """The option that names a folder and is a command in itself."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Have the run of the folder resumed, unless a model is named as well."""
        namespace.resume = values
        namespace.run = lambda options: resume(options.resume)


def _add_bigram(models: Any) -> None:
    parser = add_command(
        models,
        "bigram",
        _train_bigram,
        help="how often each symbol follows another",
        description="Count which symbol follows which, or train a network of one layer to know.",
        epilog=_BIGRAM_EXAMPLES,
    )
    add_file(parser, "to train on")
    add_out(parser)
    parser.add_argument(
        "--order",
        type=whole(2, 3),
        default=2,
        metavar="{2,3}",
        help="2 for bigrams, 3 for trigrams (default: %(default)s)",
    )
    parser.add_argument(
        "--smoothing",
        type=number(0),
        metavar="S",
        help="added to every count, so that nothing is impossible (default: 1; in Python,"
        " BigramModel adds 0 unless told otherwise)",
    )
    _add_network(parser.add_argument_group("the same model as a network"))


def _add_network(group: Any) -> None:
    group.add_argument(
        "--neural", action="store_true", help="train weights by gradient descent, do not count"
    )
    group.add_argument("--steps", type=whole(0), metavar="N", help="steps (default: 2000)")
    group.add_argument(
        "--lr",
        type=number(0, above=True),
        metavar="RATE",
        help="learning rate of plain gradient descent; the lecture has 50 (default: accelerated"
        " steps, which need none)",
    )
    group.add_argument(
        "--penalty",
        type=number(0),
        metavar="P",
        help="weight of the mean squared weight in what is minimised (default: 0.01)",
    )
    group.add_argument(
        "--batch",
        type=whole(1),
        metavar="N",
        help="examples a step, which needs --lr (default: all)",
    )
    group.add_argument(
        "--seed", type=whole(0, 2**64 - 1), metavar="N", help="of the batches (default: 0)"
    )


def _train_bigram(options: argparse.Namespace) -> None:
    _check_bigram(options)
    text = text_of(options.file)
    with made_folder(options.out):
        from ..models import NgramCounts

        counts = NgramCounts(text.source, order=options.order, progress=True)
        _show_text(text, counts)
        model = _neural(options, counts) if options.neural else _counted(options, counts)
        model.note = {"text": text_note(text, counts.items, counts.vocab.characters)}
        model.save(options.out)
    show_saved(options.out)


def _check_bigram(options: argparse.Namespace) -> None:
    """Refuse options that say nothing about the model that was asked for."""
    if options.resume is not None:
        raise UsageError("argument --resume: counts are made at once; only `train nplm` goes on")
    given = [name for name in _NEURAL if getattr(options, name) is not None]
    if given and not options.neural:
        raise UsageError(f"argument --{given[0]}: only together with --neural")
    if options.neural and options.smoothing is not None:
        raise UsageError(
            "argument --smoothing: not together with --neural, where --penalty smooths"
        )
    if "seed" in given and "batch" not in given:
        raise UsageError("argument --seed: only together with --batch; all else is not random")
    if "batch" in given and "lr" not in given:
        raise UsageError("argument --batch: only together with --lr; parts need a rate")


def _show_text(text: Text, counts: Any) -> None:
    """Tell what was read."""
    show_items(text, counts.items)
    show_symbols(counts.vocab)
    ids, _ = counts.nonzero()
    cells = len(counts.vocab) ** counts.order
    occur = f"{len(ids):,} of {cells:,} possible ones occur"
    show(f"{grams(counts.order)}s", f"{counts.total:,}; {occur}")


def _counted(options: argparse.Namespace, counts: Any) -> Any:
    from ..models import BigramModel

    smoothing = 1.0 if options.smoothing is None else options.smoothing
    model = BigramModel(counts, smoothing)
    _show_loss("loss", BigramModel(counts), counts, "raw: no table has less")
    if smoothing:
        _show_loss("", model, counts, f"smoothed, {smoothing:g} added to each count")
    return model


def _neural(options: argparse.Namespace, counts: Any) -> Any:
    from ..models import BigramModel, NeuralBigram

    given = {name: getattr(options, name) for name in _NEURAL}
    settings = {name: value for name, value in given.items() if value is not None}
    model = NeuralBigram.fit(counts, **settings, progress=True)
    start, end = model.history[0], model.history[-1]
    show(
        "steps", f"{len(model.history) - 1:,}; loss and penalty {start:.6f} before, {end:.6f} after"
    )
    _show_loss("loss", model, counts, "the network")
    _show_loss("", BigramModel(counts), counts, "counted, raw: no table has less")
    return model


def _show_loss(name: str, model: Any, counts: Any, remark: str) -> None:
    loss, perplexity = model.loss(counts), model.perplexity(counts)
    show(name, f"{loss:.8f} nats a symbol, perplexity {perplexity:.4f} ({remark})")
