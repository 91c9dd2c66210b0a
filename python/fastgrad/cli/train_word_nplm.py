"""`fastgrad train word-nplm`: a network over words, from a text to a folder."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import click

from .._defaults import WORD_TEXTS, WORDS
from ._options import NETWORK, as_command, chosen, require
from ._report import show
from ._runs import Words, made_folder, train
from .train_nplm import resumed, text_to_keep

_FILE = """\
FILE is a text, UTF-8, may end in .gz; - is standard input. Without it the text is fifteen plays by
Shakespeare, which the package carries.
"""
_EXAMPLES = """
Examples:
  fastgrad train word-nplm -o out              the bundled plays
  fastgrad train word-nplm book.txt -o out     a text of your own
  fastgrad train word-nplm brown.txt -o out --tokenizer space --eos none \\
      --vocab-size 16383 --embedding-dim 200 --hidden-dim 300 \\
      --context-length 15 --lr 0.002 --dropout 0.5 --weight-decay 0.3
  fastgrad train word-nplm -o out --preset paper --embedding-dim 60
  fastgrad train --resume out                  go on after Ctrl-C

The text is cut by position: to train on, to measure after each epoch
(--dev-fraction), and to leave alone until `fastgrad eval out`. The folder
gets model.safetensors, saved every ten seconds or so, and log.jsonl.
"""
_SHOWN = {
    "tie_weights": "tied with the modern preset",
    "init": "small with adamw, else scaled",
    "epochs": f"{WORDS.epochs:g}, paper: 20",
    "steps": "those of --epochs",
    "optimizer": f"{WORDS.optimizer}, paper: sgd",
    "lr": f"{WORDS.lr} at its highest, paper: 0.001 an example",
    "schedule": WORDS.schedule,
    "weight_decay": f"{WORDS.weight_decay}, paper: 0.0001",
    "dropout": f"{WORDS.dropout}, paper: 0",
    "patience": "none, paper: 2",
}
_SCHEDULE = {
    "help": "How the learning rate falls after the warm-up, with the modern preset.",
    "type": click.Choice(("cosine", "linear", "constant")),
}


@as_command(
    "word-nplm",
    "out resume tokenizer eos vocab-size min-count dev-fraction test-fraction"
    f" {NETWORK} tie-weights/--no-tie-weights preset epochs steps batch-size optimizer lr schedule"
    " weight-decay dropout patience seed threads",
    vars(WORDS) | vars(WORD_TEXTS) | {"preset": "modern"},
    _SHOWN,
    {"schedule": _SCHEDULE},
    file=_FILE,
    examples=_EXAMPLES,
)
def command(**given: Any) -> None:
    """Train a network over words, with a vocabulary of thousands.

    It is the neural probabilistic language model of Bengio et al. (2003) on running text.
    """
    if resumed(given):
        return
    args = SimpleNamespace(**given)
    require(args.steps is None or args.epochs is None, "--steps: not together with --epochs")
    require(
        args.preset == "modern" or args.schedule is None,
        "--schedule: not with --preset paper, which has its own",
    )
    require(
        args.dev_fraction + args.test_fraction < 1,
        "--dev-fraction and --test-fraction: expected shares that leave some to train on",
    )
    with made_folder(args.out):
        parts = _read(args)
        _show_text(parts)
        settings = _settings(args, len(parts.train))
        model = _new_model(args, parts, settings["optimizer"])
        show("model", repr(model))
        model.note = parts.note()
        train(partial(model.fit, checkpoint=args.out, **settings), parts, args.out)


def _read(args: Any) -> Words:
    """Read a text, choose its vocabulary, and cut it."""
    from ..text import read_words

    text = text_to_keep(args, words=True)
    whole = read_words(
        text.source,
        train=1.0 - args.dev_fraction - args.test_fraction,
        vocab_size=args.vocab_size,
        min_count=args.min_count,
        tokenizer=args.tokenizer,
        eos=None if args.eos == "none" else args.eos,
    )
    return Words.cut(text, whole, args.dev_fraction, args.test_fraction)


def _settings(args: Any, tokens: int) -> dict[str, Any]:
    """Return the settings of the preset, with those that were asked for in their place."""
    from ..models.nplm import presets
    from ..models.nplm.run import steps_of

    batch_size = min(args.batch_size, tokens)
    if args.steps is not None:
        args.epochs = args.steps / steps_of(tokens, 1, batch_size)
    preset = presets.paper if args.preset == "paper" else partial(presets.modern, tokens)
    settings = preset(batch_size=batch_size, **chosen(args, "epochs lr schedule"))
    asked = chosen(args, "optimizer weight_decay dropout patience seed threads")
    # What fit takes where it is told nothing is meant for the modern preset.
    return {"dropout": 0.0} | settings | asked


def _new_model(args: Any, parts: Words, optimizer: str) -> Any:
    from ..models import WordNPLM
    from ..models.nplm import presets

    settings: dict[str, Any] = {
        "tie_weights": args.preset == "modern",
        "init": presets.init_for(optimizer),
        **chosen(args, "context_length embedding_dim hidden_dim direct tie_weights init seed"),
    }
    return WordNPLM(parts.whole.vocab, counts=parts.train.counts, **settings)


def _show_text(parts: Words) -> None:
    """Show what was read."""
    whole, vocab = parts.whole, parts.whole.vocab
    show("text", parts.text.name)
    cut = f"{len(parts.train):,} train, {len(parts.dev):,} dev, {len(parts.test):,} test"
    show("tokens", f"{len(whole):,}: {cut}")
    types = "" if whole.types is None else f" of {whole.types:,} different tokens"
    unknown = f"{whole.unk_rate:.1%} of the text is {vocab.unk_token}"
    show("vocabulary", f"|V| = {len(vocab):,}{types}; {unknown}")
