"""The neural probabilistic language model over words, from text to trained."""

import math

import numpy as np
import pytest
import slow_nplm
import small_words
from fastgrad import checkpoint
from fastgrad.base import LanguageModel, Trainable
from fastgrad.models import (
    NPLM,
    InterpolatedTrigram,
    KneserNey,
    Mixture,
    WordNPLM,
    load,
)
from fastgrad.models.nplm import presets
from fastgrad.models.word_model import WordModel
from fastgrad.text import Vocab, WordText, WordVocab, read_words
from fastgrad.training import lr_find
from small_nplm import arrays, same
from small_words import entropy, sentences


@pytest.fixture(scope="module")
def trained(parts):
    """A model that has learned the sentences."""
    model = small_words.small_model(parts[0].vocab)
    settings = presets.modern(len(parts[0]), epochs=8, batch_size=32, lr=0.02, dropout=0.0)
    model.fit(*parts[:2], **settings)
    return model


# What it is.


def test_the_papers_network_has_its_parameters():
    vocab = WordVocab(["<unk>", *map(str, range(16_382))])
    model = WordNPLM(vocab, context_length=4, embedding_dim=60, hidden_dim=100, tie_weights=False)
    shapes = {name: array.shape for name, array in arrays(model).items()}
    assert shapes == {
        "C": (16_383, 60),
        "H": (100, 240),
        "d": (100,),
        "U": (16_383, 100),
        "b": (16_383,),
    }
    assert model.num_parameters() == 16_383 * 161 + 100 * 241
    assert repr(model) == (
        "WordNPLM(context_length=4, embedding_dim=60, hidden_dim=100; V = 16,383, 2,661,763"
        " parameters of float32)"
    )


def test_a_tied_network_has_a_small_matrix_in_place_of_the_large_one():
    model = WordNPLM(
        WordVocab([*"abcdef"]), embedding_dim=5, hidden_dim=7, tie_weights=True, direct=True
    )
    assert model.P.shape == (5, 7)
    assert list(arrays(model)) == ["C", "H", "d", "P", "b", "W"]
    assert "direct=True, tie_weights=True" in repr(model)
    with pytest.raises(AttributeError, match="U: the weights are tied"):
        _ = model.U
    with pytest.raises(AttributeError, match="P: the weights are not tied"):
        _ = WordNPLM(WordVocab([*"ab"]), tie_weights=False).P


def test_it_is_a_language_model_that_can_be_trained(small):
    assert isinstance(small, LanguageModel)
    assert isinstance(small, Trainable)
    assert isinstance(small, WordModel)


@pytest.mark.parametrize("tie_weights", [False, True])
def test_it_starts_at_the_loss_of_a_uniform_guess(tie_weights):
    vocab = WordVocab(["<unk>", *map(str, range(999))])
    ids = np.random.default_rng(0).integers(1000, size=500)
    for embedding, hidden in ((20, 50), (200, 300)):
        model = WordNPLM(vocab, embedding_dim=embedding, hidden_dim=hidden, tie_weights=tie_weights)
        assert model.loss(ids) == pytest.approx(math.log(1000), abs=0.02)


def test_with_counts_it_starts_as_good_as_a_model_of_single_words():
    vocab = WordVocab(["<unk>", *map(str, range(49))])
    ids = np.random.default_rng(0).geometric(0.1, size=2_000) % 50
    text = WordText(vocab, ids)
    model = WordNPLM(vocab, embedding_dim=10, hidden_dim=20, counts=text.counts)
    shares = (text.counts + 1) / (len(text) + 50)
    assert np.exp(model.b) == pytest.approx(shares, rel=1e-6)
    unigrams = -np.log(shares[ids]).mean()
    assert model.loss(text) == pytest.approx(unigrams, abs=0.01)
    assert not WordNPLM(vocab).b.any()


@pytest.mark.parametrize("tie_weights", [False, True])
def test_parameters_start_small_enough_to_be_moved(tie_weights):
    vocab = WordVocab(["<unk>", *map(str, range(999))])
    sizes = {
        "context_length": 3,
        "embedding_dim": 40,
        "hidden_dim": 100,
        "direct": True,
        "tie_weights": tie_weights,
    }
    small, scaled = WordNPLM(vocab, **sizes), WordNPLM(vocab, **sizes, init="scaled")
    features = 1 / math.sqrt(40) if tie_weights else 1.0
    spreads = {
        "C": (0.05, features),
        "H": (1 / math.sqrt(3 * 120), 5 / 3 / math.sqrt(120) / features),
        "W": (0.1 / math.sqrt(120), 0.1 / math.sqrt(120) / features),
        "P" if tie_weights else "U": (0.1 if tie_weights else 0.01, 0.01),
    }
    for name, (of_small, of_scaled) in spreads.items():
        assert arrays(small)[name].std() == pytest.approx(of_small, rel=0.05), name
        assert arrays(scaled)[name].std() == pytest.approx(of_scaled, rel=0.05), name
    assert not small.d.any()
    assert not small.b.any()


