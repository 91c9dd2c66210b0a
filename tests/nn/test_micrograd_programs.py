"""Programs written for micrograd run with only the import changed, and give the same numbers."""

import os
import pathlib
import random
import re
import subprocess
import sys
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
FEW_STEPS = {
    "from_bigram_to_nplm": ["--quick"],
    "microgpt": ["--steps", "1"],
    "microgpt_jit": ["--steps", "2"],
    "moons": ["--steps", "2"],
}


def run_text(path, source):
    """Run a program's text as a module of its own."""
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(source, path, "exec"), vars(module))
    return module


def load(name, change=None):
    """Load an example; `change` is the old and the new beginning of its import lines."""
    path = ROOT / "examples" / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    if change:
        old, new = change
        source, count = re.subn(f"^from {re.escape(old)}", f"from {new}", source, flags=re.M)
        assert count, f"{name} imports nothing from {old}"
    return run_text(path, source)


def quiet(*_):
    """Take the place of print."""


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_runs_as_a_script_anywhere(name, tmp_path):
    program = [sys.executable, "-W", "error", ROOT / "examples" / f"{name}.py"]
    done = subprocess.run(
        [*program, *FEW_STEPS.get(name, [])],
        cwd=tmp_path,
        env={**os.environ, "FASTGRAD_DATA": str(tmp_path), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout


# README and engine tests ------------------------------------------------------------------------

# Exact derivatives of the rational expression, computed with fractions and rounded once.
README = (24.70408163265306, 138.8338192419825, 645.5772594752186)


def test_readme_expression():
    assert load("readme_expression").main() == pytest.approx(README, rel=1e-12)


def test_readme_expression_in_micrograd():
    micrograd = load("readme_expression", ("fastgrad", "micrograd")).main()
    assert load("readme_expression").main() == pytest.approx(micrograd, rel=1e-14)


def reused_node(Value):  # noqa: N803
    """A leaf that reaches the result along many paths, as in micrograd's first engine test."""
    x = Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    return x, y


def test_sanity_of_a_reused_node():
    from fastgrad.engine import Value

    x, y = reused_node(Value)
    # z = -10, q = 40, h = 100: y = 100 + 40 - 160, dy/dx = 2·z·3 + (1 + x)·(3·x + z) + q.
    assert y.data == -20.0
    assert x.grad == -60.0 + (-3.0) * (-22.0) + 40.0


def test_sanity_of_a_reused_node_in_micrograd():
    import micrograd.engine

    x, y = reused_node(micrograd.engine.Value)
    assert (y.data, x.grad) == (-20.0, 46.0)


# The two moons ----------------------------------------------------------------------------------

MOONS = {
    0: (0.8958441028683222, 50),
    1: (1.7235905336972022, 81),
    2: (0.7429006313851131, 77),
    3: (0.7705641260584198, 82),
    10: (0.24507023853658053, 91),
    50: (0.09875114765619622, 96),
    99: (0.010978370135492717, 100),
}


def test_moons_gives_micrograds_losses():
    history = load("moons").main(report=quiet)
    assert len(history) == 100
    assert history[0][0] == pytest.approx(MOONS[0][0], rel=1e-12)
    for step, (loss, accuracy) in MOONS.items():
        assert history[step][0] == pytest.approx(loss, rel=1e-6), step
        assert round(100 * history[step][1]) == accuracy, step


def test_moons_recorded_by_jit_gives_micrograds_losses():
    history = [loss for loss, _ in load("moons").main(steps=20, report=quiet)]
    jitted, accuracy = load("moons_jit").main(steps=20, report=quiet)
    assert jitted == pytest.approx(history, rel=1e-9)
    assert accuracy > 0.8


@pytest.mark.slow
def test_moons_in_micrograd():
    micrograd = load("moons", ("fastgrad", "micrograd")).main(steps=2, report=quiet)
    assert load("moons").main(steps=2, report=quiet) == [
        (pytest.approx(loss, rel=1e-12), accuracy) for loss, accuracy in micrograd
    ]


def test_moons_through_micrograds_own_nn(monkeypatch):
    import micrograd.nn

    path = pathlib.Path(micrograd.nn.__file__)
    source = path.read_text().replace("from micrograd.engine", "from fastgrad.engine")
    monkeypatch.setitem(sys.modules, "nn_of_micrograd", run_text(path, source))
    history = load("moons", ("fastgrad.nn", "nn_of_micrograd")).main(steps=4, report=quiet)
    assert [loss for loss, _ in history] == pytest.approx([MOONS[k][0] for k in range(4)], rel=1e-9)


# Drawing ----------------------------------------------------------------------------------------


def shape_of(Value, trace):  # noqa: N803
    a, b = Value(2.0), Value(-3.0)
    c = a * b
    nodes, edges = trace((c + a * c).relu() ** 2)
    return len(nodes), len(edges), sorted(node._op for node in nodes)


def test_trace_sees_the_graph_that_micrograd_makes():
    from fastgrad.engine import Value
    from micrograd.engine import Value as MicrogradValue

    trace = load("trace_graph").trace
    assert shape_of(Value, trace) == shape_of(MicrogradValue, trace)


@pytest.mark.parametrize("graphviz", ["absent", "installed"])
def test_trace_graph_draws_a_neuron(graphviz, monkeypatch, capsys):
    if graphviz == "absent":
        monkeypatch.setitem(sys.modules, "graphviz", None)
    else:
        pytest.importorskip("graphviz")
    output, (nodes, edges) = load("trace_graph").main()
    text = capsys.readouterr().out
    assert output == pytest.approx(0.102443419482938, rel=1e-12)
    leaves = sorted(node.data for node in nodes if not node._op)
    assert leaves == pytest.approx([-2.0, 0.0, 0.06653114721000164, 0.23550571390294128, 1.0])
    assert len(edges) == sum(len(node._prev) for node in nodes)
    assert text.count("->") == len(edges) + sum(1 for node in nodes if node._op)
    assert all(str(id(node)) in text for node in nodes)


# The lecture's neuron ---------------------------------------------------------------------------


@pytest.mark.parametrize("change", [None, ("fastgrad.engine", "slow_value")])
def test_lecture_neuron(change):
    ways = load("lecture_neuron", change).main()
    assert len(ways) == 4
    for output, gradients in ways.values():
        assert output == pytest.approx(0.7071067811865476, rel=1e-12)
        expected = {"x1": -1.5, "w1": 1.0, "x2": 0.5, "w2": 0.0}
        assert gradients == pytest.approx(expected, rel=1e-12)


# A GPT of scalars -------------------------------------------------------------------------------

MICROGPT = ["3.3660", "3.4243", "3.1778", "3.0664", "3.2209", "2.9452"]


@pytest.mark.parametrize("name", ["microgpt", "microgpt_fast"])
def test_microgpt_losses(name, names_file):
    losses = load(name).main(names_file, steps=6, report=quiet)
    assert [f"{loss:.4f}" for loss in losses] == MICROGPT


def first_step(program):
    """Compute the loss of one name, and the gradients of all parameters."""
    random.seed(42)
    weights = program.make_weights(27)
    loss = program.surprise(weights, [26, 4, 12, 12, 0, 26])
    loss.backward()
    return loss, [p for rows in weights.values() for row in rows for p in row]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["microgpt", "microgpt_fast"])
def test_microgpt_gradients_are_those_of_the_oracle(name):
    expected, slow = first_step(load("microgpt", ("fastgrad.engine", "slow_value")))
    loss, parameters = first_step(load(name))
    assert loss.data == pytest.approx(expected.data, rel=1e-12)
    assert len(parameters) == 4192
    for got, p in zip(parameters, slow, strict=True):
        assert abs(got.grad - p.grad) <= 1e-12 * p.reach


def test_microgpt_without_a_file_and_on_list_operations():
    lines = []
    scalars = load("microgpt").main(steps=12, report=lines.append)
    lists = load("microgpt_fast").main(steps=12, report=quiet)
    assert lines[0] == "26 names, 27 symbols, 4192 parameters"
    assert lists == pytest.approx(scalars, rel=1e-9)


def test_microgpt_recorded_by_jit_gives_the_same_losses(names_file):
    eager, jitted, programs = load("microgpt_jit").main(names_file, steps=6, report=quiet)
    assert [f"{loss:.4f}" for loss in eager] == MICROGPT
    assert jitted == pytest.approx(eager, rel=1e-9)
    names = pathlib.Path(names_file).read_text(encoding="utf-8").split()
    assert len(programs) <= len({len(name) for name in names})
    assert all(len(program.instructions) < 100 for program in programs)
