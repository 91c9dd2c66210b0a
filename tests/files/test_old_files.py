"""Files of earlier versions are read, whatever their keys were called then."""

import fastgrad
import numpy as np
import pytest
from fastgrad import checkpoint
from fastgrad.models import NPLM, BigramModel, NeuralBigram, NgramModel, WordNPLM
from fastgrad.text import Vocab, WordText, WordVocab

NAMES = ["emma", "ava"]
VOCAB = Vocab.from_texts(NAMES)
HISTORY = {
    "history.loss": np.array([3.0, 2.0]),
    "history.rate": np.array([0.1]),
    "history.rate_step": np.array([0]),
    "history.dev_loss": np.empty(0),
    "history.dev_step": np.empty(0, dtype=np.int64),
}
SHAPE = {"context": 2, "embedding": 3, "hidden": 4, "direct": False, "dtype": "float32"}


def loaded(folder, tensors, config):
    checkpoint.save(folder / "m", tensors, config)
    return fastgrad.load(folder / "m")


@pytest.mark.parametrize("order", [2, 3])
def test_counts(tmp_path, order):
    expected = NgramModel(order, 0.5).fit(NAMES)
    ids, times = expected.counts.nonzero()
    config = {"model": "bigram", "order": order, "smoothing": 0.5, "items": 2}
    config["vocab"] = {"characters": "aemv"}
    tensors = {"ids": ids, "counts": times.astype(np.uint64)}
    model = loaded(tmp_path, tensors, config)
    assert type(model) is (BigramModel if order == 2 else NgramModel)
    assert (model.P == expected.P).all()


def test_weights_of_a_neural_bigram(tmp_path):
    weights = np.random.default_rng(0).normal(size=(5, 5))
    tensors = {"weights": weights, "history": np.array([3.0, 2.0, 1.5])}
    config = {"model": "neural bigram", "vocab": {"characters": "aemv"}}
    model = loaded(tmp_path, tensors, config)
    assert isinstance(model, NeuralBigram)
    assert (weights == model.W).all()
    # The loss after the last step was there as well.
    assert model.history.loss.tolist() == [3.0, 2.0]
    assert np.isnan(model.history.lr).tolist() == [True, True]


def test_a_network_of_characters(tmp_path):
    expected = NPLM(VOCAB, context_length=2, embedding_dim=3, hidden_dim=4, seed=1)
    config = {
        "model": "nplm",
        "vocab": {"characters": "aemv"},
        "shape": SHAPE,
        "stopped": "finished",
        "training": None,
        "note": {"seed": 3},
    }
    model = loaded(tmp_path, expected._parameters | HISTORY, config)
    assert model.config == {
        "context_length": 2,
        "embedding_dim": 3,
        "hidden_dim": 4,
        "direct": False,
        "tie_weights": False,
        "dtype": "float32",
    }
    assert model.loss(NAMES) == expected.loss(NAMES)
    assert model.history.lr.tolist() == [0.1, 0.1]
    assert model.note == {"seed": 3}


@pytest.mark.parametrize("tied", [False, True])
def test_a_network_of_words(tmp_path, tied):
    vocab = WordVocab(["<rare>", "</s>", "a", "b"], eos="line")
    expected = WordNPLM(
        vocab, context_length=2, embedding_dim=3, hidden_dim=4, tie_weights=tied, seed=1
    )
    config = {
        "model": "word nplm",
        "vocab": {"tokenizer": "space", "marks": "line"},
        "shape": SHAPE | {"tied": True} if tied else SHAPE,
        "stopped": "",
        "training": None,
    }
    words = np.frombuffer(b"<rare>\n</s>\na\nb", dtype=np.uint8)
    model = loaded(tmp_path, expected._parameters | HISTORY | {"vocab.words": words}, config)
    assert model.vocab == vocab
    assert model.vocab.unk_token == "<rare>"
    text = WordText(vocab, [2, 3, 1, 2])
    assert model.loss(text) == expected.loss(text)


def test_the_checkpoint_of_a_run_is_gone_on_from(tmp_path):
    """The file of a run of today, with the keys of an earlier version, gives the same end."""
    path = tmp_path / "m"
    options = {"lr": 0.1, "batch_size": 4, "optimizer": "adamw", "seed": 2}
    model = NPLM(context_length=2, embedding_dim=3, hidden_dim=4, seed=1)
    model.fit(NAMES, NAMES, steps=6, checkpoint=path, **options)
    tensors, config = checkpoint.load(path)
    old = {
        "history.lr": "history.rate",
        "history.lr_step": "history.rate_step",
        "plan.lr": "plan.rate",
        "plan.lr_step": "plan.rate_step",
        "context_length": "context",
        "embedding_dim": "embedding",
        "hidden_dim": "hidden",
        "tie_weights": "tied",
        "batch_size": "batch",
    }

    def renamed(values):
        return {old.get(name, name): value for name, value in values.items()}

    assert "context_length" in config["shape"]
    assert "batch_size" in config["training"]
    config |= {"shape": renamed(config["shape"]), "training": renamed(config["training"])}
    checkpoint.save(path, renamed(tensors), config)
    assert fastgrad.load(path).loss(NAMES) == model.loss(NAMES)
    longer = NPLM.resume(path, NAMES, NAMES, steps=10, lr=0.1)
    whole = NPLM(context_length=2, embedding_dim=3, hidden_dim=4, seed=1)
    whole.fit(NAMES, NAMES, steps=10, **options)
    assert longer.history.steps == 10
    assert (longer.C == whole.C).all()
