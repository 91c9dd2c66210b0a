"""`fastgrad train nplm` and what follows: sample, eval, plot, Ctrl-C and --resume."""

import io
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from fastgrad import checkpoint, datasets
from fastgrad.models import NPLM, load
from fastgrad.models.nplm.run import NPLMRun
from fastgrad.plots import embedding_scatter, lr_curve
from fastgrad.text import split
from fastgrad.training import LRSweep
from small_nplm import arrays, same
from typed_commands import lines as found
from typed_commands import printed as run
from typed_commands import refused

NAMES = datasets.names()[:35]
QUICK = ("--context-length", 2, "--embedding-dim", 4, "--hidden-dim", 8, "--batch-size", 8)


def stop_at_evaluation(monkeypatch, number):
    """Have Ctrl-C come while the dev part is measured for that time."""
    evaluate, calls = NPLMRun.dev_loss, []

    def interrupted(self):
        calls.append(self)
        if len(calls) == number:
            raise KeyboardInterrupt
        return evaluate(self)

    monkeypatch.setattr(NPLMRun, "dev_loss", interrupted)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES), encoding="utf-8")
    return path


@pytest.mark.slow
def test_from_training_to_pictures(capsys, text, out):
    told = found(run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 500))
    assert told["items"] == "35, of which 0 repeat an earlier one"
    assert told["split"] == "28 items to train on, 3 to measure (dev)\nnone in both"
    assert "context_length=2, embedding_dim=4, hidden_dim=8; " in told["model"]
    assert told["steps"].startswith("500 in ")
    assert told["loss"].startswith("train ")
    assert told["bigrams"].startswith("train ")
    assert told["saved"] == str(out / "model.safetensors")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log[:-1]] == list(range(25, 501, 25))
    assert log[-1] == {"step": 500, "event": "finished"}

    model = load(out)
    assert isinstance(model, NPLM)
    assert len(model.history.loss) == 500
    samples = run(capsys, "sample", out, "-n", 5, "--seed", 3).splitlines()
    assert samples == model.sample(5, seed=3)

    told = found(run(capsys, "eval", out, text))
    assert told["loss"] == f"{model.loss(NAMES):.8f} nats per token"
    assert told["tokens"] == str(sum(map(len, NAMES)) + len(NAMES))

    pictures = run(capsys, "plot", out).splitlines()
    assert pictures == [str(out / "embeddings.png"), str(out / "loss.png")]
    for path in map(pathlib.Path, pictures):
        picture = path.read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", picture[16:24])) > 600
    assert run(capsys, "plot", out, "-o", out / "mine.pdf") == f"{out / 'mine.pdf'}\n"
    assert (out / "mine.pdf").read_bytes().startswith(b"%PDF")


def test_repeats_are_kept_together_where_asked_and_when_resumed(
    capsys, text, tmp_path, monkeypatch
):
    items = NAMES * 2
    text.write_text("\n".join(items), encoding="utf-8")
    line = ("train", "nplm", text, *QUICK, "--steps", 200)
    apart = found(run(capsys, *line, "-o", tmp_path / "apart"))
    overlap = "5 of dev are in both; --group-duplicates has none"
    assert apart["split"] == f"56 items to train on, 7 to measure (dev)\n{overlap}"

    line = (*line, "--group-duplicates")
    told = found(run(capsys, *line, "-o", tmp_path / "whole"))
    train, dev, _ = split(items, group_duplicates=True)
    sizes = f"{len(train)} items to train on, {len(dev)} to measure (dev)"
    assert told["split"] == f"{sizes}\nnone in both"
    whole = load(tmp_path / "whole")
    assert whole.history.dev_loss[-1] == whole.loss(dev)

    stop_at_evaluation(monkeypatch, 3)
    refused(capsys, *line, "-o", tmp_path / "part", code=130)
    monkeypatch.undo()
    assert len(load(tmp_path / "part").history.loss) == 30
    run(capsys, "train", "--resume", tmp_path / "part")
    assert same(load(tmp_path / "part"), whole)


def as_before_notes_were_saved(out):
    """Take the note from the checkpoint of a run, which earlier versions left in files."""
    tensors, config = checkpoint.load(out / "model.safetensors")
    note = config.pop("note")
    checkpoint.save(out / "model.safetensors", tensors, config)
    return note


