"""What is noted of a run is in its checkpoint, and nothing from a file steers a terminal."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from fastgrad import checkpoint
from fastgrad.models import NPLM, BigramModel, NeuralBigram, NgramModel, load
from fastgrad.text import Vocab
from small_nplm import FEW
from typed_commands import refused, run

QUICK = ("--hidden-dim", 8, "--embedding-dim", 4, "--steps", 60, "--batch-size", 8)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_note_comes_back_with_every_kind_of_model(tmp_path):
    for model in (
        BigramModel().fit(FEW),
        NeuralBigram().fit(FEW, steps=3),
        NPLM(Vocab.from_texts(FEW), hidden_dim=4),
    ):
        assert model.note is None
        model.note = {"from": ["here", 1]}
        model.save(tmp_path)
        again = load(tmp_path)
        assert again.note == {"from": ["here", 1]}
        again.save(tmp_path)
        assert load(tmp_path).note == again.note


def test_a_note_that_is_none_is_refused(tmp_path):
    BigramModel().fit(FEW).save(tmp_path)
    tensors, config = checkpoint.load(tmp_path / "model.safetensors")
    checkpoint.save(tmp_path / "model.safetensors", tensors, config | {"note": "x"})
    with pytest.raises(checkpoint.CheckpointError, match="note is 'x'"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["nplm", "word-nplm"])
def test_a_new_run_leaves_the_old_one_whole_until_it_is_saved(capsys, tmp_path, monkeypatch, kind):
    out, one, two = tmp_path / "out", tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("\n".join(FEW * 4))
    two.write_text("\n".join(reversed(FEW * 4)))
    line = ("train", kind)
    run(capsys, *line, one, "-o", out, *QUICK)
    before = files(out)

    def killed(*_, **__):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("fastgrad.training.loop.Loop._advance", killed)
        patch.setattr("fastgrad.training.loop.Loop._stop_early", lambda *_: None)
        with pytest.raises(RuntimeError):
            run(capsys, *line, two, "-o", out, *QUICK)
    assert files(out) == before
    told, _ = run(capsys, "train", "--resume", out)
    assert "none were left to make" in told
    assert str(one) in told


@pytest.mark.slow
def test_a_text_from_standard_input_does_not_take_the_place_of_another_runs(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fastgrad", "train", "nplm", "-", "-o", out, *map(str, QUICK)]
    for text in (FEW, FEW, FEW[::-1]):
        subprocess.run(command, input="\n".join(text * 4).encode(), check=True, capture_output=True)
    texts = sorted(name for name in os.listdir(out) if name.startswith("text"))
    assert len(texts) == 2
    assert (out / "text.txt").read_text().startswith(FEW[0])
    for file in ("model.safetensors.previous", "model.safetensors"):
        resumed = [sys.executable, "-m", "fastgrad", "train", "--resume", out / file]
        assert b"none were left" in subprocess.run(resumed, check=True, capture_output=True).stdout


def test_samples_steer_no_terminal_and_reach_files_as_they_are(capsys, tmp_path, monkeypatch):
    BigramModel(smoothing=0).fit(["\x1b[2J\x9b\u202e"]).save(tmp_path)
    assert "\x1b" in run(capsys, "sample", tmp_path, "-n", 3)[0]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out, _ = run(capsys, "sample", tmp_path, "-n", 3)
    assert "\\x1b[2J\\x9b\\u202e" in out
    assert not {"\x1b", "\x9b", "\u202e"} & set(out)


def test_messages_steer_no_terminal(capsys, tmp_path):
    text = tmp_path / "names\x1b[2J.txt"
    text.write_text("\n".join(FEW))
    out = tmp_path / "out\x1b]0;x\x07"
    told = run(capsys, "train", "bigram", text, "-o", out)[0]
    told += "".join(run(capsys, "sample", out, "-n", 1)[1])
    told += run(capsys, "eval", out)[0]
    told += refused(capsys, "sample", tmp_path / "no\x1bwhere")
    checkpoint.save(out / "model.safetensors", {"a\x1b[2J": np.zeros(1)}, {})
    told += refused(capsys, "sample", out)
    assert "\x1b" not in told
    assert "\\x1b[2J" in told


@pytest.mark.parametrize(("size", "order"), [(500, 3), (11_000, 2)])
def test_loading_makes_no_table_of_what_is_merely_claimed(size, order, tmp_path):
    characters = "".join(map(chr, range(0x4E00, 0x4E00 + size)))
    NgramModel(order=order).fit([characters[:2]]).save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors, config = checkpoint.load(path)
    checkpoint.save(path, tensors, config | {"vocab": {"characters": characters}})
    tracemalloc.start()
    model = load(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23
    assert len(model.vocab) == size + 1


def test_sizes_beyond_all_bounds_are_refused_before_anything_is_made():
    model = NPLM(Vocab.from_texts(FEW), hidden_dim=4)
    with pytest.raises(MemoryError, match="steps is 10000000000"):
        model.fit(FEW, steps=10**10, lr=lambda step: 0.1)
    with pytest.raises(ValueError, match=r"epochs is 1e\+300.*expected at most"):
        model.fit(FEW, epochs=1e300, lr=0.1)
