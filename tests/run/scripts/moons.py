"""Two moons, with an engine of closures and a network pasted into one file."""

import math
import random


class Value:
    """A scalar and its gradient."""

    def __init__(self, data, _children=(), _op=""):
        self.data = data
        self.grad = 0
        self._backward = lambda: None
        self._prev = set(_children)
        self._op = _op

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), "+")

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), "*")

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, n):
        assert isinstance(n, (int, float))
        out = Value(self.data**n, (self,), f"**{n}")

        def _backward():
            self.grad += n * self.data ** (n - 1) * out.grad

        out._backward = _backward
        return out

    def relu(self):
        # Leaky, so it has to stay.
        slope = 1.0 if self.data > 0 else 0.1
        out = Value(self.data * slope, (self,), "ReLU")

        def _backward():
            self.grad += slope * out.grad

        out._backward = _backward
        return out

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for child in node._prev:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1
        for node in reversed(order):
            node._backward()

    def __neg__(self):
        return self * -1

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return other + (-self)

    def __rmul__(self, other):
        return self * other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return other * self**-1

    def __gt__(self, other):
        return self.data > (other.data if isinstance(other, Value) else other)

    def __repr__(self):
        return f"<{self.data}|{self.grad}>"


class Neuron:
    def __init__(self, inputs, bends):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(inputs)]
        self.b = Value(0.0)
        self.bends = bends

    def __call__(self, x):
        total = sum((w * v for w, v in zip(self.w, x)), self.b)
        return total.relu() if self.bends else total


class Network:
    def __init__(self, *sizes):
        pairs = list(zip(sizes, sizes[1:]))
        self.layers = [
            [Neuron(i, bends=at < len(pairs) - 1) for _ in range(o)]
            for at, (i, o) in enumerate(pairs)
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = [neuron(x) for neuron in layer]
        return x[0]

    def parameters(self):
        return [p for layer in self.layers for n in layer for p in [*n.w, n.b]]


if __name__ == "__main__":
    random.seed(1)
    points, labels = [], []
    for i in range(20):
        angle = math.pi * i / 19
        points += [(math.cos(angle), math.sin(angle)), (1 - math.cos(angle), 0.5 - math.sin(angle))]
        labels += [1, -1]
    model = Network(2, 6, 6, 1)
    for step in range(12):
        scores = [model([Value(a), Value(b)]) for a, b in points]
        losses = [(1 + -label * score).relu() for label, score in zip(labels, scores)]
        penalty = 1e-4 * sum(p * p for p in model.parameters())
        loss = sum(losses) * (1.0 / len(losses)) + penalty
        for p in model.parameters():
            p.grad = 0
        loss.backward()
        for p in model.parameters():
            p.data -= (0.5 - 0.02 * step) * p.grad
        right = sum((label > 0) == (score > 0) for label, score in zip(labels, scores))
        print(step, loss.data, right, model.parameters()[0])
