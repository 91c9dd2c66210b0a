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

from . import _fork as _fork  # registers what happens before a fork

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import (
        base,
        checkpoint,
        datasets,
        debug,
        distributed,
        engine,
        models,
        nn,
        optim,
        plots,
        sampling,
        text,
        training,
        viz,
    )
    from ._core import InternalError, __version__
    from ._jit import Jit, JitError, JitWarning, jit, pick, take
    from ._threads import get_num_threads, set_num_threads
    from .base import NotFittedError
    from .debug import AnomalyError, GradcheckError, detect_anomaly, gradcheck
    from .engine import Value
    from .models import (
        NPLM,
        BigramModel,
        InterpolatedTrigram,
        KneserNey,
        Mixture,
        NeuralBigram,
        NgramCounts,
        NgramModel,
        WordNPLM,
        load,
    )
    from .nn import MLP, Layer, Module, Neuron
    from .optim import SGD, Adam, AdamW
    from .text import Vocab, WordVocab
    from .training import DivergedError

__all__ = [
    "MLP",
    "NPLM",
    "SGD",
    "Adam",
    "AdamW",
    "AnomalyError",
    "BigramModel",
    "DivergedError",
    "GradcheckError",
    "InternalError",
    "InterpolatedTrigram",
    "Jit",
    "JitError",
    "JitWarning",
    "KneserNey",
    "Layer",
    "Mixture",
    "Module",
    "NeuralBigram",
    "Neuron",
    "NgramCounts",
    "NgramModel",
    "NotFittedError",
    "Value",
    "Vocab",
    "WordNPLM",
    "WordVocab",
    "__version__",
    "base",
    "checkpoint",
    "datasets",
    "debug",
    "detect_anomaly",
    "distributed",
    "engine",
    "get_num_threads",
    "gradcheck",
    "jit",
    "load",
    "models",
    "nn",
    "optim",
    "pick",
    "plots",
    "sampling",
    "set_num_threads",
    "take",
    "text",
    "training",
    "viz",
]

