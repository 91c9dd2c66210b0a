"""What a model is good for: `fastgrad sample`, `eval` and `plot`."""

import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from fastgrad import checkpoint
from fastgrad.cli import sample as sample_command
from fastgrad.models import BigramModel, load
from typed_commands import COMMAND, lines, refused, run


@pytest.mark.parametrize("command", ["sample", "eval", "plot"])
def test_a_checkpoint_that_holds_no_model_is_told(capsys, tmp_path, command):
    path = tmp_path / "MLP9.probabilities.safetensors"
    for config in ({"checksum": "0badcafe"}, {"model": None}):
        checkpoint.save(path, {"valid": np.ones(2), "train": np.ones(3)}, config)
        told = refused(capsys, command, path)
        assert told.startswith(f"fastgrad: {path}: holds no model, only the arrays ['train', ")
        for kind in ("bigram", "neural bigram", "nplm", "word nplm", "kneser-ney"):
            assert kind in told


@pytest.mark.slow
def test_samples_alone_are_on_standard_output_the_same_each_time(trained):
    arguments = [*COMMAND, "sample", trained, "-n", "50", "--seed", "7"]
    first, second = (subprocess.run(arguments, capture_output=True, check=True) for _ in range(2))
    assert first.stdout == second.stdout
    assert first.stdout.count(b"\n") == 50
    assert first.stderr.decode().startswith("50 samples: ")
    assert "text.txt" in first.stderr.decode()


def test_options_of_sample_reach_the_model(capsys, trained):
    likeliest, _ = run(capsys, "sample", trained, "-n", 2, "--temperature", 0, "--max-length", 6)
    assert len(set(likeliest.splitlines())) == 1
    prompted, _ = run(capsys, "sample", trained, "--prompt", "oli", "-n", 30, "--top-k", 2)
    assert all(name.startswith("oli") for name in prompted.splitlines())
    none, report = run(capsys, "sample", trained, "-n", 0)
    assert none == ""
    assert report.startswith("0 samples: 0 in the text (")


