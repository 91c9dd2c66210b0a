"""Options that several commands have, their types, and hints for words from elsewhere."""

from __future__ import annotations

import math
from difflib import get_close_matches
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._defaults import CHARACTERS
from .._hints import right_name

if TYPE_CHECKING:
    from collections.abc import Callable

    # What click's decorators make of a function: a function, or a command.
    Decorator = Callable[[Any], Any]

# What commands and options are called elsewhere, or were called before.
_COMMANDS = {
    "generate": "sample",
    "evaluate": "eval",
    "test": "eval",
    "draw": "plot",
    "fit": "train",
    "find-rate": "lr-find",
    "trigram": "ngram",
    "neural": "neural-bigram",
    "mlp": "nplm",
    "word": "word-nplm",
    "words": "word-nplm",
}
_OPTIONS = {
    "against": "compare_to",
    "dev": "dev_fraction",
    "features": "embedding_dim",
    "keep_repeats_together": "group_duplicates",
    "out_dir": "out",
    "output": "out",
    "test": "test_fraction",
}
_AS_COMMANDS = {
    "find_rate": "fastgrad lr-find",
    "lr_find": "fastgrad lr-find",
    "level": "fastgrad train word-nplm",
    "neural": "fastgrad train neural-bigram",
    "order": "fastgrad train ngram",
}


class Commands(click.Group):
    """A group of commands that names the right one for a word from elsewhere."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; raise an error that names the one that was meant."""
        name = args[0]
        if name in self.commands or name.startswith("-"):
            return super().resolve_command(ctx, args)
        close = [_COMMANDS.get(name), *get_close_matches(name, self.commands, n=1)]
        meant = next((word for word in close if word in self.commands), None)
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(self.commands)}"
        raise click.UsageError(f"no command {name!r}; {hint}", ctx)


def hint_for(error: click.NoSuchOption) -> str:
    """Return what to type instead of an option that a command does not have."""
    name = error.option_name.lstrip("-").replace("-", "_")
    known = {} if error.ctx is None else {p.name: p.opts[-1] for p in error.ctx.command.params}
    names = [name for name in known if name is not None]
    if (meant := right_name(name, names, _OPTIONS)) in known:
        return f"did you mean {known[meant]}?"
    return f"there is `{_AS_COMMANDS[name]}`" if name in _AS_COMMANDS else ""


def given_options(ctx: click.Context) -> list[str]:
    """Return how the options that were typed are written."""
    typed = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)
    return [
        parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.make_metavar(ctx)
        for parameter in ctx.command.params
        if parameter.name is not None and ctx.get_parameter_source(parameter.name) in typed
    ]


def examples(text: str) -> str:
    r"""Return an epilog whose lines click leaves as they are."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in text.strip().split("\n\n"))


class Number(click.FloatRange):
    """A finite number in a range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number; nan is in no range, though it is not outside of one."""
        read: float = super().convert(value, param, ctx)
        if not math.isfinite(read):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return read


class FileName(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - older click has none
    """The name of a file or a folder; an empty one is most often an unset variable."""

    name = "file"
    kind: Callable[[Any], Any] = str

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty name."""
        if not str(value):
            self.fail("the name is empty", param, ctx)
        return self.kind(value)


class PlaceName(FileName):
    """A `FileName` that is read as a path."""

    kind = Path


def _whole(help: str, least: int = 1, most: int | None = None) -> dict[str, Any]:
    return {"help": help, "type": click.IntRange(least, most), "metavar": "N"}


def _number(help: str, most: float | None = None, **ends: bool) -> dict[str, Any]:
    return {"help": help, "type": Number(0, most, **ends), "metavar": "X"}


def _choice(help: str, *choices: str) -> dict[str, Any]:
    return {"help": help, "type": click.Choice(choices)}


def _name(help: str, metavar: str = "DIR", kind: FileName | None = None) -> dict[str, Any]:
    return {"help": help, "type": kind or PlaceName(), "metavar": metavar}


_above = partial(_number, min_open=True)
_fraction = partial(_number, most=1.0, max_open=True)

