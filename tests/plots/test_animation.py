"""Embeddings over the steps of a training, as a page with a slider."""

import json
import re

import numpy as np
import pytest
from fastgrad import plots

ROWS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


def data_of(animation):
    return json.loads(re.search(r"const data = (.*), svg = ", animation.html)[1])


def test_a_page_has_a_frame_for_each_snapshot_and_needs_no_other_file(tmp_path):
    path = tmp_path / "embeddings.html"
    made = plots.embedding_animation({0: ROWS, 100: ROWS * 2}, ".ab", path=path)
    data = data_of(made)
    assert data["tokens"] == [".", "a", "b"]
    assert data["steps"] == made.steps == [0, 100]
    assert np.shape(data["frames"]) == (2, 3, 2)
    assert path.read_text(encoding="utf-8") == made.html
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", made.html)
    assert made._repr_html_().startswith("<iframe srcdoc=")


def test_all_points_are_within_the_picture_at_one_scale():
    frames = np.array(
        data_of(plots.embedding_animation([(0, ROWS), (5, 3 * ROWS)], ".ab"))["frames"]
    )
    assert frames.min() >= 0
    assert frames.max() <= 560
    assert np.ptp(frames[1], axis=0) == pytest.approx(3 * np.ptp(frames[0], axis=0), abs=0.5)
    # Up is up.
    assert frames[0, 2, 1] < frames[0, 0, 1]


@pytest.mark.parametrize("width", [1, 3, 10])
def test_embeddings_of_any_width_are_drawn_in_the_plane_of_the_last(width):
    rows = np.random.default_rng(1).normal(size=(4, 3, width))
    data = data_of(plots.embedding_animation(dict(enumerate(rows)), "abc"))
    assert np.shape(data["frames"]) == (4, 3, 2)


def test_tokens_cannot_end_the_script():
    html = plots.embedding_animation({0: ROWS}, ["</script>", "<!--", "&"]).html
    assert html.count("</script>") == 1
    assert "<!--" not in html


@pytest.mark.parametrize(
    ("snapshots", "error", "name"),
    [
        ({}, ValueError, "snapshots"),
        ([ROWS], TypeError, r"snapshots\[0\]"),
        ({0: ROWS[:2]}, ValueError, r"snapshots\[0\]"),
        ({0: ROWS, 1: ROWS[:, :1]}, ValueError, r"snapshots\[1\]"),
        ({0: ROWS * np.nan}, ValueError, r"snapshots\[0\]"),
        ({0: "emma"}, TypeError, r"snapshots\[0\]"),
    ],
)
def test_what_are_no_snapshots_is_refused(snapshots, error, name):
    with pytest.raises(error, match=name):
        plots.embedding_animation(snapshots, ".ab")
