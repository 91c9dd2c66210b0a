"""Hostile calls of everything there is, and a program that makes very many of them.

    python tests/reference/hostile_calls.py 20000 SEED           # so many calls
    python tests/reference/hostile_calls.py 50 SEED ROUND        # one round, each call told

Every call may fail with an exception that is documented, or with what a hostile object raised;
a failed call leaves data, gradients, edges and attributes of all Values as they were.
"""

import collections
import copy
import faulthandler
import gc
import operator
import os
import pickle
import random
import struct
import sys
import warnings

from fastgrad import _core, engine, nn, optim
from fastgrad.engine import Value
from hostile_things import (
    container,
    hooked,
    items,
    number,
    operand,
    operands,
    small_number,
    thing,
)
from hostile_world import Callable, HostileError, HostileExit, Walker, World

CALLS_A_ROUND = 50
DOCUMENTED = (TypeError, ValueError, ArithmeticError, AttributeError, IndexError, KeyError)
DOCUMENTED += (RecursionError, pickle.PicklingError, HostileError, HostileExit)
# What is told about things that change while they are read, by Python's own iterators and by us.
CHANGES = "changed size during iteration", "mutated during iteration", "StopIteration"
CHANGES += ("the neurons changed while x was read",)


class HostileFailureError(AssertionError):
    """A call did what no call may do."""


# Calls: each maker gives a function, its arguments and its keywords -------------------------------

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow] * 4
OPERATORS += [operator.iadd, operator.imul, operator.ipow, operator.matmul, operator.floordiv]
OPERATORS += [operator.mod, operator.and_, operator.lshift, operator.lt, operator.eq, operator.ne]
OPERATORS += [operator.ge, operator.contains, divmod, pow, max, min, isinstance]
CONVERSIONS = [float, int, complex, bool, str, repr, hash, len, iter, round, abs, bytes, list, dir]
CONVERSIONS += [format, operator.index, operator.neg, operator.pos, operator.invert, vars, type]
CONVERSIONS += [copy.copy, copy.deepcopy, pickle.dumps, sys.getsizeof, gc.is_tracked, callable]
METHODS = "abs exp log sqrt sin cos tanh sigmoid relu max min backward zero_grad _propagate"
METHODS += " __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__"
METHODS += " __rpow__ __neg__ __pos__ __abs__ __init__ __new__ __setstate__ __reduce__ __eq__"
METHODS += " __reduce_ex__ __getattribute__ __setattr__ __delattr__ __repr__ __hash__ __sizeof__"
METHODS += " __dir__ __format__ __class__ __init_subclass__ __subclasshook__ __lt__ __getstate__"
METHODS = [name for name in METHODS.split() if hasattr(Value, name)]
FIELDS = ["data", "grad", "_prev", "_op", "_backward", "__dict__", "__weakref__"]
FIELDS = [name for name in FIELDS if name in vars(Value)]
NAMES = [*FIELDS, "label", "m", "__class__", "__doc__", "backward", "exp", "", "\ud800", "a\0b"]
FUNCTIONS = [engine.sum, engine.softmax, engine.log_softmax, engine.rms_norm]
PAIRS = [engine.dot, engine.max, engine.min, nn.mse_loss, nn.hinge_loss]
PAIRS += [nn.cross_entropy, engine.cross_entropy]
OPTIMIZERS = [optim.SGD, optim.Adam, optim.AdamW, _core.Momentum, _core.Moments]
SCHEDULES = [
    getattr(optim.schedules, name) for name in ("constant", "linear", "cosine", "exponential")
]
SCHEDULES += [optim.schedules.piecewise, optim.schedules.step_decay, optim.schedules.warmup]
# These walk over parameters; one that is none ends them half-way.
HALF_WAY = {nn.Module.zero_grad, optim.SGD.zero_grad}
SIZES = [0, 1, 2, 2, -1, True, 2.0, "2", None, [2], float("nan"), -(10**30)]