# What it learns.


def test_training_finds_what_there_is_to_know(trained, parts):
    _, dev, test = parts
    assert trained.history.dev_loss.shape == (8,)
    assert trained.history.dev_loss[-1] == trained.loss(dev)
    for part in (dev, test):
        assert entropy() - 0.08 < trained.loss(part) < entropy() + 0.08
    assert trained.perplexity(test) == math.exp(trained.loss(test))
    words = trained.vocab.itos
    dog = trained.next_probs("a bird likes\nthe dog")
    assert dog[words.index("hears")] > 0.9
    assert trained.next_probs("the cat")[words.index("hears")] == pytest.approx(1 / 3, abs=0.1)


def test_samples_are_sentences(trained):
    samples = trained.sample(200, seed=1)
    sound = set(sentences(2000))
    assert sum(line in sound for line in samples) > 180
    assert samples[:3] == trained.sample(3, seed=1)
    assert samples[50:60] == trained.sample(10, seed=1, offset=50)
    assert all(line.startswith("my friend") for line in trained.sample(9, prompt="my friend"))
    bold = trained.sample(3, prompt="the dog", temperature=0, max_length=3)
    assert bold == ["the dog hears"] * 3
    assert trained.sample(5, seed=2, top_k=1) == trained.sample(5, seed=2, temperature=0)


def test_words_that_are_used_alike_lie_close(trained):
    assert {word for word, _ in trained.most_similar("sees", 1)} <= {"likes", "hears"}
    assert trained.embeddings.shape == (len(trained.vocab), 6)
    with pytest.raises(ValueError, match="token is 'zebra';"):
        trained.most_similar("zebra")


@pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")
def test_it_mixes_with_counted_models(trained, parts):
    train, dev, test = parts
    for counted in (
        KneserNey(order=3, modified=False).fit(train),
        InterpolatedTrigram().fit(train, dev),
    ):
        half = Mixture([trained, counted])
        expected = np.logaddexp(trained.token_log_probs(test), counted.token_log_probs(test))
        assert half.token_log_probs(test) == pytest.approx(expected - math.log(2))
        learned = Mixture([trained, counted]).fit(dev)
        assert learned.loss(dev) <= min(trained.loss(dev), counted.loss(dev)) + 1e-6
        assert 0 <= learned.weights[0] <= 1
        assert learned.weights.sum() == pytest.approx(1)
        assert learned.sample(2, max_length=4) == learned.sample(2, max_length=4)


def test_the_papers_settings_learn_too(parts):
    model = small_words.small_model(parts[0].vocab)
    settings = presets.paper(batch_size=16, lr=0.01)
    assert settings["lr"](0) == 0.16
    assert settings["lr"](10**6) == pytest.approx(0.16 / 1.16)
    history = model.fit(*parts[:2], **settings).history
    assert history.dev_loss[-1] < 1.0
    assert history.stopped in ("finished", "stopped early")


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_todays_learning_rates_climb_and_fall(schedule):
    settings = presets.modern(5000, epochs=2, batch_size=50, lr=0.1, schedule=schedule)
    lrs = [settings["lr"](step) for step in range(201)]
    assert lrs[:10] == pytest.approx([0.01 * k for k in range(1, 11)])
    middle = {"cosine": 0.05, "linear": 0.05, "constant": 0.1}[schedule]
    assert lrs[105] == pytest.approx(middle)
    assert lrs[200] == pytest.approx(0.1 if schedule == "constant" else 0.0)


@pytest.mark.parametrize(
    ("tie_weights", "dropout"), [(True, 0.0), (False, 0.1), (True, (0.1, 0.05))]
)
def test_ties_and_dropout_learn_and_are_kept(parts, tmp_path, tie_weights, dropout):
    train, dev, _ = parts
    model = WordNPLM(
        train.vocab, context_length=3, embedding_dim=8, hidden_dim=16, tie_weights=tie_weights
    )
    settings = presets.modern(len(train), epochs=6, batch_size=32, lr=0.02, dropout=dropout)
    model.fit(train, dev, checkpoint=tmp_path, **settings)
    assert model.loss(dev) < entropy() + 0.1
    # Without dropout the loss is another: nothing is left out of a trained model.
    other = WordNPLM(
        train.vocab, context_length=3, embedding_dim=8, hidden_dim=16, tie_weights=tie_weights
    )
    other.fit(train, dev, **settings | {"dropout": 0.0})
    assert same(model, other) == (dropout == 0.0)
    _, config = checkpoint.load(tmp_path / "model.safetensors")
    both = dropout if isinstance(dropout, tuple) else (dropout, dropout)
    assert config["training"]["dropout"] == list(both)
    assert config["shape"]["tie_weights"] == tie_weights
    assert same(WordNPLM.resume(tmp_path, train, dev), model)


