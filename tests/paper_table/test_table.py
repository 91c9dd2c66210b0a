"""The paper's table of words, run again on a small text: what is found, kept and told."""

import json
import warnings

import numpy as np
import pytest
from fastgrad.checkpoint import CheckpointError
from fastgrad.models import DiscountWarning, InterpolatedTrigram, KneserNey, Mixture, WordNPLM, load
from fastgrad.models.mixture import mixture_weights
from fastgrad.text import read_words
from fastgrad.training import DivergedError
from paper_table import ROWS, SettingsError, brown, read_record, report
from small_brown import ANCHORS, SETTINGS, SIZES, SMALL, words, written

# The text is too short to estimate all discounts.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return written(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole(path, tmp_path_factory):
    """Run some rows once: the folder, what the function gave, and the lines that it told."""
    out = tmp_path_factory.mktemp("out") / "brown"
    told = []
    rows = ["MLP1", "MLP2", "MLP3", "quick", "best", "best-mixture"]
    options = {"rows": rows, "settings": SETTINGS, "threads": 1, "tell": told.append}
    with warnings.catch_warnings(action="ignore", category=DiscountWarning):
        found = brown(path, out, **options, **SIZES)
    return out, found, told


# What is found -----------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_models(path, whole):
    out, found, _ = whole
    text = read_words(path, train=1_500, vocab_size=30)
    parts = dict(zip(("train", "valid", "test"), text.split(1_500, 300), strict=True))
    train, valid = parts["train"], parts["valid"]
    trigram, mkn5 = InterpolatedTrigram().fit(train, valid), KneserNey(5).fit(train)
    mlp1 = WordNPLM.load(out / "MLP1.safetensors")
    best, quick = (load(out / f"{name}.safetensors") for name in ("best", "quick"))
    expected = {
        "trigram": trigram,
        "KN3": KneserNey(3, modified=False).fit(train),
        "KN5": KneserNey(5, modified=False).fit(train),
        "mKN3": KneserNey(3).fit(train),
        "mKN5": mkn5,
        "MLP1": mlp1,
        "MLP2": Mixture([mlp1, trigram]),
        "best": best,
    }
    for name, model in expected.items():
        for part, ids in parts.items():
            assert found["rows"][name][part] == pytest.approx(model.perplexity(ids), rel=1e-6), name
    mixed = found["rows"]["best-mixture"]
    models = [best, quick, mkn5, trigram]
    columns = np.stack([np.exp(model.token_log_probs(valid)) for model in models])
    assert list(mixed["weights"].values()) == pytest.approx(mixture_weights(columns), abs=1e-6)
    assert sum(mixed["weights"].values()) == pytest.approx(1)
    assert mixed["learned"]
    assert mixed["valid"] < min(found["rows"][name]["valid"] for name in ("best", "quick", "mKN5"))


def test_the_results_say_what_they_are_of(path, whole):
    _, found, _ = whole
    corpus = found["corpus"]
    assert (corpus["name"], corpus["tokens"], corpus["vocabulary"]) == ("small.txt", 2_400, 30)
    assert corpus["types"] == len(set(path.read_text(encoding="utf-8").split()))
    assert {name: part["tokens"] for name, part in corpus["parts"].items()} == {
        "train": 1_500,
        "valid": 300,
        "test": 600,
    }
    text = read_words(path, train=1_500, vocab_size=30)
    shares = [part.unk_rate for part in text.split(1_500, 300)]
    assert [part["rare"] for part in corpus["parts"].values()] == shares
    assert found["seed"] == 0
    note = found["models"]["MLP1"]
    assert note["settings"]["kind"] == "network"
    assert note["settings"]["hidden_dim"] == 8
    assert note["stopped"] in ("finished", "stopped early")
    assert note["seconds"] > 0
    assert note["threads"] == 1
    assert note["epochs"] <= 2.01
    assert note["parameters"] == WordNPLM.load(whole[0] / "MLP1.safetensors").num_parameters()
    assert [entry["step"] for entry in note["valid"]] == [11, 22, 33, 44, 46][: len(note["valid"])]


