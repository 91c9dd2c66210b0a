"""Ops over lists unfolded: written out as products and sums, all at once or one by a click."""

import json
import math
import random
import re
import xml.etree.ElementTree as ET

import pytest
from browser import in_browser, opened
from fastgrad import engine, viz
from fastgrad.engine import Value
from fastgrad.nn import MLP
from fastgrad.viz.graph import Walk
from pictures import nodes


def ops(root):
    """The ops of a picture in which nothing is folded, sorted."""
    walk = Walk([root], scalars=True)
    made = (walk.maker(number) for number in range(len(walk.values)))
    return sorted(value._op for value in made if value._op)


def test_a_neuron_is_written_out_as_products_and_sums():
    w, x, b = Value(2.0, label="w"), Value(3.0, label="x"), Value(-1.0, label="b")
    out = engine.affine([w, 0.5], [x, 4.0], b)
    out.backward()
    assert nodes(viz.to_svg(out, fold="nothing")) == [
        ["+", "data", "7", "grad", "1"],
        ["+", "data", "5", "grad", "1"],
        ["· * 4", "data", "2", "grad", "1"],  # a product of two numbers
        ["b", "data", "-1", "grad", "1"],
        ["*", "data", "6", "grad", "1"],
        ["data", "0.5", "grad", "4"],
        ["w", "data", "2", "grad", "3"],
        ["x", "data", "3", "grad", "2"],
    ]


@pytest.mark.parametrize(
    ("activation", "op"),
    [("linear", ""), ("relu", "ReLU"), ("tanh", "tanh"), ("sigmoid", "sigmoid")],
)
def test_layers_are_written_out_with_their_plain_inputs(activation, op):
    random.seed(7)
    out = MLP(2, [3, 1], activation)([1.0, -2.0])
    out.backward()
    assert ops(out) == sorted(["*", "+"] * 9 + [op] * 3 * bool(op))
    shown = [node[0] for node in nodes(viz.to_svg(out, fold="nothing"))]
    assert shown.count("· * 1") == shown.count("· * (-2)") == 3


CALLS = {
    "sum": lambda v: engine.sum([*v, 1.5]),
    "dot": lambda v: engine.dot(v, [v[1], 2.0, v[1]]),
    "affine": lambda v: engine.affine([1.0, *v[:2]], v, 0.5),
    "linear": lambda v: engine.dot(engine.linear(v, [v, [1, 2, 3]]), [v[0], v[2]]),
    "linear with bias": lambda v: engine.sum(engine.linear(v[:2], [v[1:], v[:2]], [1.0, v[2]])),
    "softmax": lambda v: engine.dot(engine.softmax(v), [1.0, v[0], 3.0]),
    "softmax, one output": lambda v: engine.softmax([*v, 2.0])[2],
    "log_softmax": lambda v: engine.dot(engine.log_softmax(v), [1.0, v[1], 3.0]),
    "cross_entropy": lambda v: engine.cross_entropy([*v, 1.0], 1),
    "cross_entropy of a number": lambda v: engine.cross_entropy([*v, 1.0], 3),
    "rms_norm": lambda v: engine.dot(engine.rms_norm(v, 0.1), [1.0, v[1], 3.0]),
}


@pytest.mark.parametrize("name", CALLS)
def test_parts_are_those_of_the_op_with_its_gradients(name):
    v = [Value(0.5), Value(-1.25), Value(2.0)]
    root = CALLS[name](v)
    root.backward()
    before = [(x.data, x.grad) for x in v]
    walk = Walk([root], scalars=True)
    assert walk.written_out
    assert [(x.data, x.grad) for x in v] == before
    # Every part sends the gradient that its operands show; the shift of a softmax sends none.
    sent = [0.0] * len(walk.values)
    for number, children in enumerate(walk.children):
        maker = walk.maker(number)
        assert maker.data == walk.values[number].data
        slopes = {id(child): 0.0 for child in maker._prev}
        for child, slope in zip(maker._children, maker._local_grads, strict=True):
            slopes[id(child)] += slope
        for child, slope in zip(children, slopes.values(), strict=True):
            sent[child] += slope * walk.values[number].grad
    grads = [value.grad for value in walk.values]
    assert sent[1:] == pytest.approx(grads[1:], rel=1e-9, abs=1e-12)
    makers = [walk.maker(number)._op for number in range(len(walk.values))]
    assert not {op for op in makers if op} & set(CALLS)


def test_an_op_whose_operands_have_changed_stays_folded():
    w = [Value(1.0, label="w1"), Value(2.0, label="w2")]
    out = engine.dot(w, [3.0, 4.0]).tanh()
    assert len(nodes(viz.to_svg(out, fold="nothing"))) > 4
    w[0].data = 7.0
    assert [node[0] for node in nodes(viz.to_svg(out, fold="nothing"))] == [
        "tanh",
        "dot",
        "w1",
        "w2",
    ]


