"""The pages of the site on which backpropagation moves."""

import runpy

import pytest


@pytest.fixture
def make_steps(project_root):
    return runpy.run_path(str(project_root / "docs" / "make_steps.py"))


def test_the_pages_load_nothing_and_have_all_steps(make_steps, tmp_path):
    make_steps["write"](tmp_path / "steps")
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "steps").iterdir()}
    assert set(pages) == {"neuron.html", "network.html"}
    for page in pages.values():
        assert "http" not in page
        assert len(page) < 300_000


def test_they_are_those_that_the_site_shows(make_steps, project_root):
    text = (project_root / "docs" / "steps.md").read_text(encoding="utf-8")
    for name in make_steps["PAGES"]:
        assert f'<iframe src="steps/{name}"' in text


def test_the_neuron_is_the_lectures(make_steps):
    output = make_steps["neuron"]()
    assert output.data == pytest.approx(0.5**0.5)
    output.backward()
    grads = {value.label: value.grad for value in leaves(output)}
    assert grads == pytest.approx({"x1": -1.5, "w1": 1.0, "x2": 0.5, "w2": 0.0, "b": 0.5})


def leaves(value):
    if not value._prev:
        return {value}
    return {leaf for child in value._prev for leaf in leaves(child)}
