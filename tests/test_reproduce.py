"""The paper's table of words, run again on a small text: as a command, and as a function."""

import json
import math
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fastgrad import cli
from fastgrad.checkpoint import CheckpointError
from fastgrad.models import InterpolatedTrigram, KneserNey, Mixture, WordNPLM, load
from fastgrad.models.mixture import mixture_weights
from fastgrad.reproduce import MODELS, ROWS, SettingsError, brown, read_record, report
from fastgrad.reproduce.rows import PAPER_SCHEDULE, choose, models_of, settled
from fastgrad.training import DivergedError
from fastgrad.words import read_words

ANCHORS = ["trigram", "KN3", "KN5", "mKN3", "mKN5"]
SIZES = {"train": 1_500, "valid": 300, "vocabulary": 30}
SMALL = {"embedding": 6, "hidden": 8, "batch": 64, "epochs": 2}
SETTINGS = {
    "MLP1": SMALL,
    "MLP3": SMALL | {"hidden": 0},
    "MLP9": SMALL,
    "quick": SMALL,
    "best": SMALL | {"hidden": 12},
}


def words(count, seed=0):
    """Make up text: a few words that mostly follow each other in a circle, and many rare ones."""
    rng = np.random.default_rng(seed)
    step, found = 0, []
    for noise in rng.integers(0, 10, size=count):
        step = step + 1 if noise < 7 else int(rng.integers(40))
        found.append(f"w{step % 20}" if step % 40 < 30 else f"rare{rng.integers(300)}")
    return " ".join(found)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("corpus") / "small.txt"
    file.write_text(words(2_400), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def whole(path, tmp_path_factory):
    """Run some rows once: the folder, what the function gave, and the lines that it told."""
    out = tmp_path_factory.mktemp("out") / "brown"
    told = []
    rows = ["MLP1", "MLP2", "MLP3", "quick", "best", "best-mixture"]
    found = brown(path, out, rows=rows, settings=SETTINGS, threads=1, tell=told.append, **SIZES)
    return out, found, told


def command(path, out, *options):
    sizes = [part for name, value in SIZES.items() for part in (f"--{name}", value)]
    sets = [
        part
        for row in ("MLP1", "MLP3")
        for key, value in SETTINGS[row].items()
        for part in ("--set", f"{row}.{key}={value}")
    ]
    arguments = ["reproduce", "brown", path, "-o", out, "--threads", 1, *sizes, *sets, *options]
    return [str(argument) for argument in arguments]


# The rows ----------------------------------------------------------------------------------------


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
    assert (network.n, network.hidden, network.embedding) == (n, hidden, embedding)
    assert network.direct is direct
    assert not network.tied
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
    with pytest.raises(TypeError, match="rows is 'MLP1'; expected a list"):
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
        ("modern", {"MLP1": {"hidden": 1.5}}, "MLP1.hidden is 1.5; expected a whole number"),
        ("modern", {"MLP1": {"hidden": True}}, "MLP1.hidden is True; expected a whole number"),
        ("modern", {"MLP1": {"epochs": -1}}, "MLP1.epochs is -1; expected a number, at least 0"),
        ("modern", {"MLP1": {"lr": math.nan}}, "MLP1.lr is nan; expected a number"),
        ("modern", {"MLP1": {"direct": 3}}, "MLP1.direct is 3; expected true or false"),
        ("modern", {"MLP1": {"optimizer": "adam"}}, "MLP1.optimizer is 'adam'; expected 'adamw'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(schedule, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        settled(choose(["MLP1"]), schedule, settings)


# What is found -----------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_models(path, whole):
    out, found, _ = whole
    text = read_words(path, train=1_500, max_size=30)
    parts = dict(zip(("train", "valid", "test"), text.split(1_500, 300), strict=True))
    train, valid = parts["train"], parts["valid"]
    trigram, mkn5 = InterpolatedTrigram.fit(train, valid), KneserNey.fit(train, 5, modified=True)
    mlp1 = WordNPLM.load(out / "MLP1.safetensors")
    best, quick = (load(out / f"{name}.safetensors") for name in ("best", "quick"))
    expected = {
        "trigram": trigram,
        "KN3": KneserNey.fit(train, 3),
        "KN5": KneserNey.fit(train, 5),
        "mKN3": KneserNey.fit(train, 3, modified=True),
        "mKN5": mkn5,
        "MLP1": mlp1,
        "MLP2": Mixture(mlp1, trigram, 0.5),
        "best": best,
    }
    for name, model in expected.items():
        for part, ids in parts.items():
            assert found["rows"][name][part] == pytest.approx(model.perplexity(ids), rel=1e-6), name
    mixed = found["rows"]["best-mixture"]
    models = [best, quick, mkn5, trigram]
    columns = np.stack([model.token_probabilities(valid) for model in models])
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
    text = read_words(path, train=1_500, max_size=30)
    shares = [part.rare_share for part in text.split(1_500, 300)]
    assert [part["rare"] for part in corpus["parts"].values()] == shares
    assert found["seed"] == 0
    note = found["models"]["MLP1"]
    assert note["settings"]["kind"] == "network"
    assert note["settings"]["hidden"] == 8
    assert note["stopped"] in ("finished", "stopped early")
    assert note["seconds"] > 0
    assert note["threads"] == 1
    assert note["epochs"] <= 2.01
    assert note["parameters"] == WordNPLM.load(whole[0] / "MLP1.safetensors").size
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
    other = {"MLP3": SETTINGS["MLP3"] | {"embedding": 5}}
    with pytest.raises(SettingsError, match=r"MLP3\.embedding was 6 and is 5"):
        brown(path, tmp_path, rows=rows, settings=other, **SIZES)
    with pytest.raises(SettingsError, match="seed was 0 and is 1"):
        brown(path, tmp_path, rows=rows, settings=SETTINGS, seed=1, **SIZES)
    with pytest.raises(SettingsError, match=r"corpus\.(types|checksum) was"):
        brown(words(2_400, 1).encode(), tmp_path, rows=rows, settings=SETTINGS, **SIZES)
    assert read_record(tmp_path / "results.json") == first
    again = brown(path, tmp_path, rows=rows, settings=other, again=True, **SIZES)
    assert again["models"]["MLP3"]["settings"]["embedding"] == 5
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
    from fastgrad.reproduce.networks import Training

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
    asked = WordNPLM.token_probabilities

    def ask(self, source):
        looked_at.append(len(source))
        return asked(self, source)

    monkeypatch.setattr(WordNPLM, "token_probabilities", ask)
    found = brown(path, tmp_path, test=False, **options)
    assert looked_at == [1_500, 300]
    assert all(row["test"] is None and row["ratio"] is None for row in found["rows"].values())
    assert "valid" in report.line(found, "MLP9")
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
    assert any(line.startswith("MLP1: the loss became nan or infinite") for line in told)


# The command -------------------------------------------------------------------------------------


def test_the_command_prints_the_table_and_says_where_it_is(path, tmp_path, capsys):
    out = tmp_path / "new" / "brown"
    assert cli.main(command(path, out, "--rows", "MLP1,MLP2")) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0].startswith("KN5 ")
    assert lines[-1] == f"kept in {out}: results.json, brown.md, brown.png"
    assert sum(line.startswith("MLP1 ") for line in lines) == 2
    assert {"results.json", "brown.md", "brown.png"} <= {file.name for file in out.iterdir()}
    assert cli.main(command(path, out, "--rows", "MLP1,MLP2")) == 0
    assert capsys.readouterr().out == told.out


def test_help_says_where_the_corpus_is_and_what_it_looks_like(capsys):
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "brown", "--help"])
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 100
    told = " ".join(output.split())
    assert "plain, one sentence a line, tokens separated by spaces (.gz is unpacked)" in told
    assert "NLTK's data, for one, have it (package `brown`, for non-commercial use)" in told
    assert "as word/tag pairs, whose tags are to be taken off" in told


