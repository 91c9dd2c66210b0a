"""`fastgrad train word-nplm` and what follows: sample, eval, plot, Ctrl-C and --resume."""

import io
import json
import pathlib
import struct

import pytest
from fastgrad.datasets import shakespeare
from fastgrad.models import DiscountWarning, KneserNey, WordNPLM, load
from fastgrad.text import read_words
from small_nplm import same
from typed_commands import lines as found
from typed_commands import printed as run
from typed_commands import refused

QUICK = (
    "--context-length",
    2,
    "--embedding-dim",
    4,
    "--hidden-dim",
    8,
    "--batch-size",
    64,
    "--vocab-size",
    50,
)
LINE = "The cat sat on the mat, and the dog's friend saw it.\n\n"


@pytest.fixture
def text(tmp_path):
    """Part of a play, of 4,000 tokens and more."""
    path = tmp_path / "play.txt"
    path.write_bytes(shakespeare()[:20_000])
    return path


def train(capsys, *arguments):
    return found(run(capsys, "train", "word-nplm", *arguments))


@pytest.mark.slow
def test_from_training_to_pictures(capsys, text, out):
    told = train(capsys, text, "-o", out, *QUICK, "--epochs", 3)
    whole = read_words(text, train=0.8, vocab_size=50, tokenizer="simple", eos="paragraph")
    parts = whole.split(0.8, 0.1)
    sizes = [f"{len(part):,}" for part in (whole, *parts)]
    assert told["text"] == str(text)
    assert told["tokens"] == "{}: {} train, {} dev, {} test".format(*sizes)
    assert told["vocabulary"].startswith("|V| = 50 of ")
    sizes = "context_length=2, embedding_dim=4, hidden_dim=8, tie_weights=True"
    assert told["model"].startswith(f"WordNPLM({sizes}; V = 50, ")
    lines = told["perplexity"].splitlines()
    model = load(out)
    assert isinstance(model, WordNPLM)
    assert lines[0] == f"dev {model.perplexity(parts[1]):.1f}: the network"
    with pytest.warns(DiscountWarning):
        counted = KneserNey().fit(parts[0])
    assert lines[1].startswith(f"dev {counted.perplexity(parts[1]):.1f}: Kneser-Ney")
    both = float(lines[2].split()[1].rstrip(":"))
    assert both <= min(float(line.split()[1].rstrip(":")) for line in lines[:2])
    assert told["saved"] == str(out / "model.safetensors")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    every = -(-len(parts[0]) // 64)
    assert [line["step"] for line in log[:-1]] == [every, 2 * every, 3 * every]

    samples = run(capsys, "sample", out, "-n", 5, "--seed", 3, "--prompt", "my lord").splitlines()
    assert samples == model.sample(5, seed=3, prompt="my lord")
    assert all(line.startswith("my lord") for line in samples)
    short = run(capsys, "sample", out, "--max-length", 3, "--temperature", 0.5).splitlines()
    assert max(len(line.split()) for line in short) <= 3

    told = found(run(capsys, "eval", out))
    assert told["test"].startswith(f"{len(parts[2]):,} tokens, ")
    assert told["perplexity"].splitlines() == [
        f"{what.perplexity(part):.4f}: {name}"
        for part in parts[1:]
        for what, name in (
            (model, "the model"),
            (counted, "Kneser-Ney, 5-grams of the training part"),
        )
    ]
    told = found(run(capsys, "eval", out, text))
    assert told["loss"] == f"{model.loss(whole):.8f} nats per token"

    pictures = run(capsys, "plot", out).splitlines()
    assert pictures == [str(out / "embeddings.png"), str(out / "loss.png")]
    for path in map(pathlib.Path, pictures):
        picture = path.read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", picture[16:24])) > 600


@pytest.mark.parametrize(
    "options",
    [
        ("--tie-weights", "--dropout", 0.2, "--lr", 0.01),
        (
            "--direct",
            "--no-tie-weights",
            "--optimizer",
            "sgd",
            "--schedule",
            "constant",
            "--eos",
            "none",
        ),
        ("--preset", "paper", "--patience", 1, "--tokenizer", "space"),
        ("--steps", 60, "--eos", "line", "--dropout", 0, "--weight-decay", 0, "--min-count", 3),
    ],
)
def test_options_reach_the_model(capsys, text, out, options):
    train(
        capsys,
        text,
        "-o",
        out,
        *QUICK,
        "--epochs" if "--steps" not in options else "--seed",
        1,
        *options,
    )
    model = load(out)
    assert model.config["tie_weights"] == (
        "paper" not in options and "--no-tie-weights" not in options
    )
    assert model.config["direct"] == ("--direct" in options)
    assert model.vocab.eos == (
        "line" if "line" in options else None if "none" in options else "paragraph"
    )
    assert model.vocab.tokenizer == ("space" if "space" in options else "simple")
    rates = model.history.lr
    if "--lr" in options:
        assert rates.max() == 0.01
    if "constant" in options:
        assert rates[-1] == rates.max() == 4e-3
    if "paper" in options:
        assert rates[:2] == pytest.approx([0.064, 0.064 / (1 + 64e-8)], rel=1e-12)
    if "--steps" in options:
        assert len(rates) == 60


def test_an_interrupted_run_is_resumed_to_the_same_model(capsys, text, tmp_path, monkeypatch):
    lengths = (*QUICK, "--epochs", 4, "--tie-weights", "--dropout", 0.1)
    train(capsys, text, "-o", tmp_path / "whole", *lengths)
    from fastgrad.models.nplm.run import NPLMRun

    evaluate = NPLMRun.dev_loss
    calls = []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(self)

    monkeypatch.setattr(NPLMRun, "dev_loss", interrupted)
    said = refused(capsys, "train", "word-nplm", text, "-o", tmp_path / "cut", *lengths, code=130)
    assert f"which are saved: `fastgrad train --resume {tmp_path / 'cut'}`" in said
    monkeypatch.undo()
    told = found(run(capsys, "train", "--resume", tmp_path / "cut"))
    assert told["resumed"].startswith("after ")
    assert same(load(tmp_path / "whole"), load(tmp_path / "cut"))
    log = (tmp_path / "cut" / "log.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["event"] == "finished"


def test_standard_input_is_kept_and_a_run_resumed_however_it_is_named(
    capsys, text, out, monkeypatch
):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))
    run(capsys, "train", "word-nplm", "-", "-o", out, *QUICK, "--steps", 5)
    assert (out / "text.txt").read_bytes() == text.read_bytes()
    model = load(out)
    for line in (
        ("--resume", out),
        ("--resume", out / "model.safetensors"),
        ("nplm", "--resume", out),
        ("word-nplm", "--resume", out),
        ("--resume", out, "word-nplm"),
    ):
        told = found(run(capsys, "train", *line))
        assert told["text"] == str(out / "text.txt")
        assert told["resumed"] == "after 5 steps"
        assert told["saved"] == str(out / "model.safetensors")
    assert same(load(out), model)