def test_the_file_holds_what_the_function_gives_and_every_row_has_the_same_fields(whole):
    out, found, told = whole
    assert read_record(out / "results.json") == found
    assert json.loads((out / "results.json").read_bytes())["format"] == 1
    assert set(found) == {
        *("format", "fastgrad", "date", "machine", "corpus", "seed", "models", "rows")
    }
    for name, row in found["rows"].items():
        assert set(row) == {
            *("title", "weights", "learned", "train", "valid", "test", "ratio", "valid_ratio"),
            "paper",
        }
        assert list(row["weights"]) == list(ROWS[name].models)
        assert row["ratio"] == row["test"] / found["rows"]["KN5"]["test"]
        assert row["valid_ratio"] == row["valid"] / found["rows"]["KN5"]["valid"]
    assert found["rows"]["MLP1"]["paper"]["ratio"] == 268 / 321
    assert found["rows"]["MLP2"]["paper"]["ratio"] == 257 / 321
    assert found["rows"]["best"]["paper"] is None
    assert len(told) == len(found["rows"]) == 11


def test_the_table_in_markdown_and_for_a_terminal(whole):
    out, found, _ = whole
    page = (out / "brown.md").read_text(encoding="utf-8")
    assert page == report.markdown(found)
    table = report.table(found)
    assert len({line.count("|") for line in table}) == 1
    mlp2 = next(line for line in table if line.startswith("| MLP2 "))
    cells = [cell.strip() for cell in mlp2.strip("|").split("|")]
    assert cells[:6] == ["MLP2", "5", "8", "6", "yes", "trigram, half"]
    assert cells[-3:] == ["275", "257", "0.801"]
    assert cells[11] == f"{found['rows']['MLP2']['ratio']:.3f}"
    assert [line.split()[1] for line in table[2:]] == report.finished(found)
    assert "2,400 tokens" in page
    assert "|V| = 30" in page
    assert "MLP1: " in page
    printed = report.text(found).splitlines()
    table = printed[printed.index("") + 3 :]
    assert [line.split()[0] for line in table[: table.index("")]] == report.finished(found)
    assert any(line.startswith("best-mixture has the weights ") for line in printed)
    assert max(map(len, printed)) <= 125
    picture = (out / "brown.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


# Again, and after an interruption -----------------------------------------------------------------


def test_kept_probabilities_are_not_taken_for_a_network(whole):
    out, _, _ = whole
    with pytest.raises(CheckpointError, match=r"holds no model, only the arrays \['test', 'train'"):
        load(out / "MLP1.probabilities.safetensors")


def test_what_is_finished_is_not_done_again_and_rows_may_be_added(path, whole, monkeypatch):
    out, found, _ = whole

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(WordNPLM, "fit", refuse)
    more = brown(path, out, rows=["MLP1", "MLP4"], settings=SETTINGS, threads=2, **SIZES)
    assert {name: more["rows"][name] for name in found["rows"]} == found["rows"]
    assert set(more["rows"]) == {*found["rows"], "MLP4"}


def test_other_settings_are_noticed_and_made_again_if_asked(path, tmp_path):
    rows = ["MLP3", "MLP4"]
    first = brown(path, tmp_path, rows=rows, settings=SETTINGS, **SIZES)
    other = {"MLP3": SETTINGS["MLP3"] | {"embedding_dim": 5}}
    with pytest.raises(SettingsError, match=r"MLP3\.embedding_dim was 6 and is 5"):
        brown(path, tmp_path, rows=rows, settings=other, **SIZES)
    with pytest.raises(SettingsError, match="seed was 0 and is 1"):
        brown(path, tmp_path, rows=rows, settings=SETTINGS, seed=1, **SIZES)
    with pytest.raises(SettingsError, match=r"corpus\.(types|checksum) was"):
        brown(words(2_400, 1).encode(), tmp_path, rows=rows, settings=SETTINGS, **SIZES)
    assert read_record(tmp_path / "results.json") == first
    again = brown(path, tmp_path, rows=rows, settings=other, again=True, **SIZES)
    assert again["models"]["MLP3"]["settings"]["embedding_dim"] == 5
    assert again["rows"]["MLP3"]["test"] != first["rows"]["MLP3"]["test"]
    assert again["rows"]["MLP4"]["test"] != first["rows"]["MLP4"]["test"]
    assert again["rows"]["KN5"] == first["rows"]["KN5"]


def test_an_interrupted_network_goes_on_to_the_same_result(path, tmp_path, monkeypatch):
    options = {
        "rows": ["MLP9"],
        "settings": {"MLP9": SMALL | {"patience": 9}},
        "threads": 1,
        **SIZES,
    }
    expected = brown(path, tmp_path / "whole", **options)
    from paper_table.networks import Training

    noted = Training._note_evaluation

    def interrupt(self, progress):
        noted(self, progress)
        if progress.step == 22:
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_note_evaluation", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"row MLP9: interrupted after 22 of 46 steps; all"):
        brown(path, tmp_path / "cut", **options)
    kept = read_record(tmp_path / "cut" / "results.json")
    assert "MLP9" not in kept["rows"]
    assert "stopped" not in kept["models"]["MLP9"]
    monkeypatch.undo()
    found = brown(path, tmp_path / "cut", **options)
    assert found["rows"] == expected["rows"]
    assert found["models"]["MLP9"]["valid"] == expected["models"]["MLP9"]["valid"]
    assert found["models"]["MLP9"]["seconds"] > kept["models"]["MLP9"]["seconds"]


def test_a_file_without_its_note_is_not_gone_on_with(path, tmp_path):
    options = {"rows": ["MLP9"], "settings": {"MLP9": SMALL}, **SIZES}
    expected = brown(path, tmp_path, **options)
    (tmp_path / "results.json").unlink()
    assert brown(path, tmp_path, **options)["rows"] == expected["rows"]


def test_records_with_the_settings_names_of_before_are_gone_on_with(path, tmp_path):
    options = {"rows": ["MLP9"], "settings": {"MLP9": SMALL}, **SIZES}
    expected = brown(path, tmp_path, **options)
    old = {
        "hidden_dim": "hidden",
        "embedding_dim": "embedding",
        "tie_weights": "tied",
        "batch_size": "batch",
    }
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    for new, name in old.items():
        text = text.replace(f'"{new}"', f'"{name}"')
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    assert read_record(tmp_path / "results.json") == expected
    assert brown(path, tmp_path, **options) == expected


def test_lost_probabilities_are_computed_from_the_saved_network(path, tmp_path, monkeypatch):
    options = {"rows": ["MLP9"], "settings": {"MLP9": SMALL}, **SIZES}
    expected = brown(path, tmp_path, **options)
    (tmp_path / "MLP9.probabilities.safetensors").unlink()
    monkeypatch.setattr(WordNPLM, "fit", None)
    found = brown(path, tmp_path, rows=["MLP9", "MLP10"], settings={"MLP9": SMALL}, **SIZES)
    assert found["rows"]["MLP9"] == expected["rows"]["MLP9"]
    assert found["rows"]["MLP10"]["weights"] == {"MLP9": 0.5, "trigram": 0.5}


def test_the_test_part_is_left_alone_while_settings_are_chosen(path, tmp_path, monkeypatch):
    options = {"rows": ["MLP9"], "settings": {"MLP9": SMALL}, **SIZES}
    looked_at = []
    asked = WordNPLM.token_log_probs

    def ask(self, texts):
        looked_at.append(len(texts))
        return asked(self, texts)

    monkeypatch.setattr(WordNPLM, "token_log_probs", ask)
    found = brown(path, tmp_path, test=False, **options)
    assert looked_at == [1_500, 300]
    assert all(row["test"] is None and row["ratio"] is None for row in found["rows"].values())
    assert "valid" in report.line(found, "MLP9")
    assert report.line(found, "MLP9").endswith(" of KN5 (the paper: 0.843)")
    brown(path, tmp_path, **options)
    brown(path, tmp_path, **options)
    assert looked_at == [1_500, 300, 600]


def test_minutes_cut_the_epochs(path, tmp_path):
    settings = {"MLP9": SMALL | {"epochs": 100_000, "minutes": 0.005}}
    found = brown(path, tmp_path, rows=["MLP9"], settings=settings, **SIZES)
    assert found["models"]["MLP9"]["steps"] < 100_000


def test_a_network_that_diverges_does_not_stop_the_other_rows(path, tmp_path):
    wild = SMALL | {"optimizer": "sgd", "lr": 1e30}
    settings = SETTINGS | {"MLP1": wild}
    told = []
    with pytest.raises(DivergedError):
        brown(path, tmp_path, rows=["MLP1", "MLP3"], settings=settings, tell=told.append, **SIZES)
    kept = read_record(tmp_path / "results.json")
    assert set(kept["rows"]) == {*ANCHORS, "MLP3"}
    assert any(line.startswith("MLP1: diverged: the loss became nan or infinite") for line in told)


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 2}', '{"format": 1, "rows": {}}'])
def test_a_file_that_holds_no_results_is_refused(path, tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json: (is no file of results|damaged)"):
        brown(path, tmp_path, rows=[], **SIZES)


@pytest.mark.parametrize("name", ["train", "valid"])
def test_parts_without_tokens_are_refused(path, tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} is 0;"):
        brown(path, tmp_path / "out", rows=[], **(SIZES | {name: 0}))
