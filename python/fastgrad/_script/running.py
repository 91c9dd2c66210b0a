"""Runs a script as `python FILE` does, with `engine.Value` in the place of its own scalar class."""

from __future__ import annotations

import ast
import builtins
import os
import sys
import sysconfig
from contextlib import suppress
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from .fields import RefusedError
from .swap import swap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, TracebackType

__all__ = ["run"]

# The builtin that is called after a class has been made.
_HOOK = "__fastgrad_swap__"


def run(path: Path, source: bytes, arguments: Sequence[str]) -> int:
    """Run a script in this process, which is the script's from here on; return the exit code.

    What is swapped is told on standard error. Raises SystemExit where the script does.
    """
    file = os.path.abspath(path)
    folder = os.path.dirname(os.path.realpath(path))
    main = ModuleType("__main__")
    ours = vars(sys.modules["__main__"])
    # Not every version of Python has all of these.
    given: dict[str, Any] = {"__annotations__": {}, "__cached__": None}
    main.__dict__.update({name: value for name, value in given.items() if name in ours})
    main.__dict__.update(__file__=file, __builtins__=builtins)
    main.__loader__ = SourceFileLoader("__main__", file)
    sys.modules["__main__"] = main
    sys.argv = [str(path), *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = folder
    swaps = _Swaps()
    swaps.reach_modules(folder)
    try:
        exec(swaps.compile(source, file), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        error.__traceback__ = _without_ours(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    finally:
        swaps.end(path.name)
    return 0


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this file, and of what it has compile and import the script."""
    kept: list[TracebackType] = []
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file not in (__file__, ast.__file__) and not file.startswith("<frozen importlib"):
            kept.append(trace)
        trace = trace.tb_next
    chain: list[TracebackType | None] = [*kept, None]
    for entry, following in zip(kept, chain[1:], strict=True):
        entry.tb_next = following
    return chain[0]


def _tell(message: str) -> None:
    if sys.stderr is not None:
        print(f"fastgrad run: {message}", file=sys.stderr, flush=True)


class _Swaps:
    """The classes of a script and of the modules beside it, swapped when they have been made."""

    def __init__(self) -> None:
        self.found: list[tuple[ast.ClassDef, ast.Module, str]] = []
        self.swapped: tuple[str, str] | None = None
        # The messages printed, and the variables around the class, by class.
        self.told: dict[int, str] = {}
        self.around: dict[int, dict[str, Any]] = {}
        setattr(builtins, _HOOK, self.at)

    def compile(self, source: bytes, file: str) -> CodeType:
        """Compile a module, with a call of `at` behind each class that has a `backward()`."""
        tree = ast.parse(source, file)
        self._add_calls(tree.body, tree, file)
        return compile(tree, file, "exec", dont_inherit=True)

    def _add_calls(self, block: list[ast.stmt], tree: ast.Module, file: str) -> None:
        done: list[ast.stmt] = []
        waiting: list[ast.stmt] = []
        for statement in block:
            # The class may need functions and modules that come after it.
            if not _only_names(statement):
                done += waiting
                waiting = []
            done.append(statement)
            if isinstance(statement, ast.ClassDef) and _has_backward(statement):
                name = statement.name
                call = f"{name} = {_HOOK}({len(self.found)}, {name})"
                self.found.append((statement, tree, file))
                waiting.append(_at_line_of(statement, ast.parse(call).body[0]))
            for inner in _blocks(statement):
                self._add_calls(inner, tree, file)
        block[:] = done + waiting

    def at(self, index: int, cls: type) -> type:
        """Return what takes the place of a class that has just been made; say what came of it."""
        node, tree, file = self.found[index]
        key = (file, node.name)
        place = f"{node.name} ({os.path.basename(file)}, line {node.lineno})"
        try:
            if self.swapped not in (None, key):
                raise RefusedError(f"fastgrad's is in the place of {self.swapped[1]} already")
            around = _variables(cls)
            if not _are_same(self.around.setdefault(index, around), around):
                raise RefusedError("it was made before, with other variables around it")
            frame = sys._getframe(1)
            done = swap(cls, node, tree, file, frame.f_globals, frame.f_locals)
        except RefusedError as reason:
            message = f"{place} is left as it is: {reason}"
        except Exception as error:
            message = f"{place} is left as it is: trying it raises {type(error).__name__}"
        else:
            if done is None:
                return cls
            self.swapped = key
            cls, kept = done
            message = f"{place} is fastgrad's Value now; "
            message += f"kept of its own: {', '.join(kept)}" if kept else "all its methods agree"
        # A function may make its class each time that it is called.
        if self.told.get(index) != message:
            self.told[index] = message
            _tell(message)
        return cls

    def end(self, name: str) -> None:
        """Write a line to standard error if there was nothing to swap."""
        if self.told:
            return
        message = f"{name} has no scalar class with data, grad and backward(); it ran as it is"
        if "micrograd.engine" in sys.modules:
            message += ". To replace micrograd's, import from fastgrad.engine"
        _tell(message)

    def reach_modules(self, folder: str) -> None:
        """Have modules in the folder compiled like the script, and their bytecode not kept."""
        swaps = self

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                file = self.get_filename(fullname)
                return swaps.compile(self.get_data(file), file)

        paths = sysconfig.get_paths()
        foreign = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
        foreign.append(str(Path(__file__).parents[1]))
        loaders: Any = [
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (Loader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        ]

        def finder(path: str) -> FileFinder:
            place = Path(path).resolve()
            if not place.is_relative_to(folder) or any(map(place.is_relative_to, foreign)):
                raise ImportError
            return FileFinder(path, *loaders)

        sys.path_hooks.insert(0, finder)
        sys.path_importer_cache.clear()


def _has_backward(node: ast.ClassDef) -> bool:
    return any(isinstance(s, ast.FunctionDef) and s.name == "backward" for s in node.body)


def _variables(cls: type) -> dict[str, Any]:
    """Return the variables of functions around a class that its methods use, but for itself."""
    found: dict[str, Any] = {}
    for method in vars(cls).values():
        if isinstance(method, FunctionType) and method.__closure__:
            for name, cell in zip(method.__code__.co_freevars, method.__closure__, strict=True):
                # A variable may still have no value.
                with suppress(ValueError):
                    if name not in ("__class__", cls.__name__):
                        found[name] = cell.cell_contents
    return found


def _are_same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Compare variables: numbers and texts by what they are, others by identity."""
    return before.keys() == now.keys() and all(
        now[name] is value or (isinstance(value, int | float | str) and now[name] == value)
        for name, value in before.items()
    )


def _only_names(statement: ast.stmt) -> bool:
    """Return true for an import, and for a function of which nothing runs when it is defined."""
    if isinstance(statement, ast.FunctionDef):
        defaults = [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
        return not statement.decorator_list and not defaults
    return isinstance(statement, ast.Import | ast.ImportFrom)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of statements of a function, `if`, `try`, `with` or loop."""
    if isinstance(statement, ast.ClassDef):
        return
    for field in ("body", "orelse", "finalbody"):
        yield getattr(statement, field, [])
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield part.body


def _at_line_of(statement: ast.stmt, call: ast.stmt) -> ast.stmt:
    for node in ast.walk(call):
        ast.copy_location(node, statement)
    return call
