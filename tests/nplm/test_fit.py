"""Networks as estimators: fit, its failures, copies, settings and threads."""

import copy
import os
import pickle
import subprocess
import sys

import fastgrad
import numpy as np
import pytest
from fastgrad import NotFittedError
from fastgrad.models import NPLM, WordNPLM, load
from fastgrad.text import Vocab
from fastgrad.training import LRSweep, lr_find
from small_nplm import FEW, arrays, same

SMALL = {"context_length": 2, "embedding_dim": 3, "hidden_dim": 5}
QUICK = {"steps": 20, "lr": 0.1, "batch_size": 4}
WORDS = b"the cat sat on the mat and the dog sat on the cat . " * 10
KINDS = [(NPLM, FEW), (WordNPLM, WORDS)]
COPIES = [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]


@pytest.mark.parametrize(("kind", "texts"), KINDS)
def test_fit_returns_the_model_and_takes_the_vocabulary_of_the_text(kind, texts):
    model = kind(**SMALL)
    assert model.fit(texts, **QUICK) is model
    assert model.history.steps == 20
    assert same(model, kind(**SMALL).fit(texts, **QUICK))
    assert same(
        NPLM(**SMALL).fit(FEW, **QUICK), NPLM(Vocab.from_texts(FEW), **SMALL).fit(FEW, **QUICK)
    )


@pytest.mark.parametrize(("kind", "texts"), KINDS)
def test_before_fit_everything_says_so(kind, texts):
    model = kind(**SMALL)
    assert "not fitted" in repr(model)
    assert model.context_length == 2
    assert model.history.steps == 0
    for ask in (
        lambda: model.vocab,
        lambda: model.C,
        lambda: model.num_parameters(),
        lambda: model.loss(texts),
        lambda: model.next_probs("a"),
        lambda: model.sample(),
        lambda: model.save("model.safetensors"),
        lambda: model.embeddings,
        lambda: model.most_similar("a"),
    ):
        with pytest.raises(NotFittedError, match="call fit first, or give it a vocab"):
            ask()
    assert not hasattr(model, "C")


def test_the_vocabulary_is_that_of_dev_too():
    model = NPLM(**SMALL).fit(["ava", "emma"], ["zoe"], **QUICK)
    assert "z" in model.vocab
    assert np.isfinite(model.history.dev_loss).all()


@pytest.mark.parametrize(("kind", "texts"), KINDS)
def test_a_second_fit_goes_on(kind, texts):
    model = kind(**SMALL).fit(texts, **QUICK)
    first = model.loss(texts)
    before = model.C
    model.fit(texts, steps=300, lr=0.1, batch_size=8, seed=1)
    assert model.loss(texts) < first
    assert model.C is before
    assert model.history.steps == 300


@pytest.mark.parametrize(("kind", "texts"), KINDS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 10**6},
        {"lr": "fast"},
        {"patience": 1},
        {"log": f"{__file__}/b/c"},
    ],
)
def test_a_fit_that_is_refused_leaves_the_model_as_it_was(kind, texts, wrong):
    model = kind(**SMALL)
    with pytest.raises((TypeError, ValueError, OSError)):
        model.fit(texts, **QUICK | wrong)
    with pytest.raises(NotFittedError):
        _ = model.vocab
    assert same(model.fit(texts, **QUICK), kind(**SMALL).fit(texts, **QUICK))
    fitted = copy.deepcopy(model)
    with pytest.raises((TypeError, ValueError, OSError)):
        model.fit(texts, **QUICK | wrong)
    assert same(model, fitted)
    assert model.history is fitted.history


@pytest.mark.parametrize(("kind", "texts"), KINDS)
@pytest.mark.parametrize("copied", COPIES)
def test_copies_of_networks_stand_alone(kind, texts, copied):
    unfitted = copied(kind(**SMALL))
    with pytest.raises(NotFittedError):
        _ = unfitted.vocab
    model = kind(**SMALL).fit(texts, **QUICK)
    other = copied(model)
    assert type(other) is kind
    assert same(other, model)
    assert same(unfitted.fit(texts, **QUICK), model)
    assert (other.vocab, other.config) == (model.vocab, model.config)
    assert other.history.loss.tolist() == model.history.loss.tolist()
    assert other.sample(3) == model.sample(3)
    if copied is not copy.copy:
        other.C[:] = 0
        assert model.C.any()


