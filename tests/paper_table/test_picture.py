"""The table of words as a picture: everything in it can be read, and is what the results say."""

import numpy as np
import pytest
from paper_table import ROWS, dots
from paper_table.dots import dot_chart
from paper_table.picture import draw


def results(*, test=True):
    """Make up results of every row, whose perplexities fall from 310 by 6 a row."""
    kn5 = ROWS["KN5"].paper
    rows = {}
    for i, (name, row) in enumerate(ROWS.items()):
        found = {"train": 200 - i, "valid": 330 - 6 * i, "test": 310 - 6 * i if test else None}
        found["valid_ratio"] = found["valid"] / (330 - 6 * 2)
        found["ratio"] = found["test"] / (310 - 6 * 2) if test else None
        paper = row.paper and vars(row.paper) | {"ratio": row.paper.test / kn5.test}
        rows[name] = found | {"paper": paper}
    return {"rows": rows}


@pytest.fixture
def figures(monkeypatch):
    """Collect every figure that is made from now on."""
    made = []
    make = dots.axes_for

    def keep(*arguments):
        axes = make(*arguments)
        made.append(axes.figure)
        return axes

    monkeypatch.setattr(dots, "axes_for", keep)
    return made


@pytest.mark.parametrize("test", [True, False])
def test_the_picture_has_a_line_for_each_row_and_the_papers_figures(figures, tmp_path, test):
    draw(results(test=test), tmp_path / "brown.png")
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(ROWS)
    ours, papers = (np.ma.filled(points.get_offsets(), np.nan) for points in axes.collections)
    first = 310 if test else 330
    assert ours[:, 0] == pytest.approx([(first - 6 * i) / (first - 12) for i in range(18)])
    figure, reference = ("test", 321) if test else ("valid", 332)
    expected = {
        i: getattr(row.paper, figure) / reference
        for i, row in enumerate(ROWS.values())
        if row.paper
    }
    shown = {int(line): ratio for ratio, line in papers if np.isfinite(ratio)}
    assert shown == pytest.approx(expected)
    assert len(shown) == 13
    assert [note.get_text() for note in axes.texts] == [str(first - 6 * i) for i in range(18)]
    assert figure in axes.get_title()


def test_nothing_in_the_picture_is_cut_off_or_covers_a_dot(figures, tmp_path):
    found = results()
    found["rows"]["trigram"] |= {"test": 123_456.7, "ratio": 3.0}
    draw(found, tmp_path / "brown.png")
    axes = figures[0].axes[0]
    whole = figures[0].bbox.padded(0.5)
    legend = figures[0].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["fastgrad", "the paper"]
    boxes = [thing.get_window_extent() for thing in (*axes.get_yticklabels(), *axes.texts)]
    boxes += [legend.get_window_extent(), axes.title.get_window_extent()]
    boxes += [axes.xaxis.label.get_window_extent()]
    frame = axes.get_window_extent()
    for i, box in enumerate(boxes):
        assert whole.contains(*box.min)
        assert whole.contains(*box.max)
        assert not box.overlaps(frame)
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_names_of_any_kind_are_written_out(figures, tmp_path):
    values = {"$a_": [1.0, None], "b\x00": [None, 2.0], "c": [3.0, float("nan")]}
    dot_chart(["$x^", "y\t"], values, tmp_path / "dots.png", title="$", label="$_", remarks="$_")
    entries = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert entries == ["$a_", "b\\x00", "c"]
    assert [label.get_text() for label in figures[0].axes[0].get_yticklabels()] == ["$x^", "y\\t"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": []}, "values has 2 numbers of 'a';"),
        ({"values": {"a": [None, float("nan")]}}, "values holds no finite number"),
        ({"values": {}}, "values holds no finite number;"),
        ({"values": {"a": [1.0]}}, "values has 1 numbers of 'a';"),
        ({"remarks": ["one"]}, "remarks has 1 of them;"),
    ],
)
def test_charts_of_what_does_not_fit_are_refused(tmp_path, changes, message):
    fitting = {"names": ["x", "y"], "values": {"a": [1.0, 2.0]}, "path": tmp_path / "dots.png"}
    with pytest.raises(ValueError, match=message):
        dot_chart(**(fitting | changes))
    assert not list(tmp_path.iterdir())
