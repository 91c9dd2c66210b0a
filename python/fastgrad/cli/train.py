"""`fastgrad train`: from a text to a model in a folder."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.exceptions import Exit

from .._defaults import CHARACTERS, L2, NEURAL_BIGRAM_STEPS, SMOOTHING, WORD_TEXTS, WORDS
from ._options import Commands, as_command, chosen, epilog, option, require, tells_what_was_saved
from ._ranks import ranks
from ._report import grams, show, show_items, show_vocab
from ._runs import Parts, cut_items, cut_words, keep_input, made_folder, on_ranks, show_saved, train
from ._runs import resume as resume_run
from ._texts import Text, text_of, texts_of

if TYPE_CHECKING:
    from ..distributed import Comm

_EXAMPLES = """
Examples:
  fastgrad train bigram words.txt -o out     count, in no time
  fastgrad train nplm words.txt -o out       train a network: slower, better
  fastgrad train word-nplm book.txt -o out   a network over words
  fastgrad train --resume out                go on with a network after Ctrl-C

`fastgrad train MODEL --help` tells more.
"""
_NGRAM_EXAMPLES = """
Examples:
  fastgrad train bigram -o out                the bundled names
  fastgrad train bigram words.txt -o out      a text of yours, one item a line
  fastgrad train ngram words.txt -o out       trigrams
  zcat big.txt.gz | fastgrad train bigram - -o out    any size, little memory
  mpiexec -n 4 fastgrad train ngram *.txt -o out --mpi    on four processes

Then `fastgrad sample out`, `fastgrad eval out other.txt` and `plot out`.
"""
_NEURAL_EXAMPLES = """
Examples:
  fastgrad train neural-bigram -o out --l2 0    finds what bigram counts
  fastgrad train neural-bigram -o out --lr 50 --steps 200    as in the lecture
"""
_NPLM_EXAMPLES = """
Examples:
  fastgrad train nplm -o out               the bundled names, in ten seconds
  fastgrad train nplm words.txt -o out     a text of yours, one item a line
  fastgrad train nplm -o out --embedding-dim 32 --hidden-dim 400 \\
      --batch-size 128                     larger, better, slower
  fastgrad train --resume out              go on after Ctrl-C

The run of the makemore lecture:
  fastgrad train nplm names.txt -o out --split makemore --context-length 3 \\
      --embedding-dim 10 --hidden-dim 200 --init normal --optimizer sgd \\
      --schedule makemore --batch-size 32 --steps 200000

