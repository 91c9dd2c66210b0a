"""The neural bigram learns what counting knows: makemore, part 1."""

import math
import pickle
import runpy
import tempfile
from random import Random

import numpy as np
import pytest
from fastgrad import checkpoint, models
from fastgrad._core import bigram_loss_and_gradient
from fastgrad.base import LanguageModel
from fastgrad.checkpoint import CheckpointError
from fastgrad.models import BigramModel, NeuralBigram, NgramCounts, NgramModel
from fastgrad.text import Vocab
from hypothesis import given, settings
from hypothesis import strategies as st

ITEMS = st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=8)


# --- The lecture's numbers -------------------------------------------------------------------


def test_the_lectures_optimum(names_counts, names_file):
    model = NeuralBigram().fit(names_file)
    assert model.history.loss[-1] == pytest.approx(2.480399, abs=1e-6)
    assert model.loss(names_file) == pytest.approx(2.460362, abs=1e-6)
    assert model.history.loss[0] == pytest.approx(math.log(27), rel=1e-12)
    l2 = 0.01 * (model.W**2).mean()
    assert model.loss(names_counts) + l2 == pytest.approx(2.480399, abs=1e-6)
    # The loss before a step that changes nothing is that of the model, and the l2 term.
    loss = model.loss(names_counts) + l2
    after = model.fit(names_counts, steps=1, lr=0.0).history.loss
    assert after.tolist() == pytest.approx([loss], rel=1e-12)


def test_it_finds_the_counting_model(names_counts):
    model = NeuralBigram().fit(names_counts, l2=0)
    assert model.loss(names_counts) == pytest.approx(2.454014489154874, abs=1e-6)
    assert model.history.loss[-1] == pytest.approx(model.loss(names_counts), rel=1e-9)
    assert model.table() == pytest.approx(BigramModel(0).fit(names_counts).table(), abs=2e-3)


def test_the_lectures_own_steps(names_counts):
    """A rate of 50 and 100 steps take the lecture from a random start to about 2.49."""
    model = NeuralBigram().fit(names_counts, steps=100, lr=50)
    losses = model.history.loss
    assert losses.shape == (100,)
    assert model.history.lr.tolist() == [50.0] * 100
    assert model.history.steps == 100
    assert model.loss(names_counts) + 0.01 * (model.W**2).mean() < min(2.49, losses[-1])
    assert (np.diff(losses) < 0).all()


def test_trigrams_too(names_file):
    counts = NgramCounts(names_file, order=3)
    model = NeuralBigram(3).fit(counts, steps=100, l2=0)
    assert model.W.shape == (729, 27)
    assert 2.185743 < model.loss(counts) < 2.2
    assert model.context_length == 2


@pytest.fixture(scope="module")
def example(project_root):
    return runpy.run_path(str(project_root / "examples" / "neural_bigram.py"))


def test_every_step_is_that_of_scalar_values(example):
    vocab = Vocab.from_texts(example["NAMES"])
    weights = example["zero_weights"](len(vocab))
    pairs = example["bigrams_of"](example["NAMES"], vocab)
    history = example["train"](weights, pairs, 20, 10.0, 0.01)
    model = NeuralBigram().fit(example["NAMES"], steps=20, lr=10.0, l2=0.01)
    assert model.history.loss == pytest.approx(history[:20], rel=1e-12)
    scalars = np.array([[weight.data for weight in row] for row in weights])
    np.testing.assert_allclose(model.W, scalars, rtol=1e-10, atol=1e-12)