@pytest.mark.slow
def test_many_samples_come_in_parts_and_are_the_same(capsys, monkeypatch, trained):
    whole, report = run(capsys, "sample", trained, "-n", 1000, "--seed", 5)
    monkeypatch.setattr(sample_command, "_PART", 300)
    assert run(capsys, "sample", trained, "-n", 1000, "--seed", 5) == (whole, report)
    # More than any memory holds: the first of them are there at once.
    command = [*COMMAND, "sample", trained, "-n", str(10**15), "--seed", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(len(whole)).decode() == whole
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_samples_can_be_looked_up_in_another_text(capsys, trained, tmp_path):
    samples, _ = run(capsys, "sample", trained, "-n", 5)
    other = tmp_path / "other.txt"
    other.write_text(samples, encoding="utf-8")
    _, report = run(capsys, "sample", trained, "-n", 5, "--compare-to", other)
    found = sum(map(bool, samples.splitlines()))  # A text has no empty items.
    assert report.endswith(f"5 samples: {found} in the text ({other}), {5 - found} new\n")


@pytest.mark.parametrize("note", [None, "{", "[]", '{"bundled": false, "path": 7, "items": 1}'])
def test_a_missing_or_damaged_note_is_no_obstacle(capsys, trained, text, note):
    model = load(trained)
    assert model.note["text"]["path"] == str(text)
    model.note = None  # As earlier versions saved it.
    model.save(trained)
    if note is not None:
        (trained / "text.json").write_text(note, encoding="utf-8")
    _, report = run(capsys, "sample", trained, "-n", 1)
    assert report == "1 sample; --compare-to FILE tells how many are in a text\n"


def test_a_note_is_only_for_the_model_that_it_was_made_with(capsys, tmp_path, trained):
    other = tmp_path / "other.txt"
    other.write_text("анна\n", encoding="utf-8")
    run(capsys, "train", "bigram", other, "-o", trained)
    assert "in the text" in run(capsys, "sample", trained, "-n", 2)[1]
    before = run(capsys, "sample", trained / "model.safetensors.previous", "-n", 2)[1]
    assert f"in the text ({tmp_path / 'text.txt'})" in before


def test_without_a_file_a_model_is_measured_on_its_own_text(capsys, trained, text):
    found = lines(run(capsys, "eval", trained)[0])
    assert found["text"] == f"{text}, which the model was trained on"
    assert found["items"] == "4"
    text.unlink()
    assert "name a FILE" in refused(capsys, "eval", trained)


def test_a_text_that_has_gone_is_not_compared_with(capsys, trained, text):
    text.unlink()
    _, report = run(capsys, "sample", trained, "-n", 3)
    assert report == "3 samples; --compare-to FILE tells how many are in a text\n"


@pytest.mark.slow
def test_samples_are_utf8_whatever_the_terminal_is(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("имя\n", encoding="utf-8")
    run(capsys, "train", "bigram", text, "-o", tmp_path, "--smoothing", 0)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    arguments = [*COMMAND, "sample", tmp_path, "-n", "1", "--temperature", "0"]
    done = subprocess.run(arguments, capture_output=True, check=True, env=environment)
    assert done.stdout.decode("utf-8") == "имя\n"
    arguments = [*COMMAND, "train", "bigram", text, "-o", tmp_path]
    done = subprocess.run(arguments, capture_output=True, check=True, env=environment)
    assert rb"3: \u0438\u043c\u044f" in done.stdout


def test_a_text_that_a_raw_model_cannot_make_is_explained(capsys, tmp_path, text):
    out = tmp_path / "out"
    run(capsys, "train", "bigram", text, "-o", out, "--smoothing", 0)
    other = tmp_path / "other.txt"
    other.write_text("ava\nvava\navv\n", encoding="utf-8")
    told = lines(run(capsys, "eval", out, other)[0])
    assert told["loss"] == "inf"
    assert told["perplexity"] == "inf"
    why = told["why inf"].split("\n")
    assert why[0] == "3 bigrams of probability zero: '.v', 'v.', 'vv'"
    assert why[1] == "in 2 items"
    assert "--smoothing" in why[2]
    smoothed = tmp_path / "smoothed"
    run(capsys, "train", "bigram", text, "-o", smoothed)
    assert math.isfinite(float(lines(run(capsys, "eval", smoothed, other)[0])["perplexity"]))


def test_an_unknown_character_is_named_with_its_place(capsys, trained, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("ava\n\nemmaé\n", encoding="utf-8")
    told = refused(capsys, "eval", trained, other)
    assert told == (
        f"fastgrad: {other}: item 2: character 'é' (U+00E9) at position 4 of 'emmaé'"
        " is not in the vocabulary, which has 7 characters: 'aeilmov'\n"
    )
    # Not the first in the alphabet, but in the text.
    other.write_text("zu\nbe\n", encoding="utf-8")
    assert "item 1: character 'z' (U+007A) at position 0 of 'zu'" in refused(
        capsys, "eval", trained, other
    )
    assert "'x'" in refused(capsys, "sample", trained, "--prompt", "x")


@pytest.mark.slow
def test_a_picture_goes_where_it_is_asked_for(capsys, trained, tmp_path):
    path = tmp_path / "pictures" / "table.pdf"
    assert run(capsys, "plot", trained, "-o", path)[0] == f"{path}\n"
    assert path.read_bytes().startswith(b"%PDF")
    run(capsys, "plot", trained / "model.safetensors", "-o", path.parent)
    assert (path.parent / "bigrams.png").is_file()
    assert "table.xyz" not in refused(capsys, "plot", trained, "-o", tmp_path / "table.xyz")


def test_a_picture_needs_matplotlib(capsys, monkeypatch, trained):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "matplotlib is not installed: pip install" in refused(capsys, "plot", trained)


@pytest.mark.parametrize(
    ("command", "method"),
    [("sample", "sample"), ("eval", "loss"), ("plot", "table"), ("train", "save")],
)
def test_ctrl_c_says_what_became_of_the_model(capsys, monkeypatch, trained, text, command, method):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before = (trained / "model.safetensors").read_bytes()
    monkeypatch.setattr(BigramModel, method, interrupted)
    if command == "plot":
        monkeypatch.setattr("fastgrad.plots.bigram_heatmap", interrupted)
    line = (command, "bigram", text, "-o", trained) if command == "train" else (command, trained)
    told = refused(capsys, *line, code=130)
    left = f"nothing was saved, the model in {trained} is as before"
    assert told == f"\nfastgrad: interrupted; {left}\n"
    assert (trained / "model.safetensors").read_bytes() == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way there")
def test_a_reader_of_samples_that_goes_away_is_no_error(trained):
    command = [*COMMAND, "sample", trained, "-n", "200000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
