"""The walls of the house, as ARCHITECTURE.md draws them: who may know whom, and how much."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import fastgrad
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "fastgrad"
CORE = ROOT / "rust" / "core"

# A module, and the modules of ours that it may import. A package stands for all of its modules.
MAY_IMPORT = {
    "_core": set(),
    "_checks": set(),
    "_threads": {"_checks", "_core"},
    "_fork": set(),
    "_hints": set(),
    "_defaults": set(),
    "_files": {"_checks"},
    "_state": {"_checks", "_files"},
    "_tables": set(),
    "_display": {"_checks"},
    "_progress": {"_checks"},
    "engine": {"_core", "_hints"},
    "nn": {"_checks", "_core", "_hints", "_state", "_tables", "engine"},
    "optim": {"_checks", "_core", "_hints", "_state", "engine", "optim"},
    "datasets": {"_checks", "_core", "_hints"},
    "debug": {"_checks", "engine"},
    "_script": {"_script", "engine"},
    "_jit": {
        *("_checks", "_core", "_jit", "_progress", "_threads", "checkpoint", "optim"),
        "training.history",
    },
    "viz": {"_checks", "_core", "_files", "_hints", "engine", "viz"},
    "plots": {"_checks", "_files", "_hints", "plots"},
    "text": {"_checks", "_core", "_files", "_hints", "text"},
    "base": {"text"},
    "distributed": {"_checks", "distributed"},
    "distributed.training": {"_checks", "distributed", "training.snapshots"},
    "checkpoint": {"_checks", "_files"},
    "models": {
        *("_checks", "_core", "_defaults", "_display", "_hints", "_progress", "_tables"),
        *("_threads", "base"),
        *("checkpoint", "distributed", "models", "optim.schedules", "sampling", "text"),
        "training",
    },
    "training": {"_checks", "_display", "_files", "_hints", "_progress", "base", "training"},
    "sampling": {"_checks", "_core", "_hints", "_progress", "_threads", "base", "text"},
    "__init__": {
        *(
            "_core",
            "_fork",
            "_hints",
            "_jit",
            "_threads",
            "base",
            "checkpoint",
            "datasets",
            "debug",
            "distributed",
            "engine",
        ),
        *("models", "nn", "optim", "plots", "sampling", "text", "training", "viz"),
    },
    "demo": {
        *("_core", "_defaults", "datasets", "demo", "engine", "models", "nn", "optim"),
        *("plots", "sampling", "text", "training", "viz"),
    },
    "__main__": {"cli"},
}
# The command line is what may import everything, and what nothing may import.
IMPORTS_ALL = {"cli"}

# Parts of the Rust core that meet in tests only.
DOMAINS = {"autograd", "layout", "ngram_counts", "sampling", "neural_bigram", "nplm", "words"}
DOMAINS |= {"ngram_lm"}


def module_of(path):
    """Name a source file's module as seen from the package: `models.base`, `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


SOURCES = sorted(path for end in ("*.py", "*.pyi") for path in PACKAGE.rglob(end))
MODULES = {module_of(path) for path in SOURCES}


def imported_modules(source, package=("fastgrad",)):
    """List the modules of ours that a source text imports, also inside functions."""
    targets = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            origin = [*start, *([node.module] if node.module else [])]
            targets += [".".join([*origin, alias.name]) for alias in node.names]
    ours = [target.split(".")[1:] for target in targets if target.split(".")[0] == "fastgrad"]
    return {longest_module(names) for names in ours}


def longest_module(names):
    """Find the module in a dotted name whose end may be a class or a function."""
    while names and ".".join(names) not in MODULES:
        names = names[:-1]
    return ".".join(names) or "__init__"


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from fastgrad.engine import Value", {"engine"}),
        ("import fastgrad.nn, os", {"nn"}),
        ("from . import _core, engine", {"_core", "engine"}),
        ("from .nn import MLP", {"nn"}),
        ("def late():\n    from .cli import main", {"cli"}),
        ("from fastgrad import Value", {"__init__"}),
        ("import fastgrad", {"__init__"}),
        ("import json\nfrom numpy import random", set()),
    ],
)
def test_imports_are_seen_however_they_are_written(source, modules):
    assert imported_modules(source) == modules


def test_imports_are_seen_from_within_a_subpackage():
    assert imported_modules("from ..engine import Value", ("fastgrad", "models")) == {"engine"}


def test_the_package_was_found():
    assert {"_core", "engine", "nn", "optim", "cli"} <= MODULES


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_modules_import_only_what_they_may(path):
    module = module_of(path)
    package = ("fastgrad", *path.relative_to(PACKAGE).parent.parts)
    imported = imported_modules(path.read_text(encoding="utf-8"), package) - {module}
    if module.split(".")[0] in IMPORTS_ALL:
        return
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    row = next((name for name in names if name in MAY_IMPORT), module)
    assert row in MAY_IMPORT, f"{module} is new: give it a row here and a place in ARCHITECTURE.md"
    strangers = {m for m in imported if not {m, m.split(".")[0]} & MAY_IMPORT[row]}
    assert not strangers, f"{module} may not import {', '.join(sorted(strangers))}"


