"""The commands as a user types them, one after the other, and what they say of mistakes."""

import inspect
import re
import struct
import subprocess
import sys

import pytest
from fastgrad import cli, datasets
from fastgrad._defaults import CHARACTERS, NEURAL_BIGRAM_STEPS, WORDS
from fastgrad.models import NPLM, BigramModel, NeuralBigram, NgramModel, WordNPLM
from typed_commands import lines, refused, run

# Of data/names.txt; the raw loss is that of the requirement.
RAW, SMOOTHED = "2.45402178", "2.45458601"


@pytest.mark.slow
def test_the_bundled_names_from_training_to_picture(capsys, tmp_path):
    out = tmp_path / "new" / "out"
    printed, errors = run(capsys, "train", "bigram", "-o", out)
    assert errors == ""
    told = lines(printed)
    assert told["text"] == "the 32,469 names that fastgrad carries, as no file was named"
    assert told["items"] == "32,469, of which 2,559 repeat an earlier one"
    assert told["characters"] == "26: abcdefghijklmnopqrstuvwxyz"
    assert told["vocabulary"] == "V = 27, with '.' for start and end of an item"
    assert told["bigrams"] == "231,718; 624 of 729 possible ones occur"
    raw, smoothed = told["loss"].split("\n")
    assert raw.startswith(f"{RAW} nats per token, perplexity 11.6350 (raw counts)")
    assert smoothed.startswith(f"{SMOOTHED} nats per token, perplexity 11.6416 (smoothing 1)")
    assert told["saved"] == str(out / "model.safetensors")
    assert (out / "model.safetensors").stat().st_size < 50_000

    names, report = run(capsys, "sample", out, "-n", 20, "--seed", 1)
    made_up = names.splitlines()
    assert len(made_up) == 20
    known = set(datasets.names())
    found = sum(name in known for name in made_up)
    assert report == (
        f"20 samples: {found} in the text (the 32,469 names that fastgrad carries),"
        f" {20 - found} new\n"
    )
    assert made_up == BigramModel.load(out).sample(20, seed=1)

    printed, _ = run(capsys, "eval", out)
    told = lines(printed)
    assert told["loss"] == f"{SMOOTHED} nats per token"
    assert told["perplexity"] == "11.6416"

    printed, _ = run(capsys, "plot", out)
    assert printed == f"{out / 'bigrams.png'}\n"
    picture = (out / "bigrams.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert min(struct.unpack(">II", picture[16:24])) > 1300


@pytest.mark.slow
@pytest.mark.parametrize("order", [2, 3])
def test_any_script_from_training_to_picture(capsys, tmp_path, order):
    items = ["Жанна д'Арк", "王小明", "👩\u200d🚀 $x_1$", "a\x00b\tc", "עברית", "\ufeffé", "\x85"]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(items), encoding="utf-8")
    out = tmp_path / "out"
    printed, _ = run(capsys, "train", "ngram", text, "-o", out, "--order", order)
    assert lines(printed)["items"].startswith("6,")  # The last is whitespace and nothing else.
    samples, _ = run(capsys, "sample", out, "-n", 200)
    assert len(samples.split("\n")) == 201
    (tmp_path / "samples.txt").write_bytes(samples.encode("utf-8"))
    assert lines(run(capsys, "eval", out, tmp_path / "samples.txt")[0])["perplexity"] != "inf"
    if order == 2:  # The symbols of the picture are the same.
        run(capsys, "plot", out)
        assert (out / "bigrams.png").is_file()