@pytest.mark.parametrize(
    "op", ["sum", "dot", "affine", "softmax", "cross_entropy", "rms_norm", "x+y"]
)
def test_an_op_of_ones_own_stays_as_it_is(op):
    a, b = Value(1.0, label="a"), Value(2.0, label="b")
    for children in ((a,), (a, b), (a, b, a)):
        out = Value(77.0, children, op, local_grads=[1.0] * len(children))
        assert ops(out) == [op]
        viz.draw(out)


def test_nan_and_infinity_are_written_out():
    for x in (math.nan, math.inf, -math.inf):
        v = [Value(x), Value(1.0)]
        out = engine.affine(v, [2.0, 3.0], 1.0)
        out.backward()
        assert ops(out) == ["*", "*", "+", "+"]
        viz.to_svg(out, fold="nothing", edges=True)


def test_a_long_op_is_cut_and_not_waited_for():
    w = [Value(1.0) for _ in range(20_000)]
    out = engine.dot(w, [1.0] * len(w))
    found = nodes(viz.to_svg(out, fold="nothing"))
    assert len(found) == 200
    assert found[-1] == ["+ 59,802 more"]


def insides(root, **options):
    return {key: nodes(picture) for key, picture in viz.draw(root, **options).insides.items()}


def test_each_folded_box_has_a_picture_of_its_inside():
    random.seed(8)
    x = [Value(1.0, label="x1"), Value(2.0, label="x2")]
    out = MLP(2, [3, 1], "tanh")(x)
    drawing = viz.draw(out)
    keys = set(re.findall(r'data-inside="(\d+)"', "".join(drawing.pictures.values())))
    assert keys == set(drawing.insides)
    found = [nodes(picture) for picture in drawing.insides.values()]
    # The output neuron, three hidden ones, and the layer of the hidden ones.
    assert sorted(map(len, found)) == [3 + 2, *[5 + 5] * 3, 7 + 6]
    layer = min(found, key=len)
    assert [node[0] for node in layer] == ["affine+tanh"] * 3 + ["x1", "x2"]
    hidden = next(nodes for nodes in found if nodes[0][0] == "tanh")
    assert {"x1", "x2"} <= {node[0] for node in hidden}


def test_what_has_no_parts_has_no_inside():
    a, b = Value(1.0, label="a"), Value(2.0, label="b")
    assert insides((a * b + 1).tanh()) == {}
    assert insides(Value(3.0, (a, b), "mine", local_grads=[1.0, 1.0])) == {}


def test_leaves_that_were_folded_are_shown_inside():
    random.seed(9)
    model = MLP(2, [2, 1])
    rows = engine.sum(model([[1.0, 2.0], [3.0, 4.0]]))
    found = insides(rows, fold="layers")
    leaves = [inside for inside in found.values() if all(node[0] == "data" for node in inside)]
    assert sorted(map(len, leaves)) == [3, 6]


def test_pictures_for_pages_have_no_address_and_a_limit():
    random.seed(10)
    html = viz.draw(MLP(20, [30, 1])([0.1] * 20))._repr_html_()
    assert "http" not in html.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert len(html) < 400_000
    for svg in re.findall(r"<template[^>]*>(.*?)</template>", html):
        ET.fromstring(svg)


CLICKS = """<script>
const seen = [], shown = () => [...document.querySelectorAll(".fg-inside")]
  .map(panel => panel.querySelectorAll(".node").length);
const boxes = where => [...document.querySelectorAll(where + " .opens")];
const click = box => box.dispatchEvent(new MouseEvent("click", {bubbles: true}));
const layers = document.querySelectorAll(".fg-picture")[2];
seen.push(shown());
const [out, hidden] = layers.querySelectorAll(".opens");
click(out); seen.push(shown());
click(hidden); seen.push(shown());
click(document.querySelector(".fg-inside .opens")); seen.push(shown());
hidden.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"})); seen.push(shown());
document.body.dataset.seen = JSON.stringify(seen);
</script>"""


@pytest.mark.slow
@in_browser
def test_a_click_unfolds_a_box_and_another_folds_it(tmp_path):
    random.seed(8)
    path = tmp_path / "graph.html"
    viz.draw(MLP(2, [3, 1], "tanh")([Value(1.0), Value(2.0)])).save(path)
    path.write_text(path.read_text(encoding="utf-8") + CLICKS, encoding="utf-8")
    found = re.search(r'data-seen="([^"]*)"', opened(path))
    # Nothing, the output neuron, the hidden layer in its place, a neuron of it below, nothing.
    assert json.loads(found[1]) == [[], [13], [4], [4, 10], []]
