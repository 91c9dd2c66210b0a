"""What programs do to networks: patches, subclasses, callables and other containers.

Each modification takes a `World`, which is fastgrad's or the plain one, and changes its classes or
its model in the same way. Patches are undone by `World.restore`.
"""

import inspect
import random
import types

import micrograd.nn
import numpy as np
import slow_value
from fastgrad import engine, nn


def plain_nn():
    """Make micrograd's nn over the slow Value, with classes of its own."""
    module = types.ModuleType("plain_nn")
    source = inspect.getsource(micrograd.nn).replace("from micrograd.engine import Value", "")
    module.Value = slow_value.Value
    exec(source, vars(module))
    return module


def written_out():
    """Make the slow programs of ops over lists, over fastgrad's scalar ops."""
    module = types.ModuleType("written_out")
    exec(inspect.getsource(slow_value), vars(module))
    module.Value = engine.Value
    return module


class World:
    """An engine, its nn and a model; `patches` remember what was replaced."""

    def __init__(self, value, module, nin, nouts, seed):
        self.Value, self.nn = value, module
        self.random = random.Random(seed)
        random.seed(seed)
        self.model = module.MLP(nin, nouts)
        self.nodes = self.model.parameters()
        self.patched = []

    def patch(self, owner, name, make):
        original = getattr(owner, name)
        self.patched.append((owner, name, original))
        setattr(owner, name, make(original))

    def restore(self):
        for owner, name, original in reversed(self.patched):
            setattr(owner, name, original)

    def layer(self, place):
        layers = [layer for layer in self.model.layers if isinstance(layer, self.nn.Layer)]
        return layers[place % len(layers)]

    def neuron(self, place):
        neurons = [n for n in self.layer(place).neurons if isinstance(n, self.nn.Neuron)]
        return neurons[place % len(neurons)] if neurons else self.nn.Neuron(2)


def fast_world(*arguments):
    return World(engine.Value, nn, *arguments)


def plain_world(*arguments):
    return World(slow_value.Value, plain_nn(), *arguments)


# Patches -----------------------------------------------------------------------------------------


def neurons_halve(world, place):
    world.patch(world.nn.Neuron, "__call__", lambda call: lambda s, x: call(s, x) * 0.5)


def neurons_say_42(world, place):
    world.patch(world.nn.Neuron, "__call__", lambda call: lambda s, x: world.Value(42.0))


def layers_double(world, place):
    def make(call):
        def doubled(self, x):
            out = call(self, x)
            return [o * 2 for o in out] if isinstance(out, list) else out * 2

        return doubled

    world.patch(world.nn.Layer, "__call__", make)


def products_grow(world, place):
    world.patch(world.Value, "__mul__", lambda op: lambda s, o: op(op(s, o), 1.5))


def sums_shift(world, place):
    world.patch(world.Value, "__add__", lambda op: lambda s, o: op(op(s, o), 0.25))


def relu_leaks(world, place):
    world.patch(world.Value, "relu", lambda op: lambda s: op(s) + s * 0.1)


# Subclasses --------------------------------------------------------------------------------------


def weight_of_a_class(world, place):
    class Heavy(world.Value):
        def __mul__(self, other):
            return world.Value.__mul__(self, other) * 10

    change_weight(world, place, Heavy(0.5))


def bias_of_a_class(world, place):
    class Bias(world.Value):
        def __add__(self, other):
            return world.Value.__add__(self, other) * 0.5

    world.neuron(place).b = Bias(0.5)


def quiet_subclass(world, place):
    class Named(world.Value):
        name = "weight"

    change_weight(world, place, Named(-0.5))


def layer_of_a_class(world, place):
    class Half(world.nn.Layer):
        def __call__(self, x):
            out = super().__call__(x)
            return [o * 0.5 for o in out] if isinstance(out, list) else out * 0.5

    old = world.layer(place)
    new = Half(1, 1)
    new.neurons = old.neurons
    replace(world.model, "layers", old, new)


def neuron_of_a_class(world, place):
    class Shifted(world.nn.Neuron):
        def __call__(self, x):
            return super().__call__(x) + 1.0

    layer, old = world.layer(place), world.neuron(place)
    new = Shifted(1, nonlin=False)
    new.w, new.b = old.w, old.b
    replace(layer, "neurons", old, new)


# Callables ---------------------------------------------------------------------------------------


def callable_layer(world, place):
    def doubled(x):
        return [v * 2 for v in x] if isinstance(x, list) else x * 2

    layers = list(world.model.layers)
    layers.insert(1 + place % len(layers), doubled)
    world.model.layers = layers


def dropout(world, place):
    class Dropout(world.nn.Module):
        def __call__(self, x):
            kept = [v * float(world.random.random() < 0.7) for v in listed(x)]
            return kept if isinstance(x, list) else kept[0]

    layers = list(world.model.layers)
    layers.insert(1 + place % len(layers), Dropout())
    world.model.layers = layers


def callable_neuron(world, place):
    layer = world.layer(place)
    replace(layer, "neurons", world.neuron(place), lambda x: listed(x)[0] * 0.5 + world.nodes[0])


# Containers --------------------------------------------------------------------------------------


class Backwards(list):
    def __iter__(self):
        return reversed(self)


def kind_of_weights(kind):
    def change(world, place):
        neuron = world.neuron(place)
        neuron.w = kind(neuron.w)

    return change


def kind_of_neurons(kind):
    def change(world, place):
        layer = world.layer(place)
        layer.neurons = kind(layer.neurons)

    return change


def layers_in_a_tuple(world, place):
    world.model.layers = tuple(world.model.layers)


def objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def weights_of_numbers(world, place):
    neuron = world.neuron(place)
    neuron.w = [0.5, -1, *neuron.w][: len(neuron.w)]


def bias_of_a_number(world, place):
    world.neuron(place).b = 0.25


def other_activation(world, place):
    neuron = world.neuron(place)
    neuron.nonlin = not neuron.nonlin


def listed(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def change_weight(world, place, weight):
    neuron = world.neuron(place)
    items = list(neuron.w)
    items[place % len(items)] = weight
    neuron.w = items


def replace(owner, name, old, new):
    setattr(owner, name, [new if item is old else item for item in getattr(owner, name)])


MODIFICATIONS = {
    f.__name__: f
    for f in (
        neurons_halve,
        neurons_say_42,
        layers_double,
        products_grow,
        sums_shift,
        relu_leaks,
        weight_of_a_class,
        bias_of_a_class,
        quiet_subclass,
        layer_of_a_class,
        neuron_of_a_class,
        callable_layer,
        dropout,
        callable_neuron,
        layers_in_a_tuple,
        weights_of_numbers,
        bias_of_a_number,
        other_activation,
    )
} | {
    "weights_in_a_tuple": kind_of_weights(tuple),
    "weights_in_an_array": kind_of_weights(objects),
    "weights_backwards": kind_of_weights(Backwards),
    "neurons_in_a_tuple": kind_of_neurons(tuple),
    "neurons_in_an_array": kind_of_neurons(objects),
    "neurons_backwards": kind_of_neurons(Backwards),
}
