"""Pictures: real PNG files, of a size to look at, whatever the tokens and numbers are."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from fastgrad.models import NPLM, NeuralBigram
from fastgrad.plots import bigram_heatmap, canvas, heatmap, loss_curve

ALPHABET = [".", *"abcdefghijklmnopqrstuvwxyz"]
# Tokens that mean something to matplotlib, that are invisible, that turn writing round, that
# combine, that no bundled font has, or that are not characters at all.
HOSTILE = list(
    "$_^{}\\%&#~<>\"'` \x00\t\x1f\x7f\x85\xa0\xad\u0301\u200b\u202e\ufeff\ud800א中ｱ😀\U0010ffff"
)


def size(path):
    picture = Path(path).read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", picture[16:24])


def texts(table, tokens, path):
    """Draw a heat map and return the texts in its cells."""
    return [text.get_text() for text in bigram_heatmap(table, tokens, path=path).texts]


@pytest.mark.slow
def test_the_lectures_picture_has_a_legible_cell_for_each_pair(tmp_path):
    table = np.arange(27 * 27).reshape(27, 27).astype(np.uint64)
    cells = texts(table, ALPHABET, tmp_path / "pairs.png")
    assert len(cells) == 729
    assert cells[0] == "..\n0"
    assert cells[1] == ".a\n1"
    assert cells[-1] == "zz\n728"
    width, height = size(tmp_path / "pairs.png")
    # Two letters of nine points above a number need some 40 by 30 dots.
    assert min(width, height) / 27 > 50
    assert max(width, height) < 2500


def test_probabilities_are_written_as_such(tmp_path):
    table = [[0.0, 1.0], [0.98765, 0.01235]]
    cells = texts(table, [".", "a"], tmp_path / "pairs.png")
    assert cells == ["..\n0", ".a\n1.0", "a.\n.99", "aa\n.012"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0"),
        (9_999, "9999"),
        (10_000, "10k"),
        (12_499, "12k"),
        (999_499, "999k"),
        (999_501, "1.0M"),
        (9_949_999, "9.9M"),
        (9_960_000, "10M"),
        (1e12, "1.0T"),
        (2**64 - 1, "2e19"),
    ],
)
def test_large_counts_are_shortened(tmp_path, count, written):
    table = np.array([[count]], dtype=np.uint64 if count == 2**64 - 1 else np.float64)
    assert texts(table, ["a"], tmp_path / "pairs.png") == [f"aa\n{written}"]


@pytest.mark.slow
def test_codes_are_written_into_few_cells_only(tmp_path):
    for count, cells in ((16, 256), (17, 0)):
        tokens = [chr(0x4E00 + i) for i in range(count)]
        assert len(texts(np.eye(count), tokens, tmp_path / "pairs.png")) == cells


@pytest.mark.slow
@pytest.mark.parametrize("count", [41, 60, 61, 300])
def test_larger_alphabets_are_drawn_without_numbers(tmp_path, count):
    tokens = [chr(0x400 + i) for i in range(count)]
    table = np.random.default_rng(1).integers(0, 99, (count, count))
    assert texts(table, tokens, tmp_path / "pairs.png") == []
    assert min(size(tmp_path / "pairs.png")) >= 800
    assert max(size(tmp_path / "pairs.png")) <= 2500


def test_the_most_frequent_tokens_are_kept_in_their_order():
    table = np.zeros((100, 100))
    table[3, 90] = 5
    table[97, 97] = 1
    kept, tokens = heatmap._most_frequent(table, [str(i) for i in range(100)])
    assert kept.shape == (60, 60)
    assert tokens == [str(i) for i in [*range(58), 90, 97]]
    assert kept[3, 58] == 5
    assert kept.sum() == 6


@pytest.mark.slow
def test_hostile_tokens_are_drawn_without_a_warning(tmp_path):
    for tokens in (HOSTILE[::3], HOSTILE * 2):
        table = np.random.default_rng(2).integers(0, 10**6, (len(tokens), len(tokens)))
        bigram_heatmap(table, tokens, path=tmp_path / "pairs.png", title="$\\frac{1}$ \x00 中 {0}")
        assert min(size(tmp_path / "pairs.png")) > 400


def test_tokens_that_cannot_be_seen_are_written_as_codes():
    written = canvas.labels(
        ["a", " ", "\x00", "\t", "\\", "\u0301", "\u200b", "中", "é", "$", "ab"]
    )
    assert written == ["a", "␣", "\\x00", "\\t", "\\", "U+0301", "U+200B", "U+4E2D", "é", "$", "ab"]
    assert canvas.labels(["interminable-word"]) == ["interminabl…"]
    assert canvas.legible("a b\u200b中$") == "a bU+200BU+4E2D$"


def test_an_empty_table_and_a_single_token_are_drawn(tmp_path):
    bigram_heatmap(np.zeros((3, 3)), "abc", path=tmp_path / "empty.png")
    bigram_heatmap([[7]], ["."], path=tmp_path / "one.png")
    assert min(size(tmp_path / "empty.png")) > 300
    assert min(size(tmp_path / "one.png")) > 300


@pytest.mark.parametrize(
    ("table", "tokens", "words"),
    [
        ([[1, 2]], "a", r"counts has shape \(1, 2\) for 1 tokens"),
        ([1, 2], "ab", r"counts has shape \(2,\) for 2 tokens"),
        ([[1, 2], [3, 4]], "abc", r"counts has shape \(2, 2\) for 3 tokens"),
        (np.zeros((0, 0)), "", "at least one"),
        ([[-1.0]], "a", r"counts holds -1\.0;"),
        ([[float("nan")]], "a", "counts holds nan"),
        ([[float("inf")]], "a", "counts holds inf"),
    ],
)
def test_senseless_tables_are_refused(tmp_path, table, tokens, words):
    with pytest.raises(ValueError, match=words):
        bigram_heatmap(table, tokens, path=tmp_path / "pairs.png")
    assert not list(tmp_path.iterdir())


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "loss.png"
    loss_curve([3.0, 2.0], path=path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            loss_curve([3.0, 1.0], path=path)
    assert caught.value.filename == str(path)
    with pytest.raises(ValueError, match="xyz"):
        loss_curve([3.0, 1.0], path=tmp_path / "loss.xyz")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_without_an_end_of_its_name_is_a_png(tmp_path):
    loss_curve([3.0, 2.0], path=tmp_path / "loss")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


def test_a_folder_that_is_missing_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        bigram_heatmap([[1]], "a", path=tmp_path / "missing" / "pairs.png")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"counts": "a"}, "counts is 'a';"),
        ({"counts": [[1, 2], [3]]}, r"counts is \[\[1, 2\], \[3\]\];"),
        ({"tokens": 5}, "tokens is 5;"),
        ({"tokens": [1]}, r"tokens is \[1\];"),
        ({"path": 5}, "path is 5;"),
        ({"title": 5}, "title is 5;"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(tmp_path, changes, words):
    with pytest.raises(TypeError, match=words):
        bigram_heatmap(**({"counts": [[1]], "tokens": "a", "path": tmp_path / "x"} | changes))


@pytest.mark.slow
@pytest.mark.parametrize(
    "history",
    [
        [3.0, 2.5, 2.4],
        [3.0],
        {"train": np.linspace(3, 2, 20_000), "dev": [[0, 10_000, 19_999], [3, 2.6, 2.5]]},
        {"$x_$": [3.0, float("inf"), float("nan"), 2.0]},
    ],
)
def test_curves_of_losses_are_drawn(tmp_path, history):
    for log_steps in (False, True):
        words = {"title": "$_ \x00 中", "goal_name": "$_ 中"}
        loss_curve(history, path=tmp_path / "loss.png", goal=2.4, log_steps=log_steps, **words)
    assert min(size(tmp_path / "loss.png")) > 600


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([], r"curve '' of history has shape \(0,\)"),
        ({}, "history is empty"),
        ({"dev": [[1.0], [2.0], [3.0]]}, r"curve 'dev' of history has shape \(3, 1\)"),
    ],
)
def test_curves_without_losses_are_refused(tmp_path, history, words):
    with pytest.raises(ValueError, match=words):
        loss_curve(history, path=tmp_path / "loss.png")


def test_pyplot_and_its_backend_are_left_alone(tmp_path):
    import matplotlib
    from matplotlib import pyplot

    backend, numbers = matplotlib.get_backend(), pyplot.get_fignums()
    bigram_heatmap([[1]], "a", path=tmp_path / "pairs.png")
    loss_curve([1.0], path=tmp_path / "loss.png")
    assert matplotlib.get_backend() == backend
    assert pyplot.get_fignums() == numbers


@pytest.mark.slow
def test_a_loss_curve_takes_a_history_or_the_model_that_has_it(tmp_path):
    names = ["emma", "olivia", "ava", "mia"]
    model = NPLM(hidden_dim=4)
    with pytest.raises(ValueError, match="history has no steps yet"):
        loss_curve(model, path=tmp_path / "loss.png")
    history = model.fit(names, names, steps=30, batch_size=4, lr=0.1).history
    curves = {"train, mean of mini-batches": history.smooth()}
    curves["dev"] = history.dev_steps, history.dev_loss
    for i, what in enumerate((model, history, curves)):
        loss_curve(what, path=tmp_path / f"{i}.png")
    pictures = {(tmp_path / f"{i}.png").read_bytes() for i in range(3)}
    assert len(pictures) == 1
    network = NeuralBigram().fit(names, steps=5)
    loss_curve(network, path=tmp_path / "one.png")
    loss_curve(network.history, path=tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with pytest.raises(TypeError, match="of history is 'losses';"):
        loss_curve("losses", path=tmp_path / "loss.png")


@pytest.mark.parametrize(("goal", "error"), [("1" * 9000, TypeError), (-1.0, ValueError)])
def test_a_goal_that_is_no_loss_is_refused_shortly(tmp_path, goal, error):
    with pytest.raises(error, match="goal is ") as refused:
        loss_curve([2.0, 1.0], path=tmp_path / "loss.png", goal=goal)
    assert len(str(refused.value)) < 300
    assert not (tmp_path / "loss.png").exists()
