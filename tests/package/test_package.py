"""What `import fastgrad` gives, what it costs, and that the documentation tells the truth."""

import doctest
import importlib
import inspect
import pathlib
import subprocess
import sys

import fastgrad
import pytest

MODULES = ["base", "checkpoint", "datasets", "distributed", "engine", "models", "models.nplm", "nn"]
MODULES += ["optim", "optim.schedules", "plots", "sampling", "text", "training", "viz"]
PACKAGE = pathlib.Path(fastgrad.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(["fastgrad", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    )
    for path in PACKAGE.rglob("*.py")
    if "    >>> " in (text := path.read_text(encoding="utf-8")) or "\n>>> " in text
)


def loaded_by(code):
    """Modules that a fresh interpreter has loaded after running the code."""
    report = f"{code}\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-I", "-c", report]
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())


def test_importing_the_package_loads_next_to_nothing():
    loaded = loaded_by("import fastgrad")
    assert {name for name in loaded if name.startswith("fastgrad")} == {
        "fastgrad",
        "fastgrad._fork",
    }
    assert "numpy" not in loaded


def test_scalar_modules_load_nothing_that_is_slow_to_import():
    loaded = loaded_by("import fastgrad.engine, fastgrad.nn") - loaded_by("")
    slow = {"asyncio", "collections", "dataclasses", "difflib", "enum", "functools", "inspect"}
    slow |= {"json", "numpy", "random", "re", "tempfile", "typing"}
    assert not loaded & slow


def test_names_load_what_they_need_and_no_more():
    loaded = loaded_by("import fastgrad; fastgrad.MLP; fastgrad.SGD; fastgrad.viz")
    ours = {name for name in loaded if name.startswith("fastgrad.")}
    assert ours == {
        f"fastgrad.{name}"
        for name in (
            "_checks",
            "_core",
            "_fork",
            "_hints",
            "_state",
            "engine",
            "nn",
            "optim",
            "optim.schedules",
            "viz",
            "viz.dot_text",
            "viz.drawing",
            "viz.folding",
            "viz.graph",
            "viz.steps",
            "viz.svg",
            "viz.text_tree",
            "viz.written_out",
        )
    }
    assert "numpy" not in loaded


def test_every_public_name_is_there():
    for name in fastgrad.__all__:
        assert getattr(fastgrad, name) is not None
        assert name in dir(fastgrad)
    names = {}
    exec("from fastgrad import *", names)
    assert set(fastgrad.__all__) <= set(names)


def test_names_are_the_objects_of_their_modules():
    assert fastgrad.Value is fastgrad.engine.Value
    assert fastgrad.MLP is fastgrad.nn.MLP
    assert fastgrad.Adam is fastgrad.optim.Adam
    assert fastgrad.__version__.count(".") == 2


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'fastgrad' has no attribute 'Tensor'"):
        _ = fastgrad.Tensor
    with pytest.raises(ImportError, match="Tensor"):
        exec("from fastgrad import Tensor", {})


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(f"fastgrad.{name}")
    assert module.__doc__
    for public in module.__all__:
        assert getattr(module, public).__doc__, public


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_the_documentation_run(name):
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0


def test_modules_of_every_kind_have_examples():
    names = {"fastgrad", "fastgrad.nn", "fastgrad.models.nplm.model", "fastgrad.plots.curves"}
    assert names <= set(WITH_EXAMPLES)
    assert len(WITH_EXAMPLES) > 30


def public_callables():
    """Functions, classes and their methods by the names that users reach them with."""
    for module in ("", *(f".{name}" for name in MODULES)):
        home = importlib.import_module(f"fastgrad{module}")
        for name in home.__all__:
            found = getattr(home, name)
            yield f"{home.__name__}.{name}", found
            for member in dir(found) if inspect.isclass(found) else ():
                if not member.startswith("_"):
                    yield f"{home.__name__}.{name}.{member}", getattr(found, member)


def test_every_parameter_is_spelled_out():
    hidden = [
        name
        for name, found in public_callables()
        if callable(found)
        and getattr(found, "__module__", "").startswith("fastgrad")
        and not getattr(found, "_is_protocol", False)
        and not (inspect.isclass(found) and issubclass(found, BaseException))
        and any(p.kind is p.VAR_KEYWORD for p in inspect.signature(found).parameters.values())
    ]
    # Its arguments are those of the user's function.
    assert hidden == ["fastgrad.Jit.value_and_grad"]
