"""Bad input: no call, however hostile, crashes, panics, or changes a Value when it fails.

FASTGRAD_HOSTILE_CALLS and FASTGRAD_HOSTILE_SEED say how many calls are made, and which.
"""

import gc
import importlib
import inspect
import json
import math
import os
import pathlib
import subprocess
import sys
import types
import weakref

import hostile_api
import hostile_calls
import hostile_table
import numpy as np
import pytest
from fastgrad import (
    _core,
    base,
    checkpoint,
    cli,
    debug,
    distributed,
    engine,
    models,
    nn,
    optim,
    plots,
    viz,
)
from fastgrad.engine import Value

CALLS = os.environ.get("FASTGRAD_HOSTILE_CALLS", "20000")
CALLS_OF_ALL = os.environ.get("FASTGRAD_HOSTILE_CALLS_OF_ALL", "2500")
SEED = os.environ.get("FASTGRAD_HOSTILE_SEED", "1")


@pytest.mark.slow
def test_hostile_calls():
    program = [sys.executable, pathlib.Path(hostile_calls.__file__), CALLS, SEED]
    patience = 120 + int(CALLS) / 100  # seconds; corrupted memory may also mean a loop without end
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=patience)
    last = "\n".join(done.stdout.splitlines()[-2:])
    assert done.returncode == 0, f"exit code {done.returncode} in {last}\n{done.stderr}"
    assert last.split("\n")[-1].startswith(f"{CALLS} calls: ")
    print(last)


def run_of_the_whole_api(*arguments, seconds="60"):
    """Run the program that calls all that is public; return its lines, the last one a summary."""
    program = [sys.executable, pathlib.Path(hostile_api.__file__), *arguments]
    environment = {**os.environ, "FASTGRAD_HOSTILE_SECONDS": seconds, "RUST_BACKTRACE": "0"}
    done = subprocess.run(
        program, capture_output=True, text=True, errors="replace", check=False, env=environment
    )
    told = done.stdout.splitlines()
    assert told, done.stderr
    assert told[-1].startswith("{"), f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return told


@pytest.mark.slow
def test_hostile_calls_of_the_whole_api():
    *faults, summary = run_of_the_whole_api(CALLS_OF_ALL, SEED)
    assert faults == []
    assert json.loads(summary)["calls"] == int(CALLS_OF_ALL)
    print(summary)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")
def test_each_row_of_the_table_is_a_call_that_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile_table.write_files()
    assert hostile_api.right_calls() == {}


def public_functions():
    """All functions, and the methods of all classes, that a public module says it has."""
    for module in MODULES:
        path = module.removeprefix("fastgrad").lstrip(".")
        for name in importlib.import_module(module).__all__:
            thing = getattr(sys.modules[module], name)
            if inspect.isclass(thing) and thing not in NOT_CALLED:
                methods = (method for method in dir(thing) if not method.startswith("_"))
                inherited = {*dir(BaseException), *dir(dict), *dir(tuple)}
                for method in methods:
                    if method not in inherited and callable(getattr(thing, method, None)):
                        yield f"{path}.{name}.{method}".lstrip("."), getattr(thing, method)
            if callable(thing) and not isinstance(thing, types.UnionType | types.GenericAlias):
                yield f"{path}.{name}".lstrip("."), thing


# Protocols and what models have in common, which nobody calls, and classes that functions make, of
# what these have checked.
NOT_CALLED = {base.LanguageModel, base.Trainable, base.TrainingRun, nn.Module}
NOT_CALLED |= {models.Model, models.CharacterModel, models.WordModel, models.DiscountWarning}
NOT_CALLED |= {viz.Drawing, viz.DotDrawing, viz.Explanation}
# A context manager, and a history that a whole run makes.
NOT_CALLED |= {debug.AnomalyError, debug.GradcheckError, debug.detect_anomaly}
NOT_CALLED |= {plots.EmbeddingAnimation, plots.EmbeddingAnimation.save, plots.update_ratio}
NOT_CALLED |= {_core.NgramCounts, _core.InternalError, checkpoint.CheckpointError}
# What needs other processes, or ends this one.
NOT_CALLED |= {distributed.Comm, distributed.MPIComm, distributed.TorchComm, distributed.mpi_world}
NOT_CALLED |= {distributed.SelfComm.abort}
MODULES = [
    "base",
    "checkpoint",
    "datasets",
    "distributed",
    "engine",
    "nn",
    "optim",
    "optim.schedules",
]
MODULES += ["sampling", "text", "models", "plots", "training", "viz", "_core", "_jit"]
MODULES = ["fastgrad", *(f"fastgrad.{name}" for name in MODULES)]


