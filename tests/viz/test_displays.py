"""What a notebook shows of networks, counts, models and histories."""

import random
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from fastgrad import _display
from fastgrad.models import NPLM, BigramModel, KneserNey, NeuralBigram, NgramCounts, NgramModel
from fastgrad.nn import MLP, mse_loss
from fastgrad.training import History

WORDS = ["emma", "ava", "mia", "olivia"] * 5


def pictures(html):
    """The pictures in a page, read as XML."""
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def count(picture, tag):
    return len(list(picture.iter(f"{{http://www.w3.org/2000/svg}}{tag}")))


def cells(html):
    return [re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[dh][^>]*>.*?</t[dh]>", html)]


def test_a_network_shows_its_layers():
    random.seed(1)
    model = MLP(2, [3, 1])
    mse_loss(model([[1.0, 2.0]]), [1.0]).backward()
    found = cells(model._repr_html_())
    first = model.layers[0].parameters()
    mean = sum(p.data for p in first) / len(first)
    mean_grad = sum(abs(p.grad) for p in first) / len(first)
    assert found[:7][-3:] == ["mean data", "mean |data|", "mean |grad|"]
    assert found[7:11] == ["layers.0", "3 ReLU", "2 → 3", "9"]
    assert [float(found[11]), float(found[13])] == pytest.approx([mean, mean_grad], rel=1e-3)
    assert len(cells(MLP(2, [])._repr_html_())) == 14


def test_counts_show_a_heat_map():
    counts = NgramCounts(WORDS)
    (picture,) = pictures(counts._repr_html_())
    assert count(picture, "rect") == np.count_nonzero(counts.N)
    assert "i a: 10" in counts._repr_html_()
    assert repr(counts) in counts._repr_html_()
    table = cells(NgramCounts(WORDS, order=3)._repr_html_())
    assert table[:2] == ["n-gram", "count"]


def test_of_many_tokens_some_are_shown():
    texts = ["".join(map(chr, range(0x4E00, 0x4E00 + 60)))]
    html = NgramCounts(texts)._repr_html_()
    assert "40 of 61 tokens" in html
    wide = ["".join(map(chr, range(0x4E00, 0x4E00 + 1_500)))]
    assert cells(NgramCounts(wide)._repr_html_())[:2] == ["n-gram", "count"]
    assert pictures(BigramModel().fit(wide)._repr_html_()) == []


def test_a_bigram_model_shows_its_probabilities():
    html = BigramModel().fit(WORDS)._repr_html_()
    assert count(pictures(html)[0], "rect") == 8 * 8
    assert cells(html)[-2:] == ["num_parameters", "64"]


def test_what_is_trained_shows_its_curve():
    bigram = NeuralBigram().fit(WORDS, steps=20)
    assert [count(picture, "polyline") for picture in pictures(bigram._repr_html_())] == [0, 1]
    network = NPLM(context_length=2, embedding_dim=2, hidden_dim=3)
    network.fit(WORDS, WORDS, steps=20, threads=1)
    html = network._repr_html_()
    assert [count(picture, "polyline") for picture in pictures(html)] == [2]
    assert "hidden_dim" in cells(html)


@pytest.mark.parametrize("make", [BigramModel, NgramModel, NeuralBigram, NPLM, KneserNey])
def test_a_model_that_is_not_fitted_says_so(make):
    html = make()._repr_html_()
    assert "not fitted" in html
    assert pictures(html) == []


def test_a_history_shows_its_losses():
    loss = np.array([3.0, 2.0, np.nan, np.inf, 1.0])
    history = History(
        loss=loss, lr=np.full(5, 0.1), dev_steps=np.array([5]), dev_loss=np.array([2.0])
    )
    (picture,) = pictures(history._repr_html_())
    assert count(picture, "polyline") == 2
    assert pictures(History()._repr_html_()) == []
    assert "History(0 steps)" in History()._repr_html_()


def test_any_text_is_escaped():
    html = _display.heat_map([[1.0]], ["</svg><script>"])
    assert "<script" not in html
    pictures(html)
    assert "<b>" not in _display.stacked(["<b>"], [])
    odd = NgramCounts(["<&>\"'\x00\u202e\uffff"])._repr_html_()
    assert len(pictures(odd)) == 1


def test_displays_load_nothing():
    html = NeuralBigram().fit(WORDS, steps=5)._repr_html_()
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in html
