"""Graphs as text and as SVG."""

import re
import shutil
import subprocess

import pytest
from fastgrad import draw
from fastgrad.engine import Value
from fastgrad.nn import Neuron


def edges(text):
    return sorted(re.findall(r"^  (\w+) -> (\w+)$", text, flags=re.MULTILINE))


def boxes(text):
    """Name and label of each box."""
    return dict(re.findall(r'^  (\w+) \[shape=record, label="(.*)"\]$', text, flags=re.MULTILINE))


def ovals(text):
    return dict(re.findall(r'^  (\w+) \[shape=oval, .*label="(.*)"\]$', text, flags=re.MULTILINE))


def test_a_graph_is_drawn_from_left_to_right():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b
    c.label = "c"
    d = c + a
    d.backward()
    text = draw.dot(d)
    assert text.startswith("digraph {\n  rankdir=LR\n")
    assert text.endswith("}")
    assert boxes(text) == {
        "n0": "{data -4|grad 1}",
        "n1": "{c|data -6|grad 1}",
        "n2": "{a|data 2|grad -2}",
        "n3": "{b|data -3|grad 2}",
    }
    assert ovals(text) == {"n0_op": "+", "n1_op": "*"}
    assert edges(text) == [
        ("n0_op", "n0"),
        ("n1", "n0_op"),
        ("n1_op", "n1"),
        ("n2", "n0_op"),
        ("n2", "n1_op"),
        ("n3", "n1_op"),
    ]


def test_a_leaf_is_one_box():
    text = draw.dot(Value(1.5))
    assert boxes(text) == {"n0": "{data 1.5|grad 0}"}
    assert ovals(text) == {}
    assert edges(text) == []


def test_a_node_used_twice_is_drawn_once():
    a = Value(3.0)
    text = draw.dot(a * a)
    assert list(boxes(text)) == ["n0", "n1"]
    assert edges(text) == [("n0_op", "n0"), ("n1", "n0_op")]


def test_the_same_graph_gives_the_same_text():
    def graph():
        x = [Value(float(i)) for i in range(5)]
        return sum(a * b for a in x for b in x)

    assert draw.dot(graph()) == draw.dot(graph())


def test_numbers_have_six_digits():
    text = draw.dot(Value(24.70408163265306))
    assert boxes(text) == {"n0": "{data 24.7041|grad 0}"}


def test_signs_with_a_meaning_are_escaped():
    a = Value(1.0, label='a|b {c} <d> "e" \\ & f\ng')
    a._op_note = "any attribute may be set"
    (label,) = boxes(draw.dot(a)).values()
    assert label == r"{a\|b \{c\} \<d\> \"e\" \\ &amp; f\ng|data 1|grad 0}"


def test_a_label_may_be_anything():
    a = Value(1.0)
    a.label = 7
    assert boxes(draw.dot(a)) == {"n0": "{7|data 1|grad 0}"}


def test_a_deep_graph_is_drawn_without_recursion():
    x = Value(1.0)
    for _ in range(20_000):
        x = x + 1.0
    text = draw.dot(x)
    assert len(boxes(text)) == 20_001
    assert len(ovals(text)) == 20_000


@pytest.mark.parametrize("root", [None, 1.0, [Value(1.0)], "v"])
def test_only_values_are_drawn(root):
    with pytest.raises(TypeError, match=r"root is .*;"):
        draw.dot(root)


def test_svg_says_what_it_misses(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match=r"needs the program `dot`.*install Graphviz"):
        draw.svg(Value(1.0))


def test_svg_asks_graphviz(monkeypatch):
    def run(command, **settings):
        assert command == ["/opt/dot", "-Tsvg"]
        return subprocess.CompletedProcess(
            command, 0, b"<svg>" + settings["input"] + b"</svg>", b""
        )

    monkeypatch.setattr(shutil, "which", lambda _: "/opt/dot")
    monkeypatch.setattr(subprocess, "run", run)
    v = Value(1.0)
    assert draw.svg(v) == f"<svg>{draw.dot(v)}</svg>"


def test_svg_tells_what_graphviz_says(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, b"", b"syntax error in line 1\n")
    monkeypatch.setattr(shutil, "which", lambda _: "/opt/dot")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="/opt/dot failed: syntax error in line 1"):
        draw.svg(Value(1.0))


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_accepts_the_text():
    neuron = Neuron(2, activation="tanh")
    neuron.w[0].label = '"w" {0} | < & \\'
    drawn = draw.svg(neuron([1.0, Value(2.0)]) ** 2)
    assert drawn.rstrip().endswith("</svg>")
    assert "tanh" in drawn
    assert "&quot;w&quot; {0} | &lt; &amp; \\" in drawn