@settings(max_examples=30)
@given(ITEMS, st.floats(0, 1), st.integers(0, 2**32))
def test_every_gradient_is_that_of_scalar_values(example, items, penalty, seed):
    counts = NgramCounts(items)
    random = Random(seed)
    weights = example["zero_weights"](len(counts.vocab))
    for row in weights:
        for weight in row:
            weight.data = random.gauss(0, 2)
    loss = example["loss_of"](weights, example["bigrams_of"](items, counts.vocab), penalty)
    loss.backward()
    given_weights = np.array([[weight.data for weight in row] for row in weights])
    ids, times = counts.nonzero()
    found = bigram_loss_and_gradient(given_weights, ids, times.astype(np.uint64), penalty)
    total, data, gradient = found
    assert total == pytest.approx(loss.data, rel=1e-12)
    assert data == pytest.approx(of_weights(given_weights, counts.vocab).loss(counts), rel=1e-12)
    expected = np.array([[weight.grad for weight in row] for row in weights])
    assert gradient == pytest.approx(expected, rel=1e-12, abs=1e-14)


# --- Properties ------------------------------------------------------------------------------


@pytest.mark.slow
@given(ITEMS, st.sampled_from([2, 3]), st.sampled_from([0.0, 0.1]))
def test_no_step_does_better_than_the_counts(items, order, l2):
    counts = NgramCounts(items, order=order)
    model = NeuralBigram(order).fit(counts, steps=50, l2=l2)
    assert model.order == order
    assert model.loss(counts) >= NgramModel(order, 0).fit(counts).loss(counts) - 1e-12
    loss, before = model.loss(counts), model.W
    assert loss + l2 * (model.W**2).mean() <= model.history.loss[0] + 1e-12
    assert np.isclose(model.table().sum(axis=1), 1).all()
    assert np.isfinite(loss)
    going_on = model.fit(counts, steps=1, l2=l2).history.loss[0]
    assert going_on == pytest.approx(loss + l2 * (before**2).mean(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"lr": 1.0, "momentum": 0.9}, {"lr": 5.0, "batch_size": 7}]
)
def test_training_is_the_same_however_it_is_watched(options):
    items = ["emma", "olivia", "ava"]
    first = NeuralBigram().fit(items, steps=333, **options)
    second = NeuralBigram().fit(items, steps=333, progress=True, **options)
    assert (first.W == second.W).all()
    assert (first.history.loss == second.history.loss).all()
    assert first.history.steps == 333


def test_draws_follow_the_seed():
    options = {"steps": 20, "lr": 1.0, "batch_size": 4}
    first, again, other = (NeuralBigram().fit(["emma"], seed=s, **options) for s in (1, 1, 2))
    assert (first.W == again.W).all()
    assert (first.W != other.W).any()


def test_no_steps_leave_equal_chances():
    model = NeuralBigram().fit(["emma"], steps=0)
    assert model.next_probs().tolist() == [0.25] * 4
    assert model.history.steps == 0
    assert model.loss(["emma"]) == pytest.approx(math.log(4))
    assert model.unseen(["mae"]) == []


# --- Objects and files -----------------------------------------------------------------------


def test_it_is_a_language_model_and_comes_back_from_a_file(tmp_path):
    model = NeuralBigram().fit(["emma", "ava"], steps=20)
    assert isinstance(model, LanguageModel)
    assert repr(model) == "NeuralBigram(order=2; 5 tokens, 20 steps)"
    model.save(tmp_path)
    for loaded in (models.load(tmp_path), NeuralBigram.load(tmp_path), _copied(model)):
        assert isinstance(loaded, NeuralBigram)
        assert loaded.vocab == model.vocab
        assert (loaded.W == model.W).all()
        assert (loaded.history.loss == model.history.loss).all()
        np.testing.assert_array_equal(loaded.history.lr, model.history.lr)
        assert (loaded.table() == model.table()).all()
    with pytest.raises(CheckpointError, match="holds a model 'neural bigram';"):
        BigramModel.load(tmp_path)


def _copied(model):
    return pickle.loads(pickle.dumps(model))