def test_a_note_of_before_there_was_a_choice_is_of_repeats_apart(capsys, text, out):
    text.write_text("\n".join(NAMES * 2), encoding="utf-8")
    run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 50)
    note = as_before_notes_were_saved(out)
    assert note["run"].pop("group_duplicates") is False
    (out / "text.json").write_text(json.dumps(note["text"]))
    (out / "run.json").write_text(json.dumps(note["run"]))
    assert found(run(capsys, "train", "--resume", out))["resumed"] == "after 50 steps"
    note["run"]["group_duplicates"] = True
    (out / "run.json").write_text(json.dumps(note["run"]))
    assert "is not what the run was started with" in refused(capsys, "train", "--resume", out)


def test_a_seed_gives_one_model(capsys, text, tmp_path):
    for name in ("one", "two"):
        run(capsys, "train", "nplm", text, "-o", tmp_path / name, *QUICK, "--steps", 50)
    assert same(load(tmp_path / "one"), load(tmp_path / "two"))


@pytest.mark.parametrize(
    "options",
    [
        ("--optimizer", "sgd", "--lr", 0.1, "--schedule", "makemore", "--init", "normal"),
        ("--optimizer", "momentum", "--lr", 0.05, "--schedule", "linear", "--direct"),
        ("--schedule", "constant", "--split", "none", "--weight-decay", 0),
        ("--split", "makemore", "--threads", 1, "--patience", 1),
    ],
)
def test_options_reach_the_model(capsys, text, out, options):
    run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 100, *options)
    history = load(out).history
    rates = {
        "makemore": [0.1] * 50 + [0.01] * 50,
        "linear": [0.05 * (1 - k / 100) for k in range(100)],
        "constant": [0.004] * 100,
    }
    schedule = next((s for s in rates if s in options[3:]), None)
    if schedule is not None and options[0] != "--split":
        assert history.lr == pytest.approx(rates[schedule])
    assert (len(history.dev_loss) == 0) == ("none" in options)
    assert ("W" in arrays(load(out))) == ("--direct" in options)


@pytest.mark.slow
def test_the_rate_finder_and_its_picture(capsys, text, out):
    told = found(run(capsys, "lr-find", text, "-o", out, *QUICK))
    assert told["lowest loss"].endswith("of 1,000 tried")
    arrays, config = checkpoint.load(out / "lr_find.safetensors")
    assert config == {"sweep": "adamw"}
    assert np.log10(arrays["lrs"]) == pytest.approx(np.linspace(-3, 0, 1000))
    assert not (out / "model.safetensors").exists()
    assert run(capsys, "plot", out) == f"{out / 'lr_find.png'}\n"
    assert (out / "lr_find.png").read_bytes().startswith(b"\x89PNG")
    other = out / "new" / "picture"
    assert run(capsys, "plot", out, "-o", other) == f"{other}.png\n"
    assert other.with_suffix(".png").read_bytes() == (out / "lr_find.png").read_bytes()


def test_the_rate_finder_needs_no_folder(capsys, text, out, monkeypatch):
    monkeypatch.chdir(text.parent)
    told = found(run(capsys, "lr-find", text, *QUICK))
    assert told["saved"] == "nothing; with -o DIR, `fastgrad plot DIR` draws what was tried"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))
    assert found(run(capsys, "lr-find", "-", *QUICK))["lowest loss"] == (told["lowest loss"])
    assert list(text.parent.iterdir()) == [text]
    kept = found(run(capsys, "lr-find", text, "-o", out, *QUICK))
    assert kept["lowest loss"] == told["lowest loss"]


def test_a_sweep_of_an_earlier_version_is_drawn(capsys, out):
    lrs, losses = np.geomspace(1e-3, 1, 50), np.linspace(3, 2, 50)
    out.mkdir()
    checkpoint.save(out / "rates.safetensors", {"rates": lrs, "losses": losses}, {"sweep": "sgd"})
    assert run(capsys, "plot", out) == f"{out / 'lr_find.png'}\n"
    checkpoint.save(out / "rates.safetensors", {"losses": losses}, {"sweep": "sgd"})
    assert "holds no sweep" in refused(capsys, "plot", out)


