"""A run that is interrupted and resumed has the history and the evaluations of one that is not."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from fastgrad import checkpoint
from fastgrad.models import NPLM, WordNPLM
from fastgrad.optim.schedules import cosine
from fastgrad.text import Vocab, read_words
from fastgrad.training import loop
from hypothesis import given
from hypothesis import strategies as st
from small_nplm import FEW, same
from toy_run import ToyRun, resume, train


class Told(list):
    """Remembers what callbacks are told, and interrupts after some of it."""

    def __init__(self, interrupt_at=None):
        super().__init__()
        self.interrupt_at = interrupt_at

    def __call__(self, progress):
        self.append((progress.step, progress.loss, progress.dev_loss, progress.lr))
        if progress.step == self.interrupt_at:
            raise KeyboardInterrupt


def histories_agree(one, other):
    return all(
        getattr(one, name).tolist() == getattr(other, name).tolist()
        for name in ("loss", "lr", "dev_steps", "dev_loss")
    )


@pytest.mark.slow
@given(
    st.lists(st.integers(0, 39), max_size=3),
    st.booleans(),
    st.sampled_from([None, 2]),
    st.integers(1, 13),
)
def test_evaluations_of_an_interrupted_run_are_those_of_a_whole_one(points, dev, patience, every):
    patience = patience if dev else None
    settings = {"lr": cosine(0.3, 0.0, 40), "evaluate_every": every, "patience": patience}
    expected, whole = Told(), ToyRun(x=1.0, dev=dev)
    history = train(whole, callbacks=[expected], **settings)
    run, told, saved = ToyRun(x=1.0, dev=dev), Told(), None
    for point in [*sorted(points), None]:
        run.interrupt_at = point
        try:
            if saved is None:
                found = train(run, callbacks=[told], checkpoint="toy.safetensors", **settings)
            else:
                found = resume(run, saved, callbacks=[told], checkpoint="toy.safetensors")
        except KeyboardInterrupt:
            saved = run.saved[-1]
        else:
            break
    assert told == expected
    assert run.x[0] == whole.x[0]
    assert histories_agree(found, history)
    assert found.stopped == history.stopped


def fit(kind, callbacks=(), **more):
    if kind == "words":
        text = read_words(b"the cat sat on the mat and the dog sat on the cat " * 9)
        train_part, dev, vocab = *text.split(70, 20)[:2], text.vocab
    else:
        train_part, dev, vocab = FEW, FEW[:3], Vocab.from_texts(FEW)
    model = (WordNPLM if kind == "words" else NPLM)(vocab, hidden_dim=6, embedding_dim=4)
    parts = [train_part] if more.pop("no_dev", False) else [train_part, dev]
    model.fit(*parts, lr=0.1, batch_size=8, callbacks=callbacks, **more)
    return model, parts


@pytest.mark.parametrize("kind", ["characters", "words"])
@pytest.mark.parametrize("length", [{"steps": 60}, {"epochs": 6}])
@pytest.mark.parametrize("no_dev", [True, False])
def test_models_too(kind, length, no_dev, tmp_path):
    expected = Told()
    whole, parts = fit(kind, [expected], no_dev=no_dev, **length)
    points = sorted({expected[0][0], expected[len(expected) // 2][0], expected[-1][0]})
    told = Told(points[0])
    with pytest.raises(KeyboardInterrupt):
        fit(kind, [told], no_dev=no_dev, checkpoint=tmp_path, log=tmp_path / "log", **length)
    for point in [*points[1:], None]:
        told.interrupt_at = point
        with contextlib.suppress(KeyboardInterrupt):
            model = type(whole).resume(tmp_path, *parts, callbacks=[told], log=tmp_path / "log")
    assert told == expected
    assert same(model, whole)
    assert histories_agree(model.history, whole.history)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    logged = [(line["step"], line["loss"]) for line in lines if "event" not in line]
    assert logged == [(step, loss) for step, loss, *_ in expected]


@pytest.mark.parametrize("no_dev", [True, False])
def test_resuming_a_finished_run_changes_nothing(no_dev, tmp_path):
    log = tmp_path / "log"
    for _ in range(2):  # The second time there is a run before it.
        model, parts = fit("letters", no_dev=no_dev, steps=35, checkpoint=tmp_path, log=log)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    told = Told()
    again = NPLM.resume(tmp_path, *parts, callbacks=[told], log=log)
    assert told == []
    assert same(again, model)
    assert histories_agree(again.history, model.history)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_checkpoints_of_earlier_versions_are_resumed(tmp_path):
    whole, parts = fit("letters", no_dev=True, steps=40, evaluate_every=10)
    with pytest.raises(KeyboardInterrupt):
        fit("letters", [Told(20)], no_dev=True, steps=40, evaluate_every=10, checkpoint=tmp_path)
    tensors, config = checkpoint.load(tmp_path / "model.safetensors")
    del config["training"]["evaluated"]
    checkpoint.save(tmp_path / "model.safetensors", tensors, config)
    told = Told()
    assert same(NPLM.resume(tmp_path, *parts, callbacks=[told]), whole)
    assert [step for step, *_ in told] == [30, 40]


@pytest.mark.parametrize("wrong", [{"evaluated": 41}, {"evaluated": -1}, {"evaluated": "x"}])
def test_a_number_of_steps_that_cannot_be_is_refused(wrong, tmp_path):
    fit("letters", steps=40, checkpoint=tmp_path)
    tensors, config = checkpoint.load(tmp_path / "model.safetensors")
    config["training"] |= wrong
    checkpoint.save(tmp_path / "model.safetensors", tensors, config)
    with pytest.raises(checkpoint.CheckpointError, match="evaluated"):
        NPLM.load(tmp_path)


def test_ctrl_c_before_the_first_step_leaves_the_file_that_is_there(tmp_path):
    fit("letters", steps=20, checkpoint=tmp_path, log=tmp_path / "log")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run = ToyRun(interrupt_at=0)
    with pytest.raises(KeyboardInterrupt, match=r"this was not saved: .* is what it was"):
        train(run, checkpoint=tmp_path / "model.safetensors", log=tmp_path / "log")
    assert run.saved == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_ctrl_c_while_saving_has_the_save_made_again(tmp_path):
    class Pressed(ToyRun):
        times = 1

        def save(self, *arguments, **settings):
            if self.times:
                self.times -= 1
                raise KeyboardInterrupt
            super().save(*arguments, **settings)

    run = Pressed()
    with pytest.raises(KeyboardInterrupt, match="after 0 of 40 steps"):
        train(run, checkpoint=tmp_path / "toy")
    (tmp_path / "toy").touch()
    run = Pressed()
    with pytest.raises(KeyboardInterrupt, match="after 40 of 40 steps; saved in"):
        train(run, checkpoint=tmp_path / "toy")
    assert len(run.saved) == 1
    run = Pressed()
    run.times = 2
    with pytest.raises(KeyboardInterrupt, match="after 40 of 40 steps; this was not saved"):
        train(run, checkpoint=tmp_path / "toy")


def test_what_fails_on_the_way_is_saved_as_far_as_it_came(tmp_path, monkeypatch):
    class Failing(ToyRun):
        def train(self, first_step, lrs):
            if first_step >= 20:
                self.x[0] = 1e9
                raise MemoryError("no room")
            return super().train(first_step, lrs)

    run = Failing()
    with pytest.raises(MemoryError, match="no room"):
        train(run, evaluate_every=10, checkpoint=tmp_path / "toy")
    expected = ToyRun()
    train(expected, steps=20)
    assert run.saved[-1][1]["x"][0] == run.x[0] == expected.x[0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_log_that_cannot_be_written_is_named_and_the_run_is_saved(tmp_path):
    run = ToyRun()
    with pytest.raises(OSError, match="No space left") as caught:
        train(run, evaluate_every=10, checkpoint=tmp_path / "toy", log="/dev/full")
    assert caught.value.filename == "/dev/full"


def test_the_log_of_an_earlier_run_stays_until_this_one_is_saved(tmp_path, monkeypatch):
    place, log = tmp_path / "toy", tmp_path / "log"
    place.touch()
    log.write_text("earlier\n")
    seen = []
    run = ToyRun()
    train(run, evaluate_every=10, checkpoint=place, log=log, callbacks=[
        lambda progress: seen.append(log.read_text())
    ])  # fmt: skip
    assert seen == ["earlier\n"] * 4
    assert len(log.read_text().splitlines()) == 5


def test_the_bar_goes_back_with_what_is_taken_back(monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "_CHUNK", 0.0)
    moves = []

    class Bar:
        def __init__(self, total, initial, **_):
            self.n = initial

        def update(self, steps):
            self.n += steps
            moves.append(self.n)

        def set_postfix_str(self, _, refresh):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("tqdm.tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        train(ToyRun(interrupt_at=17), progress=True)
    assert moves == sorted(set(moves))
    assert moves[-1] <= 17


KILLED = """
import sys
from fastgrad.models import NPLM
from fastgrad.text import Vocab
from fastgrad.training import loop
loop._SAVE_EVERY, loop._SAVINGS, loop._CHUNK = -1.0, 0, 0.001
names = ["emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia"]
def told(progress):
    print(progress.step, flush=True)
model = NPLM(Vocab.from_texts(names), hidden_dim=10)
model.fit(names, steps=40_000, lr=0.05, batch_size=4, checkpoint=sys.argv[1], callbacks=[told],
          evaluate_every=500)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_is_resumed_to_the_same_history(number, tmp_path):
    names = ["emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia"]
    path = tmp_path / "run.safetensors"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(number)
    told, expected = Told(), Told()
    model = NPLM.resume(path, names, callbacks=[told])
    whole = NPLM(Vocab.from_texts(names), hidden_dim=10)
    whole.fit(names, steps=40_000, lr=0.05, batch_size=4, callbacks=[expected], evaluate_every=500)
    assert same(model, whole)
    assert histories_agree(model.history, whole.history)
    assert 0 < len(told) < len(expected)
    assert told == expected[-len(told) :]
    assert [name for name in os.listdir(tmp_path) if name.endswith(("saving", "keeping"))] == []
    assert np.isfinite(model.history.loss).all()
