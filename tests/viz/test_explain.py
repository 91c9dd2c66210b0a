"""Backpropagation step by step: what the page says, and that it works in a browser."""

import html
import json
import math
import random
import re

import pytest
from browser import in_browser, opened
from fastgrad import viz
from fastgrad.engine import Value, dot
from fastgrad.nn import MLP, mse_loss
from fastgrad.viz.steps import _backward_order


def data(page):
    """What the page's script reads."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page.html, re.DOTALL)[1])


def neuron():
    """The neuron of the lecture; 10 Values, 5 of them made by ops."""
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    n = x1 * w1 + x2 * w2 + Value(6.8813735870195432, label="b")
    n.label = "n"
    o = n.tanh()
    o.label = "o"
    return o


def final_gradients(page):
    found = data(page)
    grads = {found["nodes"][0]: found["start"][0]}
    for step in found["steps"]:
        grads |= {found["nodes"][edge["to"]]: edge["sum"][0] for edge in step["edges"]}
    return grads


def test_the_steps_of_the_neuron():
    found = data(viz.explain(neuron()))
    assert len(found["steps"]) == 5
    first, second = found["steps"][:2]
    assert first["title"] == "o = tanh(n) = tanh(0.8814) = 0.7071"
    (edge,) = first["edges"]
    assert edge["rule"] == "1 - o²"
    assert (edge["slope"], edge["incoming"], edge["added"]) == ("0.5", "1", "0.5")
    assert second["title"].startswith("n = v")
    assert "o uses n and has sent its part" in second["lines"][0]
    assert final_gradients(viz.explain(neuron()))["x1"] == "-1.5"


def test_gradients_are_those_of_backward():
    random.seed(1)
    model = MLP(2, [4, 1])
    x = [Value(0.3, label="x1"), Value(-0.7, label="x2")]
    for number, p in enumerate(model.parameters()):
        p.label = f"p{number}"
    loss = (model(x) - 1) ** 2
    grads = final_gradients(viz.explain(loss))
    loss.backward()
    for p in (*model.parameters(), *x):
        assert math.isclose(float(grads[p.label]), p.grad, rel_tol=1e-3, abs_tol=1e-12)


def test_sums_grow_from_use_to_use():
    a = Value(3.0, label="a")
    page = viz.explain(a * a + a)
    sums = [edge["sum"][0] for step in data(page)["steps"] for edge in step["edges"]
            if edge["name"] == "a"]  # fmt: skip
    assert sums == ["1", "7"]
    last = data(page)["steps"][-1]
    assert last["edges"][0]["rule"] == "a + a"
    assert last["after"][0].startswith("Added to what was there before: a.")


def test_number_operands_stand_in_the_formulas():
    a = Value(-2.0, label="a")
    for made, title in [
        (5 - a, "v1 = 5 - a = 5 - (-2) = 7"),
        (a**3, "v1 = a ** 3 = (-2) ** 3 = -8"),
        (1 / a, "v1 = 1 / a = 1 / (-2) = -0.5"),
        (a.max(-1), "v1 = max(a, -1) = max(-2, -1) = -1"),
    ]:
        assert data(viz.explain(made))["steps"][0]["title"] == title
    assert data(viz.explain(1 / a))["steps"][0]["edges"][0]["rule"] == "-1/a²"
    assert data(viz.explain(a**3))["steps"][0]["edges"][0]["rule"] == "3·a^(3-1)"


def test_the_order_is_that_of_backward():
    random.seed(2)
    values = [Value(random.uniform(-1, 1)) for _ in range(4)]
    order = []
    for number in range(60):
        a, b = random.choice(values[-20:]), random.choice(values[-20:])
        made = Value(a.data + b.data, (a, b), "+", label=f"m{number}")
        made._backward = lambda made=made: order.append(made)
        values.append(made)
    values[-1].backward()
    assert [value for value in _backward_order(values[-1]) if value._op] == order


def test_a_rule_of_ones_own_is_called_and_leaves_no_trace():
    x = Value(0.5, label="x")
    out = Value(0.25, (x,), "square")

    def rule():
        x.grad += 2 * x.data * out.grad

    out._backward = rule
    x.grad, out.grad = 7.0, 8.0
    page = viz.explain(out * 3)
    assert (x.grad, out.grad) == (7.0, 8.0)
    edge = data(page)["steps"][1]["edges"][0]
    assert (edge["slope"], edge["added"]) == ("own rule", "3")


def test_a_rule_that_fails_leaves_gradients():
    x = Value(0.5)
    out = Value(0.25, (x,), "square")
    out._backward = lambda: 1 / 0
    x.grad = 7.0
    with pytest.raises(ZeroDivisionError):
        viz.explain(out)
    assert x.grad == 7.0


def test_gradients_of_the_graph_stay():
    o = neuron()
    o.backward()
    viz.explain(o)
    assert o.grad == 1.0
    assert o._prev[0].grad == 0.5000000000000001 or math.isclose(o._prev[0].grad, 0.5)


@pytest.mark.parametrize("label", ["</script><script>f()</script>", "a & <b>", "{data}", "'\""])
def test_any_label_is_text(label):
    a = Value(2.0, label=label)
    page = viz.explain(a * 3)
    assert page.html.count("<script") == 2
    assert data(page)["nodes"][1] == label
    ((source,),) = [re.findall(r'srcdoc="([^"]*)"', page._repr_html_())]
    assert html.unescape(source) == page.html


def pages():
    random.seed(3)
    yield viz.explain(neuron())
    yield viz.explain(Value(1.0))
    yield viz.explain(mse_loss(MLP(3, [16, 16, 1])([[0.1, 0.2, 0.3]] * 3), [1.0, 2.0, 3.0]))
    w = [Value(1.0) for _ in range(20_000)]
    yield viz.explain(dot(w, [1.0] * 20_000))
    x = Value(1.0)
    for _ in range(3_000):
        x = x * 1.01 + w[0]
    yield viz.explain(x)
    yield viz.explain(x, max_nodes=3_000)


@pytest.mark.slow
def test_pages_load_nothing_and_are_small():
    for page in pages():
        assert len(page.html.encode()) < 300_000
        assert not re.search(r"https?:|//\w|\bsrc=|\bhref=|@import|url\(", page.html)
        assert len(data(page)["nodes"]) <= 3_000


def test_of_a_large_graph_the_first_steps_are_shown():
    x = Value(1.0)
    for _ in range(1_000):
        x = x + 1.0
    found = data(viz.explain(x))
    assert len(found["nodes"]) == 100
    assert "901 more Values" in found["closing"]["lines"][1]
    for _ in range(100_000):
        x = x + 1.0
    with pytest.raises(ValueError, match="root is a graph of more than 100,000"):
        viz.explain(x)


def test_pages_are_saved(tmp_path):
    page = viz.explain(neuron())
    assert page.save(tmp_path / "steps.html") == str(tmp_path / "steps.html")
    assert (tmp_path / "steps.html").read_text(encoding="utf-8") == page.html


@pytest.mark.parametrize("root", [None, 1.0, [Value(1.0)]])
def test_only_values_are_explained(root):
    with pytest.raises(TypeError, match=r"root is .*; expected a Value"):
        viz.explain(root)
    with pytest.raises(ValueError, match="max_nodes is 1"):
        viz.explain(Value(1.0), max_nodes=1)


# In a browser -------------------------------------------------------------------------------------

# Clicks through a page, and notes what it shows after each click.
CLICKS = """
<script>
const seen = [];
function look(what) {
  const lit = [...document.querySelectorAll(".node.lit")].map(node => node.id);
  const sent = [...document.querySelectorAll(".edge.lit")].map(
    edge => [...edge.querySelectorAll("text")].map(text => text.textContent).join(" "));
  const grads = [...document.querySelectorAll(".node .grad.end")].map(text => text.textContent);
  seen.push({what, step, lit, sent, grads, where: get("where").textContent,
             title: document.querySelector("h2").textContent});
}
const key = name => document.dispatchEvent(new KeyboardEvent("keydown", {key: name}));
window.onerror = message => seen.push({what: "error", message});
look("open");
for (let i = 0; i < data.steps.length + 1; i++) { get("next").click(); look("next"); }
get("back").click(); look("back");
get("first").click(); look("first");
key("ArrowRight"); look("right");
key("End"); look("end");
key("ArrowLeft"); look("left");
key("Home"); look("home");
get("slider").value = 2; get("slider").dispatchEvent(new Event("input")); look("slider");
get("play").click();
setTimeout(() => { look("playing"); key(" ");
  setTimeout(() => {
    look("paused");
    document.body.innerHTML = "";
    const told = document.createElement("pre");
    told.id = "told"; told.textContent = JSON.stringify(seen);
    document.body.append(told);
  }, 4000);
}, 2000);
</script>
"""


@pytest.mark.slow
@in_browser
def test_a_browser_goes_through_the_steps(tmp_path):
    page = viz.explain(neuron())
    path = tmp_path / "steps.html"
    path.write_text(page.html.replace("</body>", f"{CLICKS}</body>"), encoding="utf-8")
    found = re.search(r'<pre id="told">(.*?)</pre>', opened(path), re.DOTALL)
    seen = json.loads(html.unescape(found[1]))
    assert [look for look in seen if look["what"] == "error"] == []
    by_name = {look["what"]: look for look in seen}
    assert by_name["open"]["lit"] == ["n0"]
    assert by_name["open"]["grads"] == ["1", *["-"] * 9]

    forward = [look for look in seen if look["what"] == "next"]
    assert [look["step"] for look in forward] == [1, 2, 3, 4, 5, 6]
    assert [look["lit"] for look in forward[:5]] == [
        [f"n{step['node']}"] for step in data(page)["steps"]
    ]
    assert [look["title"] for look in forward[:5]] == [
        step["title"] for step in data(page)["steps"]
    ]
    assert forward[0]["sent"] == ["0.5 × 1 = 0.5"]
    assert forward[1]["sent"] == ["1 × 0.5 = 0.5"] * 2
    assert forward[-1]["where"] == "end"
    assert sorted(forward[-1]["grads"]) == sorted(
        ["1", "0.5", "0.5", "0.5", "0.5", "0.5", "0.5", "-1.5", "1", "0"]
    )
    moves = ("back", "first", "right", "end", "left", "home", "slider", "playing", "paused")
    assert [by_name[name]["step"] for name in moves] == [5, 0, 1, 6, 5, 0, 2, 3, 3]


@pytest.mark.slow
@in_browser
def test_a_link_may_name_a_step(tmp_path):
    path = tmp_path / "steps.html"
    viz.explain(neuron()).save(path)
    assert re.search(r'<span id="where"[^>]*>step 3 of 5<', opened(path, "#step=3"))
    assert re.search(r'<span id="where"[^>]*>end<', opened(path, "#step=99"))


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize(
    ("page", "theme"),
    [
        ('data-jp-theme-light="false"', "dark"),
        ('data-jp-theme-light="true"', "light"),
        ('data-theme="dark"', "dark"),
        ('data-vscode-theme-kind="vscode-dark"', "dark"),
        ('data-vscode-theme-kind="vscode-light"', "light"),
    ],
)
def test_the_page_inside_is_light_or_dark_as_the_notebook(tmp_path, page, theme):
    path = tmp_path / "notebook.html"
    shown = viz.explain(neuron())._repr_html_()
    path.write_text(f"<!doctype html><body {page}>{shown}</body>", encoding="utf-8")
    assert re.search(rf'html data-theme=(?:"|&quot;){theme}', opened(path))


def frame_height(path, root):
    path.write_text(viz.explain(root)._repr_html_(), encoding="utf-8")
    return int(re.search(r"<iframe[^>]*height: ?(\d+)px", opened(path))[1])


@pytest.mark.slow
@in_browser
def test_a_notebook_shows_the_page_as_high_as_it_is(tmp_path):
    path = tmp_path / "notebook.html"
    small = frame_height(path, Value(2.0, label="a") * 3)
    neuron_ = frame_height(path, neuron())
    random.seed(3)
    large = frame_height(path, mse_loss(MLP(3, [16, 16, 1])([[0.1, 0.2, 0.3]] * 3), [1, 2, 3]))
    assert 250 < small < neuron_ < large < 900


@pytest.mark.slow
@in_browser
def test_a_browser_shows_pictures(tmp_path):
    drawing = viz.draw(neuron(), edges=True)
    path = tmp_path / "graph.html"
    measure = """<script>
    const boxes = [...document.querySelectorAll(".node")].map(node => {
      const frame = node.querySelector(".box").getBoundingClientRect();
      return [...node.querySelectorAll("text:not(.mid)")].every(text => {
        const inner = text.getBoundingClientRect();
        return inner.left >= frame.left - 1 && inner.right <= frame.right + 1;
      });
    });
    document.body.dataset.fits = boxes.length + " " + boxes.every(fits => fits);
    </script>"""
    path.write_text(f"<!doctype html><body>{drawing.svg}{measure}</body>", encoding="utf-8")
    assert 'data-fits="10 true"' in opened(path)
