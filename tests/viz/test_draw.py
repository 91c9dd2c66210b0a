"""Pictures of graphs: what is in them, read as XML."""

import base64
import json
import math
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from fastgrad import viz
from fastgrad.engine import Value, softmax
from fastgrad.nn import MLP, Layer, mse_loss
from pictures import SVG, nodes, texts


def edges(svg):
    """The number of lines between boxes: paths that are not part of a box."""
    root = ET.fromstring(svg)
    inner = {path for group in root.iter(f"{SVG}g") if group.get("class", "").startswith("node")
             for path in group.iter(f"{SVG}path")}  # fmt: skip
    return sum(path not in inner for path in root.iter(f"{SVG}path"))


def lecture_neuron():
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    n = x1 * w1 + x2 * w2 + b
    n.label = "n"
    o = n.tanh()
    o.label = "o"
    return o


def test_a_sum():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a + b
    c.backward()
    svg = viz.to_svg(c)
    assert nodes(svg) == [
        ["+", "data", "-1", "grad", "1"],
        ["a", "data", "2", "grad", "1"],
        ["b", "data", "-3", "grad", "1"],
    ]
    assert edges(svg) == 2


def test_the_neuron_of_the_lecture():
    o = lecture_neuron()
    o.backward()
    svg = viz.to_svg(o)
    found = nodes(svg)
    assert len(found) == 10
    assert found[0] == ["tanh", "o", "data", "0.7071", "grad", "1"]
    assert ["w1", "data", "-3", "grad", "1"] in found
    assert ["x1", "data", "2", "grad", "-1.5"] in found
    assert edges(svg) == 9


def test_a_network():
    random.seed(1)
    svg = viz.to_svg(MLP(2, [3, 1])([1.0, 2.0]))
    found = nodes(svg)
    assert len(found) == 4 + 13
    assert sorted(node[0] for node in found if node[0] != "data") == [
        "affine",
        *["affine+ReLU"] * 3,
    ]
    assert edges(svg) == 3 * 3 + 3 + 4


def test_number_operands_are_written_exactly_and_on_their_side():
    a = Value(2.0)
    made = (5 - a, a - 5, 2 / a, a * 3, a**0.1, 1e-3 + a, a.max(-1))
    ops = [nodes(viz.to_svg(v))[0][0] for v in made]
    assert ops == ["5 - ·", "· - 5", "2 / ·", "· * 3", "· ** 0.1", "0.001 + ·", "max(·, -1)"]


def test_the_order_of_operands_shows_where_it_matters():
    a, b = Value(3.0), Value(4.0)
    assert [text for text in texts(viz.to_svg(a - b)) if text in "12"] == ["1", "2"]
    assert [text for text in texts(viz.to_svg(a + b)) if text in "12"] == []


def test_the_places_of_two_operands_do_not_overlap():
    # The wide box makes the last part of the way to the narrow one level.
    a, b = Value(3.0, label="a"), Value(4.0, label="b")
    wide = Value(1.0, label="a label that is quite long") * a
    svg = viz.to_svg((a - b) * wide * (b - a))
    marks = [text for text in ET.fromstring(svg).iter(f"{SVG}text") if text.text in ("1", "2")]
    marks = [mark for mark in marks if "halo" in (mark.get("class") or "")]
    places = {(mark.get("x"), mark.get("y")) for mark in marks}
    assert len(places) == len(marks) == 4


def test_local_derivatives_stand_on_edges_on_request():
    a, b = Value(3.0), Value(-0.5)
    found = texts(viz.to_svg(a * b, edges=True))
    assert {"-0.5", "3"} <= {*found}
    found = texts(viz.to_svg(a / b, edges=True))
    assert {"1: -2", "2: -12"} <= {*found}
    twice = texts(viz.to_svg(a * a, edges=True))
    assert "6" in twice


def test_before_backward_there_is_no_gradient_yet():
    c = Value(2.0) * Value(3.0)
    assert any("no gradient yet" in text for text in texts(viz.to_svg(c)))
    assert ["data", "2", "grad", "-"] in nodes(viz.to_svg(c))
    c.backward()
    assert not any("no gradient yet" in text for text in texts(viz.to_svg(c)))


