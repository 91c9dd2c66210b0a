"""The neural probabilistic language model: what it is, learns and says."""

import math

import numpy as np
import pytest
from fastgrad import datasets
from fastgrad.base import LanguageModel, Trainable
from fastgrad.models import NPLM
from fastgrad.models.nplm import examples
from fastgrad.text import Vocab, build_dataset, read_lines, split
from fastgrad.training import lr_find
from small_nplm import ALPHABET, FEW, SGD, arrays, lecture_model, same


@pytest.fixture(scope="module")
def parts():
    """The bundled names as the commands split them: text for train and dev."""
    train, dev, _ = split(datasets.names(), seed=0)
    return train, dev


# What it is.


def test_the_lectures_network_has_11897_parameters():
    model = NPLM(ALPHABET, context_length=3, embedding_dim=10, hidden_dim=200)
    assert model.num_parameters() == 11_897 == sum(p.size for p in arrays(model).values())
    shapes = {name: p.shape for name, p in arrays(model).items()}
    assert shapes == {"C": (27, 10), "H": (200, 30), "d": (200,), "U": (27, 200), "b": (27,)}
    assert repr(model) == (
        "NPLM(context_length=3, embedding_dim=10, hidden_dim=200; V = 27, 11,897 parameters of"
        " float32)"
    )


def test_direct_connections_come_on_top():
    model = lecture_model(direct=True, dtype="float64")
    assert model.W.shape == (27, 30)
    assert model.num_parameters() == 11_897 + 27 * 30
    assert "direct=True" in repr(model)
    with pytest.raises(AttributeError, match="no direct connections"):
        _ = lecture_model().W


def test_it_is_a_language_model_that_can_be_trained(small):
    assert isinstance(small, LanguageModel)
    assert isinstance(small, Trainable)


def test_the_lectures_split_has_its_examples(names_file):
    parts = split(read_lines(names_file), method="makemore")
    sizes = [build_dataset(part, ALPHABET, 3)[0].shape for part in parts]
    assert sizes == [(182_625, 3), (22_655, 3), (22_866, 3)]


def test_scaled_starts_at_the_loss_of_a_uniform_guess_and_the_lecture_far_above(parts):
    uniform = math.log(27)
    assert lecture_model().loss(parts[1]) == pytest.approx(uniform, abs=0.02)
    assert lecture_model(hidden_dim=1000).loss(parts[1]) == pytest.approx(uniform, abs=0.02)
    assert 15 < lecture_model(init="normal").loss(parts[1]) < 35


def test_scaled_spreads():
    model = lecture_model(embedding_dim=30, hidden_dim=2000, direct=True)
    spreads = {name: float(p.std()) for name, p in arrays(model).items()}
    expected = {
        "C": 1.0,
        "H": 5 / 3 / math.sqrt(90),
        "d": 0.0,
        "U": 0.1 / math.sqrt(2000),
        "b": 0.0,
        "W": 0.1 / math.sqrt(90),
    }
    assert spreads == pytest.approx(expected, rel=0.05)
    assert not np.signbit(model.d).any()


def test_a_seed_gives_one_network_everywhere():
    model = lecture_model(seed=7)
    assert same(model, lecture_model(seed=7))
    assert not same(model, lecture_model(seed=8))
    # PCG64's first normal numbers: numpy promises not to change them.
    assert lecture_model(seed=7, dtype="float64").C[0, :2].tolist() == [
        0.0012301533574825742,
        0.2987455375084699,
    ]
    wide = lecture_model(seed=7, dtype="float64")
    assert all(
        (arrays(wide)[name].astype(np.float32) == p).all() for name, p in arrays(model).items()
    )


# What it learns.


