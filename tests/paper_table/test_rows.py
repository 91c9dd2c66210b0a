"""The rows of the paper's table of words, by name, and the settings of their networks."""

import math
import re

import pytest
from paper_table import MODELS, ROWS
from paper_table.rows import PAPER_SCHEDULE, choose, models_of, settled
from small_brown import ANCHORS


def test_the_rows_are_the_papers_by_name_then_ours():
    assert list(ROWS) == [
        *ANCHORS,
        *(f"MLP{number}" for number in range(1, 11)),
        *("quick", "best", "best-mixture"),
    ]


@pytest.mark.parametrize(
    ("name", "n", "hidden", "embedding", "direct", "figures"),
    [
        ("MLP1", 5, 50, 60, True, (182, 284, 268)),
        ("MLP3", 5, 0, 60, True, (201, 327, 310)),
        ("MLP5", 5, 50, 30, True, (209, 296, 279)),
        ("MLP7", 3, 50, 30, True, (210, 309, 293)),
        ("MLP9", 5, 100, 30, False, (175, 280, 276)),
    ],
)
def test_the_papers_networks_have_its_sizes_and_figures(
    name, n, hidden, embedding, direct, figures
):
    network, row = MODELS[name], ROWS[name]
    assert (network.n, network.hidden_dim, network.embedding_dim) == (n, hidden, embedding)
    assert network.direct is direct
    assert not network.tie_weights
    assert network.dropout == 0
    assert (row.models, row.weights) == ((name,), (1.0,))
    assert (row.paper.train, row.paper.valid, row.paper.test) == figures


@pytest.mark.parametrize(
    ("name", "network", "figures"),
    [
        ("MLP2", "MLP1", (275, 257)),
        ("MLP4", "MLP3", (286, 272)),
        ("MLP6", "MLP5", (273, 259)),
        ("MLP8", "MLP7", (284, 270)),
        ("MLP10", "MLP9", (265, 252)),
    ],
)
def test_even_rows_are_half_the_network_before_and_half_the_trigram(name, network, figures):
    row = ROWS[name]
    assert (row.models, row.weights) == ((network, "trigram"), (0.5, 0.5))
    assert (row.paper.train, row.paper.valid, row.paper.test) == (None, *figures)


def test_the_anchors_have_the_papers_figures():
    figures = {n: (ROWS[n].paper.valid, ROWS[n].paper.test) for n in ("trigram", "KN3", "KN5")}
    assert figures == {"trigram": (352, 336), "KN3": (334, 323), "KN5": (332, 321)}
    assert ROWS["trigram"].paper.train == 31
    assert ROWS["mKN5"].paper is None


def test_rows_are_chosen_by_name_and_n_gram_models_come_along():
    assert [row.name for row in choose(["best", "MLP4"])] == [*ANCHORS, "MLP4", "best"]
    assert [row.name for row in choose([])] == ANCHORS
    assert choose() == list(ROWS.values())
    assert models_of([ROWS["best-mixture"]]) == ["trigram", "mKN5", "quick", "best"]
    with pytest.raises(ValueError, match="rows has 'MLP11'; expected names among trigram, KN3"):
        choose(["MLP11"])
    with pytest.raises(TypeError, match="rows is 'MLP1';"):
        choose("MLP1")


def test_settings_are_changed_by_name_and_for_all():
    rows = choose(["MLP1", "MLP3"])
    plain = settled(rows)
    assert list(plain) == [*ANCHORS, "MLP1", "MLP3"]
    changed = settled(rows, "modern", {"MLP3": {"epochs": 2, "lr": 1}}, {"epochs": 5, "minutes": 3})
    assert (changed["MLP1"].epochs, changed["MLP3"].epochs) == (5.0, 2.0)
    assert isinstance(changed["MLP3"].lr, float)
    assert changed["MLP1"].minutes == 3.0
    assert changed["KN5"] == plain["KN5"]
    papers = settled(choose(["MLP9", "best"]), "paper")
    assert (papers["MLP9"].optimizer, papers["MLP9"].lr, papers["MLP9"].decay) == (
        "sgd",
        1e-3,
        1e-8,
    )
    assert papers["MLP9"].weight_decay == PAPER_SCHEDULE["weight_decay"] == 1e-4
    assert papers["best"] == MODELS["best"]


@pytest.mark.parametrize(
    ("schedule", "settings", "message"),
    [
        ("slow", {}, "schedule is 'slow'; expected 'modern' or 'paper'"),
        ("modern", {"KN5": {"epochs": 1}}, "no network is named 'KN5'; expected one of MLP1, MLP3"),
        (
            "modern",
            {"MLP1": {"width": 1}},
            "MLP1 has no setting 'width'; expected one of n, hidden",
        ),
        (
            "modern",
            {"MLP1": {"hidden_dim": 1.5}},
            "MLP1.hidden_dim is 1.5;",
        ),
        (
            "modern",
            {"MLP1": {"hidden_dim": True}},
            "MLP1.hidden_dim is True;",
        ),
        ("modern", {"MLP1": {"epochs": -1}}, "MLP1.epochs is -1;"),
        ("modern", {"MLP1": {"lr": math.nan}}, "MLP1.lr is nan;"),
        ("modern", {"MLP1": {"direct": 3}}, "MLP1.direct is 3;"),
        ("modern", {"MLP1": {"optimizer": "adam"}}, "MLP1.optimizer is 'adam'; expected 'adamw'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(schedule, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        settled(choose(["MLP1"]), schedule, settings)
