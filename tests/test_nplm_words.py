"""The neural probabilistic language model over words, from text to trained, saved and resumed."""

import math
import pickle

import numpy as np
import pytest
import slow_nplm
from fastgrad import checkpoint
from fastgrad.models import (
    NPLM,
    InterpolatedTrigram,
    KneserNey,
    Mixture,
    WordModel,
    WordNPLM,
    load,
)
from fastgrad.models.base import LanguageModel, Trainable
from fastgrad.models.nplm import presets
from fastgrad.optim import cosine
from fastgrad.text import Vocab
from fastgrad.training import DivergedError, find_rate
from fastgrad.words import WordText, WordVocab, read_words

SUBJECTS = ["the cat", "the dog", "a bird", "my friend"]
VERBS = ["sees", "likes", "hears"]


def sentences(count, seed=0):
    """Draw lines that a network can learn: who sees whom, and dogs only hear."""
    draw = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        one, other = (SUBJECTS[i] for i in draw.integers(4, size=2))
        verb = "hears" if one == "the dog" else VERBS[draw.integers(3)]
        lines.append(f"{one} {verb} {other}")
    return lines


@pytest.fixture(scope="module")
def parts():
    """Text for train, dev and test, with a mark after each line."""
    return read_words(sentences(900), marks="line").split(0.8, 0.1)


@pytest.fixture
def small(parts):
    """A model that trains in no time."""
    return WordNPLM(parts[0].vocab, context=3, embedding=6, hidden=16, seed=1)


@pytest.fixture(scope="module")
def trained(parts):
    """A model that has learned the sentences."""
    model = WordNPLM(parts[0].vocab, context=3, embedding=6, hidden=16, seed=1)
    settings = presets.modern(len(parts[0]), epochs=8, batch=32, lr=0.02, dropout=0.0)
    model.fit(*parts[:2], **settings)
    return model


def same(one, other):
    """Tell whether two models have the same parameters, bit for bit."""
    pairs = zip(one.parameters().items(), other.parameters().items(), strict=True)
    return all(a == b and x.tobytes() == y.tobytes() for (a, x), (b, y) in pairs)


def entropy():
    """Give the loss that knows how sentences are made, in nats a token: mark, who, verb, whom."""
    verb = 0.75 * math.log(3)
    # After "the" stands "cat" or "dog", so "the" and what follows it are one choice of four.
    return (2 * math.log(4) + verb) / 6


# What it is.


def test_the_papers_network_has_its_parameters():
    vocab = WordVocab(["<rare>", *map(str, range(16_382))])
    model = WordNPLM(vocab, context=4, embedding=60, hidden=100)
    shapes = {name: array.shape for name, array in model.parameters().items()}
    assert shapes == {
        "C": (16_383, 60),
        "H": (100, 240),
        "d": (100,),
        "U": (16_383, 100),
        "b": (16_383,),
    }
    assert model.size == 16_383 * 161 + 100 * 241
    assert repr(model) == (
        "WordNPLM(16,383 words, context=4, embedding=60, hidden=100; 2,661,763 parameters of"
        " float32)"
    )


def test_a_tied_network_has_a_small_matrix_in_place_of_the_large_one():
    model = WordNPLM(WordVocab([*"abcdef"]), embedding=5, hidden=7, tied=True, direct=True)
    assert model.P.shape == (5, 7)
    assert list(model.parameters()) == ["C", "H", "d", "P", "b", "W"]
    assert "direct=True, tied=True" in repr(model)
    with pytest.raises(AttributeError, match="U: the network is tied"):
        _ = model.U
    with pytest.raises(AttributeError, match="P: the network is not tied"):
        _ = WordNPLM(WordVocab([*"ab"])).P


def test_it_is_a_language_model_that_can_be_trained(small):
    assert isinstance(small, LanguageModel)
    assert isinstance(small, Trainable)
    assert isinstance(small, WordModel)


@pytest.mark.parametrize("tied", [False, True])
def test_it_starts_at_the_loss_of_a_uniform_guess(tied):
    vocab = WordVocab(["<rare>", *map(str, range(999))])
    ids = np.random.default_rng(0).integers(1000, size=500)
    for embedding, hidden in ((20, 50), (200, 300)):
        model = WordNPLM(vocab, embedding=embedding, hidden=hidden, tied=tied)
        assert model.loss(ids) == pytest.approx(math.log(1000), abs=0.02)


# What it learns.


def test_training_finds_what_there_is_to_know(trained, parts):
    _, dev, test = parts
    assert trained.history.dev_loss.shape == (8,)
    assert trained.history.dev_loss[-1] == trained.loss(dev)
    for part in (dev, test):
        assert entropy() - 0.08 < trained.loss(part) < entropy() + 0.08
    assert trained.perplexity(test) == math.exp(trained.loss(test))
    words = trained.vocab.symbols
    dog = trained.probabilities("a bird likes\nthe dog")
    assert dog[words.index("hears")] > 0.9
    assert trained.probabilities("the cat")[words.index("hears")] == pytest.approx(1 / 3, abs=0.1)