def some(world, most):
    """Give up to that many arguments of any kind, most often none."""
    count = world.random.randrange(most + 1) if world.chance(0.5) else 0
    return tuple(thing(world) for _ in range(count))


def named(world, *names):
    """Give keywords, of which some exist."""
    names = [*names, "nonsense"]
    return {name: thing(world) for name in names if world.chance(0.04)}


def binary(world):
    operands = [world.value(), thing(world)]
    world.random.shuffle(operands)
    function = world.random.choice(OPERATORS)
    return function, (*operands, *([thing(world)] if function is pow else [])), {}


def conversion(world):
    return world.random.choice(CONVERSIONS), (world.value(),), {}


def method(world):
    name = world.random.choice(METHODS)
    return getattr(type(world.value()), name), (world.value(), *some(world, 2)), {}


def method_of_anything(world):
    name = world.random.choice(METHODS)
    return getattr(Value, name), some(world, 3), named(world, "data", "self")


def descriptor(world):
    field = vars(Value)[world.random.choice(FIELDS)]
    name = world.random.choice(["__get__", "__set__", "__delete__"])
    return getattr(field, name), (thing(world), *some(world, 2)), {}


def attribute(world):
    name = world.random.choice(NAMES)
    value = small_number(world) if world.calm else thing(world)
    if name == "__class__" and world.chance(0.5):
        value = world.kind()
    if world.chance(0.1):
        name = thing(world)
    function, arguments = world.random.choice(
        [(setattr, (name, value)), (setattr, (name, value)), (delattr, (name,)), (getattr, (name,))]
    )
    return function, (world.value(), *arguments), {}


def rule(world):
    value = world.value()
    found = world.random.choice([hooked(world), Callable(), Walker()])
    if not world.calm and world.chance(0.4):
        own = world.random.choice(["backward", "zero_grad", "exp", "_propagate"])
        found = world.random.choice([getattr(value, own), thing(world)])
    return setattr, (value, "_backward", found), {}


def walk(world):
    return world.random.choice([Value.backward, Value.zero_grad]), (world.value(),), {}


def constructor(world):
    arguments = [thing(world) if world.chance(0.4) else number(world)]
    if world.chance(0.5):
        children = tuple(world.value() for _ in range(2)) if world.chance(0.5) else container(world)
        arguments += [children, "op", "label", 1.0][: world.random.randrange(1, 5)]
    keywords = named(world, "data", "_children", "children", "_op", "op", "label", "local_grads")
    if world.chance(0.3):
        keywords["local_grads"] = container(world) if world.chance(0.5) else operands(world)
    return world.kind(), tuple(arguments), keywords


def again(world):
    arguments = (number(world), tuple(items(world)), "op") if world.chance(0.5) else some(world, 4)
    return Value.__init__, (world.value(), *arguments), named(world, "label", "local_grads")


def state(world):
    parts = [small_number(world), thing(world), None if world.chance(0.5) else thing(world)]
    if not world.calm and world.chance(0.5):
        parts[1:] = [number(world), {"m": 1, "_backward": 2}]
    given = tuple(parts) if world.chance(0.7) else thing(world)
    return Value.__setstate__, (world.value(), given), {}


def over_a_list(world):
    given = container(world) if world.chance(0.8) else thing(world)
    return world.random.choice(FUNCTIONS), (given, *some(world, 1)), named(world, "eps")


def over_two(world):
    makers = [operands, container, thing, operand]
    first, second = (world.random.choice(makers)(world) for _ in range(2))
    if world.chance(0.5):
        first, second = operands(world), operands(world)
    if world.chance(0.3):
        second = world.random.choice([0, 1, 2, -1, 10**30, hooked(world), [1, -1], (1, 0), [-1.0]])
    return world.random.choice(PAIRS), (first, second, *some(world, 1)), named(world, "target")


