"""Graphs as DOT text, and as the drawings that micrograd's notebook makes."""

import pathlib
import re
import shutil
import subprocess

import pytest
from fastgrad import viz
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
    text = viz.dot(d)
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
    text = viz.dot(Value(1.5))
    assert boxes(text) == {"n0": "{data 1.5|grad 0}"}
    assert ovals(text) == {}
    assert edges(text) == []


def test_a_node_used_twice_is_drawn_once():
    a = Value(3.0)
    text = viz.dot(a * a)
    assert list(boxes(text)) == ["n0", "n1"]
    assert edges(text) == [("n0_op", "n0"), ("n1", "n0_op")]


def test_the_same_graph_gives_the_same_text():
    def graph():
        x = [Value(float(i)) for i in range(5)]
        return sum(a * b for a in x for b in x)

    assert viz.dot(graph()) == viz.dot(graph())


def test_numbers_have_six_digits():
    text = viz.dot(Value(24.70408163265306))
    assert boxes(text) == {"n0": "{data 24.7041|grad 0}"}


def test_signs_with_a_meaning_are_escaped():
    a = Value(1.0, label='a|b {c} <d> "e" \\ & f\ng')
    a._op_note = "any attribute may be set"
    (label,) = boxes(viz.dot(a)).values()
    assert label == r"{a\|b \{c\} \<d\> \"e\" \\ &amp; f\ng|data 1|grad 0}"


def test_a_label_may_be_anything():
    a = Value(1.0)
    a.label = 7
    assert boxes(viz.dot(a)) == {"n0": "{7|data 1|grad 0}"}


def test_a_deep_graph_is_drawn_without_recursion():
    x = Value(1.0)
    for _ in range(20_000):
        x = x + 1.0
    text = viz.dot(x)
    assert len(boxes(text)) == 20_001
    assert len(ovals(text)) == 20_000


@pytest.mark.parametrize("root", [None, 1.0, [Value(1.0)], "v"])
def test_only_values_are_drawn(root):
    with pytest.raises(TypeError, match=r"root is .*;"):
        viz.dot(root)


def test_number_operands_are_written_exactly_and_on_their_side():
    a = Value(2.0)
    made = [5 - a, a - 5, 2 / a, a * 3, a**0.1, a / -1]
    assert [list(ovals(viz.dot(v)).values()) for v in made] == [
        ["5 - ·"],
        ["· - 5"],
        ["2 / ·"],
        ["· * 3"],
        ["· ** 0.1"],
        ["· / (-1)"],
    ]


def test_a_drawing_has_source_and_picture():
    drawing = viz.draw_dot(Value(1.0, label="a") + 2)
    assert drawing.source == viz.dot(Value(1.0, label="a") + 2) == repr(drawing)
    assert drawing._repr_svg_() == viz.to_svg(Value(1.0, label="a") + 2)
    assert viz.draw_dot(Value(1.0), rankdir="TB").source.startswith("digraph {\n  rankdir=TB\n")


def test_svg_is_rendered_without_graphviz(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    drawing = viz.draw_dot(Value(1.0) + 2)
    path = drawing.render(str(tmp_path / "graph"))
    assert path == str(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text() == drawing.svg
    assert drawing.render(str(tmp_path / "named.svg")) == str(tmp_path / "named.svg")


def test_other_formats_say_what_they_miss(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match=r"'png' needs the program `dot`.*Graphviz"):
        viz.draw_dot(Value(1.0)).render(str(tmp_path / "graph"), format="png")
    assert list(tmp_path.iterdir()) == []


def test_other_formats_ask_graphviz(tmp_path, monkeypatch):
    def run(command, **settings):
        assert command == ["/opt/dot", "-Tpng"]
        return subprocess.CompletedProcess(command, 0, b"PNG of " + settings["input"], b"")

    monkeypatch.setattr(shutil, "which", lambda _: "/opt/dot")
    monkeypatch.setattr(subprocess, "run", run)
    drawing = viz.draw_dot(Value(1.0))
    path = drawing.render(str(tmp_path / "graph"), "png")
    assert pathlib.Path(path).read_text() == f"PNG of {drawing.source}"


def test_what_graphviz_says_is_told(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, b"", b"syntax error in line 1\n")
    monkeypatch.setattr(shutil, "which", lambda _: "/opt/dot")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="/opt/dot failed: syntax error in line 1"):
        viz.draw_dot(Value(1.0)).render(str(tmp_path / "graph"), "pdf")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_accepts_the_text(tmp_path):
    neuron = Neuron(2, activation="tanh")
    neuron.w[0].label = '"w" {0} | < & \\'
    path = viz.draw_dot(neuron([1.0, Value(2.0)]) ** 2).render(str(tmp_path / "graph"), "plain")
    drawn = pathlib.Path(path).read_text()
    assert drawn.rstrip().endswith("stop")
    assert "tanh" in drawn


@pytest.mark.parametrize(
    ("name", "value"), [("format", "../x"), ("format", "nan"), ("format", 3), ("filename", 3)]
)
def test_wrong_names_are_refused(name, value):
    with pytest.raises((TypeError, ValueError), match=f"{name} is"):
        viz.draw_dot(Value(1.0)).render(**{name: value})