def test_samples_are_sentences(trained):
    samples = trained.sample(200, seed=1)
    sound = set(sentences(2000))
    assert sum(line in sound for line in samples) > 180
    assert samples[:3] == trained.sample(3, seed=1)
    assert samples[50:60] == trained.sample(10, seed=1, first=50)
    assert all(line.startswith("my friend") for line in trained.sample(9, prompt="my friend"))
    bold = trained.sample(3, prompt="the dog", temperature=0, max_length=3)
    assert bold == ["the dog hears"] * 3
    assert trained.sample(5, seed=2, top_k=1) == trained.sample(5, seed=2, temperature=0)


def test_words_that_are_used_alike_lie_close(trained):
    assert {word for word, _ in trained.nearest("sees", 1)} <= {"likes", "hears"}
    assert trained.embeddings.shape == (len(trained.vocab), 6)
    with pytest.raises(ValueError, match="symbol is 'zebra'; expected one of the vocabulary's"):
        trained.nearest("zebra")


def test_it_mixes_with_counted_models(trained, parts):
    train, dev, test = parts
    for counted in (KneserNey.fit(train, 3), InterpolatedTrigram.fit(train, dev)):
        half = Mixture(trained, counted)
        expected = (trained.token_probabilities(test) + counted.token_probabilities(test)) / 2
        assert half.token_probabilities(test) == pytest.approx(expected)
        learned = Mixture(trained, counted).fit(dev)
        assert learned.loss(dev) <= min(trained.loss(dev), counted.loss(dev)) + 1e-6
        assert 0 <= learned.weight <= 1
        assert learned.sample(2, max_length=4) == learned.sample(2, max_length=4)


def test_the_papers_settings_learn_too(parts):
    model = WordNPLM(parts[0].vocab, context=3, embedding=6, hidden=16, seed=1)
    settings = presets.paper(batch=16, lr=0.01)
    assert settings["lr"](0) == 0.16
    assert settings["lr"](10**6) == pytest.approx(0.16 / 1.16)
    history = model.fit(*parts[:2], **settings)
    assert history.dev_loss[-1] < 1.0
    assert history.stopped in ("finished", "stopped early")


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_todays_rates_climb_and_fall(schedule):
    settings = presets.modern(5000, epochs=2, batch=50, lr=0.1, schedule=schedule)
    rates = [settings["lr"](step) for step in range(201)]
    assert rates[:10] == pytest.approx([0.01 * k for k in range(1, 11)])
    middle = {"cosine": 0.05, "linear": 0.05, "constant": 0.1}[schedule]
    assert rates[105] == pytest.approx(middle)
    assert rates[200] == pytest.approx(0.1 if schedule == "constant" else 0.0)


@pytest.mark.parametrize(("tied", "dropout"), [(True, 0.0), (False, 0.1), (True, (0.1, 0.05))])
def test_ties_and_dropout_learn_and_are_kept(parts, tmp_path, tied, dropout):
    train, dev, _ = parts
    model = WordNPLM(train.vocab, context=3, embedding=8, hidden=16, tied=tied)
    settings = presets.modern(len(train), epochs=6, batch=32, lr=0.02, dropout=dropout)
    model.fit(train, dev, checkpoint=tmp_path, **settings)
    assert model.loss(dev) < entropy() + 0.1
    # Without dropout the loss is another: nothing is left out of a trained model.
    other = WordNPLM(train.vocab, context=3, embedding=8, hidden=16, tied=tied)
    other.fit(train, dev, **settings | {"dropout": 0.0})
    assert same(model, other) == (dropout == 0.0)
    _, config = checkpoint.load(tmp_path / "model.safetensors")
    both = dropout if isinstance(dropout, tuple) else (dropout, dropout)
    assert config["training"]["dropout"] == list(both)
    assert config["shape"].get("tied", False) == tied
    assert same(WordNPLM.resume(tmp_path, train, dev), model)


@pytest.mark.parametrize("tied", [False, True])
def test_characters_are_tied_and_learned_with_dropout_as_well(tmp_path, tied):
    names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
    model = NPLM(Vocab.of(names), context=2, embedding=6, hidden=20, tied=tied)
    assert model.loss(names) == pytest.approx(math.log(len(model.vocab)), abs=0.1)
    settings = {"lr": 0.01, "optimizer": "adamw", "dropout": (0.1, 0.2), "batch": 8}
    model.fit(names, epochs=60, **settings)
    assert model.loss(names) < 1.2
    model.save(tmp_path)
    assert same(load(tmp_path), model)
    assert len(model.sample(3)) == 3