def test_what_makes_no_sense_is_refused(capsys, text, out):
    line = ("train", "word-nplm", text, "-o", out)
    for options, message in (
        (("--steps", 5, "--epochs", 1), "--steps: not together with --epochs"),
        (("--preset", "paper", "--schedule", "linear"), "--schedule: not with --preset"),
        (("--dev-fraction", 0.5, "--test-fraction", 0.5), "expected shares that leave some"),
        (("--dev-fraction", 0), "0.0 is not in the range 0<x<1"),
        (("--dropout", 1), "1.0 is not in the range 0<=x<1"),
        (("--epochs", 0), "0.0 is not in the range x>0"),
    ):
        said = refused(capsys, *line, *options, code=2)
        assert message in said
        assert "fastgrad train word-nplm --help" in said
    assert not out.exists()
    said = refused(capsys, "train", "word-nplm", "--eos", "letter", "-o", out, code=2)
    assert "'letter' is not one of 'paragraph', 'line', 'none'" in said
    tiny = out.with_name("tiny.txt")
    tiny.write_text("one two")
    said = refused(capsys, "train", "word-nplm", tiny, "-o", out)
    assert "3 tokens are too few to train on some" in said
    assert not out.exists()


def test_a_text_that_has_gone_is_told(capsys, text, out):
    train(capsys, text, "-o", out, *QUICK, "--steps", 5)
    text.unlink()
    assert "is not there any more" in refused(capsys, "train", "--resume", out)
    assert "name a FILE to measure" in refused(capsys, "eval", out)
    assert run(capsys, "sample", out, "-n", 2).count("\n") == 2


def test_a_network_without_its_run_is_not_gone_on_with(capsys, text, out):
    train(capsys, text, "-o", out, *QUICK, "--steps", 5)
    load(out).save(out)
    told = "model.safetensors: holds a model without a training run; fit starts one\n"
    assert refused(capsys, "train", "--resume", out).endswith(told)
    told = "no note says how a run over words began\n"
    model = load(out)
    model.note = {
        "run": {"split": "random", "seed": 0, "batch_size": 64}
    }  # Of one over characters.
    model.save(out)
    assert refused(capsys, "train", "--resume", out) == f"fastgrad: {out}: {told}"
    model.note = None
    model.save(out)
    assert refused(capsys, "train", "--resume", out) == f"fastgrad: {out}: {told}"


def test_notes_of_earlier_versions_are_read(capsys, text, out):
    train(capsys, text, "-o", out, *QUICK, "--steps", 5)
    told = found(run(capsys, "eval", out))
    model = load(out)
    note = model.note["run"]
    assert note["path"] == str(text)
    model.note = {"run": {"path": str(text), "bundled": False, "dev": 0.1, "test": 0.1}}
    model.note["run"]["level"] = "word"
    model.save(out)
    assert found(run(capsys, "eval", out)) == told
    model.note = None
    model.save(out)
    old = {"path": str(text), "bundled": False, "dev": 0.1, "test": 0.1, "level": "word"}
    (out / "run.json").write_text(json.dumps(old))
    assert found(run(capsys, "eval", out)) == told