def over_rows(world):
    make = operands if world.chance(0.6) else container
    rows = [make(world) for _ in range(world.random.choice([0, 1, 2, 2, 3]))]
    world.lists.append(rows)
    third = operand(world) if world.chance(0.5) else make(world)
    if world.chance(0.3):
        return engine.affine, (make(world), make(world), third), {}
    given = [make(world), rows if world.chance(0.9) else thing(world), make(world)]
    return engine.linear, tuple(given[: world.random.choice([2, 3])]), named(world, "bias", "x")


def network(world):
    kind = world.random.randrange(7)
    found = world.random.choice(world.models)
    if kind < 3:
        make = operands if world.chance(0.6) else container
        rows = make(world) if world.chance(0.7) else [make(world), make(world)]
        return found, (rows, *some(world, 1)), {}
    if kind == 3:
        name = world.random.choice(["w", "b", "activation", "nonlin", "neurons", "layers"])
        value = container(world) if world.chance(0.5) else thing(world)
        return setattr, (found, name, None if type(value) is type else value), {}
    if kind == 4:
        function = world.random.choice([nn.Neuron, nn.Layer, nn.MLP])
        sizes = [world.random.choice(SIZES) for _ in range(2)]
        if function is nn.MLP and world.chance(0.7):
            sizes[1] = [world.random.choice(SIZES) for _ in range(2)]
        return function, tuple(sizes), named(world, "activation", "nonlin")
    if kind == 5:
        return world.random.choice([copy.deepcopy, repr, pickle.dumps]), (found,), {}
    method_name = world.random.choice(["zero_grad", "parameters"])
    return getattr(type(found), method_name), (found, *some(world, 1)), {}


def inside(world):
    layer = world.models[1]
    makers = [
        (_core.layer, (layer.neurons, nn._NEURON, [operands(world), container(world)])),
        (_core.layer, some(world, 4)),
        (_core.live_nodes, some(world, 1)),
        (_core.node_bytes, some(world, 1)),
        (nn.Neuron.__new__, some(world, 2)),
    ]
    return (*world.random.choice(makers), {})


def optimizer(world):
    kind = world.random.randrange(5)
    if kind == 0:
        given = container(world) if world.chance(0.3) else world.values[:3]
        settings = [small_number(world) if world.chance(0.7) else thing(world)]
        names = named(world, "momentum", "betas", "eps", "weight_decay", "lr")
        kind = world.random.choice(OPTIMIZERS)
        return kind, (given, *settings) if kind in OPTIMIZERS[:3] else (given,), names
    found = world.random.choice(world.optimizers)
    if kind == 1:
        name = world.random.choice(["lr", "momentum", "betas", "eps", "weight_decay", "params"])
        return setattr, (found, name, thing(world)), {}
    if kind == 2:
        return found.step, some(world, 6), named(world, "lr")
    if kind == 3:
        return world.random.choice([found.step, getattr(found, "zero_grad", gc.collect)]), (), {}
    return world.random.choice([copy.deepcopy, repr, pickle.dumps]), (found,), {}


def schedule(world):
    arguments = [small_number(world) if world.chance(0.5) else thing(world) for _ in range(3)]
    made = world.random.choice(SCHEDULES)
    return lambda *a: made(*a[:2])(a[2]), tuple(arguments), {}


MAKERS = [binary] * 6 + [method] * 4 + [method_of_anything, descriptor, conversion] * 2
MAKERS += [attribute] * 3 + [rule, walk, walk, constructor, constructor, again, state]
MAKERS += [over_a_list] * 3 + [over_two] * 3 + [over_rows] * 2 + [network] * 4
MAKERS += [inside, optimizer, optimizer, schedule]


# Checks ------------------------------------------------------------------------------------------

GET = {name: vars(Value)[name].__get__ for name in ("data", "grad", "_op", "_prev", "__dict__")}


