"""Commands and their options: one table of these, their types, and hints for other words."""

from __future__ import annotations

import math
from difflib import get_close_matches
from functools import partial, wraps
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._hints import COMMANDS, OPTIONS, OPTIONS_AS_COMMANDS, right_name

if TYPE_CHECKING:
    from collections.abc import Callable


class Commands(click.Group):
    """A group of commands that names the right one for a word from elsewhere."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; raise an error that names the one that was meant."""
        name = args[0]
        if name in self.commands or name.startswith("-"):
            return super().resolve_command(ctx, args)
        close = [COMMANDS.get(name), *get_close_matches(name, self.commands, n=1)]
        meant = next((word for word in close if word in self.commands), None)
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(self.commands)}"
        raise click.UsageError(f"no command {name!r}; {hint}", ctx)


class Command(click.Command):
    """A command whose usage errors all know which command they are of."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments; an error of click's parser alone would name no command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = ctx
            raise


def hint_for(error: click.NoSuchOption) -> str:
    """Return what to type instead of an option that a command does not have."""
    name = error.option_name.lstrip("-").replace("-", "_")
    known = {p.name or "": p.opts[-1] for p in error.ctx.command.params} if error.ctx else {}
    if (meant := right_name(name, known, OPTIONS)) in known:
        return f"; did you mean {known[meant]}?"
    instead = OPTIONS_AS_COMMANDS.get(name)
    return "" if instead is None else f"; there is `fastgrad {instead}`"


def require(holds: bool, message: str) -> None:
    """Raise a usage error unless what a command needs holds."""
    if not holds:
        raise click.UsageError(message)


def chosen(args: Any, names: str) -> dict[str, Any]:
    """Return those of the named options that have a value."""
    return {name: getattr(args, name) for name in names.split() if getattr(args, name) is not None}


class Number(click.FloatRange):
    """A finite number in a range."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number; nan is in no range, though it is not outside of one."""
        read: float = super().convert(value, param, ctx)
        if not math.isfinite(read):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return read


class Name(click.Path):
    """The name of a file or a folder; an empty one is most often an unset variable."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty name."""
        if not str(value):
            self.fail("the name is empty", param, ctx)
        return super().convert(value, param, ctx)


_PLACE = Name(path_type=Path)


def _flag(help: str) -> dict[str, Any]:
    return {"help": help, "is_flag": True}


def _whole(help: str, least: int = 1, most: int | None = None) -> dict[str, Any]:
    return {"help": help, "type": click.IntRange(least, most), "metavar": "N"}


def _number(help: str, most: float | None = None, **ends: bool) -> dict[str, Any]:
    return {"help": help, "type": Number(0, most, **ends), "metavar": "X"}


def _choice(choices: str, help: str) -> dict[str, Any]:
    return {"help": help, "type": click.Choice(choices.split())}


def _name(metavar: str, help: str) -> dict[str, Any]:
    return {"help": help, "type": _PLACE if metavar == "DIR" else Name(), "metavar": metavar}


_above = partial(_number, min_open=True)
_share = partial(_number, most=1.0, max_open=True)

# Every option of the commands.
_TABLE: dict[str, dict[str, Any]] = {
    "out": _name(
        "DIR", "Folder to write to, made if missing; the model before is kept as *.previous."
    ),
    "resume": _name("DIR", "Go on with an interrupted run, to the same result; no other option."),
    "order": _whole("2 for bigrams, 3 for trigrams.", 2, 3),
    "smoothing": _number("Added to every count, so that nothing is impossible."),
    "l2": _number("Weight of the mean squared weight in the loss, which smooths."),
    "context-length": _whole("Tokens before the next one that the network looks at."),
    "embedding-dim": _whole("Dimensions of a token's embedding."),
    "hidden-dim": _whole("Hidden units."),
    "direct": _flag("Connect embeddings and output directly too."),
    "tie-weights/--no-tie-weights": _flag("Use the embeddings for the output as well.")
    | {"default": None},
    "init": _choice(
        "scaled normal small", "Initial weights: by fan-in, standard normal (the lecture), small."
    ),
    "steps": _whole("Steps of training, each on a mini-batch."),
    "epochs": _above("Passes over the text."),
    "batch-size": _whole("Examples a step."),
    "lr": _above("Learning rate."),
    "schedule": _choice(
        "cosine linear constant makemore",
        "How the learning rate falls: to 0, not at all, or to a tenth half-way (the lecture).",
    ),
    "optimizer": _choice("adamw momentum sgd", "How weights are updated."),
    "weight-decay": _number("Weight decay of all weights but the biases."),
    "dropout": _share("Share of embeddings and hidden units that are dropped."),
    "patience": _whole("Stop after N evaluations without a new best."),
    "split": _choice(
        "random makemore none",
        "How 80 % of the items are chosen to train on, and 10 % to measure (dev): by --seed, as in"
        " the makemore lecture, or all to train on.",
    ),
    "group-duplicates": _flag("Keep all copies of an item in one part of the random split."),
    "seed": _whole("Seed of all that is random; the same on every machine.", 0, 2**64 - 1),
    "mpi": _flag("Share the work out between the processes that mpiexec has started."),
    "mpi-reduction": _choice(
        "exact fast", "With --mpi: the bits of one process, or gradients added up in any order."
    ),
    "mpi-output": _choice(
        "whole sharded",
        "With --mpi: all of the output layer on each process, or a part of its words; for a"
        " vocabulary too large for one machine.",
    ),
    "threads": _whole("Number of threads; the result is the same for any."),
    "tokenizer": _choice("simple space", "Cut words from punctuation, or at whitespace."),
    "eos": _choice("paragraph line none", "What an end-of-sequence token ends; samples end there."),
    "vocab-size": _whole("Tokens of the vocabulary; other words are <unk>.", 2),
    "min-count": _whole("How often a word of the vocabulary must occur."),
    "dev-fraction": _share("Share of the text that is measured in training.", min_open=True),
    "test-fraction": _share("Share of the text that is left alone.", min_open=True),
    "preset": _choice(
        "modern paper",
        "Where nothing else is asked for: AdamW, warm-up, a cosine and dropout; or plain SGD and"
        " early stopping, as in the paper.",
    ),
    "min-lr": _above("The first learning rate."),
    "max-lr": _above("The last learning rate."),
    "n": _whole("Number of samples.", 0),
    "prompt": {"help": "How each sample begins.", "metavar": "TEXT"},
    "temperature": _number("Below 1 is more conservative, above 1 more random, 0 is greedy."),
    "top-k": _whole("Draw from the N likeliest tokens only."),
    "top-p": _above("Draw from the likeliest tokens of this probability together.", 1.0),
    "max-length": _whole("Cut samples to N tokens."),
    "compare-to": _name("FILE", "Text to look the samples up in."),
}
_FLAGS = {"out": ("-o", "--out"), "n": ("-n",)}
# Help of the argument DIR.
MODEL = "DIR is a folder that `fastgrad train` wrote, or a model's file."


