"""Where hostile calls happen: the objects that they share, and what may befall those meanwhile.

Everything is drawn from one seeded generator, that of the current `World`, so that a round of
calls can be repeated.
"""

import gc
import math
import random

from fastgrad import engine, nn, optim
from fastgrad.engine import Value


class HostileError(Exception):
    """What hostile objects raise; it has to come out unchanged."""


class HostileExit(BaseException):
    """The same, of a kind that nobody catches by accident."""


class World:
    """What the calls of one round have in common."""

    now = None

    def __init__(self, seed, calm=False):
        World.now = self
        self.random = random.Random(seed)
        self.calm = calm  # nothing that makes cycles which nobody can collect
        self.armed = False  # is a call under way?
        self.depth = 0
        self.touched = False  # has mischief changed the state of Values?
        self.lists = []  # what mischief can empty while somebody reads it
        self.refs = []
        a, b, c = Value(2.0), Value(-0.5), Named(3.0)
        d = a * b + c
        self.values = [a, b, c, d, d.tanh(), engine.sum([a, d, b]), *engine.softmax([a, b])]
        self.models = [nn.Neuron(2), nn.Layer(2, 2, activation="tanh"), nn.MLP(2, [2, 1])]
        self.values += self.models[1].parameters()[:2]
        self.optimizers = [optim.SGD([a, b], lr=0.1, momentum=0.5), optim.Adam([a, c])]

    def keep(self, value):
        """Remember a new Value in the place of another one."""
        self.values[self.random.randrange(len(self.values))] = value

    def chance(self, probability):
        return self.random.random() < probability

    def kind(self):
        """Draw Value or a subclass; a half-made node may later become its own operand."""
        return self.random.choice(CLASSES[1:] if self.calm else CLASSES)

    def value(self):
        return self.random.choice(self.values)


# What Values may be ------------------------------------------------------------------------------


class Named(Value):
    pass


class Slotted(Value):
    __slots__ = ("extra",)


class Unmade(Value):
    def __init__(self, *_, **__):
        pass


class Stubborn(Value):
    def __setattr__(self, name, value):
        mischief()
        super().__setattr__(name, value)

    def __getattribute__(self, name):
        if not name.startswith("__"):  # numpy itself crashes when its own questions are refused
            mischief(0.1)
        return super().__getattribute__(name)


class Phoenix(Value):
    def __del__(self):
        if World.now and not World.now.calm and World.now.chance(0.5):
            World.now.keep(self)


class Odd(Value):
    __hash__ = None

    def __eq__(self, other):
        return mischief() or True

    def __add__(self, other):
        return mischief() or super().__add__(other)

    def __repr__(self):
        return mischief() or 3


CLASSES = [Unmade, Value, Named, Slotted, Stubborn, Phoenix, Odd]


# What may happen in the middle of a call ---------------------------------------------------------


class Callable:
    def __call__(self, *_):
        return mischief()


def mischief(probability=0.7):
    """Raise, or change something that is in use; or nothing happens."""
    world = World.now
    if world is None or not world.armed or world.depth > 2 or not world.chance(probability):
        return None
    world.depth += 1
    try:
        return world.random.choice(MISCHIEF)(world)
    finally:
        world.depth -= 1


class Walker:
    """A rule that walks some other graph, or its own once more."""

    def __call__(self):
        if World.now and World.now.armed:
            walk(World.now)


def raise_hostile(world):
    raise HostileError("from a hostile object")


def raise_base(world):
    raise HostileExit("from a hostile object")


def empty_a_list(world):
    if world.lists:
        world.random.choice(world.lists).clear()


def grow_a_list(world):
    if world.lists:
        world.random.choice(world.lists).extend([1.0] * 100)


def change_a_value(world):
    world.touched = True
    world.value().data = world.random.uniform(-2, 2)
    world.value().grad = 1.0


def walk(world):
    world.touched = True
    world.random.choice([Value.backward, Value.zero_grad, Value._propagate])(world.value())


def forget_a_value(world):
    world.touched = True
    world.values[world.random.randrange(len(world.values))] = Value(1.0)


def change_attributes(world):
    world.touched = True
    value = world.value()
    world.random.choice([lambda: setattr(value, "m", 1), lambda: setattr(value, "__dict__", {})])()


def change_a_rule(world):
    world.touched = True
    value = world.value()
    if world.chance(0.5):
        del value._backward
    elif not world.calm:
        value._backward = Callable()


def change_a_model(world):
    neurons = world.models[1].neurons
    if type(neurons) is list and neurons:
        world.random.choice([neurons.reverse, neurons.pop, lambda: neurons.append(neurons[0])])()


def collect(world):
    gc.collect(world.random.randrange(3))


def churn(world):
    engine.softmax([Value(float(i)) for i in range(5)])


def answer_oddly(world):
    return world.random.choice([None, "text", 10**400, math.nan, -1, NotImplemented, 2.5])


MISCHIEF = [raise_hostile, raise_base, empty_a_list, grow_a_list, change_a_value, walk]
MISCHIEF += [forget_a_value, change_attributes, change_a_rule, change_a_model, collect, churn]
MISCHIEF += [answer_oddly] * 4 + [raise_hostile] * 3
