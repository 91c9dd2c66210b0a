"""Three graphs that have something of everything: scalar ops, ops over lists, a network."""

import random

from fastgrad import engine, nn
from fastgrad.engine import Value


def gradients(*nodes):
    return [node.grad for node in nodes]


def shared_graph():
    """A graph in which everything is used more than once; gives its nodes and the root."""
    a, b = Value(2.0), Value(-3.0)
    c = a * b + a
    d = c * c + b**2 + c
    e = (d + a).relu() + (c - d).tanh() * d
    f = e * e * a
    return [a, b, c, d, e, f], f


def list_graph():
    """The same for ops over lists, with outputs that take part in several ways."""
    xs = [Value(0.5), Value(-1.0), Value(2.0)]
    p = engine.softmax([xs[0], xs[1], xs[2], xs[0]])
    h = engine.linear([*p[:2], xs[2]], [xs, [xs[1], p[2], 1.0]], bias=[xs[0], p[3]])
    n = engine.rms_norm([*h, p[1]])
    q = engine.log_softmax([n[0], n[0], h[1]])
    s = engine.sum([*q, q[0], xs[0]])
    d = engine.dot([s, *h], [n[2], *h])
    loss = engine.cross_entropy([d, s, xs[1]], 1) + engine.affine(n, xs, d)
    return [*xs, *p, *h, *n, *q, s, d, loss], loss


def network_graph():
    """A network that answers several rows, with its parameters."""
    random.seed(3)
    model = nn.MLP(2, [3, 2, 1], activation="tanh")
    x = Value(0.25)
    rows = [[x, -1.0], [0.5, x], [x, x]]
    loss = nn.mse_loss(model(rows), [1.0, 2.0, 3.0])
    return [*model.parameters(), x, loss], loss


GRAPHS = [shared_graph, list_graph, network_graph]
