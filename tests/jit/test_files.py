"""Recorded programs in files, as source text, in single precision and on threads."""

import ctypes
import math
import shutil
import subprocess

import numpy as np
import pytest
from fastgrad import Jit, JitError, Value, jit, pick, set_num_threads, take
from fastgrad.checkpoint import CheckpointError
from fastgrad.engine import softmax


@pytest.fixture
def recorded():
    """A jitted function of many ops, recorded for two structures, and its examples."""
    weights, bias = [Value(0.5), Value(-0.25)], Value(0.1)

    @jit
    def f(x, i):
        hidden = [(w * sum(x) + bias).tanh() for w in weights]
        smooth = pick(hidden, i) ** 2 + sum(hidden).exp() * 0.1 - (hidden[1] ** 2 + 1).sqrt()
        kinks = abs(hidden[0]) + (hidden[1] * 3).relu() + hidden[0].max(hidden[1])
        return smooth + kinks / (2.0 + hidden[0].sigmoid()) + (hidden[0] * hidden[0] + 1.0).log()

    examples = [[x] if x < 0.5 else [x, 0.5 * x] for x in np.linspace(-1, 1, 9).tolist()]
    indices = [i % 2 for i in range(9)]
    f.value_and_grad(examples, indices)
    for p in f.parameters():
        p.grad = 0.0
    return f, examples, indices


def result(f, *batch, threads=None):
    mean = f.value_and_grad(*batch, threads=threads)
    params = f.parameters()
    found = mean, [p.grad for p in params]
    for p in params:
        p.grad = 0.0
    return found


def test_a_file_gives_the_same_programs(recorded, tmp_path):
    f, *batch = recorded
    f.save(tmp_path / "f.safetensors")
    loaded = Jit.load(tmp_path / "f.safetensors")
    assert result(loaded, *batch) == result(f, *batch)
    assert [p.data for p in loaded.parameters()] == [p.data for p in f.parameters()]
    assert not set(loaded.parameters()) & set(f.parameters())
    assert loaded(batch[0][0], 0).data == f(batch[0][0], 0).data
    with pytest.raises(JitError, match="f"):
        loaded([1.0, 2.0, 3.0], 0)


def test_a_wrong_file_is_refused(recorded, tmp_path):
    from fastgrad import checkpoint

    f, *_ = recorded
    path = tmp_path / "f.safetensors"
    f.save(path)
    tensors, config = checkpoint.load(path)
    for name in ("0.nodes", "0.shape", "data", "0.params", "1.list_starts"):
        checkpoint.save(path, {key: a for key, a in tensors.items() if key != name}, config)
        with pytest.raises(CheckpointError):
            Jit.load(path)
    for name in ("0.nodes", "0.pair_items", "0.list_starts", "0.shape", "0.params"):
        wrong = dict(tensors)
        wrong[name] = np.full_like(wrong[name], 2**32 - 1)
        checkpoint.save(path, wrong, config)
        with pytest.raises(CheckpointError):
            Jit.load(path)
    checkpoint.save(path, {"weights": np.ones(3)}, {})
    with pytest.raises(CheckpointError):
        Jit.load(path)


def test_a_file_keeps_settings_and_keywords(tmp_path):
    w = Value(2.0)
    f = jit(lambda x, y=0.0: (w * x + y) * (w * x + y), passes=("fold", "sums"))
    f(1.0, y=3.0)
    f.save(tmp_path / "f.safetensors")
    loaded = Jit.load(tmp_path / "f.safetensors")
    assert loaded.passes == ("fold", "sums")
    assert loaded.program.nodes == f.program.nodes
    assert loaded(2.0, y=1.0).data == 25.0


def test_unknown_passes_of_a_file_are_refused(tmp_path):
    from fastgrad import checkpoint

    path = tmp_path / "f.safetensors"
    f = jit(lambda x: x * Value(1.0))
    f(1.0)
    f.save(path)
    tensors, config = checkpoint.load(path)
    for passes in (["folds"], 3, [["fold"]]):
        checkpoint.save(path, tensors, config | {"passes": passes})
        with pytest.raises(CheckpointError, match="damaged"):
            Jit.load(path)