def test_the_table_has_all_that_is_public():
    def identity(function):
        return inspect.unwrap(getattr(function, "__func__", function))

    called = {identity(function) for _, function, _ in hostile_api.entries()}
    missing = [
        name
        for name, function in public_functions()
        if identity(function) not in called and function not in NOT_CALLED
    ]
    assert missing == []


# What such calls have found ----------------------------------------------------------------------


def test_a_list_that_is_emptied_while_it_is_read():
    class Emptying(int):
        def __float__(self):
            values.clear()
            return 1.0

    for function in (engine.sum, engine.softmax, lambda xs: engine.dot(xs, [1.0] * len(xs))):
        values = [Emptying(1), *[Value(1.0)] * 1000]
        with pytest.raises(ValueError, match="changed while it was read"):
            function(values)


def test_a_list_that_grows_while_it_is_read():
    class Growing(int):
        def __float__(self):
            values.extend([Value(1.0)] * 10_000)
            return 1.0

    values = [Growing(1), Value(2.0)]
    assert engine.sum(values).data == 3.0


def test_a_model_that_changes_while_it_is_called():
    class Meddling(int):
        def __float__(self):
            meddle()
            return 1.0

    x = [Meddling(1), 2.0]
    layer = nn.Layer(2, 3)
    meddle = layer.neurons[1].w.clear
    with pytest.raises(ValueError, match="length"):
        layer(x)
    layer = nn.Layer(2, 3)
    meddle = lambda: layer.neurons.append("no neuron")  # noqa: E731
    with pytest.raises(RuntimeError, match="the neurons changed while x was read"):
        layer(x)
    layer = nn.Layer(2, 3)
    meddle = layer.neurons.clear
    assert layer(x) == []


@pytest.mark.usefixtures("collected")
def test_a_node_that_changes_its_class_and_goes():
    class Other(Value):
        pass

    before = _core.live_nodes()
    for _ in range(1000):
        v = Value(1.0)
        v.__class__ = Other
        w = Other(1.0)
        w.__class__ = Value
        assert (type(v), type(w)) == (Other, Value)
        del v, w
    assert _core.live_nodes() == before


def test_exceptions_on_the_way_do_not_keep_what_they_saw():
    class Strange:
        def __repr__(self):
            raise LookupError(self)

    v = Value(1.0)
    kept = 0
    for call in (
        lambda strange: v + strange,
        lambda strange: v.max(strange),
        lambda strange: Value(strange),
        lambda strange: Value(1.0, strange),
        lambda strange: setattr(v, "data", strange),
        lambda strange: v.__setstate__(strange),
    ):
        strange = Strange()
        gone = weakref.ref(strange)
        with pytest.raises((TypeError, ValueError)) as caught:
            call(strange)
        del strange, caught
        gc.collect()
        kept += gone() is not None  # which no report could show
    assert kept == 0


FIELDS = vars(Value)
DESCRIPTORS = {
    "data": lambda wrong: FIELDS["data"].__get__(wrong, type(wrong)),
    "grad": lambda wrong: FIELDS["grad"].__set__(wrong, 1.0),
    "_prev": lambda wrong: FIELDS["_prev"].__get__(wrong, type(wrong)),
    "exp": lambda wrong: Value.exp(wrong),
    "backward": lambda wrong: Value.backward(wrong),
    "zero_grad": lambda wrong: Value.zero_grad(wrong),
    "_propagate": lambda wrong: Value._propagate(wrong),
    "max": lambda wrong: Value.max(wrong, 1.0),
    "__add__": lambda wrong: Value.__add__(wrong, 1.0),
    "__repr__": lambda wrong: Value.__repr__(wrong),
    "__init__": lambda wrong: Value.__init__(wrong, 1.0),
    "__setstate__": lambda wrong: Value.__setstate__(wrong, (1.0, 0.0, None)),
    "__new__": lambda wrong: Value.__new__(wrong),
}


@pytest.mark.parametrize("call", DESCRIPTORS.values(), ids=DESCRIPTORS.keys())
def test_methods_and_descriptors_of_other_types(call):
    for wrong in (3, "x", 1.5, [], object(), int):
        with pytest.raises(TypeError):
            call(wrong)


@pytest.mark.parametrize("arguments", [("x",), (1, 2, 3), (None,)])
def test_methods_with_too_much(arguments):
    v = Value(1.0)
    for name in ("exp", "relu", "backward", "zero_grad", "_propagate"):
        with pytest.raises(TypeError):
            getattr(v, name)(*arguments)
        with pytest.raises(TypeError):
            getattr(v, name)(nonsense=1)
    for function in (engine.sum, engine.softmax, engine.max):
        with pytest.raises(TypeError):
            function(*arguments, *arguments, *arguments)
        with pytest.raises(TypeError):
            function(nonsense=1)


