"""Attributes and constructors of a script's class, in terms of those of `engine.Value`."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

from ..engine import Value

if TYPE_CHECKING:
    from collections.abc import Callable

# The parameters of constructors that are those of ours, by place, and by name.
_PLACES = (
    {"_children", "children", "_prev", "prev", "_parents", "parents", "_child", "_inputs"},
    {"_op", "op", "_local_grads", "local_grads"},
    {"label"},
)
_KEYWORDS = {"data", "_children", "children", "_op", "op", "label", "_local_grads", "local_grads"}

_MISSING = object()


class RefusedError(Exception):
    """A class looks like a scalar Value and cannot be replaced; the message says why."""


class Fields:
    """The attributes of a class's instances.

    `added` is what `engine.Value` needs to have them too: properties for operands, local gradients,
    rules and ops under other names, and attributes of the class for what is the same for all
    values. `sources` says which attribute or argument of ours is which of theirs. Raises
    `RefusedError` for attributes of another kind.
    """

    def __init__(self, cls: Any) -> None:
        self.added: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        # Are all ops strings, as ours are?
        self.ops_are_texts = True
        leaf, other = cls(1.5), cls(-2.25)
        product = leaf * other
        for name in attributes(leaf) | attributes(product):
            if name not in ("data", "grad"):
                self._add(name, leaf, other, product)
            elif type(getattr(leaf, name)) not in (int, float):
                raise RefusedError(f"its {name} is not an int or float")
        if "_children" not in self.sources.values():
            raise RefusedError("its results do not hold their operands")

    def _add(self, name: str, leaf: Any, other: Any, product: Any) -> None:
        at_leaf: Any = getattr(leaf, name, None)
        at_product: Any = getattr(product, name, None)
        kind: Any = at_product.__class__
        if holds(at_product, (leaf, other)):
            self.sources[name] = "_children"
            # With repeats, or without.
            source = "_children" if isinstance(at_product, tuple | list) else "_prev"
            if (name, kind) not in (("_children", tuple), ("_prev", tuple)):
                self.added[name] = _converted(source, kind)
        elif kind in (list, tuple) and list(at_product) == [other.data, leaf.data]:
            self.sources[name] = "local_grads"
            if (name, kind) != ("_local_grads", tuple):
                self.added[name] = _converted("_local_grads", kind)
        elif callable(at_product):
            self._rename(name, "_backward")
        elif name in ("_op", "op") or at_product == "*":
            self.ops_are_texts = isinstance(at_product, str)
            self._rename(name, "_op")
        elif at_product == id(product):
            self.added[name] = property(id)
        elif at_leaf == at_product and isinstance(at_leaf, int | float | str | None):
            if getattr(Value, name, _MISSING) != at_leaf:
                self.added[name] = at_leaf
        else:
            raise RefusedError(f"each of its values has a {name!r} of its own")

    def _rename(self, name: str, source: str) -> None:
        self.sources[name] = source
        if name != source:
            self.added[name] = property(
                lambda value: getattr(value, source),
                lambda value, new: setattr(value, source, new),
            )


def attributes(value: Any) -> dict[str, None]:
    """Return the names of an instance's attributes, those in slots too, in order."""
    groups = (vars(base).get("__slots__", ()) for base in type(value).__mro__)
    slots = [name for group in groups for name in ([group] if isinstance(group, str) else group)]
    names = [*slots, *getattr(value, "__dict__", ())]
    return {name: None for name in names if hasattr(value, name)}


def holds(container: Any, operands: tuple[Any, ...]) -> bool:
    """Return true for a container of just these objects."""
    is_container = issubclass(type(container), (tuple, list, set, frozenset))
    return is_container and sorted(map(id, container)) == sorted(map(id, operands))


def _converted(source: str, kind: Callable[[Any], Any]) -> property:
    """Return a property that gives an attribute of `engine.Value` as another container."""
    get = vars(Value)[source].__get__
    return property(lambda value: kind(get(value)))


def is_called_as_ours(name: str, cls: Any, tree: ast.Module) -> bool:
    """Return true if every call of a class in its module is one that `engine.Value` understands."""
    parameters = list(inspect.signature(cls).parameters)
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            continue
        if call.func.id == name:
            given = parameters[1 : len(call.args)]
            places = [word in words for word, words in zip(given, _PLACES, strict=False)]
            words = {word.arg for word in call.keywords}
            if not all(places) or len(places) < len(given) or not words <= _KEYWORDS:
                return False
    return True


class Adapter(type):
    """The type of a class that stands for `engine.Value` and is called as a script's class is."""

    parameters: list[str]
    # The attribute or argument of ours that a parameter sets.
    meanings: dict[str, str]
    # The data where none are given.
    default: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Value)

    def __setattr__(cls, name: str, value: Any) -> None:
        setattr(Value, name, value)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs:
            return Value(args[0])
        given = dict(zip(cls.parameters, args, strict=False)) | kwargs
        data = given.pop(cls.parameters[0], cls.default)
        if len(args) > len(cls.parameters) or not given.keys() <= cls.meanings.keys():
            raise TypeError(f"{cls.__name__}() takes {', '.join(cls.parameters)}")
        ours = {cls.meanings[name]: argument for name, argument in given.items()}
        children, slopes = ours.pop("_children", None), ours.pop("local_grads", None)
        op = ours.pop("_op", None) or ""
        # An enumeration names the op by its value.
        text = op if isinstance(op, str) else str(getattr(op, "value", op))
        value = Value(data, children or (), text, local_grads=slopes or None)
        for name, argument in ours.items():
            setattr(value, name, argument)
        return value


def adapter(cls: Any, fields: Fields) -> type:
    """Return a class that makes an `engine.Value` of the arguments of another class."""
    parameters = inspect.signature(cls).parameters
    first, *others = parameters
    marker = (cls(1.5), cls(-2.25))
    meanings: dict[str, str] = {}
    for name in others:
        made = cls(2.0, **{name: marker})
        held = [field for field in attributes(made) if holds(getattr(made, field), marker)]
        if len(held) != 1:
            raise RefusedError(f"what its argument {name!r} does is not clear")
        meanings[name] = fields.sources.get(held[0], held[0])
    made = Adapter(cls.__name__, (Value,), {})
    type.__setattr__(made, "parameters", [first, *others])
    type.__setattr__(made, "meanings", meanings)
    type.__setattr__(made, "default", parameters[first].default)
    return made