@pytest.mark.parametrize("tie_weights", [False, True])
def test_characters_are_tied_and_learned_with_dropout_as_well(tmp_path, tie_weights):
    names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
    model = NPLM(
        Vocab.from_texts(names),
        context_length=2,
        embedding_dim=6,
        hidden_dim=20,
        tie_weights=tie_weights,
    )
    assert model.loss(names) == pytest.approx(math.log(len(model.vocab)), abs=0.1)
    settings = {"lr": 0.01, "optimizer": "adamw", "dropout": (0.1, 0.2), "batch_size": 8}
    model.fit(names, epochs=60, **settings)
    assert model.loss(names) < 1.2
    model.save(tmp_path)
    assert same(load(tmp_path), model)
    assert len(model.sample(3)) == 3


def test_epochs_are_as_many_examples_as_there_are(small, parts):
    train, dev = parts[0], parts[1]
    history = small.fit(train, dev, epochs=2, batch_size=100, lr=0.1).history
    every = math.ceil(len(train) / 100)
    assert history.dev_steps.tolist() == [every, 2 * every]
    history = small.fit(train, dev, epochs=0.5, batch_size=100, lr=0.1).history
    assert len(history.loss) == round(every / 2)
    small.fit(train, dev, epochs=1, batch_size=100, lr=0.1, evaluate_every=10)
    history = small.history
    assert history.dev_steps.tolist() == [*range(10, every, 10), every]


def test_a_small_text_is_one_batch(parts):
    model = WordNPLM(parts[0].vocab, context_length=2, embedding_dim=2, hidden_dim=2)
    assert model._start(np.arange(5)).batch_size == 5
    assert model._start(parts[0]).batch_size == 256


def test_a_learning_rate_is_found_as_for_characters(small, parts):
    sweep = lr_find(small, parts[0], min_lr=0.001, max_lr=1.0, steps=100, batch_size=32)
    assert 0.001 <= sweep.best() <= 1.0


# What it says of text.


def test_numbers_are_those_of_the_formula(trained, parts):
    test = parts[2]
    params = {name: array.astype(float) for name, array in arrays(trained).items()}
    ids = np.concatenate([test.before(3), test.ids]).astype(int)
    contexts = np.array([ids[i : i + 3] for i in range(len(test))])
    rows = slow_nplm.probabilities(params, contexts)
    expected = rows[np.arange(len(test)), test.ids]
    assert np.exp(trained.token_log_probs(test)) == pytest.approx(expected, rel=1e-4)
    assert -trained.token_log_probs(test) == pytest.approx(-np.log(expected), abs=1e-4)
    assert trained.loss(test) == pytest.approx(-np.log(expected).mean(), abs=1e-5)


def test_probabilities_sum_to_one_and_agree_with_those_of_tokens(small, parts):
    test = parts[2]
    ids = np.concatenate([test.before(3), test.ids])
    contexts = np.lib.stride_tricks.sliding_window_view(ids[:-1], 3)
    rows = small.next_probs(contexts)
    assert rows.shape == (len(test), len(small.vocab))
    assert rows.sum(axis=1) == pytest.approx(1)
    of_tokens = rows[np.arange(len(test)), test.ids]
    assert np.exp(small.token_log_probs(test)) == pytest.approx(of_tokens, rel=1e-5)
    wide = np.column_stack([np.zeros(len(contexts), int), contexts])
    assert (small.next_probs(wide) == rows).all()


@pytest.mark.parametrize(("eos", "front"), [("line", 1), (None, 0)])
def test_before_the_beginning_stands_the_eos_token_or_the_unk_token(eos, front):
    vocab = read_words(["a b c", "c b a"], eos=eos).vocab
    model = WordNPLM(vocab, context_length=3, embedding_dim=3, hidden_dim=4)
    ids = vocab.encode("a c b")
    fronts = [[front, front, front], [front, front, ids[0]], [front, *ids[:2]]]
    rows = model.next_probs(np.array(fronts))
    probs = rows[np.arange(3), ids]
    assert np.exp(model.token_log_probs(ids)) == pytest.approx(probs, rel=1e-5)
    assert (model.next_probs(np.empty((1, 0), dtype=int)) == rows[:1]).all()
    assert (model.next_probs("") == rows[0]).all()
    assert (model.next_probs("a c") == rows[2]).all()


def test_a_text_is_a_part_ids_a_source_or_examples(small, parts):
    whole = WordText(small.vocab, parts[2].ids)
    loss = small.loss(whole)
    assert small.loss(parts[2].ids) == loss
    assert small.loss(whole.decode().splitlines()) == pytest.approx(loss, abs=0.01)
    assert small.loss(parts[2]) != loss  # It goes on from dev.
    contexts = np.zeros((2, 3), dtype=np.uint32)
    targets = np.array([1, 2], dtype=np.uint32)
    expected = -np.log(small.next_probs(contexts)[[0, 1], targets])
    assert -small.token_log_probs((contexts, targets)) == pytest.approx(expected, rel=1e-5)