def test_files_from_before_there_were_ties_and_dropout_are_read(small, parts, tmp_path):
    path = tmp_path / "model.safetensors"
    small.fit(parts[0], steps=5, lr=0.1, checkpoint=path)
    tensors, config = checkpoint.load(path)
    assert "tied" not in config["shape"]
    del config["training"]["dropout"]
    checkpoint.save(path, tensors, config)
    assert same(WordNPLM.resume(path, parts[0]), small)


def test_epochs_are_as_many_examples_as_there_are(small, parts):
    train, dev = parts[0], parts[1]
    history = small.fit(train, dev, epochs=2, batch=100, lr=0.1)
    every = math.ceil(len(train) / 100)
    assert history.dev_step.tolist() == [every, 2 * every]
    history = small.fit(train, dev, epochs=0.5, batch=100, lr=0.1)
    assert len(history.loss) == round(every / 2)
    history = small.fit(train, dev, epochs=1, batch=100, lr=0.1, evaluate_every=10)
    assert history.dev_step.tolist() == [*range(10, every, 10), every]


def test_a_small_text_is_one_batch(parts):
    model = WordNPLM(parts[0].vocab, context=2, embedding=2, hidden=2)
    assert model.start(np.arange(5)).batch == 5
    assert model.start(parts[0]).batch == 256


def test_a_learning_rate_is_found_as_for_characters(small, parts):
    sweep = find_rate(small, parts[0], low=0.001, high=1.0, steps=100, batch=32)
    assert 0.001 <= sweep.lowest() <= 1.0


# What it says of text.


def test_numbers_are_those_of_the_formula(trained, parts):
    test = parts[2]
    params = {name: array.astype(float) for name, array in trained.parameters().items()}
    ids = np.concatenate([test.before(3), test.ids]).astype(int)
    contexts = np.array([ids[i : i + 3] for i in range(len(test))])
    rows = slow_nplm.probabilities(params, contexts)
    expected = rows[np.arange(len(test)), test.ids]
    assert trained.token_probabilities(test) == pytest.approx(expected, rel=1e-4)
    assert trained.losses(test) == pytest.approx(-np.log(expected), abs=1e-4)
    assert trained.loss(test) == pytest.approx(-np.log(expected).mean(), abs=1e-5)


def test_probabilities_sum_to_one_and_agree_with_those_of_tokens(small, parts):
    test = parts[2]
    ids = np.concatenate([test.before(3), test.ids])
    contexts = np.lib.stride_tricks.sliding_window_view(ids[:-1], 3)
    rows = small.probabilities_of(contexts)
    assert rows.shape == (len(test), len(small.vocab))
    assert rows.sum(axis=1) == pytest.approx(1)
    of_tokens = rows[np.arange(len(test)), test.ids]
    assert small.token_probabilities(test) == pytest.approx(of_tokens, rel=1e-5)
    wide = np.column_stack([np.zeros(len(contexts), int), contexts])
    assert (small.probabilities_of(wide) == rows).all()


@pytest.mark.parametrize(("marks", "front"), [("line", 1), (None, 0)])
def test_before_the_beginning_stands_a_mark_or_what_is_rare(marks, front):
    vocab = read_words(["a b c", "c b a"], marks=marks).vocab
    model = WordNPLM(vocab, context=3, embedding=3, hidden=4)
    ids = vocab.encode("a c b")
    fronts = [[front, front, front], [front, front, ids[0]], [front, *ids[:2]]]
    rows = model.probabilities_of(np.array(fronts))
    assert model.token_probabilities(ids) == pytest.approx(rows[np.arange(3), ids], rel=1e-5)
    assert (model.probabilities_of(np.empty((1, 0), dtype=int)) == rows[:1]).all()
    assert (model.probabilities("") == rows[0]).all()
    assert (model.probabilities("a c") == rows[2]).all()


def test_a_text_is_a_part_ids_a_source_or_examples(small, parts):
    whole = WordText(small.vocab, parts[2].ids)
    loss = small.loss(whole)
    assert small.loss(parts[2].ids) == loss
    assert small.loss(whole.decode().splitlines()) == pytest.approx(loss, abs=0.01)
    assert small.loss(parts[2]) != loss  # It goes on from dev.
    contexts = np.zeros((2, 3), dtype=np.uint32)
    targets = np.array([1, 2], dtype=np.uint32)
    expected = -np.log(small.probabilities_of(contexts)[[0, 1], targets])
    assert small.losses((contexts, targets)) == pytest.approx(expected, rel=1e-5)


# What is kept.


