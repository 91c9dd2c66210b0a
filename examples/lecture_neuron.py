"""The lecture's neuron, differentiated in four ways that must agree.

o = tanh(x1*w1 + x2*w2 + b) with the bias chosen so that the gradients come out round.
"""

import math

from fastgrad.engine import Value


def pre_activation():
    """Build the sum; return its leaves with a gradient to look at, and its nodes, last first."""
    x1 = Value(2.0, label="x1")
    x2 = Value(0.0, label="x2")
    w1 = Value(-3.0, label="w1")
    w2 = Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    x1w1 = x1 * w1
    x1w1.label = "x1*w1"
    x2w2 = x2 * w2
    x2w2.label = "x2*w2"
    both = x1w1 + x2w2
    both.label = "x1*w1 + x2*w2"
    n = both + b
    n.label = "n"
    return [x1, w1, x2, w2], [n, b, both, x2w2, x1w1]


def tanh_by_hand(n):
    """Make a tanh node from outside of the library: value, operand, name, and its own rule."""
    t = math.tanh(n.data)
    out = Value(t, (n,), "tanh")

    def _backward():
        n.grad += (1 - t**2) * out.grad

    out._backward = _backward
    return out


def tanh_from_exp(n):
    """Compose the same function of smaller pieces."""
    e = (2 * n).exp()
    return (e - 1) / (e + 1)


def automatic(activation):
    """Let `backward()` find the order and go through it."""
    leaves, (n, *_) = pre_activation()
    o = activation(n)
    o.label = "o"
    o.backward()
    return o.data, {leaf.label: leaf.grad for leaf in leaves}


def node_by_node():
    """Set the last gradient to 1 and call each node's own rule, results before operands."""
    leaves, inner = pre_activation()
    o = tanh_by_hand(inner[0])
    o.grad = 1.0
    o._backward()
    for node in inner:
        node._backward()
    return o.data, {leaf.label: leaf.grad for leaf in leaves}


def main():
    ways = {
        "built-in tanh": automatic(lambda n: n.tanh()),
        "tanh with its own rule": automatic(tanh_by_hand),
        "tanh out of exp": automatic(tanh_from_exp),
        "node by node": node_by_node(),
    }
    for name, (output, gradients) in ways.items():
        listed = ", ".join(f"{leaf} {gradient:.4f}" for leaf, gradient in gradients.items())
        print(f"{name:24s} o {output:.4f}   gradients {listed}")
    return ways


if __name__ == "__main__":
    main()