def test_a_value_that_was_never_initialised():
    v = Value.__new__(Value)
    assert (v.data, v.grad, v._prev, v._op, v.label) == (0.0, 0.0, (), "", "")
    a = Value(5.0)
    v.__init__(4.0, (a,), "late", local_grads=(2.0,))
    assert (v.data, v.grad, v._op, v._prev) == (4.0, 0.0, "late", (a,))
    (v * 2).backward()
    assert (v.grad, a.grad) == (2.0, 4.0)


@pytest.mark.parametrize(
    "use",
    [
        lambda v: v * 2,
        lambda v: 2 * v,
        lambda v: v + v,
        lambda v: v**2,
        lambda v: v**-1,
        lambda v: 1 / v,
        lambda v: v.log(),
        lambda v: 2**v,
        lambda v: v**v,
        lambda v: -v,
        lambda v: abs(v),
        lambda v: v.relu(),
        lambda v: v.max(1.0),
        lambda v: engine.min(1.0, v),
        lambda v: engine.sum([v, 1.0]),
        lambda v: engine.dot([v], [v]),
        lambda v: engine.softmax([1.0, v]),
        lambda v: engine.linear([v], [[1.0]]),
        lambda v: engine.linear([1.0], [[v]]),
        lambda v: Value(1.0, (v,), "op"),
        lambda v: v.__init__(1.0, (v,), "op"),
    ],
)
@pytest.mark.parametrize("subclass", [False, True])
def test_a_value_that_was_never_initialised_is_no_operand(use, subclass):
    # It may still get operands: were it one before, it could become its own.
    v = Value.__new__(type("Sub", (Value,), {}) if subclass else Value)
    with pytest.raises(ValueError, match="__init__ has not run"):
        use(v)
    v.data = 3.0
    with pytest.raises(ValueError, match="__init__ has not run"):
        use(v)
    assert v._prev == ()
    v.__init__(2.0)
    assert (v * 2).data == 4.0


def test_a_value_may_be_initialised_again_unless_it_was_computed():
    v = Value(1.0)
    root = v * 3
    v.grad = 5.0
    v.__init__(2.0, label="again")
    assert (v.data, v.grad, v.label, root.data) == (2.0, 0.0, "again", 3.0)
    for wrong in ((), ("x",), (1.0, 3), (1.0, (v,), "op"), (1.0, (), 3), (10**400,)):
        with pytest.raises((TypeError, OverflowError)):
            v.__init__(*wrong)
    with pytest.raises(TypeError, match="cannot be changed"):
        root.__init__(1.0)
    assert (v.data, v.label, root.data, root._prev) == (2.0, "again", 3.0, (v,))


@pytest.mark.parametrize(
    "state",
    [None, 3, (), (1.0,), (1.0, 2.0), [1.0, 2.0, None], ("a", 2.0, None), (1.0, 2.0, 3), "abc"],
)
def test_a_state_that_is_none(state):
    v = Value(7.0, label="v")
    with pytest.raises((ValueError, TypeError)):
        v.__setstate__(state)
    assert (v.data, v.grad, v.label) == (7.0, 0.0, "v")


def is_refused(call):
    try:
        call()
    except (TypeError, ValueError):
        return True
    return False


@pytest.mark.usefixtures("collected")
def test_no_node_becomes_its_own_operand():
    class Labelled(Value):
        """Runs what it is told when its label is set."""

        then = None

        @property
        def label(self):
            return ""

        @label.setter
        def label(self, _):
            self.then()

    a, b = Value(1.0), Value(2.0)
    nodes = _core.live_nodes()
    give_edges_twice(Labelled, a, b)
    assert _core.live_nodes() == nodes


def give_edges_twice(labelled, a, b):
    v = labelled.__new__(labelled)
    labelled.then = lambda v: Value.__init__(v, 3.0, (b,), "inner", local_grads=(1.0,))
    assert is_refused(lambda: v.__init__(4.0, (a,), "outer", label="x"))
    assert (v.data, v._op, v._prev) == (3.0, "inner", (b,))
    w = labelled.__new__(labelled)
    labelled.then = lambda w: Value.__init__(w, 3.0)
    assert is_refused(lambda: w.__init__(4.0, (w * 2 for _ in "x"), "outer", label="x"))
    assert is_refused(lambda: w.__init__(4.0, (a,), "outer", label="x"))
    assert (w.data, w._prev) == (3.0, ())

    def itself():
        w.__init__(5.0)
        yield w * 2

    assert is_refused(lambda: w.__init__(4.0, itself(), "outer"))