@pytest.mark.parametrize("tied", [False, True])
def test_a_model_comes_back_from_its_file(parts, tmp_path, tied):
    model = WordNPLM(parts[0].vocab, context=2, embedding=4, hidden=8, tied=tied, direct=True)
    model.fit(parts[0], parts[1], steps=20, lr=0.01, batch=8)
    model.save(tmp_path)
    for back in (WordNPLM.load(tmp_path), load(tmp_path / "model.safetensors")):
        assert type(back) is WordNPLM
        assert back.vocab == model.vocab
        assert same(back, model)
        assert back.history.dev_loss.tolist() == model.history.dev_loss.tolist()
        assert back.sample(3, seed=4) == model.sample(3, seed=4)
    assert same(pickle.loads(pickle.dumps(model)), model)


def test_a_vocabulary_of_any_words_comes_back(tmp_path):
    words = ["<rare>", "</p>", "é", "日本", "'tis", '"', "\\n", *map(str, range(70_000))]
    vocab = WordVocab(words, tokenizer="simple", marks="paragraph")
    model = WordNPLM(vocab, context=1, embedding=1, hidden=1)
    model.save(tmp_path / "model.safetensors")
    assert WordNPLM.load(tmp_path / "model.safetensors").vocab == vocab


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
    settings = {"lr": cosine(0.02, 0.0, steps=100), "optimizer": optimizer, "batch": 16}
    settings |= {"seed": 3, "weight_decay": 0.01, "evaluate_every": 25}

    def fresh():
        return WordNPLM(train.vocab, context=3, embedding=4, hidden=8)

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
    models = [WordNPLM(parts[0].vocab, context=2, embedding=4, hidden=8) for _ in range(2)]
    for model, count in zip(models, (2, threads), strict=True):
        model.fit(parts[0], steps=30, lr=0.01, optimizer="adamw", threads=count)
    assert same(*models)


# What is refused.


def test_bad_settings_are_named(small, parts):
    train = parts[0]
    with pytest.raises(TypeError, match=r"vocab is .*expected a WordVocab"):
        WordNPLM("abc")
    with pytest.raises(TypeError, match="tied is 1; expected True or False"):
        WordNPLM(train.vocab, tied=1)
    with pytest.raises(ValueError, match="hidden is 0; expected at least 1"):
        WordNPLM(train.vocab, hidden=0, direct=True, tied=True)
    for lengths in ({}, {"steps": 1, "epochs": 1}):
        with pytest.raises(TypeError, match=r"steps is .* and epochs is .*; expected one of them"):
            small.fit(train, lr=0.1, **lengths)
    for epochs in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"epochs is .*; expected a finite number above 0"):
            small.fit(train, lr=0.1, epochs=epochs)
    for epochs in ("2", True):
        with pytest.raises(TypeError, match=r"epochs is .*; expected a number"):
            small.fit(train, lr=0.1, epochs=epochs)
    with pytest.raises(ValueError, match="schedule is 'sine'; expected one of"):
        presets.modern(100, schedule="sine")


@pytest.mark.parametrize(
    ("dropout", "error", "message"),
    [
        (1.0, ValueError, "dropout is 1.0; expected a finite number of at least 0 and less than 1"),
        (-0.1, ValueError, "dropout is -0.1; expected"),
        ((0.1, 1), ValueError, r"dropout\[1\] is 1; expected"),
        ((0.1,), TypeError, r"dropout is \(0.1,\); expected a number, or one of features and"),
        ("much", TypeError, "dropout is 'much'; expected a number"),
    ],
)
def test_bad_dropout_is_named(small, parts, dropout, error, message):
    before = small.copy()
    with pytest.raises(error, match=message):
        small.fit(parts[0], steps=1, lr=0.1, dropout=dropout)
    assert same(small, before)


def test_bad_texts_are_named(small, parts):
    other = read_words(b"one two three four")
    with pytest.raises(ValueError, match=r"train is of WordVocab.*expected the model's"):
        small.fit(other, steps=1, lr=0.1)
    with pytest.raises(ValueError, match="dev is of WordVocab"):
        small.fit(parts[0], other, steps=1, lr=0.1)
    with pytest.raises(ValueError, match=r"ids\[1\] is 99; expected at least 0 and less than"):
        small.loss(np.array([1, 99]))
    with pytest.raises(ValueError, match=r"contexts has shape \(3,\)"):
        small.probabilities_of(np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match=r"source\[0\] has shape \(1, 2\); expected \(N, 3\)"):
        small.loss((np.zeros((1, 2), dtype=np.uint32), np.zeros(1, dtype=np.uint32)))
    with pytest.raises(FileNotFoundError):
        small.loss("there/is/no.txt")


def test_a_run_that_diverges_keeps_the_last_good_parameters(small, parts):
    with pytest.raises(DivergedError):
        small.fit(parts[0], steps=400, lr=1e30)
    assert all(np.isfinite(array).all() for array in small.parameters().values())