def test_a_file_holds_no_objects(tmp_path):
    w = Value(1.0)
    f = jit(lambda x, shape: w * x)
    f(1.0, frozenset({1}))
    with pytest.raises(TypeError):
        f.save(tmp_path / "f.safetensors")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_function_in_c_gives_the_same(recorded, tmp_path):
    f, examples, indices = recorded
    source, library = tmp_path / "f.c", tmp_path / "f.so"
    source.write_text(f.programs[0].to_c("one_number"))
    options = ("-std=c99", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-lm")
    subprocess.run(["cc", *options], check=True)
    compiled = ctypes.CDLL(str(library)).one_number
    compiled.restype = ctypes.c_double
    array = np.ctypeslib.ndpointer(dtype=np.float64)
    compiled.argtypes = [array, array, array]
    short = [(x, i) for x, i in zip(examples, indices, strict=True) if len(x) == 1]
    params = f.parameters()
    gradients, total = np.zeros(len(params)), 0.0
    for x, i in short:
        numbers = np.array([p.data for p in params])
        total += compiled(numbers, np.array([*x, float(i)]), gradients)
    mean, expected = result(f, [x for x, _ in short], [i for _, i in short])
    assert total / len(short) == pytest.approx(mean, rel=1e-12)
    assert (gradients / len(short)).tolist() == pytest.approx(expected, rel=1e-11)


W = [Value(0.5), Value(-0.25), Value(1.5)]

# Programs of every op, and some that do not read their parameters, inputs or gradients.
SOURCES = {
    "constant": lambda x: 3.0,
    "parameter": lambda x: W[0] * 1.0,
    "number": lambda x: x,
    "detached": lambda x: W[0] * (W[1] * x).data,
    "no_gradient": lambda x: Value((W[1] * x).data),
    "branch": lambda x: W[0] * x if (W[1] * x).data < (W[2] * 5).data else W[1] * x,
    "kinks": lambda x: abs(W[0] * x) + (W[1] * x).relu() + (W[0] * x).max(W[1]).min(W[1] * -x),
    "powers": lambda x: (W[0] + x) ** 2 + (W[0] + x) ** -1.5 + 2 ** W[1] + W[2] ** W[1] + W[0] ** 0,
    "unary": lambda x: (W[0] * x).exp() + (W[2] * x).log() + (W[2] * x).sqrt() + (W[0] * x).sin()
    - (W[0] * x).cos() * (W[1] * x).sigmoid() / (W[0] * x).tanh() - (-(W[1] * x)),
    "choices": lambda x: (pick(softmax([w * x for w in W]), 1) * pick([W[0], 2.0, -3.0], x))
    + sum(take([[W[0], W[1]], [W[2], W[0]]], x)),
    "infinities": lambda x: (W[0] * x).max(-math.inf).min(math.inf),
    "own": lambda x: Value((W[0] * x).data ** 2, (W[0],), "own", local_grads=[(W[0] * x).data * x]),
}  # fmt: skip


@pytest.fixture
def sources():
    """The programs, each with all passes and without any, after a call with 1.0."""
    made = {}
    for name, function in SOURCES.items():
        made[f"{name}_simplified"] = jit(function)
        made[f"{name}_recorded"] = jit(function, passes=())
    for f in made.values():
        f(1.0)
    return made


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_functions_in_c_compile_without_a_warning_and_give_the_same(sources, tmp_path):
    text = "\n".join(f.program.to_c(name) for name, f in sources.items())
    (tmp_path / "f.c").write_text(text)
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O0", "-shared", "-fPIC")
    subprocess.run(["cc", *flags, "f.c", "-o", "f.so", "-lm"], check=True, cwd=tmp_path)
    library = ctypes.CDLL(str(tmp_path / "f.so"))
    floats = np.ctypeslib.ndpointer(np.float64)
    for name, f in sources.items():
        function = getattr(library, name)
        function.restype, function.argtypes = ctypes.c_double, (floats, floats, floats)
        value = f(1.0)
        value.backward()
        params = f.parameters()
        expected = [p.grad for p in params]
        for p in params:
            p.grad = 0.0
        numbers, gradients = np.array([p.data for p in params]), np.zeros(len(params))
        output = function(numbers, np.array([1.0]), gradients)
        assert output == pytest.approx(value.data, rel=1e-14), name
        assert gradients.tolist() == pytest.approx(expected, rel=1e-14), name


@pytest.mark.skipif(shutil.which("rustc") is None, reason="there is no Rust compiler")
def test_functions_in_rust_compile_without_a_warning(sources, recorded, tmp_path):
    sources["two_numbers"] = recorded[0]
    text = "\n".join(f.program.to_rust(name) for name, f in sources.items())
    (tmp_path / "f.rs").write_text(text)
    options = ("--edition", "2021", "-D", "warnings", "--crate-type", "lib")
    subprocess.run(["rustc", *options, "f.rs"], check=True, cwd=tmp_path)


@pytest.mark.parametrize("name", ["", "1x", "a b", "f;", 3, "exp", "const", "match"])
def test_a_function_needs_a_name(recorded, name):
    with pytest.raises(ValueError, match="name"):
        recorded[0].program.to_c(name)


def test_single_precision_has_six_digits(recorded):
    f, *batch = recorded
    mean, gradients = result(f, *batch)
    single = jit(f.function, dtype="float32")
    found, found_gradients = result(single, *batch)
    assert found == pytest.approx(mean, rel=3e-6)
    assert found != mean
    assert found_gradients == pytest.approx(gradients, rel=1e-5, abs=1e-6)
    with pytest.raises(ValueError, match="dtype"):
        jit(f.function, dtype="float16")


def test_threads_change_no_bit():
    weights = [Value(0.1 * i - 1.0) for i in range(24)]

    @jit
    def f(x):
        return sum((w * xi).tanh() for w, xi in zip(weights, x, strict=True)) ** 2

    points = np.random.default_rng(0).normal(size=(4000, 24))
    one = result(f, points, threads=1)
    assert all(result(f, points, threads=n) == one for n in (2, 3, 5))
    try:
        set_num_threads(2)
        assert result(f, points) == one
    finally:
        set_num_threads(None)
