"""fastgrad: micrograd at native speed, with the same classes under the same names.

A program written for micrograd changes two imports and nothing else:

    from fastgrad.engine import Value
    from fastgrad.nn import MLP

The names below are here as well, each loaded when it is first used, so that `import fastgrad`
costs next to nothing and numpy is only imported by those who need it.

>>> import fastgrad
>>> a = fastgrad.Value(3.0)
>>> (a * a + 1.0).backward()
>>> a.grad
6.0
"""

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import (
        checkpoint,
        datasets,
        draw,
        engine,
        models,
        nn,
        optim,
        plots,
        sampling,
        text,
        training,
        words,
    )
    from ._core import InternalError, __version__
    from .engine import Value
    from .models import NPLM, BigramCounts, BigramModel, NeuralBigram, load
    from .nn import MLP, Layer, Module, Neuron
    from .optim import SGD, Adam, AdamW
    from .text import Vocab

__all__ = [
    "MLP",
    "NPLM",
    "SGD",
    "Adam",
    "AdamW",
    "BigramCounts",
    "BigramModel",
    "InternalError",
    "Layer",
    "Module",
    "NeuralBigram",
    "Neuron",
    "Value",
    "Vocab",
    "__version__",
    "checkpoint",
    "datasets",
    "draw",
    "engine",
    "load",
    "models",
    "nn",
    "optim",
    "plots",
    "sampling",
    "text",
    "training",
    "words",
]

_MODULES = (
    "checkpoint",
    "datasets",
    "draw",
    "engine",
    "models",
    "nn",
    "optim",
    "plots",
    "sampling",
    "text",
    "training",
    "words",
)
_HOMES = {
    "MLP": "nn",
    "NPLM": "models",
    "SGD": "optim",
    "Adam": "optim",
    "AdamW": "optim",
    "BigramCounts": "models",
    "BigramModel": "models",
    "InternalError": "_core",
    "Layer": "nn",
    "Module": "nn",
    "NeuralBigram": "models",
    "Neuron": "nn",
    "Value": "engine",
    "Vocab": "text",
    "__version__": "_core",
    "load": "models",
}

# Hidden from type checkers, which would otherwise accept any misspelt name.
if not TYPE_CHECKING:

    def __getattr__(name):
        """Load a public name when it is first asked for, and keep it."""
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Every public name, loaded yet or not."""
    return sorted({*globals(), *__all__})
