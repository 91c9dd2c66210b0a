"""Who is compared, where each is found, and how a program is run on any of them."""

import importlib
import importlib.metadata
import importlib.util
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Engine:
    """A module with a class Value."""

    name: str
    module: str
    package: str | None  # whose version is printed
    advice: str  # what to do where it is missing
    # It never frees a graph: measure it with fewer nodes, or it fills the memory.
    leaks: bool = False

    def installed(self) -> bool:
        return find(self.module)

    def value(self) -> Any:
        """Import the class Value."""
        return importlib.import_module(self.module).Value

    def version(self) -> str:
        return importlib.metadata.version(self.package) if self.package else "built here"


FASTGRAD = Engine("fastgrad", "fastgrad.engine", "fastgrad", "make wheel")
MICROGRAD = Engine("micrograd", "micrograd.engine", "micrograd", "pip install micrograd==0.1.0")
MICROGRAD_RUST = Engine(
    "micrograd-rust",
    "micrograd_rust",
    "micrograd-rust",
    "pip install micrograd-rust (builds from source with cargo)",
    leaks=True,
)
# The least that an eager Value costs in CPython: a C type for measuring only, hardly any checks.
FLOOR = Engine("floor", "clink", None, "set FASTGRAD_FLOOR to the folder that holds clink.so")

# Other peers: their modules, and the packages that these come from.
PACKAGES = {
    "jax": "jax",
    "casadi": "casadi",
    "torch": "torch",
    "numpy": "numpy",
    "polars": "polars",
    "sklearn": "scikit-learn",
}

ENGINES = {engine.name: engine for engine in (FASTGRAD, FLOOR, MICROGRAD, MICROGRAD_RUST)}


def find(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def look_for_the_floor() -> None:
    """Let `import clink` find the floor where it is built: $FASTGRAD_FLOOR, or PYTHONPATH."""
    for folder in (os.environ.get("FASTGRAD_FLOOR"), ROOT.parent / "shared" / "floor"):
        if folder and (Path(folder) / "clink.so").is_file():
            sys.path.append(str(folder))


look_for_the_floor()


def present(*engines: Engine) -> list[Engine]:
    """Pick the engines that are installed, in the order given."""
    return [engine for engine in engines if engine.installed()]


def versions() -> dict[str, str]:
    found = {engine.name: engine.version() for engine in present(*ENGINES.values())}
    for module, package in PACKAGES.items():
        if find(module):
            found[package] = importlib.metadata.version(package)
    return found


def missing() -> dict[str, str]:
    """Name the peers that are not there, and how to get them."""
    absent = {e.name: e.advice for e in ENGINES.values() if not e.installed()}
    for module, package in PACKAGES.items():
        if not find(module):
            absent[package] = f"pip install {package}"
    return absent


def allow_deep_graphs() -> None:
    """Let micrograd's recursive backward pass reach the end of the graphs measured here."""
    sys.setrecursionlimit(1_000_000)


# Programs on any engine --------------------------------------------------------------------------


def module_from_text(name: str, path: Path, text: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(text, path, "exec"), vars(module))
    return module


def micrograds_nn(engine: Engine, activation: str = "relu") -> ModuleType:
    """Load micrograd's own nn.py, its text unchanged but for the import (and the activation)."""
    spec = importlib.util.find_spec("micrograd.nn")
    path = Path(spec.origin)
    text = path.read_text(encoding="utf-8")
    text = text.replace("from micrograd.engine ", f"from {engine.module} ")
    text = text.replace(".relu()", f".{activation}()")
    name = f"{engine.module}_{activation}_nn".replace(".", "_")
    return module_from_text(name, path, text)


def example(name: str, engine: Engine) -> ModuleType:
    """Load a program of examples/: its Value from `engine`, its networks from micrograd."""
    path = EXAMPLES / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    text = text.replace("from fastgrad.engine ", f"from {engine.module} ")
    if "from fastgrad.nn " in text:
        text = text.replace("from fastgrad.nn ", f"from {micrograds_nn(engine).__name__} ")
    return module_from_text(f"{name}_on_{engine.module}".replace(".", "_"), path, text)


def teach_exp_and_log(value: Any) -> None:
    """Give micrograd's Value what it lacks for a softmax, the way its own operations do it."""

    def exp(self: Any) -> Any:
        out = value(math.exp(self.data), (self,), "exp")

        def _backward() -> None:
            self.grad += out.data * out.grad

        out._backward = _backward
        return out

    def log(self: Any) -> Any:
        out = value(math.log(self.data), (self,), "log")

        def _backward() -> None:
            self.grad += out.grad / self.data

        out._backward = _backward
        return out

    value.exp, value.log = exp, log
