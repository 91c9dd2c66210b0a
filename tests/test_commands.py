"""The commands as a user types them: train, sample, eval, plot, and what they say of mistakes."""

import importlib.util
import inspect
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time

import pytest
from fastgrad import cli, datasets
from fastgrad.commands import sample as sample_command
from fastgrad.models import BigramModel, NeuralBigram
from fastgrad.sampling import sample

COMMAND = [sys.executable, "-m", "fastgrad"]
# Of data/names.txt; the raw loss is that of the requirement.
RAW, SMOOTHED = "2.45402178", "2.45458601"


def run(capsys, *arguments):
    """Run a command that works; return what it printed, and what it printed as an error."""
    code = cli.main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert code == 0, told.err
    return told.out, told.err


def refused(capsys, *arguments, code=1):
    """Run a command that fails; return its only line on standard error."""
    try:
        ended = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        ended = stop.code
    told = capsys.readouterr()
    assert ended == code, told
    assert "Traceback" not in told.err
    if code == 1:
        assert told.err.startswith("fastgrad: ")
        assert told.err.count("\n") == 1
    else:
        assert told.err.startswith("usage: fastgrad")
    return told.err


def lines(output):
    """Read a report: the finding to each name, continued lines joined."""
    found, name = {}, ""
    for line in output.splitlines():
        name = line[:12].strip() or name
        found[name] = f"{found[name]}\n{line[12:]}" if name in found else line[12:]
    return found


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("emma\nolivia\nava\nava\n", encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path, text, capsys):
    run(capsys, "train", "bigram", text, "-o", tmp_path / "out")
    return tmp_path / "out"


def test_the_bundled_names_from_training_to_picture(capsys, tmp_path):
    out = tmp_path / "new" / "out"
    printed, errors = run(capsys, "train", "bigram", "-o", out)
    assert errors == ""
    told = lines(printed)
    assert told["text"] == "the 32,469 names that fastgrad carries, as no file was named"
    assert told["items"] == "32,469, of which 2,559 repeat an earlier one"
    assert told["characters"] == "26: abcdefghijklmnopqrstuvwxyz"
    assert told["symbols"] == "V = 27, with '.' for start and end of an item"
    assert told["bigrams"] == "231,718; 624 of 729 possible ones occur"
    raw, smoothed = told["loss"].split("\n")
    assert raw.startswith(f"{RAW} nats a symbol, perplexity 11.6350 (raw")
    assert smoothed.startswith(f"{SMOOTHED} nats a symbol, perplexity 11.6416 (smoothed, 1 added")
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
    assert told["loss"] == f"{SMOOTHED} nats a symbol"
    assert told["perplexity"] == "11.6416"

    printed, _ = run(capsys, "plot", out)
    assert printed == f"{out / 'bigrams.png'}\n"
    picture = (out / "bigrams.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert min(struct.unpack(">II", picture[16:24])) > 1300


@pytest.mark.parametrize(
    ("options", "losses"),
    [
        ((), ["2.45401449", "2.45457682"]),
        (("--smoothing", 10), ["2.45401449", "2.46211"]),
        (("--order", 3), ["2.18574", "2.21258"]),
        (("--neural",), ["2.46036", "2.45401449"]),
        (("--neural", "--penalty", 0), ["2.45401", "2.45401449"]),
    ],
)
def test_losses_of_the_lectures_names(capsys, tmp_path, names_file, options, losses):
    printed, _ = run(capsys, "train", "bigram", names_file, "-o", tmp_path, *options)
    found = [line.split()[0] for line in lines(printed)["loss"].split("\n")]
    assert len(found) == len(losses)
    assert all(a.startswith(b) for a, b in zip(found, losses, strict=True)), found


@pytest.mark.parametrize("order", [2, 3])
def test_any_script_from_training_to_picture(capsys, tmp_path, order):
    items = ["Жанна д'Арк", "王小明", "👩\u200d🚀 $x_1$", "a\x00b\tc", "עברית", "\ufeffé", "\x85"]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(items), encoding="utf-8")
    out = tmp_path / "out"
    printed, _ = run(capsys, "train", "bigram", text, "-o", out, "--order", order)
    assert lines(printed)["items"].startswith("6,")  # The last is whitespace and nothing else.
    samples, _ = run(capsys, "sample", out, "-n", 200)
    assert len(samples.split("\n")) == 201
    (tmp_path / "samples.txt").write_bytes(samples.encode("utf-8"))
    assert lines(run(capsys, "eval", out, tmp_path / "samples.txt")[0])["perplexity"] != "inf"
    if order == 2:  # The symbols of the picture are the same.
        run(capsys, "plot", out)
        assert (out / "bigrams.png").is_file()


