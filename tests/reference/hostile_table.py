"""All that is public, with arguments that are right: a row for each function and method.

A name is looked up below `fastgrad`. A value that is a function makes a fresh argument for each
call; others are copied. `self` is the receiver of a method; `options` go where a function takes
`**options`. Arguments that are left out have defaults, and are made wrong all the same.
"""

import copy
import functools
import pathlib

import fastgrad
import numpy as np
from fastgrad import _core, checkpoint, nn, optim, viz
from fastgrad.distributed import SelfComm
from fastgrad.engine import Value
from fastgrad.models import (
    NPLM,
    BigramModel,
    InterpolatedTrigram,
    KneserNey,
    Mixture,
    NeuralBigram,
    NgramCounts,
    NgramModel,
    WordNPLM,
)
from fastgrad.text import Vocab, build_dataset, read_words, write_tokens
from fastgrad.training import LRSweep
from fastgrad.training.learning_rates import plan_lrs
from fastgrad.training.loop import Loop
from fastgrad.training.plan import make_plan
from fastgrad.training.resuming import read_saved

ITEMS = ["ab", "ba", "abc", "cab", "b", "aabb", "ca"]
TEXT = b"the cat sat on the mat\nthe dog sat on the cat\na cat and a dog sat on the mat\n" * 3


def once(make):
    """Make a thing once, and give a copy of its own to each call."""
    first = functools.cache(make)
    return functools.wraps(make)(lambda: copy.deepcopy(first()))


def shared(make):
    """Make a thing once, of which there are no deep copies."""
    first = functools.cache(make)
    return functools.wraps(make)(lambda: copy.copy(first()))


# Things that functions take ----------------------------------------------------------------------


@once
def vocab():
    return Vocab("abc")


@once
def counts():
    return NgramCounts(ITEMS)


@once
def bigram():
    return BigramModel(smoothing=1.0).fit(ITEMS)


@once
def trigram():
    return NgramModel(order=3).fit(ITEMS)


@once
def neural():
    return NeuralBigram().fit(ITEMS, steps=5)


@once
def network():
    return NPLM(Vocab("abc"), context_length=2, embedding_dim=3, hidden_dim=4)


@once
def network_direct():
    return NPLM(
        Vocab("abc"), context_length=2, embedding_dim=4, hidden_dim=4, direct=True, dtype="float64"
    )


@once
def text():
    return read_words(TEXT, eos="line")


@once
def word_vocab():
    return read_words(TEXT, eos="line").vocab


@once
def word_network():
    vocab = read_words(TEXT, eos="line").vocab
    return WordNPLM(vocab, context_length=2, embedding_dim=3, hidden_dim=4)


@shared
def kneser_ney():
    return KneserNey(order=3).fit(read_words(TEXT, eos="line"))


@shared
def interpolated():
    text = read_words(TEXT, eos="line")
    return InterpolatedTrigram().fit(text, text)


def mixture():
    return Mixture([kneser_ney(), interpolated()], [0.25, 0.75])


def mixture_with_network():
    return Mixture([word_network(), kneser_ney()])


@once
def core_counts():
    return _core.count_items(ITEMS, 2)


def kneser_table():
    return _core.KneserNeyTable(ids(), 20, 3, True)


def interpolated_table():
    return _core.InterpolatedTable(ids(), 20)


def ids():
    return np.array(text().ids, dtype=np.uint32) % 20


def contexts():
    return np.array([[0, 1], [2, 3], [1, 0], [3, 3]], dtype=np.uint32)


def short_contexts():
    return np.array([[0], [2], [1], [3]], dtype=np.uint32)


def examples():
    return build_dataset(ITEMS, Vocab("abc"), 2)


def characters():
    return np.array([0, 1, 2, 0, 3, 3, 0], dtype=np.uint32)


def reader():
    return _core.WordReader("a text")


def reader_fed():
    made = _core.WordReader("a text", "simple", "line")
    made.feed(TEXT)
    return made


def reader_ended():
    made = reader_fed()
    made.end()
    return made


def token_file():
    write_tokens(TEXT, "opened.npy")
    return "opened.npy"


def type_counts():
    return np.arange(reader_ended().types + 1, dtype=np.uint64)


def alone():
    comm = SelfComm()
    comm.send(np.ones(2), 0)
    return comm


def run():
    return network()._start(ITEMS, ITEMS, batch_size=4, optimizer="adamw")


def adam_run():
    return network_direct()._start(ITEMS, None, batch_size=4, optimizer="momentum", dropout=0.2)


def word_run():
    return word_network()._start(text(), text(), batch_size=4)


def rates():
    return np.full(3, 0.1)


def plan():
    return make_plan(steps=4, lr=0.1, evaluate_every=2)


def loop():
    return Loop(run(), plan())


@once
def trained():
    model = network()
    model.fit(ITEMS, ITEMS, steps=4, lr=0.1, batch_size=4, evaluate_every=2)
    return model


def history():
    return trained().history


def sweep():
    return LRSweep(np.array([0.1, 0.2, 0.3, 0.4]), np.array([2.0, 1.5, 1.0, 1.2]))


def pieces():
    return plan_lrs([(0, 0.1), (2, 0.01)], 4)


def parameters():
    rng = np.random.default_rng(0)
    shapes = {"C": (4, 3), "H": (5, 6), "d": (5,), "U": (4, 5), "b": (4,)}
    return {name: rng.normal(size=shape) * 0.1 for name, shape in shapes.items()}