@pytest.mark.slow
def test_a_short_training_brings_the_losses_down(parts):
    train, dev = parts
    model = lecture_model(seed=1)
    lrs = [(0, 0.1), (3000, 0.01)]
    assert model.fit(train, dev, steps=4000, lr=lrs, batch_size=32, seed=1) is model
    history = model.history
    assert history.loss.shape == history.lr.shape == (4000,)
    assert history.dev_steps.tolist() == list(range(200, 4001, 200))
    # ln 27 = 3.296 at first; bigrams reach 2.454.
    assert history.loss[:10].mean() > 2.9
    assert history.dev_loss[0] < 2.75
    assert history.dev_loss[-1] < 2.36
    assert model.loss(dev) == history.dev_loss[-1]
    assert abs(model.loss(train) - model.loss(dev)) < 0.05
    assert model.perplexity(dev) == pytest.approx(math.exp(model.loss(dev)))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("shape", [{}, {"direct": True}, {"direct": True, "hidden_dim": 0}])
def test_every_optimizer_and_shape_learns_by_heart(optimizer, shape):
    model = lecture_model(Vocab.from_texts(FEW), **{"hidden_dim": 30} | shape, dtype="float64")
    lr = {"sgd": 0.2, "momentum": 0.05, "adamw": 0.01}[optimizer]
    model.fit(FEW, steps=600, batch_size=16, lr=lr, optimizer=optimizer)
    # The entropy of the first characters alone is 0.4 per token.
    assert model.loss(FEW) < 0.75


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_weight_decay_leaves_the_biases_alone(optimizer):
    settings = {"steps": 1, "lr": 0.1, "optimizer": optimizer, "batch_size": 8}
    shape = {"hidden_dim": 20, "direct": True, "init": "normal", "dtype": "float64"}
    plain = lecture_model(Vocab.from_texts(FEW), **shape)
    start, decayed = plain.copy(), plain.copy()
    plain.fit(FEW, **settings, weight_decay=0.0)
    decayed.fit(FEW, **settings, weight_decay=0.5)
    for name in "db":
        assert (arrays(plain)[name] == arrays(decayed)[name]).all()
    for name in "HUW":
        expected = arrays(plain)[name] - 0.1 * 0.5 * arrays(start)[name]
        assert arrays(decayed)[name] == pytest.approx(expected, abs=1e-12)


def test_results_do_not_depend_on_threads_or_on_evaluations(parts):
    train, dev = build_dataset(parts[0], ALPHABET, 3), build_dataset(parts[1][:200], ALPHABET, 3)
    models = []
    for threads, every in ((1, None), (2, 7), (3, 300)):
        models.append(lecture_model(hidden_dim=50))
        models[-1].fit(train, dev, steps=300, **SGD, threads=threads, evaluate_every=every)
    assert same(models[0], models[1])
    assert same(models[0], models[2])
    assert models[0].history.loss.tolist() == models[1].history.loss.tolist()


def test_arrays_and_text_are_the_same_examples(small):
    other = small.copy()
    small.fit(FEW, FEW, steps=50, **SGD)
    other.fit(build_dataset(FEW, other.vocab, 2), "\n".join(FEW).encode(), steps=50, **SGD)
    assert same(small, other)
    assert small.loss(FEW) == other.loss(build_dataset(FEW, other.vocab, 2))


def test_early_stopping_keeps_the_best(small):
    small.fit(FEW[:5], FEW[5:], steps=5000, lr=0.3, batch_size=8, evaluate_every=20, patience=4)
    history = small.history
    assert history.stopped == "stopped early"
    assert len(history.loss) < 5000
    assert small.loss(FEW[5:]) == history.dev_loss.min()


def test_the_finder_leaves_the_model_alone(parts):
    model = lecture_model()
    before = model.copy()
    sweep = lr_find(model, parts[0][:5000], steps=1000, batch_size=32)
    assert same(model, before)
    assert sweep.lrs[[0, -1]].tolist() == [0.001, 1.0]
    # The lecture finds 0.1.
    assert 0.03 < sweep.best() < 0.9
    smooth = sweep.smooth()
    assert smooth[:50].mean() > smooth.min() + 0.3


# What it says.