def test_samples_alone_are_on_standard_output_the_same_each_time(out):
    arguments = [*COMMAND, "sample", out, "-n", "50", "--seed", "7"]
    first, second = (subprocess.run(arguments, capture_output=True, check=True) for _ in range(2))
    assert first.stdout == second.stdout
    assert first.stdout.count(b"\n") == 50
    assert first.stderr.decode().startswith("50 samples: ")
    assert "text.txt" in first.stderr.decode()


def test_options_of_sample_reach_the_model(capsys, out):
    likeliest, _ = run(capsys, "sample", out, "-n", 2, "--temperature", 0, "--max-length", 6)
    assert len(set(likeliest.splitlines())) == 1
    prompted, _ = run(capsys, "sample", out, "--prompt", "oli", "-n", 30, "--top-k", 2)
    assert all(name.startswith("oli") for name in prompted.splitlines())
    none, report = run(capsys, "sample", out, "-n", 0)
    assert none == ""
    assert report.startswith("0 samples: 0 in the text (")


def test_many_samples_come_in_parts_and_are_the_same(capsys, monkeypatch, out):
    whole, report = run(capsys, "sample", out, "-n", 1000, "--seed", 5)
    monkeypatch.setattr(sample_command, "_PART", 300)
    assert run(capsys, "sample", out, "-n", 1000, "--seed", 5) == (whole, report)
    # More than any memory holds: the first of them are there at once.
    command = [*COMMAND, "sample", out, "-n", str(10**15), "--seed", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(len(whole)).decode() == whole
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_samples_can_be_looked_up_in_another_text(capsys, out, tmp_path):
    samples, _ = run(capsys, "sample", out, "-n", 5)
    other = tmp_path / "other.txt"
    other.write_text(samples, encoding="utf-8")
    _, report = run(capsys, "sample", out, "-n", 5, "--against", other)
    found = sum(map(bool, samples.splitlines()))  # A text has no empty items.
    assert report.endswith(f"5 samples: {found} in the text ({other}), {5 - found} new\n")


@pytest.mark.parametrize("note", [None, "{", "[]", '{"bundled": false, "path": 7, "items": 1}'])
def test_a_missing_or_damaged_note_is_no_obstacle(capsys, out, text, note):
    assert json.loads((out / "text.json").read_text(encoding="utf-8"))["path"] == str(text)
    if note is None:
        (out / "text.json").unlink()
    else:
        (out / "text.json").write_text(note, encoding="utf-8")
    _, report = run(capsys, "sample", out, "-n", 1)
    assert report == "1 sample; --against FILE tells how many are in a text\n"


def test_a_note_is_only_for_the_model_that_it_was_made_with(capsys, tmp_path, out):
    other = tmp_path / "other.txt"
    other.write_text("анна\n", encoding="utf-8")
    run(capsys, "train", "bigram", other, "-o", out)
    assert "in the text" in run(capsys, "sample", out, "-n", 2)[1]
    assert "--against" in run(capsys, "sample", out / "model.safetensors.previous", "-n", 2)[1]


def test_without_a_file_a_model_is_measured_on_its_own_text(capsys, out, text):
    found = lines(run(capsys, "eval", out)[0])
    assert found["text"] == f"{text}, which the model was trained on"
    assert found["items"] == "4"
    text.unlink()
    assert "name a FILE" in refused(capsys, "eval", out)


def test_a_text_that_has_gone_is_not_compared_with(capsys, out, text):
    text.unlink()
    _, report = run(capsys, "sample", out, "-n", 3)
    assert report == "3 samples; --against FILE tells how many are in a text\n"


def test_a_trigram_model_goes_the_same_way(capsys, tmp_path, text):
    out = tmp_path / "out"
    printed, _ = run(capsys, "train", "bigram", text, "-o", out, "--order", 3, "--smoothing", 0.5)
    told = lines(printed)
    assert told["trigrams"] == "20; 16 of 512 possible ones occur"
    assert "0.5 added to each count" in told["loss"]
    assert lines(run(capsys, "eval", out, text)[0])["trigrams"] == "20"
    assert run(capsys, "sample", out, "-n", 4)[0].count("\n") == 4
    run(capsys, "plot", out)
    assert (out / "bigrams.png").is_file()


def test_the_network_finds_the_counting_model(capsys, tmp_path, text):
    out = tmp_path / "out"
    printed, _ = run(capsys, "train", "bigram", text, "-o", out, "--neural", "--penalty", 0)
    told = lines(printed)
    # ln(8), as the weights start at 0.
    assert told["steps"].startswith("2,000; loss and penalty 2.079442 before, ")
    network, counted = (float(line.split()[0]) for line in told["loss"].split("\n"))
    assert counted <= network < counted + 0.001
    assert run(capsys, "sample", out, "-n", 4)[0].count("\n") == 4
    printed, _ = run(capsys, "plot", out)
    assert printed.splitlines() == [str(out / "bigrams.png"), str(out / "loss.png")]
    assert (out / "loss.png").is_file()


def test_options_of_the_network_reach_it(capsys, tmp_path, text):
    losses = set()
    for more in (
        (),
        ("--lr", 2),
        ("--lr", 2, "--batch", 3),
        ("--lr", 2, "--batch", 3, "--seed", 4),
    ):
        arguments = ("train", "bigram", text, "-o", tmp_path, "--neural", "--steps", 9, *more)
        told = lines(run(capsys, *arguments)[0])
        assert told["steps"].startswith("9; ")
        losses.add(told["loss"].split()[0])
    assert len(losses) == 4
    told = refused(capsys, *arguments, "--lr", "1e308")
    assert "a smaller lr may help" in told


def test_help_tells_the_librarys_defaults(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "bigram", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    defaults = inspect.signature(NeuralBigram.fit).parameters
    assert f"steps (default: {defaults['steps'].default})" in told
    assert f"minimised (default: {defaults['penalty'].default})" in told
    assert defaults["lr"].default is None
    assert defaults["batch"].default is None
    with pytest.raises(SystemExit):
        cli.main(["sample", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    longest = inspect.signature(sample).parameters["max_length"].default
    assert f"N characters (default: {longest})" in told


def test_text_from_a_pipe(tmp_path, capsys):
    out = tmp_path / "out"
    text = "имя\r\n  и.мя  \n\n".encode("utf-8-sig")
    done = subprocess.run(
        [*COMMAND, "train", "bigram", "-", "-o", out],
        input=text,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stderr == b""  # no progress bar where there is no terminal
    told = lines(done.stdout.decode())
    assert told["text"] == "standard input"
    assert told["items"] == "2"
    assert told["characters"] == "4: .имя"
    assert told["symbols"].startswith("V = 5, with '|' for start and end of an item")
    assert "The text holds '.'" in told["symbols"]
    assert BigramModel.load(out).vocab.characters == ".имя"
    _, report = run(capsys, "sample", out, "-n", 3)
    assert report == "3 samples; --against FILE tells how many are in a text\n"

    done = subprocess.run(
        [*COMMAND, "eval", out, "-"], input="мимя\n".encode(), capture_output=True, check=True
    )
    assert b"bigrams     5\n" in done.stdout


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


def test_an_unknown_character_is_named_with_its_place(capsys, out, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("ava\n\nemmaé\n", encoding="utf-8")
    told = refused(capsys, "eval", out, other)
    assert told == (
        f"fastgrad: {other}: item 2: character 'é' (U+00E9) at position 4 of 'emmaé'"
        " is not in the vocabulary\n"
    )
    assert "'x'" in refused(capsys, "sample", out, "--prompt", "x")


def test_the_model_before_is_kept(capsys, out, text):
    before = (out / "model.safetensors").read_bytes()
    run(capsys, "train", "bigram", text, "-o", out, "--smoothing", 3)
    assert (out / "model.safetensors").read_bytes() != before
    assert (out / "model.safetensors.previous").read_bytes() == before
    run(capsys, "eval", out / "model.safetensors.previous", text)


def test_a_picture_goes_where_it_is_asked_for(capsys, out, tmp_path):
    path = tmp_path / "pictures" / "table.pdf"
    assert run(capsys, "plot", out, "-o", path)[0] == f"{path}\n"
    assert path.read_bytes().startswith(b"%PDF")
    run(capsys, "plot", out / "model.safetensors", "-o", path.parent)
    assert (path.parent / "bigrams.png").is_file()
    assert "table.xyz" not in refused(capsys, "plot", out, "-o", tmp_path / "table.xyz")


def test_a_picture_needs_matplotlib(capsys, monkeypatch, out):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "matplotlib is not installed: pip install" in refused(capsys, "plot", out)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty"]),
        (b"\n \r\n", ["empty"]),
        (b"emma\nolivi\xe4\n", ["line 2", "0xe4", "offset 10", "not UTF-8"]),
    ],
)
def test_a_text_that_is_none_is_refused_with_its_name(capsys, tmp_path, content, words):
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    told = refused(capsys, "train", "bigram", text, "-o", tmp_path / "out")
    assert all(word in told for word in [*words, str(text)])
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_what_is_missing_is_named(capsys, tmp_path, out):
    missing = tmp_path / "missing"
    told = refused(capsys, "train", "bigram", missing, "-o", tmp_path / "new")
    assert told.startswith(f"fastgrad: {missing}: ")
    assert not (tmp_path / "new").exists()
    assert refused(capsys, "eval", out, missing) == told
    assert str(missing) in refused(capsys, "sample", out, "--against", missing)
    for command in ("sample", "eval", "plot"):
        assert f"{missing}: there is no model; " in refused(capsys, command, missing)
        assert "model.safetensors" in refused(capsys, command, tmp_path)


def test_a_damaged_model_is_refused(capsys, out):
    path = out / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:100], b"", b"\x00" * 500, whole[:-1] + b"\xff"):
        path.write_bytes(damaged)
        for command in ("sample", "eval", "plot"):
            assert str(path) in refused(capsys, command, out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "trigram"], "trigram"),
        (["train", "bigram"], "-o/--out"),
        (["train", "bigram", "-o", "OUT", "--smoothing", "-1"], "'-1'; expected a number of at"),
        (["train", "bigram", "-o", "OUT", "--smoothing", "nan"], "'nan'; expected a number"),
        (["train", "bigram", "-o", "OUT", "--order", "4"], "--order"),
        (["train", "bigram", "-o", "OUT", "--steps", "5"], "--steps: only together with --neural"),
        (["train", "bigram", "-o", "OUT", "--seed", "5"], "--seed: only together with --neural"),
        (["train", "bigram", "-o", "OUT", "--neural", "--smoothing", "1"], "not with --neural"),
        (["train", "bigram", "-o", "OUT", "--neural", "--batch", "3"], "--batch: needs --lr"),
        (["train", "bigram", "-o", "OUT", "--neural", "--seed", "3"], "together with --batch"),
        (["train", "bigram", "-o", "OUT", "--neural", "--lr", "0"], "'0'; expected a number above"),
        (["train", "bigram", "-o", "FILE"], "cannot make the folder"),
        (["sample", "OUT", "-n", "-1"], "'-1'; expected a whole number, at least 0"),
        (["sample", "OUT", "-n", "1.5"], "'1.5'; expected a whole number"),
        (["sample", "OUT", "--seed", str(2**64)], f"0 to {2**64 - 1}"),
        (["sample", "OUT", "--temperature", "-0.1"], "of at least 0"),
        (["sample", "OUT", "--top-k", "0"], "at least 1"),
        (["sample"], "DIR"),
        (["eval"], "DIR"),
        (["plot", "OUT", "more"], "more"),
    ],
)
def test_a_senseless_command_is_explained(capsys, tmp_path, arguments, words):
    file = tmp_path / "file"
    file.write_text("")
    places = {"OUT": tmp_path / "out", "FILE": file}
    told = refused(capsys, *(places.get(argument, argument) for argument in arguments), code=2)
    assert words in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [[], ["train"], ["train", "bigram"], ["sample"], ["eval"]])