def test_the_colour_tells_the_sign_of_the_gradient():
    a, b, c = Value(1.0, label="a"), Value(1.0, label="b"), Value(math.inf, label="c")
    (a - b + 0 * c).backward()
    svg = viz.to_svg(a - b + 0 * c)
    colours = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        name = next((text.text for text in group.iter(f"{SVG}text")), "")
        if group.get("class", "").startswith("node") and name in "abc":
            kinds = [rect.get("class") for rect in group.iter(f"{SVG}rect")]
            colours[name] = kinds[-1]
    assert colours == {"a": "pos", "b": "neg", "c": "box"}
    c.grad = math.nan
    assert 'class="odd"' in viz.to_svg(c)


@pytest.mark.parametrize(
    "label",
    [
        *('<script>alert("1")</script>', "a & b", "]]>", "'", "</style>", "日本語", "x" * 10_000),
        *("\x00\x1b\x7f", "\ud800", "\uffff", "\u202e", 7, None),
    ],
)  # fmt: skip
def test_any_label_is_text(label):
    a = Value(1.0)
    a.label = label
    made = Value(3.0, (a,), str(label))
    svg = viz.to_svg(made, edges=True)
    ET.fromstring(svg)
    assert "<script" not in svg
    assert len(svg) < 20_000


def test_pictures_are_light_and_dark_and_load_nothing():
    svg = viz.to_svg(lecture_neuron())
    assert "prefers-color-scheme:dark" in svg
    assert '[data-jp-theme-light="false"] .fg' in svg
    # The name of the language is no address that anybody loads.
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "<script" not in svg


def boxes(svg):
    """Position and size of each box with its op."""
    found = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class", "").startswith("node"):
            rects = [[float(rect.get(name)) for name in ("x", "y", "width", "height")]
                     for rect in group.iter(f"{SVG}rect")]  # fmt: skip
            left, top = min(r[0] for r in rects), min(r[1] for r in rects)
            found.append(
                (left, top, max(r[0] + r[2] for r in rects), max(r[1] + r[3] for r in rects))
            )
    return found


@pytest.mark.parametrize("edges", [False, True])
def test_nothing_overlaps(edges):
    random.seed(2)
    o = mse_loss(MLP(3, [4, 4, 1])([[0.1, 0.2, 0.3]] * 3), [1.0, -1.0, 1.0])
    for root in (lecture_neuron(), o):
        found = boxes(viz.to_svg(root, edges=edges))
        for i, (left, top, right, bottom) in enumerate(found):
            for left2, top2, right2, bottom2 in found[:i]:
                assert right < left2 or right2 < left or bottom < top2 or bottom2 < top


def test_weights_are_folded_into_their_neuron():
    random.seed(3)
    layer = Layer(3, 1, activation="tanh")
    x = [Value(float(i), label=f"x{i}") for i in range(3)]
    svg = viz.to_svg(layer(x), fold="neurons")
    assert nodes(svg)[0][0] == "affine+tanh"
    assert nodes(svg)[0][-1] == "+ 4 leaves"
    assert len(nodes(svg)) == 4
    layer.neurons[0].w[1].label = "w"  # What has a name stays to be seen.
    assert len(nodes(viz.to_svg(layer(x), fold="neurons"))) == 5