def of_weights(weights, vocab=None):
    """Return the model of a file that holds such weights."""
    with tempfile.TemporaryDirectory() as folder:
        tensors = {"weights": np.asarray(weights), "loss": np.zeros(0), "lr": np.zeros(0)}
        config = {"model": "neural bigram", "vocab": (vocab or Vocab("a")).to_config()}
        checkpoint.save(f"{folder}/m", tensors, config)
        return NeuralBigram.load(f"{folder}/m")


def test_weights_are_read_only():
    model = NeuralBigram().fit(["emma"], steps=2)
    with pytest.raises(ValueError, match="read-only"):
        model.W[0, 0] = 1
    with pytest.raises(AttributeError):
        model.W = np.zeros((4, 4))


def test_large_logits_do_not_overflow():
    model = of_weights(np.array([[1e308, -1e308], [0.0, 0.0]]))
    assert model.table().tolist() == [[1, 0], [0.5, 0.5]]
    assert model.loss(["a"]) == math.inf


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"steps": -1}, ValueError, "steps is -1;"),
        ({"steps": 1.5}, TypeError, r"steps is 1\.5;"),
        ({"lr": math.nan}, ValueError, "lr is nan"),
        ({"lr": -1}, ValueError, "lr is -1"),
        ({"lr": "1"}, TypeError, "lr is '1'"),
        ({"lr": 1, "momentum": -1}, ValueError, "momentum is -1"),
        ({"lr": 1, "momentum": math.inf}, ValueError, "momentum is inf"),
        ({"momentum": 0.5}, ValueError, "momentum"),
        ({"l2": -0.01}, ValueError, r"l2 is -0\.01"),
        ({"l2": math.inf}, ValueError, "l2 is inf"),
        ({"batch_size": 0}, ValueError, "batch_size is 0;"),
        ({"batch_size": 1.5}, TypeError, r"batch_size is 1\.5"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"order": 4}, TypeError, "order in the constructor"),
        ({"texts": b""}, ValueError, "is empty"),
        ({"texts": NgramCounts(["emma"], order=3)}, ValueError, "order 3;"),
        ({"lr": 1e300}, FloatingPointError, "lr"),
    ],
)
def test_settings_that_make_no_sense(settings, error, message):
    model = NeuralBigram()
    with pytest.raises(error, match=message):
        model.fit(**({"texts": ["emma"]} | settings))
    assert repr(model) == "NeuralBigram(order=2; not fitted)"
    fitted = NeuralBigram().fit(["emma"], steps=3)
    weights, history = fitted.W, fitted.history
    with pytest.raises(error, match=message):
        fitted.fit(**({"texts": ["emma"]} | settings))
    assert fitted.W is weights
    assert fitted.history is history


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros((3, 3)), r"weights has shape \(3, 3\);"),
        (np.zeros((8, 2)), r"weights has shape \(8, 2\)"),
        (np.zeros(2), "weights has shape"),
        (np.full((2, 2), np.nan), "nan or infinity"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(ValueError, match=message):
        of_weights(weights)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.zeros((3, 3))},
        {"weights": np.zeros((2, 2), dtype=np.float32)},
        {"weights": np.full((2, 2), np.inf)},
        {"weights": None},
        {"loss": None},
        {"loss": np.zeros((1, 1))},
        {"loss": np.zeros(2)},
        {"loss": np.zeros(1, dtype=np.float32)},
        {"lr": np.zeros((1, 1))},
        {"vocab": None},
        {"vocab": {"characters": ""}},
    ],
    ids=str,
)
def test_a_file_with_wrong_parts_is_refused_by_name(tmp_path, changes):
    tensors = {"weights": np.zeros((2, 2)), "loss": np.zeros(1), "lr": np.zeros(1)}
    config = {"model": "neural bigram", "vocab": {"characters": "a"}}
    for name, value in changes.items():
        part = tensors if name in tensors else config
        part[name] = value
        if value is None:
            del part[name]
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, tensors, config)
    with pytest.raises(CheckpointError) as caught:
        models.load(tmp_path)
    assert str(caught.value).startswith(str(path))