_MODULES = (
    "base",
    "checkpoint",
    "datasets",
    "debug",
    "distributed",
    "engine",
    "models",
    "nn",
    "optim",
    "plots",
    "sampling",
    "text",
    "training",
    "viz",
)
_HOMES = {
    "Adam": "optim",
    "AdamW": "optim",
    "AnomalyError": "debug",
    "BigramModel": "models",
    "DivergedError": "training",
    "GradcheckError": "debug",
    "InternalError": "_core",
    "InterpolatedTrigram": "models",
    "Jit": "_jit",
    "JitError": "_jit",
    "JitWarning": "_jit",
    "KneserNey": "models",
    "Layer": "nn",
    "MLP": "nn",
    "Mixture": "models",
    "Module": "nn",
    "NPLM": "models",
    "NeuralBigram": "models",
    "Neuron": "nn",
    "NgramCounts": "models",
    "NgramModel": "models",
    "NotFittedError": "base",
    "SGD": "optim",
    "Value": "engine",
    "Vocab": "text",
    "WordNPLM": "models",
    "WordVocab": "text",
    "__version__": "_core",
    "detect_anomaly": "debug",
    "get_num_threads": "_threads",
    "gradcheck": "debug",
    "jit": "_jit",
    "load": "models",
    "pick": "_jit",
    "set_num_threads": "_threads",
    "take": "_jit",
}
# Names as they are called elsewhere, and here.
_MEANT = {
    "BigramCounts": "NgramCounts",
    "Bigram": "BigramModel",
    "NGram": "NgramModel",
    "Ngram": "NgramModel",
    "NGramModel": "NgramModel",
    "Trigram": "NgramModel(order=3)",
    "KneserNeyInterpolated": "KneserNey",
    "mix": "Mixture",
    "bigram_counts": "NgramCounts",
    "count_bigrams": "NgramCounts",
    "count_matrix": "NgramCounts(...).N",
    "ngrams": "NgramCounts",
    "build_vocab": "Vocab.from_texts",
    "build_dataset": "fastgrad.text.build_dataset",
    "make_bigrams": "fastgrad.text.build_dataset",
    "read_lines": "fastgrad.text.read_lines",
    "read_words": "fastgrad.text.read_words",
    "tokenize": "fastgrad.text.read_words",
    "split": "fastgrad.text.split",
    "random_split": "fastgrad.text.split",
    "train_test_split": "fastgrad.text.split",
    "train_val_test_split": "fastgrad.text.split",
    "load_names": "fastgrad.datasets.names",
    "make_moons": "fastgrad.datasets.make_moons",
    "plot_bigrams": "fastgrad.plots.bigram_heatmap",
    "plot_embeddings": "fastgrad.plots.embedding_scatter",
    "plot_loss": "fastgrad.plots.loss_curve",
    "lr_find": "fastgrad.training.lr_find",
    "find_lr": "fastgrad.training.lr_find",
    "sample": "a model's sample, or fastgrad.sampling.sample",
    "save": "a model's save",
    "TrigramModel": "NgramModel(order=3)",
    "autograd": "fastgrad.gradcheck and fastgrad.detect_anomaly",
    "grad_check": "gradcheck",
    "check_grad": "gradcheck",
    "check_gradients": "gradcheck",
    "set_detect_anomaly": "detect_anomaly",
    "anomaly_mode": "detect_anomaly",
    "seed": "random.seed, from which weights are drawn",
    "random": "Python's random",
    "Trainer": "a model's fit",
    "train": "a model's fit",
    "fit": "a model's fit",
    "Tokenizer": "Vocab or WordVocab",
    "CharTokenizer": "Vocab",
    "Vocabulary": "Vocab",
    "NNBigram": "NeuralBigram",
    "NeuralProbabilisticLanguageModel": "NPLM",
    "MLPLanguageModel": "NPLM",
    "MLE": "NgramModel(smoothing=0)",
    "Laplace": "NgramModel(smoothing=1)",
    "Lidstone": "NgramModel, with smoothing",
    "bigrams": "NgramCounts",
    "FreqDist": "NgramCounts",
    "ConditionalFreqDist": "NgramCounts",
    "Interpolated": "InterpolatedTrigram",
    "Ensemble": "Mixture",
    "bigram": "BigramModel",
    "gradient_check": "gradcheck",
    "set_threads": "set_num_threads",
    "lm": "fastgrad.models",
    "grad": "backward(), then grad of each Value; of a batch, fastgrad.jit's value_and_grad",
    "value_and_grad": "jit(function).value_and_grad",
    "compile": "jit",
    "njit": "jit",
    "vmap": "jit(function).value_and_grad, which takes a batch",
    "pmap": "jit(function).value_and_grad, which takes a batch",
    "trace": "jit",
    "make_jaxpr": "jit(function).program",
    "checkify": "jit(function, check=True)",
    "stop_gradient": "the data of Values: v.data is a number without gradient",
    "cond": "an if on data under jit; fastgrad.pick where both ways are Values",
    "where": "an if on data under jit; fastgrad.pick where both ways are Values",
    "scan": "a loop, which jit records unrolled",
    "gather": "take or pick",
    "index_select": "take",
    "tensor": "Value",
    "Tensor": "Value",
    "manual_seed": "random.seed, from which weights are drawn",
    "no_grad": "the data of Values: v.data is a plain float",
    "words": "fastgrad.text",
    "reproduce": "benches/paper_table of the repository",
    "draw_dot": "fastgrad.viz.draw_dot",
    "draw": "fastgrad.viz.draw",
    "names": "fastgrad.datasets.names",
}

# Hidden from type checkers, which would otherwise accept any misspelt name.
if not TYPE_CHECKING:

    def __getattr__(name):
        """Load a public name when it is first asked for, and keep it."""
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            from ._hints import renamed

            return renamed(__name__, _MEANT)(name)
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Return every public name, loaded yet or not."""
    return sorted({*globals(), *__all__})
