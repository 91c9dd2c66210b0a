"""`fastgrad train bigram`: texts, models and options."""

import gzip
import os
import signal
import subprocess
import sys
import time

import pytest
from fastgrad.models import BigramModel
from typed_commands import COMMAND, lines, refused, run


@pytest.mark.parametrize(
    ("options", "losses"),
    [
        (("bigram",), ["2.45401449", "2.45457682"]),
        (("bigram", "--smoothing", 10), ["2.45401449", "2.46211"]),
        (("ngram", "--order", 2), ["2.45401449", "2.45457682"]),
        (("ngram",), ["2.18574", "2.21258"]),
        (("neural-bigram",), ["2.46036", "2.45401449"]),
        (("neural-bigram", "--l2", 0), ["2.45401", "2.45401449"]),
    ],
)
def test_losses_of_the_lectures_names(capsys, tmp_path, names_file, options, losses):
    printed, _ = run(capsys, "train", *options, names_file, "-o", tmp_path)
    found = [line.split()[0] for line in lines(printed)["loss"].split("\n")]
    assert len(found) == len(losses)
    assert all(a.startswith(b) for a, b in zip(found, losses, strict=True)), found


@pytest.mark.slow
def test_a_trigram_model_goes_the_same_way(capsys, tmp_path, text):
    out = tmp_path / "out"
    printed, _ = run(capsys, "train", "ngram", text, "-o", out, "--smoothing", 0.5)
    told = lines(printed)
    assert told["trigrams"] == "20; 16 of 512 possible ones occur"
    assert "smoothing 0.5" in told["loss"]
    assert lines(run(capsys, "eval", out, text)[0])["trigrams"] == "20"
    assert run(capsys, "sample", out, "-n", 4)[0].count("\n") == 4
    run(capsys, "plot", out)
    assert (out / "bigrams.png").is_file()


def test_a_text_in_utf16_without_a_mark_is_remarked_on(capsys, tmp_path):
    text = tmp_path / "text.txt"
    text.write_bytes("ab\nb\n".encode("utf-16-le"))
    told = lines(run(capsys, "train", "bigram", text, "-o", tmp_path / "out")[0])
    assert told["characters"].startswith("3: '\\x00ab'\nwith the NUL character: a text in UTF-16")


@pytest.mark.slow
def test_the_network_finds_the_counting_model(capsys, tmp_path, text):
    out = tmp_path / "out"
    printed, _ = run(capsys, "train", "neural-bigram", text, "-o", out, "--l2", 0)
    told = lines(printed)
    # ln(8), as the weights start at 0.
    assert told["steps"].startswith("2,000; loss with l2 2.079442 before, ")
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
        ("--lr", 2, "--batch-size", 3),
        ("--lr", 2, "--batch-size", 3, "--seed", 4),
    ):
        arguments = ("train", "neural-bigram", text, "-o", tmp_path, "--steps", 9, *more)
        told = lines(run(capsys, *arguments)[0])
        assert told["steps"].startswith("9; ")
        losses.add(told["loss"].split()[0])
    assert len(losses) == 4
    told = refused(capsys, *arguments, "--lr", "1e308")
    assert "smaller lr may help" in told


@pytest.mark.slow
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
    assert told["vocabulary"].startswith("V = 5, with '|' for start and end of an item")
    assert "The text holds '.'" in told["vocabulary"]
    assert BigramModel.load(out).vocab.characters == ".имя"
    _, report = run(capsys, "sample", out, "-n", 3)
    assert report == "3 samples; --compare-to FILE tells how many are in a text\n"

    done = subprocess.run(
        [*COMMAND, "eval", out, "-"], input="мимя\n".encode(), capture_output=True, check=True
    )
    assert b"bigrams     5\n" in done.stdout


def test_the_model_before_is_kept(capsys, trained, text):
    before = (trained / "model.safetensors").read_bytes()
    run(capsys, "train", "bigram", text, "-o", trained, "--smoothing", 3)
    assert (trained / "model.safetensors").read_bytes() != before
    assert (trained / "model.safetensors.previous").read_bytes() == before
    run(capsys, "eval", trained / "model.safetensors.previous", text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty"]),
        (b"\n \r\n", ["empty"]),
        (b"emma\nolivi\xe4\n", ["line 2", "0xe4", "offset 10", "not UTF-8"]),
        (
            gzip.compress(b"emma\n", mtime=0),
            ["0x8b", "offset 1", "(this looks like gzip; unpack it first)"],
        ),
        (
            "emma\n".encode("utf-16"),
            ["0xff", "(this looks like UTF-16; convert it to UTF-8 first)"],
        ),
    ],
)
def test_a_text_that_is_none_is_refused_with_its_name(capsys, tmp_path, content, words):
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    told = refused(capsys, "train", "bigram", text, "-o", tmp_path / "out")
    assert all(word in told for word in [*words, str(text)])
    assert not (tmp_path / "out").exists()
    (tmp_path / "old").mkdir()
    refused(capsys, "train", "bigram", text, "-o", tmp_path / "old" / "new" / "out")
    assert list((tmp_path / "old").iterdir()) == []


@pytest.mark.slow
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
        assert process.wait(timeout=100) == 130
        assert process.stderr.read().endswith(b"fastgrad: interrupted; nothing was saved\n")
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way there")
def test_a_model_is_saved_whoever_reads_the_report(tmp_path, text):
    command = [*COMMAND, "train", "bigram", text, "-o", tmp_path / "new"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert (tmp_path / "new" / "model.safetensors").is_file()