def test_the_command_is_interrupted_and_goes_on(path, tmp_path):
    out = tmp_path / "out"
    arguments = [sys.executable, "-m", "fastgrad"]
    arguments += command(path, out, "--rows", "MLP1", "--set", "MLP1.epochs=30000")
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not _is_training(out / "results.json"):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "the same command goes on from there" in errors
    assert (out / "MLP1.safetensors").is_file()


def _is_training(path):
    return path.is_file() and bool(read_record(path)["models"].get("MLP1", {}).get("valid"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "MLP11"], "rows has 'MLP11'"),
        (["--set", "MLP1.hidden"], "expected ROW.SETTING=VALUE"),
        (["--set", "MLP1.hidden=many"], "MLP1.hidden is 'many'; expected a whole number"),
        (["--set", "MLP0.hidden=1"], "no network is named 'MLP0'"),
        (["--epochs", "0"], "expected a number above 0"),
        (["--schedule", "slow"], "invalid choice: 'slow'"),
    ],
)
def test_commands_that_make_no_sense(path, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(["reproduce", "brown", str(path), "-o", str(tmp_path / "out"), *options])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_paths_that_lead_nowhere(path, tmp_path, capsys):
    missing = tmp_path / "missing.txt.gz"
    assert cli.main(["reproduce", "brown", str(missing), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"fastgrad: {missing}: No such file or directory\n"
    assert cli.main(["reproduce", "brown", str(path), "-o", str(tmp_path / "out")]) == 1
    assert "train is 800000; expected 1 to 2400 tokens" in capsys.readouterr().err
    arguments = ["--train", "1000", "--valid", "1400", "-o", str(tmp_path / "out")]
    assert cli.main(["reproduce", "brown", str(path), *arguments]) == 1
    assert "the text has 2,400 tokens; expected more than 2,400" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert cli.main(command(path, tmp_path / "file")) == 1
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 2}', '{"format": 1, "rows": {}}'])
def test_a_file_that_holds_no_results_is_refused(path, tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json: (is no file of results|damaged)"):
        brown(path, tmp_path, rows=[], **SIZES)


@pytest.mark.parametrize("name", ["train", "valid"])
def test_parts_without_tokens_are_refused(path, tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} is 0; expected a whole number of at least 1"):
        brown(path, tmp_path / "out", rows=[], **(SIZES | {name: 0}))
