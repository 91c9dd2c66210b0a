"""Compares a script's scalar class with `engine.Value`, and puts that in its place.

```text
make a twin of the class in a copy of its module, so that trials leave no trace
try the twin on sample numbers        data, gradients and texts of every method
try engine.Value on the same          what differs, or is missing there, is kept
put what is kept on engine.Value      and try again: all must agree now, or all is undone
```

What is kept is put on `engine.Value` itself, since the results of its ops are of that type and of
no subclass. So this is for processes that belong to one script.
"""

from __future__ import annotations

import ast
import copy
import inspect
import random
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from types import CellType, FunctionType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from ..engine import Value
from .fields import Fields, RefusedError, adapter, attributes, is_called_as_ours
from .safe import foreign_name
from .trials import agrees, basis, trials

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from .trials import Outcome

# Without these alike nothing is alike.
_BASIS = ("__init__", "__add__", "__mul__", "backward")
# Attributes of classes over arrays only, or of those that change what an attribute is.
_STRANGE = {
    *("__new__", "__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__del__"),
    *("__len__", "__iter__", "__getitem__", "__setitem__", "__matmul__", "__array__"),
    *("shape", "reshape", "transpose", "T", "matmul"),
}
# Attributes of a class that say nothing of its values.
_OF_THE_CLASS = {
    *("__init__", "__slots__", "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__"),
    *("__annotations__", "__match_args__", "__firstlineno__", "__static_attributes__"),
    *("__dataclass_fields__", "__dataclass_params__", "__annotate_func__", "__annotations_cache__"),
}
# Methods that show a value.
_TEXTS = ("__repr__", "__str__", "__format__")

_MISSING = object()

# The attributes put on engine.Value, and those that they replaced.
_kept: dict[str, Any] = {}
_before: dict[str, Any] = {}


def swap(
    original: Any,
    node: ast.ClassDef,
    tree: ast.Module,
    filename: str,
    module: dict[str, Any],
    names: Mapping[str, Any],
) -> tuple[type, list[str]] | None:
    """Return what takes the place of a class, and the names of its methods that were kept.

    `node` is the statement in `tree` that made the class, `module` are the globals there and
    `names` the locals, which are the same outside of functions. Returns None for a class without
    `+`, `*` or `backward()`. Raises `RefusedError` where the script would not do what it did. Both
    leave all as it was.
    """
    if not all(callable(getattr(original, name, None)) for name in _BASIS):
        return None
    earlier = dict(_kept)
    try:
        _keep({})
        with _quiet():
            comparison = _Comparison(node, tree, filename, module, names)
            kept = comparison.kept()
    except BaseException:
        _keep(earlier)
        raise
    own = _members(original)
    kept["__qualname__"] = original.__qualname__
    _keep({name: own.get(name, attribute) for name, attribute in kept.items()})
    methods = (FunctionType, property, classmethod, staticmethod)
    return comparison.ours, [name for name in kept if isinstance(own.get(name), methods)]