def interrupted(folder, number, *arguments, **options):
    """Start a command, send it a signal at the second line of its log; give code and errors."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fastgrad", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    log = folder / "log.jsonl"
    while process.poll() is None and not (log.is_file() and log.read_text().count("\n") >= 2):
        time.sleep(0.01)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    return process.returncode, errors.strip()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_resume_ends_where_the_whole_run_does(
    capsys, text, tmp_path, number
):
    settings = (*QUICK, "--steps", 60_000, "--lr", 0.001)
    part = tmp_path / "part"
    code, errors = interrupted(part, number, "train", "nplm", text, "-o", part, *settings)
    assert code == 128 + number, errors
    assert errors.startswith("fastgrad: interrupted after ")
    assert errors.endswith(f"which are saved: `fastgrad train --resume {part}`")
    done = len(load(part).history.loss)
    assert 0 < done < 60_000

    resume = ("--resume", part, "nplm") if number == signal.SIGINT else ("nplm", "--resume", part)
    told = found(run(capsys, "train", *resume))
    assert told["resumed"] == f"after {done:,} steps"
    run(capsys, "train", "nplm", text, "-o", tmp_path / "whole", *settings)
    part, whole = load(part), load(tmp_path / "whole")
    assert same(part, whole)
    assert part.history.loss.tolist() == whole.history.loss.tolist()
    assert part.history.dev_loss.tolist() == whole.history.dev_loss.tolist()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has another Ctrl-C")
def test_a_text_from_standard_input_is_kept_to_go_on_with(capsys, text, out):
    settings = (*QUICK, "--steps", 60_000)
    with open(text, "rb") as pipe:
        code, errors = interrupted(
            out, signal.SIGINT, "train", "nplm", "-", "-o", out, *settings, stdin=pipe
        )
    assert code == 130, errors
    assert (out / "text.txt").read_bytes() == text.read_bytes()
    told = found(run(capsys, "train", "--resume", out))
    assert told["text"] == str(out / "text.txt")
    assert len(load(out).history.loss) == 60_000


def test_an_input_that_is_no_text_replaces_none(capsys, monkeypatch, out):
    out.mkdir()
    (out / "text.txt").write_text("precious")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    assert "is empty" in refused(capsys, "train", "nplm", "-", "-o", out)
    assert (out / "text.txt").read_text() == "precious"


def test_a_finished_run_is_resumed_by_its_file_too(capsys, text, out):
    run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 50)
    before = load(out)
    for place in (out, out / "model.safetensors"):
        told = found(run(capsys, "train", "--resume", place))
        assert told["resumed"] == "after 50 steps"
        assert told["steps"] == "none were left to make"
        assert told["saved"] == str(out / "model.safetensors")
    assert same(load(out), before)


def test_a_run_that_is_refused_leaves_the_notes_of_the_folder(capsys, text, out):
    run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 50)
    refused(capsys, "train", "nplm", text, "-o", out, "--batch-size", 10**6, "--split", "makemore")
    run(capsys, "train", "--resume", out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "--resume"), 2, "'--resume' requires an argument"),
        (("train", "nplm"), 2, "-o/--out"),
        (
            ("train", "nplm", "TEXT", "-o", "OUT", "--context-length", 0),
            2,
            "0 is not in the range x>=1",
        ),
        (("train", "nplm", "TEXT", "-o", "OUT", "--lr", "nan"), 2, "'nan' is not a finite number"),
        (
            ("train", "nplm", "TEXT", "-o", "OUT", "--batch-size", 10**6),
            1,
            "batch_size is 1000000, but train has 192 examples",
        ),
        (("train", "nplm", "FEW", "-o", "OUT"), 1, "none for dev; expected more; `--split none`"),
        (("lr-find", "TEXT", "-o", "OUT", "--lr", 1), 2, "no option --lr"),
        (
            ("lr-find", "TEXT", "-o", "OUT", "--min-lr", 1, "--max-lr", 1),
            2,
            "--min-lr: expected less than --max-lr",
        ),
        (("train", "nplm", "-o", "OUT", "--resume", "OUT"), 2, "--out: not with --resume"),
        (("train", "nplm", "--resume", "OUT", "--lr", 1), 2, "--lr: not with --resume"),
        (("train", "--resume", "OUT", "nplm", "TEXT"), 2, "[FILE]: not with --resume"),
        (("train", "--resume", "OUT", "nplm", "--direct"), 2, "--direct: not with --resume"),
        (
            ("train", "--resume", "OUT", "bigram", "-o", "OUT"),
            2,
            "only `train nplm` and `train word-nplm` go on",
        ),
        (("train", "nplm", "--resume", "OUT"), 1, "there is no model; `fastgrad train nplm"),
        (("train", "nplm", "no.txt", "-o", "OUT"), 1, "no.txt: No such file"),
        (
            ("train", "nplm", "TEXT", "-o", "OUT", "--split", "none", "--patience", 2),
            2,
            "--patience: needs a part to measure",
        ),
        (("train", "--resume", "OUT"), 1, "there is no model; `fastgrad train nplm"),
        (
            ("train", "nplm", "TEXT", "-o", "OUT", "--group-duplicates", "--split", "makemore"),
            2,
            "--group-duplicates: not with --split makemore;",
        ),
        (
            ("train", "nplm", "--resume", "OUT", "--group-duplicates"),
            2,
            "--group-duplicates: not with --resume",
        ),
    ],
)
def test_mistakes(capsys, text, out, arguments, code, message):
    few = text.with_name("few.txt")
    few.write_text("ada\nbo\n", encoding="utf-8")
    places = {"TEXT": text, "OUT": out, "FEW": few}
    arguments = [places.get(argument, argument) for argument in arguments]
    assert message in refused(capsys, *arguments, code=code)


def test_divergence_is_told_and_the_last_good_parameters_are_kept(capsys, text, out):
    settings = ("--optimizer", "sgd", "--lr", 1e38, "--schedule", "constant", "--steps", 100)
    message = refused(capsys, "train", "nplm", text, "-o", out, *QUICK, *settings)
    assert "the loss became nan or infinite at step" in message
    assert all(np.isfinite(p).all() for p in arrays(load(out)).values())


@pytest.mark.parametrize("command", ["nplm", "word-nplm"])
@pytest.mark.parametrize("lr", [500, 1e38])
def test_a_diverged_run_leaves_a_good_model_in_place(capsys, text, out, command, lr):
    train = ("train", command, text, "-o", out, *QUICK, "--steps", 200)
    run(capsys, *train)
    file = out / "model.safetensors"
    good = file.read_bytes()
    settings = ("--optimizer", "sgd", "--lr", lr, "--schedule", "constant")
    assert "diverged" in refused(capsys, *train, *settings)
    assert file.read_bytes() == good
    assert not checkpoint.previous(file).exists()


def test_resume_needs_the_same_text(capsys, text, out):
    run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 50)
    text.write_text("\n".join(reversed(NAMES)), encoding="utf-8")
    message = refused(capsys, "train", "--resume", out)
    assert f"train is not what the run was started with; has {text} changed?" in message
    text.unlink()
    gone = "the text of the training run is not there any more"
    assert gone in refused(capsys, "train", "--resume", out)
    as_before_notes_were_saved(out)
    assert "no note says how" in refused(capsys, "train", "--resume", out)


@pytest.mark.parametrize(
    ("options", "kind"),
    [(("bigram",), "BigramModel"), (("neural-bigram", "--steps", 2), "NeuralBigram")],
)
def test_a_model_that_took_the_place_of_a_network_is_named(capsys, text, out, options, kind):
    run(capsys, "train", *options, text, "-o", out)
    file = out / "model.safetensors"
    told = refused(capsys, "train", "--resume", out)
    assert all(name in told for name in (f"{file}: ", kind, "--resume", "`fastgrad train nplm`"))
    assert ".previous" not in told
    run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 50)
    run(capsys, "train", *options, text, "-o", out)
    for line in (("--resume", out), ("--resume", file), ("nplm", "--resume", out)):
        told = refused(capsys, "train", *line)
        assert f"{file}: holds a {kind}," in told
        assert told.endswith(f"{file}.previous\n")
    assert (
        found(run(capsys, "train", "--resume", f"{file}.previous"))["resumed"] == "after 50 steps"
    )


def test_a_network_without_its_run_is_not_gone_on_with(capsys, text, out):
    run(capsys, "train", "nplm", text, "-o", out, *QUICK, "--steps", 50)
    load(out).save(out)
    assert refused(capsys, "train", "--resume", out) == (
        f"fastgrad: {out / 'model.safetensors'}: holds a model without a training run; fit starts"
        " one\n"
    )


def test_pictures_of_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"model has shape \(2, 2\); .* each of 3 tokens"):
        embedding_scatter(np.zeros((2, 2)), ["a", "b", "c"], path=tmp_path / "x.png")
    with pytest.raises(ValueError, match="method is 'tsne'"):
        embedding_scatter(np.zeros((3, 2)), ["a", "b", "c"], path=tmp_path / "x.png", method="tsne")
    with pytest.raises(ValueError, match="sweep has no steps"):
        lr_curve(LRSweep(np.empty(0), np.empty(0)), path=tmp_path / "x.png")
    with pytest.raises(TypeError, match=r"sweep is \[1.0\]"):
        lr_curve([1.0], path=tmp_path / "x.png")