# `WordVocab.read` returns a `WordText`, which has a `WordVocab`.
INTENDED = {("text.word_vocab", "text.word_text")}


def without_type_imports(source):
    """Return a source text without what only type checkers run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle():
    graph = {}
    for path in SOURCES:
        module, package = module_of(path), ("fastgrad", *path.relative_to(PACKAGE).parent.parts)
        source = without_type_imports(path.read_text(encoding="utf-8"))
        # A package passes on the names of its modules, so that these are loaded before it.
        graph[module] = {
            found
            for found in imported_modules(source, package) - {module, "__init__"}
            if not module.startswith(f"{found}.") and (module, found) not in INTENDED
        }
    # Take away what imports nothing that is left, until nothing is.
    while free := {module for module, imported in graph.items() if not imported & graph.keys()}:
        graph = {module: imported for module, imported in graph.items() if module not in free}
    assert {module: imported & graph.keys() for module, imported in graph.items()} == {}


def run_python(code, directory):
    """Run code in a fresh interpreter that sees installed packages only; return its output."""
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(
        command, cwd=directory, check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout.strip()


@pytest.mark.parametrize("module", ["engine", "nn", "optim", "viz"])
def test_scalar_modules_leave_numpy_alone(module, tmp_path):
    code = f"import sys, fastgrad.{module}; print([m for m in sys.modules if 'numpy' in m])"
    assert run_python(code, tmp_path) == "[]"


def test_the_installed_package_is_tested_and_not_the_sources():
    assert not pathlib.Path(fastgrad.__file__).resolve().is_relative_to(PACKAGE.parent)


def test_the_core_depends_on_neither_python_nor_the_bindings():
    manifest = tomllib.loads((CORE / "Cargo.toml").read_text(encoding="utf-8"))
    names = {name for key in manifest if "dependencies" in key for name in manifest[key]}
    assert not {name for name in names if re.search("py|python", name)}


def test_domains_of_the_core_do_not_know_each_other():
    files = sorted((CORE / "src").rglob("*.rs"))
    assert files
    for path in files:
        home = path.relative_to(CORE / "src").with_suffix("").parts[0]
        if home in DOMAINS:
            code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
            uses = " ".join(re.findall(r"\buse\s[^;]*;|\bcrate::\w+", code))
            strangers = (DOMAINS - {home}) & set(re.findall(r"\w+", uses))
            assert not strangers, f"{path.name} of {home} knows {', '.join(strangers)}"


def paths_in_use_tree(tree):
    """List the paths of `a::{b, c::{d}}`."""
    prefix, brace, rest = tree.partition("{")
    if not brace:
        return [tree]
    paths, depth, start = [], 0, 0
    body = rest[: rest.rindex("}")] + ","
    for end, letter in enumerate(body):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and not depth:
            paths += paths_in_use_tree(prefix + body[start:end])
            start = end + 1
    return paths


def rust_imports(source):
    """Map each file of a crate to the files that it uses, all as tuples of module names."""
    files = {}
    for path in sorted(source.rglob("*.rs")):
        parts = path.relative_to(source).with_suffix("").parts
        files[parts[:-1] if parts[-1] in {"lib", "mod"} else parts] = path
    graph = {}
    for module, path in files.items():
        code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        trees = re.findall(r"\buse ([\w:{},*\s]+);", code)
        uses = [use for tree in trees for use in paths_in_use_tree(re.sub(r"\s+", "", tree))]
        uses += re.findall(r"\b(?:crate|super)(?:::\w+)+", code)
        found = set()
        for first, *names in (use.split("::") for use in uses):
            if first in {"crate", "super"}:
                target = (*module[:-1], *names) if first == "super" else (*names,)
                while target not in files:
                    target = target[:-1]
                found.add(target)
        # The table of contents of a folder names the folder's own files.
        own = module if path.stem in {"lib", "mod"} else None
        graph[module] = {target for target in found - {module} if target[: len(module)] != own}
    return graph


def test_paths_of_nested_use_declarations_are_seen():
    assert paths_in_use_tree("super::{a::{B,self},c}") == [
        "super::a::B",
        "super::a::self",
        "super::c",
    ]


@pytest.mark.parametrize("crate", ["core", "python"])
def test_no_rust_files_use_each_other_in_a_circle(crate):
    graph = rust_imports(ROOT / "rust" / crate / "src")
    assert sum(map(len, graph.values())) > len(graph)
    # Take away what uses nothing that is left, until nothing is.
    while free := {module for module, used in graph.items() if not used & graph.keys()}:
        graph = {module: used for module, used in graph.items() if module not in free}
    assert {module: used & graph.keys() for module, used in graph.items()} == {}