def _keep(attributes: dict[str, Any]) -> None:
    """Put attributes on `engine.Value`, in the place of those that were put there before."""
    for name, before in _before.items():
        if before is _MISSING:
            delattr(Value, name)
        else:
            setattr(Value, name, before)
    _before.clear()
    _kept.clear()
    for name, attribute in attributes.items():
        is_name = name in ("__name__", "__qualname__")
        _before[name] = getattr(Value, name) if is_name else vars(Value).get(name, _MISSING)
        _kept[name] = attribute
        setattr(Value, name, attribute)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep from the script what trials print, warn of, and draw of random numbers."""
    state = random.getstate()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(state)


class _Comparison:
    """A twin of a class, beside `engine.Value`."""

    def __init__(
        self,
        node: ast.ClassDef,
        tree: ast.Module,
        filename: str,
        module: dict[str, Any],
        names: Mapping[str, Any],
    ) -> None:
        self.name = node.name
        self.tree = tree
        declared = (s.names for s in ast.walk(tree) if isinstance(s, ast.Global | ast.Nonlocal))
        # Names that functions assign to.
        self.varying = frozenset(name for names in declared for name in names)
        # A copy of the module, and of the locals around the class, as far as methods change it.
        self.module: dict[str, Any] = {}
        # The variables of a function around the class, as the functions in it see them.
        self.cells = {name: CellType() for name in (names if names is not module else ())}
        for name, value in {**module, **names}.items():
            if issubclass(type(value), (list, dict, set)):
                self.module[name] = copy.copy(value)
            elif isinstance(value, FunctionType) and value.__globals__ is module:
                self.module[name] = _over(value, self.module, self.cells)
            else:
                self.module[name] = value
        for name, cell in self.cells.items():
            cell.cell_contents = self.module[name]
        future = [
            s for s in tree.body if isinstance(s, ast.ImportFrom) and s.module == "__future__"
        ]
        code = compile(ast.Module([*future, node], []), filename, "exec", dont_inherit=True)
        exec(code, self.module)
        self.twin: Any = self.module[node.name]
        self._name(self.twin)
        # The replacement of the class, and the results of its methods.
        self.ours: type = Value
        self.theirs: dict[str, list[Outcome]] = {}

    def _name(self, cls: Any) -> None:
        """Let the copied module know a class by the name of the original."""
        self.module[self.name] = cls
        if self.name in self.cells:
            self.cells[self.name].cell_contents = cls

    def kept(self) -> dict[str, Any]:
        """Return what `engine.Value` needs of the class, by name; or raise `RefusedError`."""
        twin, members = self.twin, _members(self.twin)
        if strange := sorted(_STRANGE & members.keys()):
            raise RefusedError(f"it has {strange[0]}, as no scalar Value has")
        self._check_module(members)
        for name in (*_BASIS, *({"__post_init__"} & members.keys())):
            if (foreign := self._foreign(name)) is not None:
                raise RefusedError(f"its {name} uses {foreign}")
        # Defaults of what each value has, as dataclasses have them.
        for name in attributes(twin(1.0)).keys() & members.keys():
            if not callable(members[name]):
                del members[name]
        counts = _counts(twin)
        try:
            theirs = basis(twin)
        except Exception as error:
            raise RefusedError(f"its +, * or backward() failed on numbers: {error}") from None
        if not agrees([theirs[0]], [basis(Value)[0]]):
            raise RefusedError("its +, * and backward() give other gradients")
        for name in members:
            if (arity := self._arity(name)) is not None:
                self.theirs[name] = trials(twin, name, arity)
        fields = Fields(twin)
        if counts != _counts(twin):
            raise RefusedError("it counts its values")
        if not fields.ops_are_texts or not is_called_as_ours(self.name, twin, self.tree):
            self.ours = adapter(twin, fields)
        self._name(self.ours)
        kept = fields.added
        kept |= {"__name__": self.name, "__qualname__": self.name, "__module__": twin.__module__}
        if twin.__repr__ is object.__repr__:
            kept["__repr__"] = object.__repr__
        # Texts first: they show what ops leave in their results.
        for name in sorted(members, key=_TEXTS.__contains__, reverse=True):
            _keep(kept)
            if name not in _BASIS and not self._is_ours(name):
                kept[name] = members[name]
        _keep(kept)
        if not agrees(list(theirs), list(basis(Value))):
            raise RefusedError("results of its + and * look otherwise")
        for name, outcomes in self.theirs.items():
            if not agrees(outcomes, trials(Value, name, self._arity(name) or 0)):
                raise RefusedError(f"its {name} gives something else on fastgrad's Values")
        return kept

    def _check_module(self, members: dict[str, Any]) -> None:
        """Raise for a module that does what `Value` cannot stand in for, or trials do not show."""
        for step in ast.walk(self.tree):
            if isinstance(step, ast.Call) and isinstance(step.func, ast.Attribute):
                if step.func.attr == "backward" and (step.args or step.keywords):
                    raise RefusedError(f"line {step.lineno} gives backward() arguments")
            elif isinstance(step, ast.Assign):
                for target in step.targets:
                    if isinstance(target, ast.Attribute) and self._is_switch(target, step, members):
                        raise RefusedError(f"line {step.lineno} sets {ast.unparse(target)}")

    def _is_switch(self, target: ast.Attribute, step: ast.Assign, members: dict[str, Any]) -> bool:
        """Return true for `grad = None`, and for a constant of the class that changes."""
        is_none = isinstance(step.value, ast.Constant) and step.value.value is None
        is_class = isinstance(target.value, ast.Name) and target.value.id == self.name
        constant = isinstance(members.get(target.attr), int | float | str)
        return (target.attr == "grad" and is_none) or (is_class and constant)

    def _foreign(self, name: str) -> str | None:
        known = frozenset({self.name})
        return foreign_name(getattr(self.twin, name), self.module, self.varying, known)

    def _arity(self, name: str) -> int | None:
        """Return how many arguments a method needs; None where it is not tried on numbers."""
        function = getattr(self.twin, name)
        # A hash is one of the address as a rule.
        if name in (*_BASIS, "__hash__") or not isinstance(function, FunctionType):
            return None
        if self._foreign(name) is not None:
            return None
        parameters = list(inspect.signature(function).parameters.values())[1:]
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        needed = [p for p in parameters if p.default is p.empty and p.kind in kinds]
        return len(needed) if len(needed) <= 1 else None

    def _is_ours(self, name: str) -> bool:
        """Return true if a method takes and gives what that of `engine.Value` does."""
        if name not in self.theirs or not hasattr(Value, name):
            return False
        arity = self._arity(name) or 0
        if len(inspect.signature(getattr(self.twin, name)).parameters) > 1 + arity:
            return False
        return agrees(self.theirs[name], trials(Value, name, arity), least=1)


def _over(
    function: FunctionType, module: dict[str, Any], cells: dict[str, CellType]
) -> FunctionType:
    """Return a function that reads its globals, and the variables around it, from copies."""
    code, defaults = function.__code__, function.__defaults__
    around = zip(code.co_freevars, function.__closure__ or (), strict=True)
    closure = tuple(cells.get(name, cell) for name, cell in around)
    copied = FunctionType(code, module, function.__name__, defaults, closure)
    copied.__kwdefaults__ = function.__kwdefaults__
    return copied


def _members(cls: type) -> dict[str, Any]:
    """Return the attributes of a class and its bases, by name, that say something of its values."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        found |= vars(base)
    return {
        name: attribute
        for name, attribute in found.items()
        if name not in _OF_THE_CLASS and not isinstance(attribute, MemberDescriptorType)
    }


def _counts(cls: type) -> dict[str, str]:
    """Return what a class that keeps account of its values would change."""
    kinds = (int, float, str, list, dict, set)
    return {name: str(a) for name, a in _members(cls).items() if issubclass(type(a), kinds)}
