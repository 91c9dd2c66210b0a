"""A picture of the graph behind one neuron, in Graphviz's DOT language.

Works on anything that has `data`, `grad`, `_prev` and `_op`: nodes are told apart by `id()`.
Run it and paste what it prints into any Graphviz viewer, or `python trace_graph.py | dot -Tsvg`.
"""

import random

from fastgrad.engine import Value
from fastgrad.nn import Neuron

try:
    from graphviz import Digraph
except ImportError:  # the package only helps to write and render the text

    class Digraph:
        """As much of graphviz.Digraph as is needed to write a graph down."""

        def __init__(self, graph_attr):
            self.lines = [f"\tgraph [{self._attributes(graph_attr)}]"]

        def _attributes(self, named):
            return " ".join(f'{key}="{value}"' for key, value in named.items())

        def node(self, name, **attributes):
            self.lines.append(f'\t"{name}" [{self._attributes(attributes)}]')

        def edge(self, tail, head):
            self.lines.append(f'\t"{tail}" -> "{head}"')

        @property
        def source(self):
            return "\n".join(["digraph {", *self.lines, "}"]) + "\n"


def trace(root):
    """Collect the nodes that `root` depends on, itself included, and (operand, result) pairs."""
    nodes, edges = set(), set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node not in nodes:
            nodes.add(node)
            for operand in node._prev:
                edges.add((operand, node))
                waiting.append(operand)
    return nodes, edges


def draw_dot(root, rankdir="LR"):
    """Draw one box a value and one oval an operation, operands on the left."""
    nodes, edges = trace(root)
    dot = Digraph(graph_attr={"rankdir": rankdir})
    for node in nodes:
        box = str(id(node))
        dot.node(box, label=f"{{ data {node.data:.4f} | grad {node.grad:.4f} }}", shape="record")
        if node._op:
            dot.node(box + node._op, label=node._op)
            dot.edge(box + node._op, box)
    for operand, node in edges:
        dot.edge(str(id(operand)), str(id(node)) + node._op)
    return dot


def main():
    random.seed(1337)
    neuron = Neuron(2)
    x = [Value(1.0), Value(-2.0)]
    y = neuron(x)
    y.backward()
    print(draw_dot(y).source)
    return y.data, trace(y)


if __name__ == "__main__":
    main()
