"""Points of three classes: `_prev` by place, log and softplus, AdamW's state on the parameters."""

import math


class Dice:
    """Random numbers that are the same everywhere."""

    def __init__(self, state):
        self.state = state

    def uniform(self, low, high):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return low + (high - low) * (self.state >> 40) / 2**24


dice = Dice(42)


class Value:
    def __init__(self, data, _prev=(), _op=""):
        self.data = data
        self.grad = 0
        self._backward = lambda: None
        self._prev = _prev
        self._op = _op

    def __add__(self, other):
        other = as_value(other)
        out = Value(self.data + other.data, (self, other), "+")

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = as_value(other)
        out = Value(self.data * other.data, (self, other), "*")

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, n):
        return self._of(self.data**n, lambda: n * self.data ** (n - 1), f"**{n}")

    def exp(self):
        y = math.exp(self.data)
        return self._of(y, lambda: y, "exp")

    def log(self):
        return self._of(math.log(self.data), lambda: 1 / self.data, "log")

    def tanh(self):
        y = math.tanh(self.data)
        return self._of(y, lambda: 1 - y**2, "tanh")

    def softplus(self, beta=1.0):
        y = math.log(1 + math.exp(beta * self.data)) / beta
        return self._of(y, lambda: 1 / (1 + math.exp(-beta * self.data)), "softplus")

    def _of(self, y, slope, op):
        out = Value(y, (self,), op)

        def _backward():
            self.grad += slope() * out.grad

        out._backward = _backward
        return out

    def backward(self):
        order, stack, seen = [], [(self, False)], set()
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(child, False) for child in node._prev]
        self.grad = 1
        for node in reversed(order):
            node._backward()

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (-other)

    def __truediv__(self, other):
        return self * other**-1

    __radd__ = __add__
    __rmul__ = __mul__

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"


def as_value(number):
    return number if isinstance(number, Value) else Value(number)


class AdamW:
    def __init__(self, parameters, lr):
        self.parameters, self.lr, self.t = parameters, lr, 0
        for p in parameters:
            p.m = p.v = 0

    def step(self):
        self.t += 1
        for p in self.parameters:
            p.m = 0.9 * p.m + 0.1 * p.grad
            p.v = 0.95 * p.v + 0.05 * p.grad**2
            m, v = p.m / (1 - 0.9**self.t), p.v / (1 - 0.95**self.t)
            p.data -= self.lr * (m / (v**0.5 + 1e-8) + 1e-4 * p.data)
            p.grad = 0


points = [(dice.uniform(-2, 2), dice.uniform(-2, 2)) for _ in range(30)]
targets = [0 if x < 0 else 1 if y < 0 else 2 for x, y in points]
inner = [[Value(dice.uniform(-0.7, 0.7)) for _ in range(3)] for _ in range(8)]
outer = [[Value(dice.uniform(-0.4, 0.4)) for _ in range(9)] for _ in range(3)]
params = [p for row in inner + outer for p in row]
optimizer = AdamW(params, 0.1)


def affine(row, x):
    return sum((w * v for w, v in zip(row, x)), row[-1])


def total_loss():
    total = Value(0.0)
    for point, target in zip(points, targets):
        hidden = [affine(row, point).tanh() for row in inner]
        powers = [affine(row, hidden).exp() for row in outer]
        total = total - (powers[target] / sum(powers)).log()
    return total * (1.0 / len(points)) + 0.001 * sum(p.softplus(beta=2.0) for p in params)


for step in range(10):
    loss = total_loss()
    loss.backward()
    optimizer.step()
    print(f"step {step}, loss {loss.data}")

x, y = Value(0.5), Value(-1.5)
z = (x * y + x).softplus() / y
z.backward()
print(x, y, len(z._prev), [child.data for child in (x * y)._prev])