def test_help_has_examples_and_loads_no_numpy(command):
    code = f"""
import sys
from fastgrad import cli
try:
    cli.main({[*command, "--help"]})
finally:
    print(sorted({{"numpy", "tqdm", "matplotlib"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "fastgrad train bigram" in done.stdout or "fastgrad " in done.stdout
    if command != ["train"]:
        assert "examples:" in done.stdout


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (MemoryError("a table of 5 GB"), "a table of 5 GB"),
        (OSError(28, "No space left on device", "m"), "m: No space left on device"),
        (OSError("odd"), "odd"),
    ],
)
def test_failures_on_the_way_are_told_in_a_line(capsys, monkeypatch, out, error, told):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(BigramModel, "sample", fail)
    assert refused(capsys, "sample", out) == f"fastgrad: {told}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals arrive in another way there")
def test_ctrl_c_while_text_arrives_ends_with_130(tmp_path):
    command = [*COMMAND, "train", "bigram", "-", "-o", tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        # More than a pipe holds: when it is written, most of it has been read.
        process.stdin.write(b"emma\n" * 100_000)
        process.stdin.flush()
        time.sleep(0.2)  # Now the rest has been as well, and more is awaited.
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read().endswith(b"fastgrad: interrupted\n")
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way there")
def test_a_model_is_saved_whoever_reads_the_report(tmp_path, text):
    command = [*COMMAND, "train", "bigram", text, "-o", tmp_path / "new"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert (tmp_path / "new" / "model.safetensors").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way there")
def test_a_reader_of_samples_that_goes_away_is_no_error(out):
    command = [*COMMAND, "sample", out, "-n", "200000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
