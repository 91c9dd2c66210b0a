"""`fastgrad train word-nplm`: a network over words, from a text to a folder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click

from .._defaults import WORD_TEXTS, WORDS
from ._options import NETWORK, examples, file_argument, options
from ._places import text_of
from ._report import show
from ._runs import Words, keep_input, made_folder, split_words, train
from .train_nplm import resumed

_EXAMPLES = """
Examples:
  fastgrad train word-nplm -o out              the bundled plays
  fastgrad train word-nplm book.txt -o out     a text of your own
  fastgrad train word-nplm brown.txt -o out --tokenizer space --eos none \\
      --vocab-size 16383 --embedding-dim 200 --hidden-dim 300 \\
      --context-length 15 --lr 0.002 --dropout 0.5 --weight-decay 0.3
  fastgrad train word-nplm -o out --preset paper --embedding-dim 60
  fastgrad train --resume out                  go on after Ctrl-C

The first part of the text is trained on, the next (--dev-fraction) measured
after each epoch, and the last (--test-fraction) left alone until
`fastgrad eval out`. The folder gets model.safetensors, the checkpoint, which
is saved every ten seconds or so, and log.jsonl, a JSON object for each
evaluation. Then `fastgrad sample out`, `fastgrad eval out other.txt` and
`fastgrad plot out`.
"""


@click.command("word-nplm", epilog=examples(_EXAMPLES))
@file_argument()
@options(
    "out resume tokenizer eos vocab-size min-count dev-fraction test-fraction"
    f" {NETWORK} preset epochs steps batch-size optimizer lr weight-decay dropout patience"
    " seed threads",
    vars(WORDS) | vars(WORD_TEXTS) | {"preset": "modern"},
    {
        "init": "small with adamw, else scaled",
        "epochs": f"{WORDS.epochs:g}, paper: 20",
        "steps": "those of --epochs",
        "optimizer": f"{WORDS.optimizer}, paper: sgd",
        "lr": f"{WORDS.lr} at its highest, paper: 0.001 an example",
        "weight_decay": f"{WORDS.weight_decay}, paper: 0.0001",
        "dropout": f"{WORDS.dropout}, paper: 0",
        "patience": "none, paper: 2",
    },
)
@click.option(
    "--tie-weights/--no-tie-weights",
    default=None,
    show_default="tied with the modern preset",
    help="Use the embeddings for the output as well.",
)
@click.option(
    "--schedule",
    type=click.Choice(("cosine", "linear", "constant")),
    show_default=WORDS.schedule,
    help="How the learning rate falls after the warm-up, with the modern preset.",
)
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Train a network over words, with a vocabulary of thousands.

    It is the neural probabilistic language model of Bengio et al. (2003) on running text.

    FILE is a text, UTF-8, may end in .gz; - is standard input. Without it the model is of fifteen
    plays by Shakespeare, which the package carries.
    """
    if resumed(ctx, given):
        return
    args = SimpleNamespace(**given)
    _check(args)
    text = text_of(args.file, words=True)
    with made_folder(args.out):
        if args.file == "-":
            text = keep_input(args.out)
        parts = _read(text, args)
        _show_text(parts)
        settings = _settings(args, len(parts.train))
        model = _new_model(args, parts, settings["optimizer"])
        show("model", repr(model))
        model.note = {
            "run": {
                "level": "word",
                "path": text.path,
                "bundled": isinstance(text.source, bytes),
                "dev_fraction": args.dev_fraction,
                "test_fraction": args.test_fraction,
            }
        }

        def fit(log: str) -> Any:
            return model.fit(
                parts.train,
                parts.dev,
                progress=True,
                log=log,
                checkpoint=args.out,
                seed=args.seed,
                threads=args.threads,
                **settings,
            )

        train(fit, parts, args.out)


def _check(args: Any) -> None:
    """Refuse options that contradict each other."""
    if args.steps is not None and args.epochs is not None:
        raise click.UsageError("--steps: not together with --epochs")
    if args.preset == "paper" and args.schedule is not None:
        raise click.UsageError("--schedule: not with --preset paper, which has its own")
    if args.dev_fraction + args.test_fraction >= 1:
        raise click.UsageError(
            "--dev-fraction and --test-fraction: expected shares that leave some to train on"
        )


def _read(text: Any, args: Any) -> Words:
    """Read a text, choose its vocabulary, and cut it."""
    from ..text import read_words

    whole = read_words(
        text.source,
        train=1.0 - args.dev_fraction - args.test_fraction,
        vocab_size=args.vocab_size,
        min_count=args.min_count,
        tokenizer=args.tokenizer,
        eos=None if args.eos == "none" else args.eos,
    )
    return split_words(text, whole, args.dev_fraction, args.test_fraction)


def _settings(args: Any, tokens: int) -> dict[str, Any]:
    """Return the settings of the preset, with those that were asked for in their place."""
    from ..models.nplm import presets
    from ..models.nplm.run import steps_of

    batch_size = min(args.batch_size, tokens)
    epochs = args.epochs
    if args.steps is not None:
        epochs = args.steps / steps_of(tokens, 1, batch_size)
    asked = {"epochs": epochs, "lr": args.lr, "schedule": args.schedule}
    given = {name: value for name, value in asked.items() if value is not None}
    if args.preset == "paper":
        settings = presets.paper(batch_size=batch_size, **given)
    else:
        settings = presets.modern(tokens, batch_size=batch_size, **given)
    for name in ("optimizer", "weight_decay", "dropout", "patience"):
        if (value := getattr(args, name)) is not None:
            settings[name] = value
    # What fit takes where it is told nothing is meant for the modern preset.
    return {"dropout": 0.0} | settings


def _new_model(args: Any, parts: Words, optimizer: str) -> Any:
    from ..models import WordNPLM
    from ..models.nplm import presets

    tied = args.tie_weights
    return WordNPLM(
        parts.whole.vocab,
        context_length=args.context_length,
        embedding_dim=args.embedding_dim,
        hidden_dim=args.hidden_dim,
        direct=args.direct,
        tie_weights=args.preset == "modern" if tied is None else tied,
        counts=parts.train.counts,
        init=presets.init_for(optimizer) if args.init is None else args.init,
        seed=args.seed,
    )


def _show_text(parts: Words) -> None:
    """Show what was read."""
    whole, vocab = parts.whole, parts.whole.vocab
    show("text", parts.text.name)
    cut = f"{len(parts.train):,} train, {len(parts.dev):,} dev, {len(parts.test):,} test"
    show("tokens", f"{len(whole):,}: {cut}")
    types = "" if whole.types is None else f" of {whole.types:,} different tokens"
    unknown = f"{whole.unk_rate:.1%} of the text is {vocab.unk_token}"
    show("vocabulary", f"|V| = {len(vocab):,}{types}; {unknown}")