def state_of(value):
    """Everything that a failed call must not change."""
    # A gradient of -0.0 may come back as 0.0.
    numbers = struct.pack("2d", GET["data"](value), GET["grad"](value) + 0.0)
    attributes = ()
    if gc.is_tracked(value):  # others have none, and asking would make some
        attributes = [(id(name), id(thing)) for name, thing in GET["__dict__"](value).items()]
    return numbers, GET["_op"](value), GET["_prev"](value), type(value), tuple(attributes)


def is_allowed(error):
    if isinstance(error, RuntimeError) and not isinstance(error, RecursionError):
        return any(words in str(error) for words in CHANGES)
    return isinstance(error, DOCUMENTED)


def remember(world, result):
    """Use results in later calls."""
    found = result if type(result) in (list, tuple) else [result]
    for item in found[:3]:
        if isinstance(type(item), type) and issubclass(type(item), Value):
            world.keep(item)
        elif issubclass(type(item), (optim.SGD, optim.Adam)):
            world.optimizers[world.random.randrange(2)] = item


def make_call(world, outcomes, tell):
    maker = world.random.choice(MAKERS)
    function, arguments, keywords = maker(world)
    if tell:
        tell(maker, function, arguments, keywords)
    watched = list(world.values)
    before = list(map(state_of, watched))
    world.touched, world.armed = False, True
    try:
        result = function(*arguments, **keywords)
        world.armed = False
    except BaseException as error:
        world.armed = False
        outcomes[type(error).__name__] += 1
        if not is_allowed(error):
            raise HostileFailureError(f"{maker.__name__}: {function!r} raised {error!r}") from error
        after = list(map(state_of, watched))
        half_way = getattr(function, "__func__", function) in HALF_WAY
        if not (world.touched or half_way) and after != before:
            changes = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
            raise HostileFailureError(
                f"{maker.__name__}: {function!r} failed, yet {changes}"
            ) from error
    else:
        outcomes["no exception"] += 1
        remember(world, result)


def make_round(seed, number, outcomes, calls=CALLS_A_ROUND, tell=None):
    """Make the calls of one round; its objects are its own."""
    random.seed(f"{seed}/{number}")
    calm = number % 3 == 0
    nodes = _core.live_nodes()
    world = World(f"{seed}/{number}", calm)
    for _ in range(calls):
        make_call(world, outcomes, tell)
    World.now = None
    for value in world.values:
        if gc.is_tracked(value):
            GET["__dict__"](value).clear()
    del world, value
    while gc.collect():
        pass  # a finalizer may keep things for another time
    if calm and _core.live_nodes() != nodes:
        raise HostileFailureError(f"{_core.live_nodes() - nodes} nodes are left behind")


def tell_call(maker, function, arguments, keywords):
    print(maker.__name__, getattr(function, "__qualname__", function), end=" ", flush=True)
    for argument in (*arguments, *keywords.items()):
        try:
            print(type(argument).__name__, object.__repr__(argument)[:60], end=" ", flush=True)
        except BaseException:
            print("?", end=" ", flush=True)
    print(flush=True)


def main(calls, seed="0", only=None):
    """Make that many calls; the last line of output tells the round that went wrong."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    strange = []
    sys.unraisablehook = lambda report: is_allowed(report.exc_value) or strange.append(report)
    sys.setrecursionlimit(400)  # deep enough, and soon reached
    gc.freeze()
    outcomes = collections.Counter()
    for turn in range(int(calls) // CALLS_A_ROUND) if only is None else [int(only)]:
        os.write(sys.stdout.fileno(), b"round %d of seed %s\n" % (turn, seed.encode()))
        make_round(seed, turn, outcomes, tell=None if only is None else tell_call)
        if strange:
            raise HostileFailureError(f"exceptions that nobody could catch: {strange}")
    print(sum(outcomes.values()), "calls:", dict(outcomes.most_common()))


if __name__ == "__main__":
    main(*sys.argv[1:])
