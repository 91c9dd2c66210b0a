"""Progress bars: on terminals, in notebooks with and without widgets, and where nobody watches."""

import io
import re
import sys
import types
import warnings
from contextlib import contextmanager

import pytest
from fastgrad import _progress
from fastgrad._progress import bar
from fastgrad.models import NPLM, BigramModel, NeuralBigram, NgramCounts, WordNPLM

NAMES = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that runs another, with a terminal; it returns the lines drawn."""

    def run(function, *arguments, **options):
        stream = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            function(*arguments, **options)
        return [line for line in re.split(r"[\r\n]", stream.getvalue()) if line.strip()]

    return run


@pytest.fixture
def notebook(monkeypatch):
    """A kernel of Jupyter."""
    shell = types.SimpleNamespace(kernel=object())
    module = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)


def draw(wanted=True, **options):
    with bar(wanted, 3, "step", **options) as report:
        for done in (1, 2, 3):
            report(done, f"loss {3 - done}")


def test_a_bar_ends_with_its_last_note(terminal):
    last = terminal(draw, description="training")[-1]
    assert last.startswith("training: 100%|")
    assert "3/3" in last
    assert last.endswith("loss 0]")


def test_without_a_description_there_is_no_colon(terminal):
    assert terminal(draw)[-1].startswith("100%|")


def test_what_is_resumed_begins_where_it_was(terminal):
    assert "2/3" in terminal(draw, initial=2)[0]


def test_nothing_is_shown_where_nobody_watches(capsys):
    draw()
    assert capsys.readouterr() == ("", "")
    with bar(False, 3, "step") as report:
        assert report is None


def test_a_notebook_without_widgets_has_a_text_bar_and_no_warning(notebook, monkeypatch, capsys):
    monkeypatch.setattr(_progress, "find_spec", lambda name: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw()
    lines = capsys.readouterr().err.split("\r")
    assert "3/3" in lines[-1]
    assert max(len(line.rstrip("\n")) for line in lines) <= 80


def test_a_notebook_with_widgets_has_the_bar_of_notebooks(notebook, monkeypatch):
    made = []

    class Widget:
        n = 0

        def __init__(self, **options):
            made.append(options)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, steps):
            self.n += steps

        def set_postfix_str(self, *_, **__):
            pass

    monkeypatch.setattr(_progress, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "tqdm.notebook", types.SimpleNamespace(tqdm=Widget))
    draw()
    assert len(made) == 1
    # The widget takes a width for pixels.
    assert "ncols" not in made[0]


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch, terminal):
    module = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert "3/3" in terminal(draw)[-1]


def test_the_bar_of_training_fits_80_columns(terminal, monkeypatch):
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (80, 24))
    note = "loss 2.1234, dev 2.0123, 1,150,000 ex/s"

    def train():
        with bar(True, 30_000, "step") as report:
            report(30_000, note)

    last = terminal(train)[-1]
    assert note in last
    assert len(last) <= 80


@pytest.mark.parametrize("kind", [NPLM, WordNPLM])
def test_training_shows_its_loss_before_the_first_evaluation(monkeypatch, kind):
    told = []

    @contextmanager
    def recorded(*_, **__):
        yield lambda step, note: told.append((step, note))

    monkeypatch.setattr("fastgrad.training.report.bar", recorded)
    texts = NAMES if kind is NPLM else b"the cat sat on the mat and the dog sat " * 9
    model = kind(context_length=2, embedding_dim=3, hidden_dim=5)
    model.fit(texts, texts, steps=40, lr=0.1, batch_size=4, evaluate_every=40)
    step, note = told[0]
    assert step < 40
    assert re.fullmatch(r"loss \d\.\d{4}, [\d,]+ ex/s", note)
    assert re.fullmatch(r"loss \d\.\d{4}, dev \d\.\d{4}, [\d,]+ ex/s", told[-1][1])


def test_counting_training_and_sampling_have_the_same_bar(terminal):
    assert "counting" in terminal(NgramCounts, b"emma\nava", progress=True)[-1]
    assert "training" in terminal(NeuralBigram().fit, NAMES, steps=9, progress=True)[-1]
    assert "sampling" in terminal(BigramModel().fit(NAMES).sample, 3, progress=True)[-1]