def no_state():
    return []


def one_state():
    return [{name: np.zeros_like(p) for name, p in parameters().items()}]


def two_states():
    return [*one_state(), *one_state()]


def core_inputs():
    return np.array([[0, 0], [0, 1], [1, 2], [2, 3], [3, 0]], dtype=np.uint32)


def core_targets():
    return np.array([1, 2, 3, 0, 1], dtype=np.uint32)


def ngram_ids():
    return np.array([[0, 1], [1, 2], [2, 0], [3, 1]], dtype=np.uint32)


def ngram_counts():
    return np.array([3, 2, 5, 1], dtype=np.uint64)


def entry_ids():
    return core_counts().entries()[0]


def entry_counts():
    return core_counts().entries()[1]


def square():
    return np.zeros((4, 4))


def probability_rows():
    return np.full((4, 4), 0.25)


def streams():
    return np.arange(4, dtype=np.uint64)


def sampler():
    return _core.TableSampler(probability_rows(), 1)


def told():
    return lambda *_: None


def values():
    return [Value(1.0), Value(-0.5), Value(2.0)]


def other_values():
    return [Value(0.5), 2.0, Value(0.1)]


def graph():
    a, b = Value(2.0, label="a"), Value(-1.0)
    return (a * b + a.tanh() + 3.0).relu()


def drawing():
    return viz.draw_dot(graph())


def neuron():
    return nn.Neuron(3)


def layer():
    return nn.Layer(3, 2, activation="tanh")


def mlp():
    return nn.MLP(3, [3, 1])


def sgd():
    return optim.SGD(values(), lr=0.1, momentum=0.9)


def adam():
    return optim.Adam(values())


def adamw():
    return optim.AdamW(values(), lr=optim.schedules.cosine(0.1, 0.01, 10))


def momentum():
    return _core.Momentum(values())


def moments():
    return _core.Moments(values())


# The parameters of the jitted function, which an optimizer of it needs.
LINE = [Value(2.0), Value(0.5)]


def linear_loss():
    w, b = LINE
    return lambda x, target: (w * x + b - target) ** 2


def jitted():
    made = fastgrad.jit(linear_loss())
    made(1.0, 2.0)
    return made


def recording():
    return jitted().program._recording


def static(item, name):
    """Read an object as one that belongs to the structure."""
    return "static", item


def core_rows():
    return np.array([[1.0, 2.0], [0.5, 1.0], [2.0, 3.0]])


def tasks():
    return [(recording(), core_rows(), np.array([0, 1], dtype=np.uint32))]


def trained_recorded(rule, second):
    """All arguments of train_recorded: two steps, of an example and of two."""
    return {"tasks": tasks, "rule": lambda: rule, "data": lambda: np.array([2.0, 0.5])} | {
        "gradients": lambda: np.zeros(2),
        "first": lambda: np.zeros(2),
        "second": lambda: np.zeros(second),
        "steps": 3,
        "lrs": lambda: np.full(2, 0.1),
        "order": lambda: np.array([[0, 0], [0, 1], [0, 2]], dtype=np.uint32),
        "starts": lambda: np.array([0, 1, 3], dtype=np.uint64),
        "losses": lambda: np.zeros(2),
        "done": lambda: np.zeros(1, dtype=np.uint64),
        "single": False,
        "threads": 2,
        "progress": told,
    }


def tensors():
    return {"w": np.arange(6.0).reshape(2, 3), "n": np.array([1, 2], dtype=np.int64)}


def table():
    return np.arange(16.0).reshape(4, 4)


def points():
    return np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])


def score():
    return lambda rows: [x - y for x, y in rows]


# Files, beside which calls may write --------------------------------------------------------------


def file_of_items():
    return pathlib.Path("items.txt")


def file_names():
    return [file_of_items()]


def file_of_words():
    return pathlib.Path("words.txt")


def file_of(name):
    return lambda: pathlib.Path(name)


OUT = file_of("out.safetensors")
PICTURE = file_of("out.png")