def help_of(capsys, *command):
    assert cli.main([*command, "--help"]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_tells_the_librarys_defaults(capsys):
    told = help_of(capsys, "train", "neural-bigram")
    defaults = inspect.signature(NeuralBigram.fit).parameters
    assert (
        f"--steps N Steps of training, each on a mini-batch. [default: {NEURAL_BIGRAM_STEPS};"
        in told
    )
    assert f"which smooths. [default: {defaults['l2'].default};" in told
    assert defaults["steps"].default == NEURAL_BIGRAM_STEPS
    assert defaults["lr"].default is None
    assert defaults["batch_size"].default is None
    told = help_of(capsys, "sample")
    for kind in (NgramModel, WordNPLM):
        assert str(inspect.signature(kind.sample).parameters["max_length"].default) in told
    assert "[default: (100 characters or 50 words); x>=1]" in told
    for command, kind, table in (("nplm", NPLM, CHARACTERS), ("word-nplm", WordNPLM, WORDS)):
        told = help_of(capsys, "train", command)
        for name in ("context_length", "embedding_dim", "hidden_dim"):
            assert inspect.signature(kind).parameters[name].default == getattr(table, name)
            text = rf"--{name.replace('_', '-')} N .*?\[default: {getattr(table, name)};"
            assert re.search(text, told)
        assert f"[default: ({table.lr}" in told


def test_what_is_missing_is_named(capsys, tmp_path, trained):
    missing = tmp_path / "missing"
    told = refused(capsys, "train", "bigram", missing, "-o", tmp_path / "new")
    assert told.startswith(f"fastgrad: {missing}: ")
    assert not (tmp_path / "new").exists()
    assert refused(capsys, "eval", trained, missing) == told
    assert str(missing) in refused(capsys, "sample", trained, "--compare-to", missing)
    for command in ("sample", "eval", "plot"):
        assert f"{missing}: there is no model; " in refused(capsys, command, missing)
        assert "model.safetensors" in refused(capsys, command, tmp_path)


def test_a_damaged_model_is_refused(capsys, trained):
    path = trained / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:100], b"", b"\x00" * 500, whole[:-1] + b"\xff"):
        path.write_bytes(damaged)
        for command in ("sample", "eval", "plot"):
            assert str(path) in refused(capsys, command, trained)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "trigram"], "trigram"),
        (["train", "bigram"], "'-o' / '--out'"),
        (
            ["train", "bigram", "-o", "OUT", "--smoothing", "-1"],
            "'--smoothing': -1.0 is not in the range x>=0",
        ),
        (
            ["train", "bigram", "-o", "OUT", "--smoothing", "nan"],
            "'--smoothing': 'nan' is not a finite number",
        ),
        (["train", "ngram", "-o", "OUT", "--order", "4"], "'--order': 4 is not in the range"),
        (["train", "bigram", "-o", "OUT", "--steps", "5"], "no option --steps"),
        (["train", "bigram", "-o", "OUT", "--seed", "5"], "no option --seed"),
        (["train", "neural-bigram", "-o", "OUT", "--smoothing", "1"], "no option --smoothing"),
        (
            ["train", "neural-bigram", "-o", "OUT", "--batch-size", "3"],
            "--batch-size: only together with --lr",
        ),
        (["train", "neural-bigram", "-o", "OUT", "--seed", "3"], "together with --batch-size"),
        (["train", "neural-bigram", "-o", "OUT", "--lr", "0"], "0.0 is not in the range x>0"),
        (["train", "bigram", "-o", "FILE"], "-o/--out: cannot make "),
        (["sample", "OUT", "-n", "-1"], "'-n': -1 is not in the range x>=0"),
        (["sample", "OUT", "-n", "1.5"], "'1.5' is not a valid integer"),
        (["sample", "OUT", "-n"], "fastgrad sample: Option '-n' requires an argument"),
        (["sample", "OUT", "--temperature", "warm"], "'warm' is not a valid number"),
        (["sample", "OUT", "--seed", str(2**64)], f"0<=x<={2**64 - 1}"),
        (["sample", "OUT", "--temperature", "-0.1"], "-0.1 is not in the range x>=0"),
        (["sample", "OUT", "--top-k", "0"], "0 is not in the range x>=1"),
        (["sample"], "DIR"),
        (["eval"], "DIR"),
        (["plot", "OUT", "more"], "fastgrad plot: Got unexpected extra argument (more)"),
        (["sample", "OUT", "--prompts", "a"], "no option --prompts; did you mean --prompt?"),
        (["train", "bigram", "", "-o", "OUT"], "'[FILE]...': the name is empty"),
        (["train", "bigram", "-o", ""], "'-o' / '--out': the name is empty"),
    ],
)
def test_a_senseless_command_is_explained(capsys, tmp_path, arguments, words):
    file = tmp_path / "file"
    file.write_text("")
    places = {"OUT": tmp_path / "out", "FILE": file}
    told = refused(capsys, *(places.get(argument, argument) for argument in arguments), code=2)
    assert words in told
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["plot"], ["sample"], ["eval"], ["lr-find"], ["train"]]
    + [["train", kind] for kind in ("bigram", "ngram", "neural-bigram", "nplm", "word-nplm")],
)
def test_help_has_examples_and_loads_no_numpy(command):
    code = f"""
import sys
from fastgrad import cli
assert cli.main({[*command, "--help"]}) == 0
print(sorted({{"numpy", "tqdm", "matplotlib"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "fastgrad train bigram" in done.stdout or "fastgrad " in done.stdout
    assert "Examples:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (MemoryError("a table of 5 GB"), "a table of 5 GB"),
        (OSError(28, "No space left on device", "m"), "m: No space left on device"),
        (OSError("odd"), "odd"),
    ],
)
def test_failures_on_the_way_are_told_in_a_line(capsys, monkeypatch, trained, error, told):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(BigramModel, "sample", fail)
    assert refused(capsys, "sample", trained) == f"fastgrad: {told}\n"