def test_layers_are_folded():
    random.seed(4)
    model = MLP(3, [4, 5, 1])
    svg = viz.to_svg(model([1.0, 2.0, 3.0]), fold="layers")
    assert [node[:2] for node in nodes(svg)] == [
        ["affine", "data"],
        ["affine+ReLU", "5 outputs"],
        ["affine+ReLU", "4 outputs"],
    ]
    # Rows share their weights, which then stand beside the layers.
    rows = viz.to_svg(
        mse_loss(model([[1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]), [1.0, 2.0]), fold="layers"
    )
    assert [node[0] for node in nodes(rows) if "leaves" in node[0]] == [
        "6 leaves",
        "25 leaves",
        "16 leaves",
    ]


def test_the_outputs_of_a_function_are_folded():
    p, q, r = softmax([Value(1.0, label="a"), Value(2.0), Value(3.0)])
    svg = viz.to_svg(p * q + r, fold="layers")
    assert ["softmax", "3 outputs"] in [node[:2] for node in nodes(svg)]


def test_a_large_graph_is_folded_and_then_counted():
    random.seed(5)
    wide = MLP(20, [30, 30, 1])([0.1] * 20)
    assert len(nodes(viz.to_svg(wide))) == 61  # neurons
    assert len(nodes(viz.to_svg(wide, max_nodes=10))) == 3  # layers
    x = Value(1.0)
    for _ in range(1_500):
        x = x + 1.0
    found = nodes(viz.to_svg(x))
    assert len(found) == 200
    assert found[-1][0] == "+ 1,302 more"
    assert found[-1][1] == "folded by layer"


def written_out(rows, label=""):
    """The loss of a 2-16-16-1 network of plain ops."""

    def neuron(inputs):
        weights = [Value(random.uniform(-1, 1), label=label) for _ in inputs]
        bias = Value(0.0, label=label)

        def out(x):
            total = bias
            for w, number in zip(weights, x, strict=True):
                total = total + w * number
            return total

        return out

    random.seed(11)
    first = [neuron(range(2)) for _ in range(16)]
    second = [neuron(range(16)) for _ in range(16)]
    last = neuron(range(16))
    total = 0.0
    for _ in range(rows):
        x = [random.uniform(-1, 1) for _ in range(2)]
        for layer in (first, second):
            x = [out(x).tanh() for out in layer]
        total = total + (last(x) - 1.0) ** 2
    return total


@pytest.mark.parametrize("label", ["", "w"])
@pytest.mark.parametrize("rows", [1, 5, 50])
def test_a_network_of_plain_ops_is_folded_into_layers(rows, label):
    loss = written_out(rows, label)
    loss.backward()
    found = nodes(viz.to_svg(loss, fold="layers"))
    second, first = found[1:3]
    assert first[:2] == second[:2] == ["tanh", f"{16 * rows:,} outputs"]
    assert second[-1] == f"+ {16 * rows * 32:,} ops, 272 leaves"
    assert len(found) == 3
    assert len(nodes(viz.draw(loss).svg)) <= 200


def test_the_neurons_of_a_network_of_plain_ops_are_boxes():
    drawing = viz.draw(written_out(1))
    assert list(drawing.pictures) == ["neurons", "layers"]
    found = nodes(drawing.svg)
    assert [node[0] for node in found] == ["0 + ·", *["tanh"] * 32]
    assert found[-1][-1] == "+ 4 ops, 3 leaves"
    # Unfolded, a neuron of the first layer is its products, sums and tanh, their operands beside.
    unfolded = [nodes(picture) for picture in drawing.insides.values()]
    ops = [[op[:3] for op, *_ in inside if op != "data"] for inside in unfolded]
    assert ["tan", "+", "+", "· *", "· *"] in ops
    assert min(map(len, unfolded)) == 5 + 3


def test_plain_ops_with_a_label_stay_apart_while_there_is_room():
    x = [Value(float(i)) for i in range(300)]
    parts = [(a * 2 + 1).tanh() for a in x]
    parts[7].label = "seventh"
    out = parts[0]
    for part in parts[1:]:
        out = out + part
    titles = [node[:2] for node in nodes(viz.to_svg(out, fold="layers"))]
    assert ["tanh", "seventh"] in titles
    assert ["tanh", "299 outputs"] in titles


@pytest.mark.parametrize("max_nodes", [2, 3, 10])
def test_no_more_boxes_are_drawn_than_asked_for(max_nodes):
    assert len(nodes(viz.to_svg(lecture_neuron(), max_nodes=max_nodes))) <= max_nodes


def test_depth_is_the_number_of_ops_from_the_root():
    o = lecture_neuron()
    assert [len(nodes(viz.to_svg(o, depth=depth))) for depth in range(6)] == [2, 3, 5, 7, 10, 10]
    assert nodes(viz.to_svg(o, depth=1))[-1] == ["+ 2 or more"]


@pytest.mark.slow
def test_a_graph_of_a_million_nodes_is_drawn():
    x = Value(1.0)
    for _ in range(500_000):
        x = (x + 1.0) * 0.5
    svg = viz.to_svg(x)
    assert len(nodes(svg)) == 200
    assert nodes(svg)[-1][0] == "+ 99,802 or more"


def test_a_wide_op_is_drawn():
    from fastgrad.engine import dot

    w = [Value(1.0) for _ in range(50_000)]
    found = nodes(viz.to_svg(dot(w, [1.0] * len(w))))
    assert found == [["dot", "data", "5e+04", "grad", "-", "+ 50,000 leaves"]]


def test_the_same_graph_gives_the_same_picture():
    assert viz.to_svg(lecture_neuron()) == viz.to_svg(lecture_neuron())


def test_drawing_changes_nothing():
    o = lecture_neuron()
    o.backward()
    before = [(v.data, v.grad) for v in (o, *o._prev)]
    viz.draw(o, edges=True)
    assert [(v.data, v.grad) for v in (o, *o._prev)] == before


def test_a_rule_of_ones_own_has_no_local_derivative():
    x = Value(0.5)
    out = Value(0.25, (x,), "square")
    out._backward = lambda: None
    assert texts(viz.to_svg(out, edges=True))[:1] != [""]
    assert len(nodes(viz.to_svg(out, edges=True))) == 2


def test_a_notebook_shows_text_and_picture():
    c = Value(2.0, label="c")
    bundle = c._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(c) == "Value(data=2.0, grad=0.0, label='c')"
    assert bundle["image/svg+xml"] == viz.to_svg(c)
    assert bundle["image/svg+xml"] in bundle["text/html"]
    json.dumps(bundle)


def test_a_notebook_lets_the_reader_unfold():
    random.seed(6)
    html = viz.draw(MLP(2, [3, 1])([1.0, 2.0]))._repr_html_()
    assert re.findall(r"<label[^>]*> (\w+) </label>", html) == [
        *("ops", "neurons", "layers", "scalars")
    ]
    assert html.partition("<template")[0].count("<svg") == 4


def test_a_notebook_that_is_not_trusted_shows_an_image():
    html = viz.draw(Value(1.0, label="c") + 1)._repr_html_()
    # Without the style, what is left is an image, and a part that browsers do not show.
    left = re.sub(r"<(style|datalist)\b.*?</\1>", "", html, flags=re.DOTALL)
    assert re.sub(r"<[^>]*>", "", left) == ""
    picture = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', left)
    assert base64.b64decode(picture[1]).decode() == viz.to_svg(Value(1.0, label="c") + 1)
    assert "<img" not in viz.draw(Value(1.0))._page()


def test_pictures_are_saved(tmp_path):
    drawing = viz.draw(lecture_neuron())
    assert drawing.save(tmp_path / "graph.svg") == str(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == drawing.svg
    drawing.save(str(tmp_path / "graph.html"))
    page = (tmp_path / "graph.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert drawing.svg in page
    with pytest.raises(ValueError, match=r"path is .*graph.png.*svg"):
        drawing.save(tmp_path / "graph.png")


@pytest.mark.parametrize("function", [viz.draw, viz.to_svg, viz.tree, viz.draw_dot])
@pytest.mark.parametrize("root", [None, 1.0, [Value(1.0)], "v"])
def test_only_values_are_drawn(function, root):
    with pytest.raises(TypeError, match=r"root is .*; expected a Value"):
        function(root)


@pytest.mark.parametrize(
    ("name", "value"),
    [("depth", -1), ("depth", 1.5), ("max_nodes", 1), ("max_nodes", True), ("fold", "all")],
)
def test_wrong_settings_are_named(name, value):
    with pytest.raises((TypeError, ValueError), match=f"{name} is"):
        viz.draw(Value(1.0), **{name: value})


def test_value_does_not_load_pictures_before_they_are_shown():
    code = (
        "import sys, fastgrad.engine as e; v = e.Value(1.0); print('fastgrad.viz' in sys.modules);"
    )
    code += "v._repr_mimebundle_(); print('fastgrad.viz' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "True", "False"]


# As text ------------------------------------------------------------------------------------------


def test_a_tree_names_what_it_has_shown():
    o = lecture_neuron()
    lines = viz.tree(o * o + o._prev[0]).splitlines()
    assert lines[0].startswith("+  data")
    assert lines[1].startswith("├─ · * ·")
    assert lines[2].startswith("│  └─ o = tanh  data 0.7071")
    assert lines[-1] == "└─ n  (above)"
    assert len(lines) == 13


def test_a_tree_ends():
    x = Value(1.0)
    for _ in range(100_000):
        x = x + 1.0
    lines = viz.tree(x, max_nodes=5).splitlines()
    assert len(lines) == 6
    assert lines[-1].startswith("… 1 more")
    assert viz.tree(x, depth=2).splitlines()[-1].endswith("…")
