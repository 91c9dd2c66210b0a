"""Errors that name the right word, for words that other libraries and the lectures use."""

from __future__ import annotations

from types import MethodType

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = [
    "Elsewhere",
    "HintedType",
    "hint_names",
    "needs",
    "no_attribute",
    "renamed",
    "right_name",
]

# Arguments as they are called elsewhere, and here.
_ARGUMENTS = {
    "context": "context_length",
    "context_size": "context_length",
    "block_size": "context_length",
    "window": "context_length",
    "n_gram": "order",
    "n": "order",
    "ngram": "order",
    "embedding": "embedding_dim",
    "embedding_size": "embedding_dim",
    "emb_dim": "embedding_dim",
    "embed_dim": "embedding_dim",
    "n_embd": "embedding_dim",
    "n_emb": "embedding_dim",
    "n_embed": "embedding_dim",
    "embed_size": "embedding_dim",
    "m": "embedding_dim",
    "d_model": "embedding_dim",
    "hidden": "hidden_dim",
    "hidden_size": "hidden_dim",
    "n_hidden": "hidden_dim",
    "h": "hidden_dim",
    "hidden_units": "hidden_dim",
    "tied": "tie_weights",
    "weight_tying": "tie_weights",
    "batch": "batch_size",
    "batchsize": "batch_size",
    "rate": "lr",
    "learning_rate": "lr",
    "max_steps": "steps",
    "n_steps": "steps",
    "num_steps": "steps",
    "iterations": "steps",
    "iters": "steps",
    "num_iter": "steps",
    "n_iters": "steps",
    "n_iter": "steps",
    "max_iter": "steps",
    "max_iters": "steps",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "validation_data": "dev",
    "eval_set": "dev",
    "eval_every": "evaluate_every",
    "eval_interval": "evaluate_every",
    "scheduler": "lr",
    "lr_scheduler": "lr",
    "lr_schedule": "lr",
    "schedule": "lr",
    "x_val": "dev",
    "verbose": "progress",
    "show_progress": "progress",
    "penalty": "l2",
    "reg": "l2",
    "regularization": "l2",
    "regularisation": "l2",
    "lambda_": "l2",
    "wd": "weight_decay",
    "alpha": "smoothing",
    "k": "smoothing",
    "laplace": "smoothing",
    "add_k": "smoothing",
    "rng": "seed",
    "random_state": "seed",
    "generator": "seed",
    "num_samples": "n",
    "n_samples": "n",
    "count": "n",
    "num": "n",
    "p": "top_p",
    "min_freq": "min_count",
    "max_tokens": "max_length",
    "test_size": "fractions",
    "source": "texts",
    "data": "texts",
    "corpus": "texts",
    "x": "train",
    "x_train": "train",
    "train_data": "train",
    "gamma": "smoothing",
    "lambdas": "weights",
    "max_new_tokens": "max_length",
    "max_len": "max_length",
    "t": "temperature",
    "temp": "temperature",
    "start": "prompt",
    "prefix": "prompt",
    "early_stopping": "patience",
    "early_stopping_patience": "patience",
    "n_jobs": "threads",
    "num_workers": "threads",
    "num_threads": "threads",
    "max_size": "vocab_size",
    "max_vocab": "vocab_size",
    "vocab_size": "vocab",
    "num_classes": "vocab",
    "marks": "eos",
    "rare": "unk_token",
    "unk": "unk_token",
    "mark": "eos_token",
    "device": "threads",
    "nonlinearity": "activation",
    "act": "activation",
    "nonlin": "activation",
}
# Commands, and options of commands, as they are called elsewhere or were called before.
COMMANDS = {
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
OPTIONS = {
    "against": "compare_to",
    "dev": "dev_fraction",
    "features": "embedding_dim",
    "keep_repeats_together": "group_duplicates",
    "out_dir": "out",
    "output": "out",
    "test": "test_fraction",
}
OPTIONS_AS_COMMANDS = {
    "find_rate": "lr-find",
    "lr_find": "lr-find",
    "level": "train word-nplm",
    "neural": "train neural-bigram",
    "order": "train ngram",
}


def hint_names(**hints: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator with which an unknown keyword's error names the right one.

    `hints` are more words, for this function alone.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        has_self = names[:1] == ("self",)

        @_wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name not in names:
                    called = function.__name__
                    if has_self and args:  # The class that the caller knows, and not a base class.
                        of = type(args[0]).__name__
                        called = of if called == "__init__" else f"{of}.{called}"
                    raise TypeError(_unknown(called, name, names, hints))
            return function(*args, **kwargs)

        if has_self and function.__name__ != "__init__":
            return _Method(checked)  # pyright: ignore[reportReturnType] - callable as a method
        return checked

    return decorate


def needs(how: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator of methods whose error for missing arguments says `how` to get them."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        code = function.__code__
        required = code.co_varnames[: code.co_argcount - len(function.__defaults__ or ())]

        @_wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            missing = [name for name in required[len(args) :] if name not in kwargs]
            if args and missing:
                called = f"{type(args[0]).__name__}.{function.__name__}"
                raise TypeError(f"{called}() needs {' and '.join(missing)}; {how}")
            return function(*args, **kwargs)

        return checked

    return decorate


def _wraps(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a decorator as `functools.wraps`, whose module takes 2 ms to import."""

    def decorate(wrapper: Any) -> Any:
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(wrapper, name, getattr(function, name))
        wrapper.__wrapped__ = function
        return wrapper

    return decorate


class _Method:
    """A method whose error says so where it is called on the class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        _wraps(function)(self)
        self._function = function

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        if instance is not None:
            return MethodType(self._function, instance)

        @_wraps(self._function)
        def on_class(*args: Any, **kwargs: Any) -> Any:
            if not (args and isinstance(args[0], owner)):
                of, name = owner.__name__, self._function.__name__
                raise TypeError(f"{of}.{name} needs an instance: write {of}().{name}(...)")
            return self._function(*args, **kwargs)

        return on_class


def right_name(name: str, names: Iterable[str], hints: Mapping[str, str]) -> str | None:
    """Return the one of some names that is meant by a word from elsewhere; None if none is.

    `hints` are more words, which may say more than a name.
    """
    names = list(names)
    meant = hints.get(name)
    if meant is None and (known := _ARGUMENTS.get(name)) in names:
        meant = known
    if meant is None:
        from difflib import get_close_matches  # Here, since its import takes 5 ms.

        close = get_close_matches(name, names, n=1)
        meant = close[0] if close else None
    return meant


def _unknown(called: str, name: str, names: tuple[str, ...], hints: Mapping[str, str]) -> str:
    """Return the message for a keyword that a function does not know."""
    meant = right_name(name, names, hints)
    hint = "" if meant is None else f"; did you mean {meant}?"
    return f"{called}() has no argument {name[:60]!r}{hint}"


def no_attribute(owner: object, name: str, meant: Mapping[str, str]) -> AttributeError:
    """Return the error for a missing attribute of an object, which names the right one."""
    hint = f"; use {meant[name]}" if name in meant else ""
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}{hint}")


class Elsewhere:
    """A member that a class does not have: its error names the right one.

    `__getattr__` would slow down every attribute of the class.
    """

    def __init__(self, name: str, meant: str) -> None:
        """Keep the name, and what is meant."""
        self.name, self.meant = name, meant

    # Hidden from type checkers, which would otherwise accept the name.
    if not TYPE_CHECKING:

        def __get__(self, instance, owner=None):
            """Raise an error that names the right member."""
            if instance is None:
                return self
            raise no_attribute(instance, self.name, {self.name: self.meant})

    def __repr__(self) -> str:
        """Return the advice in short."""
        return f"<use {self.meant}>"


class HintedType(type):
    """A metaclass of classes whose `_meant` names the right member for one from elsewhere."""

    _meant: Mapping[str, str]

    # Hidden from type checkers, which would otherwise accept any misspelt name.
    if not TYPE_CHECKING:

        def __getattr__(cls, name):
            """Raise an error that names the right member."""
            meant = type.__getattribute__(cls, "_meant")
            hint = f"; use {meant[name]}" if name in meant else ""
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}{hint}")


def renamed(module: str, meant: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__`, whose error names the right word for one from elsewhere."""

    def __getattr__(name: str) -> Any:  # noqa: N807 - a module's
        hint = f"; use {meant[name]}" if name in meant else ""
        raise AttributeError(f"module {module!r} has no attribute {name!r}{hint}")

    return __getattr__
