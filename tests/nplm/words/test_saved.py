"""The NPLM over words in files, and training that goes on from them."""

import pickle

import numpy as np
import pytest
from fastgrad import checkpoint
from fastgrad.models import WordNPLM, load
from fastgrad.optim.schedules import cosine
from fastgrad.text import WordVocab
from small_nplm import same


@pytest.mark.parametrize("tie_weights", [False, True])
def test_a_model_comes_back_from_its_file(parts, tmp_path, tie_weights):
    model = WordNPLM(
        parts[0].vocab,
        context_length=2,
        embedding_dim=4,
        hidden_dim=8,
        tie_weights=tie_weights,
        direct=True,
    )
    model.fit(parts[0], parts[1], steps=20, lr=0.01, batch_size=8)
    model.save(tmp_path)
    for back in (WordNPLM.load(tmp_path), load(tmp_path / "model.safetensors")):
        assert type(back) is WordNPLM
        assert back.vocab == model.vocab
        assert same(back, model)
        assert back.history.dev_loss.tolist() == model.history.dev_loss.tolist()
        assert back.sample(3, seed=4) == model.sample(3, seed=4)
    assert same(pickle.loads(pickle.dumps(model)), model)


def test_a_vocabulary_of_any_words_comes_back(tmp_path):
    words = ["<unk>", "</p>", "é", "日本", "'tis", '"', "\\n", *map(str, range(70_000))]
    vocab = WordVocab(words, tokenizer="simple", eos="paragraph")
    model = WordNPLM(vocab, context_length=1, embedding_dim=1, hidden_dim=1)
    model.save(tmp_path / "model.safetensors")
    assert WordNPLM.load(tmp_path / "model.safetensors").vocab == vocab


def test_files_from_before_there_were_ties_and_dropout_are_read(parts, tmp_path):
    path = tmp_path / "model.safetensors"
    model = WordNPLM(
        parts[0].vocab, context_length=3, embedding_dim=6, hidden_dim=16, tie_weights=False
    )
    model.fit(parts[0], steps=5, lr=0.1, checkpoint=path)
    tensors, config = checkpoint.load(path)
    config["shape"] = {
        "context": 3, "embedding": 6, "hidden": 16, "direct": False, "dtype": "float32",
    }  # fmt: skip
    config["training"]["batch"] = config["training"].pop("batch_size")
    del config["training"]["dropout"]
    checkpoint.save(path, tensors, config)
    assert same(WordNPLM.resume(path, parts[0]), model)


@pytest.mark.parametrize("damage", [None, "dtype", "bytes", "fewer"])
def test_damaged_words_are_refused(small, tmp_path, damage):
    path = tmp_path / "model.safetensors"
    small.save(path)
    tensors, config = checkpoint.load(path)
    words = tensors["vocab.words"]
    damaged = {
        None: None,
        "dtype": words.astype(np.int64),
        "bytes": np.full(9, 255, dtype=np.uint8),
        "fewer": words[:20],
    }[damage]
    del tensors["vocab.words"]
    if damaged is not None:
        tensors["vocab.words"] = damaged
    checkpoint.save(path, tensors, config)
    with pytest.raises(checkpoint.CheckpointError, match="damaged"):
        WordNPLM.load(path)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_interrupted_run_goes_on_bit_for_bit(parts, tmp_path, optimizer):
    train, dev, _ = parts
    settings = {"lr": cosine(0.02, 0.0, steps=100), "optimizer": optimizer, "batch_size": 16}
    settings |= {"seed": 3, "weight_decay": 0.01, "evaluate_every": 25}

    def fresh():
        return WordNPLM(train.vocab, context_length=3, embedding_dim=4, hidden_dim=8)

    def stop(progress):
        if progress.step == 50:
            raise KeyboardInterrupt

    whole = fresh()
    whole.fit(train, dev, steps=100, **settings)
    path = tmp_path / "model.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fresh().fit(train, dev, steps=100, callbacks=[stop], checkpoint=path, **settings)
    assert len(WordNPLM.load(path).history.loss) == 50
    resumed = WordNPLM.resume(path, train, dev)
    assert same(resumed, whole)
    assert resumed.history.loss.tolist() == whole.history.loss.tolist()
    with pytest.raises(ValueError, match="train is not what the run was started with"):
        WordNPLM.resume(path, dev)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_show(parts, threads):
    models = [
        WordNPLM(parts[0].vocab, context_length=2, embedding_dim=4, hidden_dim=8) for _ in range(2)
    ]
    for model, count in zip(models, (2, threads), strict=True):
        model.fit(parts[0], steps=30, lr=0.01, optimizer="adamw", threads=count)
    assert same(*models)
