"""Pictures of graphs of Values, and backpropagation step by step; nothing has to be installed.

>>> from fastgrad.engine import Value
>>> from fastgrad import viz
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> c = (a * b).tanh()
>>> c.backward()
>>> picture = viz.draw(c)  # a notebook shows it; picture.save("graph.svg") writes it
>>> steps = viz.explain(c)  # a page that goes through backward()
>>> print(viz.tree(c))
tanh  data -1  grad 1
└─ *  data -6  grad 2.458e-05
   ├─ a  data 2  grad -7.373e-05
   └─ b  data -3  grad 4.915e-05
"""

from .dot_text import DotDrawing, dot, draw_dot
from .drawing import Drawing, draw, to_svg
from .steps import Explanation, explain
from .text_tree import tree

__all__ = [
    "DotDrawing",
    "Drawing",
    "Explanation",
    "dot",
    "draw",
    "draw_dot",
    "explain",
    "to_svg",
    "tree",
]