def option(name: str, default: Any = None, shown: str = "", **changes: Any) -> click.Option:
    """Return an option of the table.

    Where its default is None, `shown` is what the help says of that.
    """
    known = {"show_default": shown} if shown else {} if default is None else {"default": default}
    settings: dict[str, Any] = known | _TABLE[name] | changes
    return click.Option(_FLAGS.get(name, (f"--{name}",)), **settings)


def as_command(
    name: str,
    options: str,
    defaults: dict[str, Any] | None = None,
    shown: dict[str, str] | None = None,
    *,
    model: str = "",
    file: str = "",
    files: str = "",
    examples: str,
    **changes: dict[str, Any],
) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a command of a function, with options of the table.

    `model`, `file` and `files` are what the help says of the arguments DIR, FILE and several FILEs,
    which the command has if they are given; `changes` are of single options.
    """
    params: list[click.Parameter] = []
    if model:
        params.append(click.Argument(("model",), metavar="DIR", type=_PLACE))
    if file:
        params.append(click.Argument(("file",), required=False, type=Name()))
    if files:
        params.append(click.Argument(("files",), nargs=-1, metavar="[FILE]...", type=Name()))
    defaults, shown = defaults or {}, {"threads": "all cores"} | (shown or {})
    for word in options.split():
        field = word.split("/")[0].replace("-", "_")
        default, words = defaults.get(field), shown.get(field, "")
        more = changes.get(field, {})
        params.append(option(word, None if words else default, words, **more))

    def decorate(function: Callable[..., None]) -> click.Command:
        arguments = " ".join([model, file, files]).strip()
        help = "\n\n".join([cleandoc(function.__doc__ or ""), arguments])
        made = tells_what_was_saved(function)
        return Command(name, callback=made, params=params, help=help, epilog=epilog(examples))

    return decorate


def epilog(text: str) -> str:
    r"""Return an epilog whose lines click leaves as they are."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in text.strip().split("\n\n"))


def tells_what_was_saved(function: Callable[..., None]) -> Callable[..., None]:
    """Have a command say on Ctrl-C what it has saved of the model that its arguments name."""

    @wraps(function)
    def told(**given: Any) -> None:
        ctx = click.get_current_context()
        above = ctx.parent.params if ctx.parent else {}
        places = (given.get("model"), given.get("resume"), above.get("resume"), given.get("out"))
        place: Path | None = next(filter(None, places), None)
        before = _stamp(place)
        try:
            function(**given)
        except KeyboardInterrupt as stop:
            after = _stamp(place)
            # Of an `Interrupted`, whose module need not be loaded for this.
            done = getattr(stop, "done", "interrupted")
            if getattr(stop, "saved", False):
                left = f", which are saved: `fastgrad train --resume {place}`"
            elif after != before:
                left = f"; the model is saved in {place}"
            else:
                left = "; nothing was saved"
                left += f", the model in {place} is as before" if after else ""
            raise KeyboardInterrupt(done + left) from None

    return told


def _stamp(place: Path | None) -> tuple[int, int] | None:
    """Return what changes whenever a model is saved; None where there is none."""
    if place is None:
        return None
    try:
        found = (place / "model.safetensors" if place.is_dir() else place).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
