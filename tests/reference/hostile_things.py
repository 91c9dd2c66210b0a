"""Objects that break the rules: what hostile calls are made with.

Those with hooks (`__float__`, `__iter__`, `__del__`, …) call `mischief()` in them: it raises, or
it changes whatever is in use at that moment.
"""

import decimal
import fractions
import math
import numbers
import weakref

import numpy as np
from fastgrad.engine import Value
from hostile_world import Callable, World, mischief


class Hooked:
    """Every hook of Python's protocols, each up to mischief."""

    def __float__(self):
        return mischief() or 1.5

    def __index__(self):
        return mischief() or 1

    def __iter__(self):
        return mischief() or iter([1.0, World.now.value()])

    def __len__(self):
        return mischief() or 2

    def __length_hint__(self):
        return mischief() or 1000

    def __getitem__(self, place):
        if place > 3:
            raise IndexError
        return mischief() or 1.0

    def __eq__(self, other):
        return mischief() or True

    def __hash__(self):
        return mischief() or 3

    def __bool__(self):
        return mischief() or True

    def __repr__(self):
        return mischief() or "\ud800 hooked" * 30

    def __call__(self, *arguments, **named):
        return mischief()

    def __radd__(self, other):
        return mischief() or "added"

    def __rmul__(self, other):
        return mischief() or NotImplemented

    def __rpow__(self, other):
        return mischief() or NotImplemented

    def __del__(self):
        mischief()


class Real(Hooked):
    """A number, it says."""


numbers.Real.register(Real)


class Liar(Hooked):
    @property
    def __class__(self):
        return mischief() or World.now.random.choice([Value, float, int, dict, Real])


class Int(int):
    def __float__(self):
        return mischief() or 1.0

    def __index__(self):
        return mischief() or 1


class Float(float):
    def __float__(self):
        return mischief() or 1.0

    def __repr__(self):
        return mischief() or "Float"


class Text(str):
    __slots__ = ()

    def __str__(self):
        return mischief() or "text"

    def __hash__(self):
        return mischief() or str.__hash__(self)

    def __eq__(self, other):
        return mischief() or str.__eq__(self, other)


class Dict(dict):
    def keys(self):
        return mischief() or dict.keys(self)

    def __iter__(self):
        return mischief() or dict.__iter__(self)


class Iterator:
    def __init__(self, items):
        self.items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        return mischief(0.2) or next(self.items)

    def __length_hint__(self):
        return mischief() or -5


PLAIN = [0, 1, -1, 2, 0.0, -0.0, 0.5, 2.5, -3.0, math.inf, -math.inf, math.nan, 1e308, -1e308]
PLAIN += [5e-324, 1e-17, 710.0, True, False, 2**53 + 1, 2**63, -(2**64), 10**400, -(10**400)]
STRANGE = [None, "", "abc", "relu", "data", b"x", 1j, (), ..., NotImplemented]
STRANGE += [object, int, Value, len, math, World, lambda: None, range(3), slice(1), "\ud800", "\0"]
STRANGE += [fractions.Fraction(1, 3), decimal.Decimal("0.1"), bytearray(b"ab"), memoryview(b"ab")]
ARRAYS = [np.array(1.5), np.array([1.0, 2.0]), np.zeros((2, 2)), np.zeros((0, 2)), np.array([])]
ARRAYS += [np.array(["a", "b"]), np.zeros((1, 1, 1)), np.array([1j, 2.0]), np.array([1, 2])]
SCALARS = [np.float64(0.5), np.float32(2), np.int64(-1), np.uint8(3), np.bool_(True), np.float16(1)]
SCALARS += [np.complex64(1), np.str_("a"), np.datetime64("2020-01-01"), np.longdouble(2)]
SCALARS += [np.timedelta64(3, "s"), np.float64("nan"), np.void(b"abc")]


def number(world):
    return world.random.choice(PLAIN)


def small_number(world):
    return world.random.choice([0.5, 1.0, 2, -1.5, 3, 0.25])


def hooked(world):
    kind = world.random.choice([Hooked, Real, Real, Real, Liar, Callable])
    return kind()


def hooked_number(world):
    return world.random.choice([Int, Float])(world.random.choice([0, 1, -2, 7]))


def operand(world):
    return world.random.choice([World.value, World.value, small_number, hooked_number, real])(world)


def real(world):
    return Real()


def operands(world, size=2):
    """Operands that will do, though a read of them may lead to mischief."""
    found = [operand(world) for _ in range(size)]
    world.lists = [*world.lists[-3:], found]
    return world.random.choice([list, list, lambda same: same, tuple, Iterator])(found)


def items(world):
    """A few operands, mostly good ones."""
    good = world.chance(0.6)
    size = world.random.choice([0, 1, 2, 2, 2, 2, 3, 5])
    found = [operand(world) if good else thing(world) for _ in range(size)]
    # Among a model's parameters a class would have its own attributes changed.
    return [1.0 if type(item) is type else item for item in found]


def container(world):
    """Something to iterate over."""
    found = items(world)
    world.lists = [*world.lists[-3:], found]
    return world.random.choice(CONTAINERS[1:] if world.calm else CONTAINERS)(found)


def containing_itself(found):
    found.append(found)
    return found


def nested(found):
    for _ in range(2000):
        found = [found]
    return found


def map_floats(found):
    return map(float, found)


def np_objects(found):
    array = np.empty(len(found), dtype=object)
    for i, item in enumerate(found):
        array[i] = item
    return array


# The collector does not look into arrays, which are left out where nothing may leak.
CONTAINERS = [np_objects, tuple, iter, Iterator, map_floats, containing_itself, nested]
CONTAINERS += [lambda found: found] * 6


def mapping(world):
    kind = world.random.choice([dict, Dict])
    return kind({world.random.choice(["a", "data", "_backward", "label", 3]): 1 for _ in range(2)})


def one_of(things):
    return lambda world: world.random.choice(things)


def empty(world):
    return world.random.choice([list, dict, set, bytearray, object])()


def weak(world):
    value = world.value()
    world.refs.append(weakref.ref(value, Callable()))
    return world.refs[-1]


def new_value(world):
    kind = world.kind()
    if not world.calm and world.chance(0.1):
        return kind.__new__(kind)
    return kind(1.5)


def model(world):
    return world.random.choice(world.models)


THINGS = [World.value] * 6 + [number] * 4 + [one_of(STRANGE), empty] + [hooked] * 6
THINGS += [
    hooked_number,
    hooked_number,
    one_of(ARRAYS),
    one_of(SCALARS),
    container,
    container,
    mapping,
    weak,
]
THINGS += [new_value, new_value, model, World.kind, lambda world: Text("label")]


def thing(world):
    """Draw anything at all."""
    return world.random.choice(THINGS)(world)