_OUT = (
    "Folder to write to, made where it is missing. A model.safetensors that was there is kept as"
    " model.safetensors.previous."
)
# Every option of several commands, and of those that have many.
_TABLE: dict[str, dict[str, Any]] = {
    "out": _name(_OUT),
    "resume": _name("Go on with an interrupted run, to the same result; takes no other option."),
    "order": _whole("2 for bigrams, 3 for trigrams.", 2, 3),
    "smoothing": _number("Added to every count, so that nothing is impossible."),
    "l2": _number("Weight of the mean squared weight in the loss, which smooths."),
    "context-length": _whole("Tokens before the next one that the network looks at."),
    "embedding-dim": _whole("Dimensions of a token's embedding."),
    "hidden-dim": _whole("Hidden units."),
    "direct": {"help": "Connect embeddings and output directly too.", "is_flag": True},
    "init": _choice(
        "Initial weights: scaled to their inputs, standard normal as in the lecture, or small.",
        *("scaled", "normal", "small"),
    ),
    "steps": _whole("Steps of training, each on a mini-batch."),
    "epochs": _above("Passes over the text."),
    "batch-size": _whole("Examples a step."),
    "lr": _above("Learning rate."),
    "schedule": _choice(
        "How the learning rate falls: to 0 along a curve or a line, not at all, or as in the"
        " makemore lecture to a tenth half-way.",
        *("cosine", "linear", "constant", "makemore"),
    ),
    "optimizer": _choice("How weights are updated.", "adamw", "momentum", "sgd"),
    "weight-decay": _number("Weight decay of all weights but the biases."),
    "dropout": _fraction("Share of embeddings and hidden units that are dropped."),
    "patience": _whole("Stop after N evaluations without a new best."),
    "split": _choice(
        "How 80 % of the items are chosen to train on, and 10 % to measure (dev): by --seed, as in"
        " the makemore lecture, or all to train on.",
        *("random", "makemore", "none"),
    ),
    "group-duplicates": {
        "help": "Keep all copies of an item in one part of the random split, so that none is both"
        " trained on and measured.",
        "is_flag": True,
    },
    "seed": _whole("Seed of all that is random; the same on every machine.", 0, 2**64 - 1),
    "threads": _whole("Number of threads; the result is the same for any."),
    "tokenizer": _choice("Cut words from punctuation, or at whitespace.", "simple", "space"),
    "eos": _choice(
        "What has an end-of-sequence token at its end, where samples end too.",
        *("paragraph", "line", "none"),
    ),
    "vocab-size": _whole("Tokens of the vocabulary; other words are <unk>.", 2),
    "min-count": _whole("How often a word of the vocabulary must occur."),
    "dev-fraction": _fraction("Share of the text that is measured in training.", min_open=True),
    "test-fraction": _fraction("Share of the text that is left alone.", min_open=True),
    "preset": _choice(
        "Where nothing else is asked for: AdamW, warm-up, a cosine and dropout; or plain SGD and"
        " early stopping, as in the paper.",
        *("modern", "paper"),
    ),
    "min-lr": _above("The first learning rate."),
    "max-lr": _above("The last learning rate."),
    "n": _whole("Number of samples.", 0),
    "prompt": {"help": "How each sample begins.", "metavar": "TEXT"},
    "temperature": _number("Below 1 is more conservative, above 1 more random, 0 is greedy."),
    "top-k": _whole("Draw from the N likeliest tokens only."),
    "top-p": _above("Draw from the likeliest tokens of this probability together.", 1.0),
    "max-length": _whole("Cut samples to N tokens."),
    "compare-to": _name("Text to look the samples up in.", "FILE", FileName()),
}
NETWORK = "context-length embedding-dim hidden-dim direct init "
# What training over characters and `lr-find` have.
TRAINING = "batch-size optimizer weight-decay split group-duplicates seed threads "
CHARACTERS_SHOWN = {
    "batch_size": f"{CHARACTERS.batch_size}, all where there are fewer",
    "lr": f"{CHARACTERS.lr} with adamw, else {CHARACTERS.sgd_lr}",
    "weight_decay": f"{CHARACTERS.weight_decay} with adamw, else 0",
}


def options(
    names: str,
    defaults: dict[str, Any] | None = None,
    shown: dict[str, str] | None = None,
    required: str = "",
) -> Decorator:
    """Declare options of the table, with their defaults.

    `shown` is what the help says of options that are None where they are not given; `required` are
    those that must be.
    """
    defaults, shown = defaults or {}, {"threads": "all cores"} | (shown or {})

    def declare(command: Any, name: str) -> Any:
        field = name.replace("-", "_")
        more: dict[str, Any] = _TABLE[name] | {"required": name in required.split()}
        if field in shown:
            more["show_default"] = shown[field]
        elif field in defaults:
            more["default"] = defaults[field]
        flags = {"out": ("-o", "--out"), "n": ("-n",)}.get(name, (f"--{name}",))
        return click.option(*flags, **more)(command)

    return lambda command: reduce(declare, reversed(names.split()), command)


def file_argument() -> Decorator:
    """Declare the argument that names a text."""
    return click.argument("file", required=False, type=FileName())


def model_argument() -> Decorator:
    """Declare the argument that names a model."""
    return click.argument("model", metavar="DIR", type=PlaceName())