def write_files():
    """Write what calls read into the current folder, fresh."""
    pathlib.Path("items.txt").write_text("\n".join(ITEMS), encoding="utf-8")
    pathlib.Path("words.txt").write_bytes(TEXT)
    pathlib.Path("folder").mkdir(exist_ok=True)
    pathlib.Path("folder/x").write_text("ab\n", encoding="utf-8")
    bigram().save("bigram.safetensors")
    neural().save("neural.safetensors")
    word_network().save("word.safetensors")
    network().fit(ITEMS, ITEMS, steps=4, lr=0.1, batch_size=4, checkpoint="run.safetensors")
    word_network().fit(text(), steps=4, lr=0.1, batch_size=4, checkpoint="words.safetensors")
    kneser_ney().save("kneser.safetensors")
    interpolated().save("interpolated.safetensors")
    mixture().save("mixture.safetensors")
    for make in (neuron, layer, mlp, sgd, adam, adamw):
        make().save(f"{make.__name__}.json")
    trigram().save("trigram.safetensors")
    jitted().save("jitted.safetensors")
    checkpoint.save("arrays.safetensors", tensors(), {"a": 1})
    whole = pathlib.Path("run.safetensors").read_bytes()
    pathlib.Path("damaged").write_bytes(whole[: len(whole) // 2])
    link = pathlib.Path("link")
    if not link.is_symlink():
        link.symlink_to("no-such-target")


@once
def saved():
    arrays, config = checkpoint.load("run.safetensors")
    return arrays, config["training"]


def saved_arrays():
    return saved()[0]


def saved_config():
    return saved()[1]


def saved_run():
    return read_saved(*saved())


# The table ---------------------------------------------------------------------------------------

SAMPLING = {"n": 3, "seed": 1, "prompt": "a", "temperature": 0.8, "top_k": 2, "max_length": 5}
SAMPLING |= {"threads": 1, "offset": 2, "progress": False}
NUCLEUS = {"n": 3, "prompt": "a", "top_p": 0.8}
WORDS = {"n": 2, "offset": 1, "seed": 3, "prompt": "the", "temperature": 0.9, "top_k": 3}
WORDS |= {"max_length": 4, "unk": True}
NUCLEUS_OF_WORDS = {"n": 2, "prompt": "the", "top_p": 0.8, "max_length": 4}
TRAINING = {"steps": 3, "lr": 0.1, "batch_size": 4, "optimizer": "adamw", "weight_decay": 0.01}
TRAINING |= {"dropout": 0.1, "seed": 1, "evaluate_every": 2, "threads": 1}
MORE_TRAINING = {
    "epochs": 0.5,
    "lr": [(0, 0.1), (1, 0.01)],
    "batch_size": 4,
    "optimizer": "momentum",
}
MORE_TRAINING |= {"momentum": 0.5, "evaluate_every": 1, "checkpoint": OUT}
RESUMING = {"steps": 6, "lr": 0.05, "threads": 1}
START = {
    "batch_size": 4,
    "optimizer": "adamw",
    "betas": (0.9, 0.99),
    "eps": 1e-6,
    "dropout": (0.1, 0.2),
}
CORE_TRAINING = {"batch": 3, "rates": rates, "first_step": 2, "seed": 3, "dropout": (0.1, 0.1)}


def language_model(
    make,
    *,
    texts=lambda: list(ITEMS),
    text="abc",
    sampling=(SAMPLING, NUCLEUS),
    contexts=contexts,
    file="run.safetensors",
):
    """The rows of what every language model has."""
    return {
        "next_probs": {"self": make, "context": text},
        "next_probs 2": {"self": make, "context": contexts},
        "table": {"self": make},
        "loss": {"self": make, "texts": texts},
        "perplexity": {"self": make, "texts": texts},
        "log_prob": {"self": make, "text": text},
        "explain": {"self": make, "text": text, "k": 2},
        "token_log_probs": {"self": make, "texts": texts},
        "num_parameters": {"self": make},
        "sample": {"self": make} | sampling[0],
        "sample 2": {"self": make} | sampling[1],
        "save": {"self": make, "path": OUT},
        "load": {"path": file_of(file)},
    }


def word_model(make, file):
    return language_model(
        make, texts=text, text="the cat", sampling=(WORDS, NUCLEUS_OF_WORDS), file=file
    )


def ngram_model(make, file):
    rows = language_model(make, contexts=short_contexts, file=file)
    return rows | {"unseen": {"self": make, "texts": lambda: list(ITEMS)}}


def stateful(make):
    """The rows of what every module and every optimizer has."""
    return {
        "state_dict": {"self": make},
        "load_state_dict": {"self": make, "state": lambda: make().state_dict()},
        "save": {"self": make, "path": OUT},
        "load": {"self": make, "path": file_of(f"{make.__name__}.json")},
        "zero_grad": {"self": make},
    }


def module(make):
    """The rows of what every module of `nn` has."""
    names = ("named_parameters", "num_parameters", "parameters")
    return {name: {"self": make} for name in names} | stateful(make)


def optimizer(make):
    """The rows of what every optimizer has."""
    return {"step": {"self": make, "lr": 0.1}} | stateful(make)


def learner(make, train, token):
    """The rows of what the networks have besides."""
    return {
        "fit": {"self": make, "train": train, "dev": train, "patience": 2} | TRAINING,
        "fit 2": {"self": make, "train": train, "callbacks": lambda: [told()]} | MORE_TRAINING,
        "most_similar": {"self": make, "token": token, "k": 2},
        "summary": {"self": make},
        "forward": {"self": make, "X": lambda: [[0, 1]]},
        "gradients": {"self": make, "X": lambda: [[0, 1]], "Y": lambda: [2]},
        "_start": {"self": make, "train": train, "dev": train} | START,
    }


SHAPE = {
    "context_length": 2,
    "embedding_dim": 3,
    "hidden_dim": 4,
    "direct": True,
    "tie_weights": False,
    "seed": 1,
}
SHAPE |= {"init": "scaled", "dtype": "float64"}
NETWORK = {
    "": {"vocab": vocab} | SHAPE,
    "fit 3": {"self": network, "train": file_of_items, "steps": 2},
    "resume": {"path": file_of("run.safetensors"), "train": lambda: list(ITEMS)}
    | {"dev": lambda: list(ITEMS)}
    | RESUMING,
}
WORD_NETWORK = {
    "": {"vocab": word_vocab, "counts": lambda: text().counts} | SHAPE,
    "resume": {"path": file_of("words.safetensors"), "train": text} | RESUMING,
}
VALUE = {
    name: {"self": graph}
    for name in ["abs", "cos", "exp", "log", "relu", "sigmoid", "sin", "sqrt", "tanh"]
}
VALUE |= {name: {"self": graph} for name in ("backward", "item", "zero_grad")}
VALUE |= {"__format__": {"self": graph, "spec": ".2f"}}
VALUE |= {name: {"self": graph, "other": 2.0} for name in ("max", "min")}
OPTIMIZER = {"params": values, "lr": 0.1, "weight_decay": 0.1}
FILE = {"order": 2, "threads": 2, "progress": told}
PICTURE_OF = {"depth": 2, "max_nodes": 5, "edges": True, "fold": "neurons"}
PLOT = {"path": PICTURE, "title": "A title"}

# Module, class or neither, and its rows. A number behind a name only keeps rows apart.
TABLE = {
    "": {
        "get_num_threads": {},
        "set_num_threads": {"n": lambda: fastgrad.get_num_threads()},
        "load": {"path": file_of("word.safetensors")},
        "jit": {"function": linear_loss, "check": True, "dtype": "float32"},
        "take": {"table": lambda: [values(), values()], "index": 1},
        "pick": {"values": values, "index": 2},
        "JitError": {},
        "JitWarning": {},
    },
    "_jit": {"Program": {"recording": recording, "name": "loss"}},
    "_jit.Program": {
        "to_c": {"self": lambda: jitted().program, "name": "loss"},
        "to_rust": {"self": lambda: jitted().program, "name": "loss"},
        "__repr__": {"self": lambda: jitted().program},
    },
    "_jit.Jit": {
        "": {"function": linear_loss, "check": True, "dtype": "float32"},
        "__call__": {"self": jitted, "args": (1.0, 2.0)},
        "value_and_grad": {"self": jitted, "batch": lambda: ([1.0, 2.0], np.ones(2)), "threads": 2},
        "fit": {"self": jitted, "batch": lambda: ([1.0, 2.0], np.ones(2)), "steps": 3}
        | {"optimizer": lambda: optim.SGD(LINE, lr=0.1), "batch_size": 1, "shuffle": True}
        | {"seed": 1, "progress": False, "threads": 2},
        "fit 2": {"self": jitted, "batch": lambda: ([1.0, 2.0], np.ones(2)), "steps": 3}
        | {"optimizer": lambda: optim.Adam(LINE), "progress": False},
        "parameters": {"self": jitted},
        "save": {"self": jitted, "path": OUT},
        "load": {"path": file_of("jitted.safetensors")},
    },
    "base": {"NotFittedError": {}},
    "datasets": {
        "make_moons": {"n_samples": 10, "noise": 0.1, "random_state": 3},
        "names": {},
        "names_bytes": {},
        "shakespeare": {},
    },
    "distributed": {"as_comm": {"comm": None}},
    "distributed.SelfComm": {
        "": {},
        "allreduce": {"self": alone, "array": lambda: np.ones(3)},
        "broadcast": {"self": alone, "array": lambda: np.ones(3), "root": 0},
        "gather": {"self": alone, "array": lambda: np.ones((2, 3)), "root": 0},
        "send": {"self": alone, "array": lambda: np.ones(3), "to": 0},
        "receive": {"self": alone, "array": lambda: np.zeros(2), "source": 0},
        "broadcast_object": {"self": alone, "value": "settings", "root": 0},
    },
    "viz": {
        "dot": {"root": graph},
        "draw": {"root": graph} | PICTURE_OF,
        "draw_dot": {"root": graph, "format": "svg", "rankdir": "TB"},
        "explain": {"root": graph, "max_nodes": 4},
        "to_svg": {"root": graph} | PICTURE_OF,
        "tree": {"root": graph, "depth": 3, "max_nodes": 5},
    },
    "viz.Explanation": {"save": {"self": lambda: viz.explain(graph()), "path": "steps.html"}},
    "viz.Drawing": {"save": {"self": lambda: viz.draw(graph()), "path": "graph.svg"}},
    "viz.DotDrawing": {
        "render": {"self": drawing, "filename": "graph", "format": "svg", "view": False},
    },
    "engine": {
        "dot": {"w": values, "x": other_values},
        "affine": {"w": values, "x": other_values, "b": 0.5},
        "linear": {"x": values, "rows": lambda: [other_values()] * 2, "bias": lambda: [1.0, 2.0]},
        "softmax": {"logits": values},
        "log_softmax": {"logits": values},
        "cross_entropy": {"logits": values, "target": 1},
        "rms_norm": {"x": values, "eps": 1e-5},
    },
    "engine.Value": {"": {"data": 1.0, "_op": "op", "label": "a"}} | VALUE,
    "debug": {
        "gradcheck": {"f": lambda: lambda x: x * 2.0, "inputs": lambda: [1.0], "eps": 1e-6},
    },
    "nn": {
        "mse_loss": {"predictions": values, "targets": lambda: [1.0, 2.0, 3.0]},
        "hinge_loss": {"scores": values, "labels": lambda: [1, -1, 1]},
        "cross_entropy": {"logits": values, "targets": 1},
        "cross_entropy 2": {"logits": lambda: [values()] * 2, "targets": lambda: [0, 2]},
    },
    "nn.Module": module(mlp),
    "nn.Neuron": module(neuron)
    | {"": {"nin": 3, "nonlin": True, "activation": "tanh"}}
    | {"__call__": {"self": neuron, "x": values}},
    "nn.Layer": module(layer)
    | {
        "": {"nin": 3, "nout": 2, "activation": "relu"},
        "__call__": {"self": layer, "x": values},
        "batch": {"self": layer, "rows": lambda: [values(), [1.0, 2.0, 3.0]]},
    },
    "nn.MLP": {"summary": {"self": mlp}}
    | module(mlp)
    | {"": {"nin": 3, "nouts": lambda: [2, 1], "activation": "tanh"}}
    | {"__call__": {"self": mlp, "x": values}},
    "optim": {"clip_grad_norm": {"params": values, "max_norm": 1.0}},
    "optim.schedules": {
        "constant": {"lr": 0.1},
        "linear": {"start": 0.1, "end": 0.01, "steps": 5},
        "cosine": {"start": 0.1, "end": 0.01, "steps": 5},
        "inverse_time_decay": {"start": 0.1, "decay": 0.5},
        "warmup_cosine": {"peak": 0.1, "steps": 5, "warmup_steps": 2, "end": 0.01},
        "exponential": {"start": 0.1, "factor": 0.9},
        "piecewise": {"pairs": [(0, 0.1), (10, 0.01)]},
        "step_decay": {"start": 0.1, "factor": 0.5, "every": 3},
        "warmup": {"schedule": lambda: optim.schedules.constant(0.1), "warmup_steps": 3},
    },
    "optim.SGD": optimizer(sgd) | {"": OPTIMIZER | {"momentum": 0.9}},
    "optim.Adam": optimizer(adam) | {"": OPTIMIZER},
    "optim.AdamW": optimizer(adamw) | {"": OPTIMIZER | {"betas": (0.5, 0.9)}},
    "checkpoint": {
        "load": {"path": file_of("arrays.safetensors")},
        "previous": {"path": OUT},
        "save": {"path": OUT, "tensors": tensors, "config": lambda: {"a": [1, "b", None]}},
    },
    "sampling": {
        "Novelty": {"total": 3, "distinct": 2, "known": 1, "new": 1},
        "novelty": {"samples": lambda: ["ab", "zz"], "items": lambda: list(ITEMS)},
        "sample": {"model": bigram} | SAMPLING,
        "sample 2": {"model": network, "prompt": "ab", "top_k": 3, "seed": None},
        "sample 3": {"model": trigram, "n": 50, "threads": 2},
    },
    "text": {
        "encode_items": {"items": lambda: list(ITEMS), "vocab": vocab},
        "count_overlap": {"train": lambda: ["ab", "b"], "others": lambda: [["ab"], ["c"]]},
        "count_duplicates": {"items": lambda: list(ITEMS)},
        "name_of": {"source": file_of_items},
        "read_lines": {"texts": file_of_items},
        "read_lines 2": {"texts": lambda: b"ab\nba\n"},
        "read_lines 3": {"texts": lambda: list(ITEMS)},
        "split": {"items": lambda: list(ITEMS), "fractions": (0.6, 0.2, 0.2), "seed": 3}
        | {"method": "random", "group_duplicates": True},
        "build_dataset": {"texts": lambda: list(ITEMS), "vocab": vocab, "context_length": 3},
        "read_words": {
            "texts": lambda: bytes(TEXT),
            "train": 0.8,
            "vocab_size": 8,
            "tokenizer": "simple",
            "eos": "line",
            "unk_token": "<r>",
            "eos_token": "<m>",
        },
        "read_words 2": {"texts": file_of_words, "train": 20, "min_count": 2, "eos": "paragraph"},
        "read_words 3": {"texts": lambda: ["a b", "b c c"]},
        "write_tokens": {"texts": lambda: bytes(TEXT), "path": "tokens.npy", "train": 0.8}
        | {"vocab_size": 8, "tokenizer": "simple", "eos": "line"}
        | {"unk_token": "<r>", "eos_token": "<m>"},
        "write_tokens 2": {"texts": file_of_words, "path": "tokens.npy", "vocab": word_vocab},
        "open_tokens": {"path": token_file},
        "Split": {"train": ["ab"], "dev": ["b"], "test": ["c"]},
        "NotUtf8Error": {"message": "m"},
        "UnknownCharacterError": {"character": "z", "position": 2, "item": "abz"},
    },
    "text.Vocab": {
        "": {"characters": "abc"},
        "from_texts": {"texts": lambda: list(ITEMS)},
        "encode": {"self": vocab, "item": "abca"},
        "decode": {"self": vocab, "ids": lambda: np.array([1, 2, 0, 3])},
        "from_config": {"config": lambda: Vocab("abc").to_config()},
        "to_config": {"self": vocab},
        "eos_note": {"self": vocab},
    },
    "text.WordText": {
        "": {"vocab": word_vocab, "ids": lambda: np.arange(8), "types": 3},
        "before": {"self": text, "length": 2},
        "decode": {"self": text, "start": 1, "stop": 5},
        "split": {"self": text, "sizes": (0.5, 10)},
    },
    "text.WordVocab": {
        "": {"tokens": ["<unk>", "<end>", "a", "b"], "tokenizer": "simple", "eos": "line"},
        "encode": {"self": word_vocab, "text": "the cat zzz"},
        "decode": {"self": word_vocab, "ids": lambda: np.array([0, 2, 3])},
        "from_config": {"config": lambda: word_vocab().to_config()},
        "to_config": {"self": word_vocab},
        "read": {"self": word_vocab, "texts": lambda: bytes(TEXT)},
    },
    "models": {
        "load": {"path": file_of("bigram.safetensors")},
        "NgramCounts 2": {"texts": file_of_items, "order": 3},
    },
    "models.NgramCounts": {
        "": {"texts": lambda: list(ITEMS), "order": 2, "vocab": vocab, "threads": 2},
        "from_ids": {"ids": characters, "vocab": vocab, "order": 2},
        "from_files": {"paths": file_names, "order": 2, "vocab": vocab, "threads": 2},
        "nonzero": {"self": counts},
        "with_vocab": {"self": counts, "vocab": lambda: Vocab("abcd")},
        "most_common": {"self": counts, "k": 3},
        "__add__": {"self": counts, "other": counts},
    },
    "models.BigramModel": ngram_model(bigram, "bigram.safetensors")
    | {
        "": {"smoothing": 0.5, "vocab": vocab},
        "fit": {"self": bigram, "texts": lambda: list(ITEMS), "threads": 2},
        "fit 2": {"self": bigram, "texts": counts},
    },
    "models.NgramModel": ngram_model(trigram, "trigram.safetensors")
    | {
        "": {"order": 3, "smoothing": 0.5, "vocab": vocab},
        "fit": {"self": trigram, "texts": file_of_items},
        "next_probs 2": {"self": trigram, "context": contexts},
    },
    "models.NeuralBigram": ngram_model(neural, "neural.safetensors")
    | {
        "": {"order": 2, "vocab": vocab},
        "fit": {"self": neural, "texts": lambda: list(ITEMS), "steps": 4, "l2": 0.01},
        "fit 2": {"self": neural, "texts": file_of_items, "steps": 4, "lr": 0.5, "momentum": 0.5}
        | {"batch_size": 5, "seed": 3},
    },
    "models.NPLM": language_model(network_direct)
    | NETWORK
    | learner(network, lambda: list(ITEMS), "a"),
    "models.WordNPLM": word_model(word_network, "word.safetensors")
    | WORD_NETWORK
    | learner(word_network, text, "the"),
    "models.KneserNey": word_model(kneser_ney, "kneser.safetensors")
    | {
        "": {"order": 3, "modified": True, "sentences": True, "vocab": word_vocab},
        "fit": {"self": kneser_ney, "train": text},
    },
    "models.InterpolatedTrigram": word_model(interpolated, "interpolated.safetensors")
    | {
        "": {"sentences": True, "tolerance": 1e-3, "max_iterations": 5, "vocab": word_vocab},
        "fit": {"self": interpolated, "train": text, "dev": text},
        "bin_of": {"self": interpolated, "frequency": 3},
    },
    "models.Mixture": word_model(mixture, "mixture.safetensors")
    | {
        "": {"models": lambda: [kneser_ney(), interpolated()], "weights": lambda: [0.3, 0.7]},
        "fit": {"self": mixture, "dev": text, "tolerance": 1e-3, "max_iterations": 5},
        "next_probs 3": {"self": mixture_with_network, "context": contexts},
    },
    "models.nplm": {
        "Shape": {
            "vocab_size": 4,
            "context_length": 2,
            "embedding_dim": 3,
            "hidden_dim": 4,
            "direct": True,
        },
    },
    "models.nplm.run.NPLMRun": {
        "train": {"self": run, "first_step": 2, "lrs": rates},
        "train 2": {"self": adam_run, "first_step": 2, "lrs": rates},
        "train 3": {"self": word_run, "first_step": 0, "lrs": rates},
        "dev_loss": {"self": word_run},
        "save": {"self": run, "path": OUT, "arrays": saved_arrays, "config": saved_config},
    },
    "training": {
        "lr_find": {"model": network, "train": lambda: list(ITEMS), "min_lr": 0.01, "max_lr": 0.5}
        | {"steps": 4, "batch_size": 4, "optimizer": "adamw", "weight_decay": 0.1},
        "DivergedError": {"step": 3, "lr": 0.1, "loss": 5.0},
        "Progress": {"step": 3, "steps": 9, "loss": 1.0, "dev_loss": None, "lr": 0.1}
        | {"examples_per_second": 100.0},
    },
    "training.plan": {
        "make_plan": {"steps": 4, "lr": 0.1, "evaluate_every": 2, "patience": 1, "checkpoint": OUT},
    },
    "training.resuming": {
        "history_arrays": {"history": history},
        "read_history": {"arrays": saved_arrays, "stopped": "finished"},
        "read_saved": {"arrays": saved_arrays, "config": saved_config},
    },
    "training.resuming.Saved": {"planned": {"self": saved_run, "steps": 8, "lr": 0.1}},
    "training.loop": {"Loop": {"run": run, "plan": plan, "past": None}},
    "training.loop.Loop": {"go": {"self": loop}, "history": {"self": loop}},
    "training.History": {
        "": {"loss": rates, "lr": rates, "dev_steps": lambda: np.array([1]), "stopped": "x"}
        | {"dev_loss": lambda: np.array([2.0])},
        "smooth": {"self": history, "every": 2},
    },
    "training.LRSweep": {"": {"lrs": rates, "losses": rates}, "best": {"self": sweep}}
    | {"smooth": {"self": sweep, "width": 2}},
    "training.learning_rates": {
        "plan_lrs": {"lr": lambda: lambda step: 0.1, "steps": 4},
        "plan_lrs 2": {"lr": lambda: [(0, 0.1), (2, 0.01)], "steps": 4},
    },
    "training.learning_rates.LearningRates": {
        "": {
            "starts": lambda: np.array([0, 2]),
            "values": lambda: np.array([0.1, 0.2]),
            "steps": 4,
        },
        "of": {"lrs": rates},
        "part": {"self": pieces, "first": 1, "end": 3},
        "then": {"self": pieces, "step": 2, "other": pieces},
    },
    "plots": {
        "bigram_heatmap": {"counts": table, "tokens": [".", "a", "b", "c"]} | PLOT,
        "decision_boundary": {"model": score, "X": points, "y": lambda: np.array([1, -1, 1])}
        | PLOT,
        "embedding_scatter": {"model": table, "tokens": [".", "a", "b", "c"], "method": "pca"}
        | PLOT,
        "activations": {"model": word_network, "X": lambda: [[0, 1]]} | PLOT,
        "gradients": {"model": word_network, "X": lambda: [[0, 1]], "Y": lambda: [2]} | PLOT,
        "embedding_animation": {"snapshots": lambda: [(0, [[0.0, 1.0]])], "tokens": ["a"]},
        "embedding_scatter 2": {"model": word_network, "tokens": ["the", "cat"]} | PLOT,
        "loss_curve": {"history": lambda: {"train": rates()}, "goal": 0.5, "log_steps": True}
        | {"goal_name": "a goal"}
        | PLOT,
        "lr_curve": {"sweep": sweep} | PLOT,
    },
    "_core": {
        "sum": {"values": values},
        "max": {"a": graph, "b": 1.0},
        "min": {"a": graph, "b": 1.0},
        "layer": {"neurons": lambda: layer().neurons, "neuron_type": nn._NEURON, "x": values},
        "layer_batch": {"neurons": lambda: layer().neurons, "neuron_type": nn._NEURON}
        | {"rows": lambda: [values(), values()]},
        "neuron": {"w": values, "x": other_values, "b": lambda: Value(1.0)},
        "layout": {"sizes": lambda: [(9.0, 5.0)] * 3, "edges": lambda: [(0, 1), (0, 2)]}
        | {"layer_gap": 4.0, "node_gap": 2.0},
        "expect_room": {"values": 1000},
        "zero_grads": {"params": values},
        "environment": {"name": "HOME"},
        "live_nodes": {},
        "node_bytes": {},
        "names": {},
        "plays": {},
        "value_is_patched": {},
        "NeuronData": {},
        "nplm_train": {"params": parameters, "state": no_state, "inputs": core_inputs}
        | {"targets": core_targets, "threads": 2, "progress": told}
        | CORE_TRAINING,
        "nplm_train 2": {"params": parameters, "state": one_state, "inputs": core_inputs}
        | {"targets": core_targets, "optimizer": "momentum", "momentum": 0.5}
        | CORE_TRAINING,
        "nplm_train 3": {"params": parameters, "state": two_states, "inputs": core_inputs}
        | {"targets": core_targets, "optimizer": "adamw", "betas": (0.5, 0.9), "eps": 1e-8}
        | {"weight_decay": 0.1}
        | CORE_TRAINING,
        "nplm_shard": {"vocab_size": 1000, "rank": 1, "size": 2},
        "nplm_loss": {"params": parameters, "inputs": core_inputs, "targets": core_targets},
        "nplm_losses": {"params": parameters, "inputs": core_inputs, "targets": core_targets}
        | {"threads": 2},
        "nplm_gradients": {"params": parameters, "inputs": core_inputs, "targets": core_targets}
        | {"dropout": (0.1, 0.1), "seed": 1, "step": 3, "threads": 1},
        "nplm_forward": {"params": parameters, "contexts": core_inputs, "threads": 2},
        "nplm_probabilities": {"params": parameters, "contexts": core_inputs},
        "train_bigram": {"w": square, "velocity": square, "ids": ngram_ids, "counts": ngram_counts}
        | {"steps": 3, "lr": 0.1, "momentum": 0.9, "penalty": 0.1, "batch": 3, "progress": told},
        "train_bigram 2": {"w": square, "velocity": square, "ids": ngram_ids}
        | {"counts": ngram_counts, "steps": 3},
        "read_examples": {"arguments": lambda: ([1.0, [2.0, 3]], np.ones(2), "a")}
        | {"names": lambda: ["x", "y", "z"], "keywords": ("z",)}
        | {"read": lambda: static, "column": lambda: tuple},
        "train_recorded": trained_recorded(("sgd", 0.9, 0.0), 0),
        "train_recorded 2": trained_recorded(("adam", 0.9, 0.99, 1e-8, 0.1, True), 2),
        "bigram_loss_and_gradient": {"w": square, "ids": ngram_ids, "counts": ngram_counts}
        | {"penalty": 0.1},
        "draw_rows": {"probabilities": probability_rows, "streams": streams, "step": 1, "seed": 2}
        | {"temperature": 0.5, "top_k": 2},
        "normal_numbers": {"n": 5, "seed": 1, "stream": 2},
        "count_path": {"path": file_of_items, "blank": True} | FILE,
        "count_part": {"path": file_of_items, "start": 0, "stop": 6} | FILE,
        "count_bytes": {"data": lambda: b"ab\nba\n", "blank": True} | FILE,
        "count_items": {"items": lambda: list(ITEMS), "order": 2, "threads": 2},
        "count_ids": {"ids": characters, "characters": "abc", "order": 2},
    },
    "_core.Originals": {
        "": {"class_": nn.Neuron, "names": ("w", "b")},
        "intact": {"self": lambda: nn._NEURON},
    },
    "_core.Momentum": {"": {"params": values}}
    | {"step": {"self": momentum, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}}
    | {"__setstate__": {"self": momentum, "velocity": lambda: [0.1, 0.2, 0.3]}},
    "_core.Moments": {
        "": {"params": values},
        "step": {"self": moments, "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
        | {"weight_decay": 0.0, "decoupled": True},
        "__setstate__": {"self": moments, "state": lambda: (3, [(0.1, 0.2)] * 3)},
    },
    "_core.WordReader": {
        "": {"name": "a text", "tokenizer": "simple", "eos": "line"},
        "feed": {"self": reader, "chunk": lambda: bytes(TEXT)},
        "feed 2": {"self": reader_ended, "chunk": lambda: bytes(TEXT)},
        "end": {"self": reader_fed},
        "choose": {"self": reader_ended, "unk": "<r>", "eos": "<m>", "train": 20, "max_size": 8}
        | {"min_count": 2},
        "choose 2": {"self": reader_fed, "unk": "<r>"},
        "take": {"self": reader_fed},
        "vocabulary": {"self": reader_ended, "counts": type_counts, "unk": "<r>", "eos": "<m>"}
        | {"max_size": 8, "min_count": 2},
        "numbers": {"self": reader_ended, "symbols": ["<r>", "<m>", "the"], "unk": 0, "eos": 1},
        "encode": {"self": reader_ended, "symbols": ["<r>", "<m>", "the"], "unk": 0, "eos": 1},
    },
    "_core.Recording": {
        "": {
            "output": lambda: graph(),
            "inputs": values,
            "constants": values,
            "detached": lambda: [],
        }
        | {"selected": lambda: [(Value(1.0), values(), Value(0.0))]}
        | {"highest": lambda: [(Value(2.0), values())]}
        | {"local_grads": lambda: [], "passes": lambda: ["levels"]}
        | {"guards": lambda: [("<", Value(1.0), Value(2.0), True, 0)]},
        "replay": {"self": recording, "rows": core_rows, "gradients": lambda: np.zeros(2)}
        | {"seed": 0.5, "single": False, "threads": 2},
        "add_gradients": {"self": recording, "gradients": lambda: np.ones(2)},
        "fits": {"self": recording, "rows": core_rows, "single": True},
        "describe": {"self": recording},
        "source": {"self": recording, "name": "loss", "rust": False},
        "arrays": {"self": recording},
        "from_arrays": {"arrays": lambda: recording().arrays(), "params": lambda: values()[:2]}
        | {"passes": lambda: ["sums"]},
        "places": {"self": recording, "params": lambda: values()[:1]},
    },
    "_core.KneserNeyTable": {
        "": {"ids": ids, "size": 20, "order": 3, "modified": True},
        "score": {"self": kneser_table, "ids": ids, "start": 2},
        "distributions": {"self": kneser_table, "contexts": contexts},
    },
    "_core.InterpolatedTable": {
        "": {"ids": ids, "size": 20},
        "fit": {"self": interpolated_table, "ids": ids, "start": 2, "tolerance": 1e-3}
        | {"iterations": 4},
        "score": {"self": interpolated_table, "ids": ids, "start": 2},
        "distributions": {"self": interpolated_table, "contexts": contexts},
    },
    "_core.TableSampler": {
        "": {
            "probabilities": probability_rows,
            "context": 1,
            "temperature": 0.5,
            "top_k": 3,
        },
        "sample": {"self": sampler, "n": 4, "seed": 1, "prompt": lambda: [1], "max_length": 6}
        | {"characters": "abc", "threads": 2, "first": 1, "progress": told},
    },
    "_core.NgramCounts": {
        "from_entries": {"order": 2, "characters": "abc", "items": 7, "ids": entry_ids}
        | {"counts": entry_counts},
        "dense": {"self": core_counts},
        "entries": {"self": core_counts},
        "top": {"self": core_counts, "k": 3},
        "with_characters": {"self": core_counts, "characters": "abcd"},
    },
}

# Commands as they are typed; those of SLOW take much longer than the others.
COMMANDS = [
    "train bigram items.txt -o made --smoothing 0.5",
    "train ngram items.txt -o made --order 3 --smoothing 0.5",
    "train neural-bigram items.txt -o made --steps 5 --lr 1 --l2 0.1 --batch-size 4 --seed 1",
    "train nplm items.txt -o made --context-length 2 --embedding-dim 3 --hidden-dim 4 --steps 3"
    " --batch-size 4 --lr 0.1 --schedule cosine --optimizer adamw --weight-decay 0 --split none"
    " --seed 1 --threads 1",
    "lr-find items.txt -o made --steps 3 --batch-size 4 --split none",
    "train word-nplm words.txt -o made --steps 3 --batch-size 4 --hidden-dim 4 --embedding-dim 3",
    "sample bigram.safetensors -n 3 --seed 1 --prompt a --temperature 0.5 --top-k 2 --max-length 4",
    "sample bigram.safetensors -n 3 --top-p 0.5",
    "sample word.safetensors -n 2 --compare-to words.txt",
    "eval bigram.safetensors items.txt",
    "eval run.safetensors items.txt",
    "",
    "--version",
]
SLOW = [
    "plot bigram.safetensors -o out.png",
    "plot run.safetensors",
    "demo",
]
