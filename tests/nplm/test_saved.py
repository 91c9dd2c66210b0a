"""The neural probabilistic language model in files, and training that goes on from them."""

import pickle

import numpy as np
import pytest
from fastgrad import checkpoint
from fastgrad.models import NPLM
from fastgrad.optim.schedules import cosine
from fastgrad.text import Vocab
from small_nplm import FEW, SGD, lecture_model, same


def test_a_saved_model_comes_back_whole(small, tmp_path):
    small.fit(FEW, FEW, steps=40, **SGD)
    small.save(tmp_path)
    loaded = NPLM.load(tmp_path)
    assert same(loaded, small)
    assert (loaded.vocab, loaded.context_length) == (small.vocab, small.context_length)
    assert loaded.history.loss.tolist() == small.history.loss.tolist()
    assert loaded.history.lr.tolist() == small.history.lr.tolist()
    assert loaded.history.dev_loss.tolist() == small.history.dev_loss.tolist()
    assert loaded.history.stopped == "finished"
    told = r"model\.safetensors: holds a model without a training run; fit starts one"
    with pytest.raises(checkpoint.CheckpointError, match=told):
        NPLM.resume(tmp_path, FEW)
    again = pickle.loads(pickle.dumps(small))
    assert same(again, small)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("patience", [None, 50])
def test_a_resumed_run_is_bit_for_bit_the_whole_one(optimizer, patience, tmp_path):
    settings = {
        "lr": cosine(0.02, 0.001, 400),
        "steps": 400,
        "batch_size": 8,
        "optimizer": optimizer,
        "weight_decay": 0.01,
        "patience": patience,
        "seed": 5,
    }
    vocab = Vocab.from_texts(FEW)
    whole = lecture_model(vocab, hidden_dim=20)
    whole.fit(FEW, FEW, **settings)

    def interrupt(progress):
        if progress.step == 160:
            raise KeyboardInterrupt

    part = lecture_model(vocab, hidden_dim=20)
    with pytest.raises(KeyboardInterrupt, match=r"after 160 of 400 steps; saved in .*safetensors"):
        part.fit(
            FEW, FEW, **settings, checkpoint=tmp_path, callbacks=[interrupt], log=tmp_path / "log"
        )
    assert len(part.history.loss) == 160
    resumed = NPLM.resume(tmp_path, FEW, FEW, log=tmp_path / "log")
    assert same(resumed, whole)
    for name in ("loss", "lr", "dev_steps", "dev_loss"):
        assert getattr(resumed.history, name).tolist() == getattr(whole.history, name).tolist()
    assert same(NPLM.load(tmp_path), whole)
    # All saves were those of one run.
    assert not checkpoint.previous(tmp_path / "model.safetensors").exists()
    assert len((tmp_path / "log").read_text().splitlines()) == 20 + 2


def test_a_finished_run_is_resumed_to_itself(small, tmp_path):
    path = tmp_path / "done.safetensors"
    small.fit(FEW, FEW, steps=6, batch_size=8, lr=0.1, checkpoint=path)
    before = path.read_bytes()
    assert same(NPLM.resume(path, FEW, FEW), small)
    assert same(NPLM.load(path), small)
    assert path.read_bytes() == before
    longer = NPLM.resume(path, FEW, FEW, steps=9, lr=0.05)
    assert len(NPLM.load(path).history.loss) == len(longer.history.loss) == 9


def test_other_examples_are_not_resumed_on(small, tmp_path):
    small.fit(FEW, FEW, steps=40, **SGD, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="train is not what the run was started with"):
        NPLM.resume(tmp_path, FEW[1:], FEW)
    with pytest.raises(ValueError, match="dev is not what the run was started with"):
        NPLM.resume(tmp_path, FEW, FEW[1:])
    with pytest.raises(ValueError, match="steps is 50, but learning rates were saved for 40"):
        NPLM.resume(tmp_path, FEW, FEW, steps=50)
    longer = NPLM.resume(tmp_path, FEW, FEW, steps=50, lr=0.01)
    assert longer.history.lr.tolist() == [0.1] * 40 + [0.01] * 10


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("shape", "hidden_dim"), 11, r"H is \(12, 8\)"),
        (("shape", "hidden_dim"), 10**30, "H is"),
        (("shape", "dtype"), "float16", "dtype is 'float16'"),
        (("shape", "extra"), 1, "extra"),
        (("shape",), [], "damaged"),
        (("vocab",), {"characters": "zz"}, "vocabulary"),
        (("vocab",), {"characters": "abc"}, "C is"),
        (("training", "batch_size"), 0, "batch_size is 0"),
        (("training", "seed"), -1, "seed is -1"),
        (("training", "optimizer"), {"optimizer": "magic"}, "optimizer is 'magic'"),
        (("training", "optimizer"), {"optimizer": "adamw"}, "optimizer.mean.C is missing"),
        (("training", "steps"), 39, "steps is 39, but the history has 40"),
        (("training",), 7, "settings of the training are 7"),
    ],
)
def test_checkpoints_are_checked_when_loaded(small, tmp_path, place, value, message):
    path = tmp_path / "model.safetensors"
    small.fit(FEW, steps=40, **SGD, checkpoint=path)
    tensors, config = checkpoint.load(path)
    *outer, last = place
    target = config
    for name in outer:
        target = target[name]
    target[last] = value
    checkpoint.save(path, tensors, config)
    with pytest.raises(checkpoint.CheckpointError, match=message):
        NPLM.load(path)


def test_checkpoints_with_bad_numbers_are_refused(small, tmp_path):
    path = tmp_path / "model.safetensors"
    small.fit(FEW, steps=40, **SGD, checkpoint=path, optimizer="adamw")
    tensors, config = checkpoint.load(path)
    for name, wrong in (
        ("C", tensors["C"] * np.float32(np.nan)),
        ("optimizer.mean.H", tensors["optimizer.mean.H"][:, 1:]),
        ("b", tensors["b"].astype(np.float64)),
    ):
        checkpoint.save(path, tensors | {name: wrong}, config)
        with pytest.raises(checkpoint.CheckpointError, match=name):
            NPLM.load(path)