The folder gets model.safetensors, saved every ten seconds or so, log.jsonl, a
JSON object for each evaluation, and text.txt, a text from standard input.
Ctrl-C saves. Then `fastgrad sample out`, `eval` and `plot`.
"""
_WORD_FILE = """\
FILE is a text, UTF-8, may end in .gz; - is standard input. Without it the text is fifteen plays by
Shakespeare, which the package carries.
"""
_WORD_EXAMPLES = """
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
NETWORK = "context-length embedding-dim hidden-dim direct init "
# Options of training over characters and of `lr-find`.
TRAINING = "batch-size optimizer weight-decay split group-duplicates seed threads "
CHARACTERS_SHOWN = {
    "batch_size": f"{CHARACTERS.batch_size}, all where there are fewer",
    "lr": f"{CHARACTERS.lr} with adamw, else {CHARACTERS.sgd_lr}",
    "weight_decay": f"{CHARACTERS.weight_decay} with adamw, else 0",
}
# Help of the argument FILE of commands over characters.
ITEMS = """\
FILE is a text, UTF-8, one item a line, may end in .gz; - is standard input. Without it the
text is 32,469 first names, which the package carries.
"""
_FILES = """\
Each FILE is a text, UTF-8, one item a line, may end in .gz; - is standard input. Without any the
text is 32,469 first names, which the package carries.
"""
_NEURAL_SHOWN = {
    "lr": "none: accelerated steps; the lecture has 50",
    "batch_size": "all; fewer need --lr",
}
_WORD_SHOWN = {
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
_WORD_SCHEDULE = {
    "help": "How the learning rate falls after the warm-up, with the modern preset.",
    "type": click.Choice(("cosine", "linear", "constant")),
}
# Options of networks that are trained on several ranks.
_MPI = "mpi mpi-reduction mpi-output"
_MPI_SHOWN = {"mpi_reduction": "exact", "mpi_output": "whole"}
# Options of all networks that `fit` and `lr_find` take.
_FIT = "optimizer seed threads"
# Options of the three models that are a table.
_TABLE: dict[str, Any] = {"files": _FILES, "out": {"required": True}}


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


@as_command(
    "bigram", "out smoothing mpi", {"smoothing": SMOOTHING}, examples=_NGRAM_EXAMPLES, **_TABLE
)
def bigram(**given: Any) -> None:
    """Count how often each token follows another."""
    _count(**given, order=2)


@as_command(
    *("ngram", "out smoothing order mpi", {"smoothing": SMOOTHING, "order": 3}),
    examples=_NGRAM_EXAMPLES,
    **_TABLE,
)
def ngram(**given: Any) -> None:
    """Count how often each token follows one or two others."""
    _count(**given)


def _count(files: tuple[str, ...], out: Path, smoothing: float, order: int, mpi: bool) -> None:
    with ranks(mpi) as comm, nullcontext() if comm.rank else made_folder(out):
        from ..models import BigramModel, NgramModel

        text, counts = _read(files, order, comm)
        raw = NgramModel(order, smoothing=0).fit(counts)
        _show_loss("loss", raw, counts, "raw counts")
        model = BigramModel(smoothing) if order == 2 else NgramModel(order, smoothing)
        model.fit(counts)
        if smoothing:
            _show_loss("", model, counts, f"smoothing {smoothing:g}")
        _save(model, text, counts, out)


@as_command(
    *("neural-bigram", "out order steps lr l2 batch-size seed mpi"),
    {"order": 2, "steps": NEURAL_BIGRAM_STEPS, "l2": L2, "seed": 0},
    _NEURAL_SHOWN,
    examples=_NEURAL_EXAMPLES,
    **_TABLE,
)
def neural_bigram(
    files: tuple[str, ...], out: Path, order: int, mpi: bool, **settings: Any
) -> None:
    """Train a network of one layer to know what counting finds."""
    on_all = settings["batch_size"] is None
    require(on_all or settings["lr"] is not None, "--batch-size: only together with --lr")
    require(
        not (on_all and settings["seed"]),
        "--seed: only together with --batch-size; all else is not random",
    )
    with ranks(mpi) as comm, nullcontext() if comm.rank else made_folder(out):
        from ..models import NeuralBigram, NgramModel

        text, counts = _read(files, order, comm)
        model = NeuralBigram(order).fit(counts, **settings, progress=True)
        steps = f"{model.history.steps:,}"
        if model.history.steps:
            last = model.loss(counts) + settings["l2"] * float((model.W**2).mean())
            steps += f"; loss with l2 {model.history.loss[0]:.6f} before, {last:.6f} after"
        show("steps", steps)
        _show_loss("loss", model, counts, "the network")
        _show_loss("", NgramModel(order, smoothing=0).fit(counts), counts, "counted")
        _save(model, text, counts, out)


def _read(files: tuple[str, ...], order: int, comm: Comm) -> tuple[Text, Any]:
    """Count a text, and show what was found; of several ranks only the first one goes on."""
    from ..distributed.together import together

    text = together(comm, lambda: texts_of(files))
    counts = text.counts(order, comm)
    if comm.rank:
        raise Exit(0)
    vocab, characters = counts.vocab, counts.vocab.characters
    show_items(text, counts.num_items, text.items() if text.is_small else None)
    listed = characters if characters.isprintable() else repr(characters)
    listed = listed if len(listed) <= 60 else f"{listed[:59]}…"
    show("characters", f"{len(characters):,}: {listed}")
    if "\0" in vocab:
        show("", "with the NUL character: a text in UTF-16 is to be converted to UTF-8 first")
    show_vocab(vocab)
    possible = len(vocab) ** order
    occur = f"{len(counts.nonzero()[1]):,} of {possible:,} possible ones occur"
    show(f"{grams(order)}s", f"{counts.total:,}; {occur}")
    return text, counts


def _show_loss(name: str, model: Any, counts: Any, remark: str) -> None:
    loss, perplexity = model.loss(counts), model.perplexity(counts)
    show(name, f"{loss:.8f} nats per token, perplexity {perplexity:.4f} ({remark})")


def _save(model: Any, text: Text, counts: Any, out: Path) -> None:
    model.note = {"text": text.note(counts.num_items, counts.vocab)}
    model.save(out)
    show_saved(out)


@as_command(
    "nplm",
    f"out resume {NETWORK} steps lr schedule patience {TRAINING}{_MPI}",
    vars(CHARACTERS) | {"split": "random"} | _MPI_SHOWN,
    CHARACTERS_SHOWN,
    file=ITEMS,
    examples=_NPLM_EXAMPLES,
)
def nplm(**given: Any) -> None:
    """Train a network that looks at several characters.

    It is the neural probabilistic language model of Bengio et al. (2003), as the makemore lecture
    has it: the embeddings of the last characters, a hidden layer, a softmax.
    """
    if _resumed(given):
        return
    args = SimpleNamespace(**given)
    check_split(args)
    require(
        args.patience is None or args.split != "none",
        "--patience: needs a part to measure, not --split none",
    )
    with ranks(args.mpi) as comm, nullcontext() if comm.rank else made_folder(args.out):
        parts, model, settings = new_network(args, _text_to_keep(args))
        text = parts.text.note(len(parts.whole), model.vocab)
        model.note = {"text": text, "run": parts.how}
        settings |= {"steps": args.steps, "lr": _lr(args), "patience": args.patience}
        settings |= on_ranks(given, comm)
        train(partial(model.fit, checkpoint=args.out, **settings), parts, args.out, comm)


def check_split(args: Any) -> None:
    """Raise `click.UsageError` for ways to split that contradict each other."""
    require(
        args.split == "random" or not args.group_duplicates,
        f"--group-duplicates: not with --split {args.split}; expected random",
    )


def new_network(args: Any, text: Text) -> tuple[Parts, Any, dict[str, Any]]:
    """Split a text and make a network for it; return both, and the settings of its training."""
    from ..models import NPLM
    from ..text import Vocab, count_overlap

    parts = cut_items(text, args.split, args.seed, args.group_duplicates)
    vocab = Vocab.from_texts(parts.whole)
    show_items(text, len(parts.whole), parts.whole)
    show_vocab(vocab)
    if parts.dev is not None:
        both = count_overlap(parts.train, parts.dev)
        advice = "; --group-duplicates has none" if args.split == "random" else ""
        train, dev = len(parts.train), len(parts.dev)
        show("split", f"{train:,} items to train on, {dev:,} to measure (dev)")
        show("", f"{both:,} of dev are in both{advice}" if both else "none in both")
    names = "context_length embedding_dim hidden_dim direct init seed"
    model = NPLM(vocab, **chosen(args, names))
    show("model", repr(model))
    decay = CHARACTERS.weight_decay if args.optimizer == "adamw" else 0.0
    settings = {"weight_decay": decay, **chosen(args, f"batch_size weight_decay {_FIT}")}
    return parts, model, settings


def _lr(args: Any) -> Any:
    """Return the learning rate of each step."""
    from ..optim.schedules import cosine, linear

    lr, steps = args.lr, args.steps
    if lr is None:
        lr = CHARACTERS.lr if args.optimizer == "adamw" else CHARACTERS.sgd_lr
    if args.schedule == "makemore":
        return [(0, lr), (steps // 2, lr / 10)] if steps > 1 else lr
    if args.schedule == "constant":
        return lr
    return (cosine if args.schedule == "cosine" else linear)(lr, 0.0, steps)


@as_command(
    "word-nplm",
    "out resume tokenizer eos vocab-size min-count dev-fraction test-fraction"
    f" {NETWORK} tie-weights/--no-tie-weights preset epochs steps batch-size optimizer lr schedule"
    f" weight-decay dropout patience seed threads {_MPI}",
    vars(WORDS) | vars(WORD_TEXTS) | {"preset": "modern"} | _MPI_SHOWN,
    _WORD_SHOWN,
    schedule=_WORD_SCHEDULE,
    file=_WORD_FILE,
    examples=_WORD_EXAMPLES,
)
def word_nplm(**given: Any) -> None:
    """Train a network over words, with a vocabulary of thousands.

    It is the neural probabilistic language model of Bengio et al. (2003) on running text.
    """
    if _resumed(given):
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
    with ranks(args.mpi) as comm, nullcontext() if comm.rank else made_folder(args.out):
        from ..models import WordNPLM
        from ..models.nplm.presets import init_for

        parts = _read_words(args)
        settings = _word_settings(args, len(parts.train))
        shape: dict[str, Any] = {
            "tie_weights": args.preset == "modern",
            "init": init_for(settings["optimizer"]),
            **chosen(args, "context_length embedding_dim hidden_dim direct tie_weights init seed"),
        }
        # `fit` draws the parameters for this vocabulary: of a sharded one those of each rank.
        model, vocab = WordNPLM(**shape), parts.train.vocab
        show("model", repr(WordNPLM._of(vocab, model._shape_for(len(vocab)), {})))
        model.note = {"run": parts.how}
        settings |= on_ranks(given, comm)
        train(partial(model.fit, checkpoint=args.out, **settings), parts, args.out, comm)


def _read_words(args: Any) -> Parts:
    """Read a text, choose its vocabulary, cut it, and show what was read."""
    from ..text import read_words

    text = _text_to_keep(args, words=True)
    whole = read_words(
        text.source,
        train=1.0 - args.dev_fraction - args.test_fraction,
        eos=None if args.eos == "none" else args.eos,
        **chosen(args, "vocab_size min_count tokenizer"),
    )
    parts = cut_words(text, whole, args.dev_fraction, args.test_fraction)
    show("text", text.name)
    cut = f"{len(parts.train):,} train, {len(parts.dev):,} dev, {len(parts.test):,} test"
    show("tokens", f"{len(whole):,}: {cut}")
    types = "" if whole.types is None else f" of {whole.types:,} different tokens"
    unknown = f"{whole.unk_rate:.1%} of the text is {whole.vocab.unk_token}"
    show("vocabulary", f"|V| = {len(whole.vocab):,}{types}; {unknown}")
    return parts


def _word_settings(args: Any, tokens: int) -> dict[str, Any]:
    """Return the settings of the preset, with those that were asked for in their place."""
    from ..models.nplm import presets
    from ..models.nplm.run import steps_of

    batch_size = min(args.batch_size, tokens)
    if args.steps is not None:
        args.epochs = args.steps / steps_of(tokens, 1, batch_size)
    preset = presets.paper if args.preset == "paper" else partial(presets.modern, tokens)
    settings = preset(batch_size=batch_size, **chosen(args, "epochs lr schedule"))
    # The defaults of fit are meant for the modern preset.
    return {"dropout": 0.0} | settings | chosen(args, f"weight_decay dropout patience {_FIT}")


for _command in (bigram, ngram, neural_bigram, nplm, word_nplm):
    command.add_command(_command)


def _text_to_keep(args: Any, *, words: bool = False) -> Text:
    """Return the text to train on; standard input is kept in the folder of the run."""
    return keep_input(args.out) if args.file == "-" else text_of(args.file, words=words)


def _resumed(given: dict[str, Any]) -> bool:
    """Go on with a run if that is what was asked for; otherwise see that there is a folder."""
    ctx = click.get_current_context()
    above = ctx.parent.params.get("resume") if ctx.parent else None
    place: Path | None = given.pop("resume") or above
    require(
        not (given["mpi"] and given["file"] == "-"),
        "FILE: not standard input with --mpi, as one rank alone can read it",
    )
    require(given["mpi"] or given["mpi_output"] == "whole", "--mpi-output sharded: only with --mpi")
    require(
        given["mpi_output"] == "whole" or given["mpi_reduction"] == "exact",
        "--mpi-output sharded: not with --mpi-reduction fast, which needs all of the output layer",
    )
    if place is None:
        require(given["out"] is not None, "missing option -o/--out, the folder for the model")
        return False
    typed = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    for parameter in ctx.command.params:
        is_option = isinstance(parameter, click.Option)
        written = parameter.opts[-1] if is_option else parameter.make_metavar(ctx)
        require(
            parameter.name not in given
            or parameter.name in ("mpi", "mpi_reduction", "mpi_output")
            or ctx.get_parameter_source(parameter.name) not in typed,
            f"{written}: not with --resume, which goes on with the text and the settings of its"
            " folder",
        )
    resume_run(place, given)
    return True