def test_probabilities_are_those_of_the_formula():
    model = lecture_model(context_length=2, direct=True, init="normal", dtype="float64")
    x = np.concatenate([model.C[0], model.C[ALPHABET.encode("q")[0]]])
    y = model.b + model.W @ x + model.U @ np.tanh(model.d + model.H @ x)
    expected = np.exp(y - y.max()) / np.exp(y - y.max()).sum()
    assert model.next_probs("q") == pytest.approx(expected, rel=1e-12)
    assert model.next_probs("q").dtype == np.float64


def test_only_the_end_of_a_context_counts(small):
    assert (small.next_probs("emma") == small.next_probs("ma")).all()
    contexts = np.array([[0, 0], [0, 3]], dtype=np.uint32)
    rows = small.next_probs(contexts)
    assert rows.shape == (2, len(small.vocab))
    assert rows.sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    assert rows[0] == pytest.approx(small.next_probs(), abs=1e-6)
    token = small.vocab.itos[3]
    assert rows[1] == pytest.approx(small.next_probs(token), abs=1e-6)


def test_the_loss_is_the_mean_over_tokens(small):
    contexts, following = build_dataset(FEW, small.vocab, 2)
    rows = small.next_probs(contexts)
    expected = -np.log(rows[np.arange(len(following)), following]).mean()
    assert small.loss(FEW) == pytest.approx(expected, rel=1e-6)


def test_a_long_text_is_measured_block_by_block(small, monkeypatch):
    whole = small.loss(FEW)
    monkeypatch.setattr(examples, "_BLOCK", 7)
    assert small.loss(FEW) == pytest.approx(whole, rel=1e-7)
    assert small.loss(iter(FEW)) == small.loss("\n".join(FEW).encode()) == small.loss(FEW)


def test_the_table_holds_every_context_and_follows_the_parameters(small):
    size = len(small.vocab)
    table = small.table()
    assert table.shape == (size**2, size)
    assert not table.flags.writeable
    last = small.vocab.itos[-1]
    assert table[3 * size + size - 1] == pytest.approx(
        small.next_probs(small.vocab.itos[3] + last), abs=1e-6
    )
    assert small.table() is table
    small.b[2] += 1
    assert small.table() is not table
    assert lecture_model(context_length=4).table() is None


def test_samples_follow_the_seed(small):
    small.fit(FEW, steps=300, lr=0.2, batch_size=8)
    names = small.sample(50, seed=3)
    assert names == small.sample(50, seed=3) != small.sample(50, seed=4)
    assert len(names) == 50
    assert set("".join(names)) <= set("".join(FEW))
    assert set(names) & set(FEW)


def test_samples_without_a_table():
    model = lecture_model(Vocab.from_texts(FEW), context_length=9, hidden_dim=20)
    assert model.table() is None
    model.fit(FEW, steps=300, lr=0.2, batch_size=8)
    assert set(model.sample(30, seed=3)) & set(FEW)


def test_most_similar_is_by_cosine(small):
    small.C[:] = 0.0
    small.C[:, 0] = 1.0
    small.C[:, 1] = np.arange(len(small.vocab))
    small.C[5] *= 10  # Length does not matter.
    nearest = small.most_similar(small.vocab.itos[4], k=3)
    assert [token for token, _ in nearest] == [small.vocab.itos[i] for i in (5, 3, 6)]
    assert nearest[0][1] == pytest.approx((1 + 4 * 5) / math.sqrt(17 * 26), rel=1e-6)
    assert small.embeddings is small.C
    with pytest.raises(ValueError, match="token is 'ß'"):
        small.most_similar("ß")
    with pytest.raises(ValueError, match="k is 0"):
        small.most_similar("a", k=0)
    with pytest.raises(ValueError, match="k is 12;"):
        small.most_similar("a", k=len(small.vocab))
    with pytest.raises(TypeError, match=r"k is 2.5;"):
        small.most_similar("a", k=2.5)