@pytest.mark.parametrize(
    "settings",
    [SMALL, SMALL | {"direct": True, "init": "normal"}, {"tie_weights": True, "dtype": "float64"}],
)
def test_a_network_is_made_again_of_its_config(settings, tmp_path):
    model = NPLM(Vocab.from_texts(FEW), seed=3, **settings)
    again = NPLM(model.vocab, **model.config)
    assert same(again, model)
    assert again.config == model.config
    model.save(tmp_path)
    loaded = load(tmp_path)
    assert NPLM(loaded.vocab, **loaded.config).num_parameters() == model.num_parameters()
    assert all(loaded.config[name] == value for name, value in SMALL.items() if name in settings)


@pytest.mark.parametrize(("kind", "texts"), KINDS)
def test_looking_for_a_learning_rate_leaves_an_unfitted_model_unfitted(kind, texts):
    model = kind(**SMALL)
    sweep = lr_find(model, texts, steps=20, batch_size=4)
    assert isinstance(sweep, LRSweep)
    assert sweep.lrs.min() <= sweep.best() <= sweep.lrs.max()
    with pytest.raises(NotFittedError):
        _ = model.vocab


def test_words_are_read_from_a_file_as_the_command_line_reads_them(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("The cat sat.\nThe dog sat.\n\nA cat ran.\n" * 20)
    model = WordNPLM(**SMALL).fit(str(path), steps=5, batch_size=8)
    assert model.vocab.eos == "paragraph"
    assert "cat" in model.vocab
    # Words start at their share of the text.
    fresh = WordNPLM(**SMALL, seed=1).fit(path, steps=1, lr=0.0, batch_size=8)
    assert np.argmax(fresh.b) == np.argmax(fresh.vocab.read(path).counts)


def test_without_settings_the_defaults_of_the_command_line_hold():
    seen = []
    NPLM().fit(FEW, callbacks=[lambda at: seen.append(at) or True])
    assert seen[0].steps == 30_000
    assert seen[0].lr < 0.004
    model = NPLM()
    assert (model.config["context_length"], model.config["hidden_dim"]) == (8, 200)
    assert set(arrays(WordNPLM().fit(WORDS, steps=1))) == {"C", "H", "d", "P", "b"}


# Threads.


@pytest.fixture
def threads():
    """Restore the number of threads."""
    yield
    fastgrad.set_num_threads(None)


def test_the_number_of_threads_is_set_for_all_calls(threads):
    everything = fastgrad.get_num_threads()
    assert everything >= 1
    one = NPLM(**SMALL).fit(FEW, **QUICK)
    fastgrad.set_num_threads(1)
    assert fastgrad.get_num_threads() == 1
    assert same(NPLM(**SMALL).fit(FEW, **QUICK), one)
    fastgrad.set_num_threads(None)
    assert fastgrad.get_num_threads() == everything


@pytest.mark.parametrize(
    ("n", "error"),
    [
        *((n, ValueError) for n in (0, -1, 1025, 2**32)),
        *((n, TypeError) for n in (1.5, True, "2")),
    ],
)
def test_numbers_of_threads_that_are_none(n, error, threads):
    fastgrad.set_num_threads(3)
    with pytest.raises(error, match="n is"):
        fastgrad.set_num_threads(n)
    assert fastgrad.get_num_threads() == 3


@pytest.mark.parametrize(
    ("value", "shown"),
    [("3", "3"), ("", ""), ("01024", "1024")]
    + [(value, "FASTGRAD_NUM_THREADS is") for value in ("many", "0", "1025", "9" * 5000, "\u0663")],
)
def test_the_environment_sets_the_number_of_threads(value, shown):
    program = "import fastgrad; print(fastgrad.get_num_threads())"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"FASTGRAD_NUM_THREADS": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown in ended.stdout + ended.stderr
    assert (ended.returncode == 0) == (value in ("3", "", "01024"))
