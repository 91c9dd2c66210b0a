"""Where pictures are drawn: on given Axes, by pyplot, in files; and without matplotlib."""

import subprocess
import sys

import numpy as np
import pytest
from fastgrad import plots
from fastgrad.datasets import make_moons
from fastgrad.models import NPLM, BigramModel, NeuralBigram, NgramCounts, WordNPLM
from fastgrad.nn import MLP
from fastgrad.text import Vocab
from fastgrad.training import LRSweep
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

NAMES = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
WORDS = b"the cat sat on the mat and the dog sat on the cat . " * 10
SMALL = {"context_length": 2, "embedding_dim": 3, "hidden_dim": 5}


def sweep():
    return LRSweep(np.geomspace(1e-3, 1, 50), 2 + np.abs(np.linspace(-1, 1, 50)))


PICTURES = {
    "counts": lambda **at: plots.bigram_heatmap(NgramCounts(NAMES), **at),
    "model": lambda **at: plots.bigram_heatmap(BigramModel().fit(NAMES), **at),
    "array": lambda **at: plots.bigram_heatmap([[0, 3], [3, 1]], ".a", **at),
    "many": lambda **at: plots.bigram_heatmap(
        np.eye(50), [chr(0x100 + i) for i in range(50)], **at
    ),
    "loss": lambda **at: plots.loss_curve(NeuralBigram().fit(NAMES, steps=9), **at),
    "embeddings": lambda **at: plots.embedding_scatter(
        NPLM(**SMALL).fit(NAMES, steps=5, batch_size=4), **at
    ),
    "words": lambda **at: plots.embedding_scatter(
        WordNPLM(**SMALL).fit(WORDS, steps=5, batch_size=4), **at
    ),
    "lr": lambda **at: plots.lr_curve(sweep(), **at),
    "boundary": lambda **at: plots.decision_boundary(
        lambda p: p[:, 0] - p[:, 1], *make_moons(20), **at
    ),
    "boundary of an MLP": lambda **at: plots.decision_boundary(
        MLP(2, [2, 1]), *make_moons(9), **at
    ),
    "activations": lambda **at: plots.activations(NPLM(Vocab("ab"), **SMALL), [[0, 1]], **at),
    "activations of an MLP": lambda **at: plots.activations(MLP(2, [3, 1]), [[1.0, 2.0]], **at),
    "gradients": lambda **at: plots.gradients(NPLM(Vocab("ab"), **SMALL), [[0, 1]], [2], **at),
    "updates": lambda **at: plots.update_ratio(
        NPLM(**SMALL).fit(NAMES, steps=5, batch_size=4, update_ratio=True), **at
    ),
}
EACH = pytest.mark.parametrize(
    "draw", [pytest.param(draw, id=name) for name, draw in PICTURES.items()]
)


@pytest.mark.slow
@EACH
def test_axes_that_are_given_are_drawn_on(draw):
    axes = Figure(figsize=(9, 4)).subplots(1, 2)
    assert draw(ax=axes[0]) is axes[0]
    assert axes[0].has_data()
    assert not axes[1].has_data()


@pytest.mark.slow
@EACH
def test_without_a_path_the_picture_is_on_a_figure_of_pyplot(draw):
    before = pyplot.get_fignums()
    axes = draw()
    try:
        assert isinstance(axes, Axes)
        assert axes.figure.number not in before
        assert pyplot.gcf() is axes.figure
    finally:
        pyplot.close(axes.figure)
    assert pyplot.get_fignums() == before


@pytest.mark.slow
@EACH
def test_a_picture_in_a_file_leaves_no_figure_behind(draw, tmp_path):
    before = pyplot.get_fignums()
    assert isinstance(draw(path=tmp_path / "picture.png"), Axes)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == before


def test_given_axes_are_written_to_a_file_as_well(tmp_path):
    axes = Figure().subplots()
    plots.loss_curve([3.0, 2.0], ax=axes, path=tmp_path / "loss.svg")
    assert b"<svg" in (tmp_path / "loss.svg").read_bytes()


@pytest.mark.parametrize("ax", [5, Figure(), "axes"])
def test_what_are_no_axes_is_refused(ax):
    with pytest.raises(TypeError, match="ax is of type"):
        plots.loss_curve([1.0], ax=ax)


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: plots.bigram_heatmap(NgramCounts(NAMES, order=3)), ValueError, "order 3"),
        (lambda: plots.bigram_heatmap([[1.0]]), TypeError, "NgramCounts"),
        (lambda: plots.loss_curve(BigramModel().fit(NAMES)), ValueError, "history"),
        (lambda: plots.embedding_scatter(BigramModel().fit(NAMES)), TypeError, "NPLM"),
        (lambda: plots.lr_curve([1.0]), TypeError, "LRSweep"),
        (lambda: plots.lr_curve(LRSweep(np.empty(0), np.empty(0))), ValueError, "sweep"),
        (lambda: plots.decision_boundary(5, [[0, 0]], [1]), TypeError, "model"),
        (lambda: plots.decision_boundary(len, [[0, 0, 0]], [1]), ValueError, "X"),
        (lambda: plots.decision_boundary(len, [[0, 0]] * 3, [1, 2, 3]), ValueError, "y"),
        (lambda: plots.decision_boundary(lambda p: "high", [[0, 0]], [1]), TypeError, "score"),
        (lambda: plots.rate_sweep, AttributeError, "lr_curve"),
    ],
)
def test_what_cannot_be_drawn_is_named(call, error, name):
    before = pyplot.get_fignums()
    with pytest.raises(error, match=name):
        call()
    assert pyplot.get_fignums() == before


WITHOUT = """
import sys
sys.modules["matplotlib"] = None
import fastgrad.plots
from fastgrad import *
import pydoc
assert "Value" in pydoc.render_doc(fastgrad) and "loss_curve" in pydoc.render_doc(fastgrad.plots)
try:
    fastgrad.plots.loss_curve([1.0])
except ImportError as error:
    print(error)
"""


@pytest.mark.slow
def test_without_matplotlib_the_first_picture_says_what_to_install():
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""
    assert "pip install matplotlib" in ended.stdout
