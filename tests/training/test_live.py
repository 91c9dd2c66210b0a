"""Curves that grow in a notebook while a run trains, and the bar elsewhere."""

import sys
import types

import pytest
from fastgrad.models import NPLM, NeuralBigram
from fastgrad.training import live
from small_nplm import FEW, same, small_model

FIT = {"steps": 60, "batch_size": 4, "lr": 0.1, "evaluate_every": 20}


@pytest.fixture
def shown(monkeypatch):
    """A kernel of Jupyter; what it shows, the picture that is replaced as one."""
    pictures = []
    handle = types.SimpleNamespace(update=lambda bundle, raw: pictures.append(bundle))

    def display(bundle, raw, display_id):
        assert raw
        assert display_id
        pictures.append(bundle)
        return handle

    shell = types.SimpleNamespace(kernel=object())
    package = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return pictures


def test_the_picture_has_both_losses_at_the_end(shown):
    small_model().fit(FEW, FEW, live=True, **FIT)
    last = shown[-1]
    assert last["text/plain"].startswith("step 60 of 60, loss ")
    assert ", dev " in last["text/plain"]
    assert last["text/html"].count("<polyline") == 2
    assert len(last["text/html"].split('points="')[2].split('"')[0].split()) == 3


def test_pictures_come_twice_a_second_at_most(shown, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live, "monotonic", lambda: now[0])
    curves = live.LiveCurves(1000)
    for step in range(1000):
        now[0] += 1 / 64
        curves.add(step, 1 / (step + 1))
    assert len(shown) == 1 + 1000 // 32
    assert shown[-1]["text/html"].count(",") < 1500


def test_it_changes_no_result(shown):
    assert same(small_model().fit(FEW, live=True, **FIT), small_model().fit(FEW, **FIT))
    assert len(shown) >= 2


def test_a_resumed_run_shows_its_curves(shown, tmp_path):
    path = tmp_path / "run.safetensors"
    stop = [lambda progress: progress.step == 20]
    small_model().fit(FEW, checkpoint=path, callbacks=stop, **FIT)
    assert shown == []
    NPLM.resume(path, FEW, live=True)
    assert shown[-1]["text/plain"].startswith("step 60 of 60, loss ")


def test_a_neural_bigram_shows_its_curve(shown):
    model = NeuralBigram().fit(FEW, steps=60, live=True)
    assert shown[-1]["text/plain"].startswith("step 60 of 60, loss ")
    assert shown[-1]["text/html"].count("<polyline") == 1
    assert (model.W == NeuralBigram().fit(FEW, steps=60).W).all()


def test_elsewhere_there_is_the_bar_and_no_need_of_ipython(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    small_model().fit(FEW, live=True, **FIT)
    assert "60/60" in capsys.readouterr().err


def test_losses_that_are_not_finite_are_left_out(shown):
    curves = live.LiveCurves(10)
    curves.add(1, float("inf"))
    curves.add(2, None)
    curves.draw()
    assert "inf" not in shown[-1]["text/html"]