def test_a_computed_node_keeps_its_operands_whatever_is_done_to_it():
    a = Value(1.0)
    c = a * 2
    c.__setstate__((1.0, 0.0, {"label": "s"}))
    assert is_refused(lambda: c.__init__(1.0, (c,), "op"))
    c.__class__ = Slotless
    assert is_refused(lambda: c.__init__(1.0, (c,), "op"))
    assert (c._prev, c.label) == ((a,), "s")


class Slotless(Value):
    """An ordinary subclass."""


def test_a_subclass_that_uses_itself_before_the_constructor():
    class Early(Value):
        def __init__(self, data):
            twice = self * 2
            super().__init__(data, (twice,), "early", local_grads=(1.0,))

    with pytest.raises(ValueError, match="__init__ has not run"):
        Early(1.0)


@pytest.mark.parametrize("size", [-1, 2.0, "2", None, math.nan, [2], 1j, -(10**30)])
def test_networks_of_no_size(size):
    for make in (lambda: nn.Neuron(size), lambda: nn.Layer(1, size), lambda: nn.MLP(1, [size])):
        with pytest.raises((TypeError, ValueError)):
            make()


@pytest.mark.parametrize("wrong", ["x", None, -1.0, math.nan, math.inf, 1j, [0.1], 10**400])
def test_rates_that_are_none_leave_the_parameters(wrong):
    p = Value(1.0)
    p.grad = 2.0
    optimizer = optim.Adam([p])
    for call in (
        lambda: optimizer.step(lr=wrong) if wrong is not None else optimizer.step("x"),
        lambda: setattr(optimizer, "lr", wrong),
        lambda: optim.SGD([p], lr=wrong),
        lambda: optim.SGD([p], lr=lambda step: wrong).step(),
        lambda: optim.AdamW([p], betas=(wrong, 0.9)),
    ):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            call()
    assert (p.data, p.grad, optimizer.steps) == (1.0, 2.0, 0)


def test_states_of_optimizers_that_are_none():
    params = [Value(1.0), Value(2.0)]
    endless = np.broadcast_to(np.float64(0.1), (2**40,))
    for state in (endless, range(2**62), [0.1], [0.1, "x"], None, [0.1, 0.2, 0.3]):
        momentum, moments = _core.Momentum(params), _core.Moments(params)
        before = momentum.__reduce__(), moments.__reduce__()
        with pytest.raises((TypeError, ValueError)):
            momentum.__setstate__(state)
        for given in (state, (1, state), (state, [(0.1, 0.2)] * 2)):
            with pytest.raises((TypeError, ValueError, OverflowError)):
                moments.__setstate__(given)
        assert str((momentum.__reduce__(), moments.__reduce__())) == str(before)


def test_a_module_is_not_read_from_a_descriptor_nor_from_an_endless_name(tmp_path):
    (tmp_path / "file").write_text("{}")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    module = nn.Neuron(2)
    for wrong in (descriptor, True, None, b"file", "x" * 10**6):
        for call in (module.load, module.save):
            with pytest.raises((TypeError, ValueError), match="path is") as caught:
                call(wrong)
            assert len(str(caught.value)) < 200
    os.close(descriptor)  # still open


def test_a_picture_that_cannot_be_drawn_leaves_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "graph.png").write_text("old")
    with pytest.raises(RuntimeError, match="Graphviz"):
        viz.draw_dot(Value(1.0)).render(str(tmp_path / "graph"), "png")
    assert (tmp_path / "graph.png").read_text() == "old"
    with pytest.raises(ValueError, match="filename is"):
        viz.draw_dot(Value(1.0)).render("x" * 10**6)


def test_a_name_without_end_is_told_shortly(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "bigram", "9" * 5000, "-o", "made"]) == 1
    assert len(capfd.readouterr().err) < 600


class WordOfItsOwn(str):
    """A string that equals nothing it is compared with, and fails."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        raise TypeError(f"Cannot interpret {self}")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("patience", lambda: models.NPLM().fit(["ab", "ba"], steps=2, patience=10**4000)),
        (
            "dtype",
            lambda: models.NPLM(dtype=WordOfItsOwn("float" * 1000)).fit(["ab", "ba"], steps=2),
        ),
        ("format", lambda: viz.draw_dot(Value(1.0)).render(format="x" * 10**5)),
    ],
)
def test_what_an_argument_was_is_told_shortly(name, call):
    with pytest.raises((TypeError, ValueError), match=f"{name} is") as caught:
        call()
    assert len(str(caught.value)) < 400
