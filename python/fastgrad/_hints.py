"""Errors that name the right word, for words that other libraries and the lectures use."""

from __future__ import annotations

import difflib
import functools

# What typing.TYPE_CHECKING is, without importing typing; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["hint_names", "no_attribute", "renamed"]

# Arguments as they are called elsewhere, and here.
_ARGUMENTS = {
    "context": "context_length",
    "context_size": "context_length",
    "block_size": "context_length",
    "window": "context_length",
    "n_gram": "order",
    "ngram": "order",
    "embedding": "embedding_dim",
    "embedding_size": "embedding_dim",
    "emb_dim": "embedding_dim",
    "embed_dim": "embedding_dim",
    "n_embd": "embedding_dim",
    "n_emb": "embedding_dim",
    "d_model": "embedding_dim",
    "hidden": "hidden_dim",
    "hidden_size": "hidden_dim",
    "n_hidden": "hidden_dim",
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
    "max_new_tokens": "max_length",
    "max_len": "max_length",
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
    "requires_grad": "grad: every Value has one",
    "nonlinearity": "activation",
    "act": "activation",
    "nonlin": "activation",
}


def hint_names(**hints: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator with which an unknown keyword's error names the right one.

    `hints` are more words, for this function alone.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        called = function.__qualname__.removesuffix(".__init__")
        # A method that is called on its class has something else in the place of self.
        owner = called.rpartition(".")[0] if names[:1] == ("self",) and "." in called else ""

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name not in names:
                    raise TypeError(_unknown(called, name, names, hints))
            if owner and not (args and hasattr(type(args[0]), function.__name__)):
                raise TypeError(f"{called} needs a model: write {owner}().{function.__name__}(...)")
            return function(*args, **kwargs)

        return checked

    return decorate


def _unknown(called: str, name: str, names: tuple[str, ...], hints: Mapping[str, str]) -> str:
    """Returns the message for a keyword that a function does not know."""
    meant = hints.get(name)
    if meant is None and (known := _ARGUMENTS.get(name)) in names:
        meant = known
    if meant is None:
        close = difflib.get_close_matches(name, names, n=1)
        meant = close[0] if close else None
    hint = "" if meant is None else f"; did you mean {meant}?"
    return f"{called}() has no argument {name[:60]!r}{hint}"


def no_attribute(owner: object, name: str, meant: Mapping[str, str]) -> AttributeError:
    """Returns the error for a missing attribute of an object, which names the right one."""
    hint = f"; use {meant[name]}" if name in meant else ""
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}{hint}")


def renamed(module: str, meant: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns a module's `__getattr__`, whose error names the right word for one from elsewhere."""

    def __getattr__(name: str) -> Any:
        hint = f"; use {meant[name]}" if name in meant else ""
        raise AttributeError(f"module {module!r} has no attribute {name!r}{hint}")

    return __getattr__
