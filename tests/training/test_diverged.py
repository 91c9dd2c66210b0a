"""Training whose loss rises beyond all that is useful ends, with the best parameters in place."""

import math
import pickle

import numpy as np
import pytest
from fastgrad.checkpoint import previous
from fastgrad.models import NPLM, BigramModel, NeuralBigram, WordNPLM
from fastgrad.text import Vocab, read_words
from fastgrad.training import DivergedError, lr_find
from small_nplm import FEW, lecture_model, same
from toy_run import ToyRun, resume, train
from typed_commands import refused


class Bounded(ToyRun):
    """The toy, which says what equal probabilities would lose."""

    uniform_loss = 1.0


def trained():
    model = lecture_model(Vocab.from_texts(FEW), hidden_dim=10, embedding_dim=4)
    model.fit(FEW, steps=300, lr=0.2, batch_size=8)
    return model


def test_good_weights_survive_a_learning_rate_that_is_much_too_high(tmp_path):
    model = trained()
    before, loss = model.copy(), model.loss(FEW)
    with pytest.raises(DivergedError, match=r"diverged at step \d+, at lr 500:") as caught:
        model.fit(FEW, FEW, steps=200, lr=500.0, batch_size=8, checkpoint=tmp_path)
    assert same(model, before)
    assert model.loss(FEW) == loss
    assert model.history.stopped == "diverged"
    assert caught.value.lr == 500.0
    assert caught.value.loss > 2 * math.log(len(model.vocab))
    assert isinstance(caught.value, FloatingPointError)
    assert same(NPLM.load(tmp_path), before)
    # What is saved can be gone on with, at a better rate.
    again = NPLM.resume(tmp_path, FEW, FEW, steps=50, lr=0.05)
    assert again.history.stopped == "finished"
    assert len(again.history.loss) == 50


@pytest.mark.parametrize("dev", [True, False])
@pytest.mark.parametrize("patience", [None, 50])
def test_the_run_goes_back_to_its_best_evaluation(dev, patience):
    if patience and not dev:
        return
    run = Bounded(x=5.0, dev=dev)
    with pytest.raises(DivergedError) as caught:
        train(run, lr=[(0, 0.1), (25, 3.0)], evaluate_every=5, patience=patience)
    assert caught.value.step > 25
    plain = Bounded(x=5.0, dev=dev)
    history = train(plain, lr=0.1, steps=25, evaluate_every=5)
    assert run.dev or not len(history.dev_loss)
    # The loss falls all the way to step 25, the dev loss to one of the evaluations.
    best = int(history.dev_steps[np.argmin(history.dev_loss)]) if dev else 25
    expected = Bounded(x=5.0, dev=dev)
    train(expected, lr=0.1, steps=best)
    assert run.x[0] == expected.x[0]


def test_the_step_does_not_depend_on_how_the_steps_were_cut():
    found = set()
    for every in (1, 7, 1000):
        with pytest.raises(DivergedError) as caught:
            train(Bounded(), steps=500, lr=[(0, 0.1), (60, 1.05)], evaluate_every=every)
        found.add((caught.value.step, caught.value.loss))
    assert len(found) == 1


def test_noise_and_a_high_start_are_no_divergence():
    assert train(Bounded(x=30.0), lr=0.05).stopped == "finished"
    # One loss of a hundred times the usual is smoothed away.
    assert train(Bounded(x=0.0), lr=[(0, 0.0), (10, 0.4), (11, 0.0)]).stopped == "finished"
    assert train(ToyRun(x=0.05), lr=[(0, 0.0), (1, 1.01)]).stopped == "finished"


def test_a_resumed_run_diverges_as_well():
    run = Bounded(interrupt_at=30)
    plan = {"lr": [(0, 0.1), (25, 1.2)], "evaluate_every": 5, "steps": 200}
    with pytest.raises(KeyboardInterrupt):
        train(run, checkpoint="toy.safetensors", **plan)
    with pytest.raises(DivergedError) as whole:
        train(Bounded(), **plan)
    with pytest.raises(DivergedError) as caught:
        resume(again := Bounded(), run.saved[-1])
    assert caught.value.step == whole.value.step
    assert again.x[0] ** 2 < 25


def test_words_and_the_counting_network_diverge_too():
    text = read_words(b"the cat sat on the mat and the dog sat on the cat " * 20)
    model = WordNPLM(text.vocab, hidden_dim=8, embedding_dim=4)
    with pytest.raises(DivergedError):
        model.fit(text, steps=300, lr=500.0, batch_size=16)
    assert model.loss(text) < 2 * math.log(len(text.vocab))
    with pytest.raises(DivergedError, match="diverged at step"):
        NeuralBigram().fit(["emma", "olivia", "ava"], lr=1e5, steps=300)
    assert NeuralBigram().fit(["emma"], lr=50.0, steps=100).loss(["emma"]) < 2
    assert BigramModel(smoothing=0).fit(["emma"]).loss(["emma"]) < 2


def test_a_sweep_of_learning_rates_makes_its_steps():
    sweep = lr_find(trained(), FEW, min_lr=1.0, max_lr=1e4, steps=50, batch_size=8)
    assert len(sweep.losses) > 1
    assert np.isfinite(sweep.losses).all()


def test_the_error_pickles():
    for error in (DivergedError(3, 0.1), DivergedError(3, 0.1, 9.5)):
        again = pickle.loads(pickle.dumps(error))
        assert (again.step, again.lr, again.loss, str(again)) == (
            error.step, error.lr, error.loss, str(error),
        )  # fmt: skip


def test_the_command_line_says_it_in_one_line(capsys, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(FEW * 5))
    network = ("--lr", 500, "--optimizer", "sgd", "--steps", 400)
    counting = ("--lr", 1e5, "--l2", 0)
    for line in (
        ("train", "nplm", text, "-o", tmp_path / "a", *network),
        ("train", "neural-bigram", text, "-o", tmp_path / "b", *counting),
    ):
        said = refused(capsys, *line)
        assert said.startswith("fastgrad: diverged at step ")
        assert said.count("\n") == 1


def test_a_run_that_learns_nothing_leaves_the_file_that_was_there(tmp_path):
    good = trained()
    file = tmp_path / "model.safetensors"
    good.save(file)
    before = file.read_bytes()
    with pytest.raises(DivergedError):
        lecture_model(good.vocab).fit(FEW, steps=200, lr=500.0, batch_size=8, checkpoint=file)
    assert file.read_bytes() == before


def test_a_loss_that_is_nan_after_high_ones_goes_back_to_the_best():
    run = Bounded(nan_at=26)
    with pytest.raises(DivergedError) as caught:
        train(run, lr=[(0, 0.1), (23, 2.0)], evaluate_every=5)
    assert caught.value.loss is None
    assert run.x[0] ** 2 < 4


def test_the_saves_of_one_run_keep_the_model_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr("fastgrad.training.loop._SAVE_EVERY", 0.0)
    monkeypatch.setattr("fastgrad.training.loop._SAVINGS", 0)
    file = tmp_path / "new" / "folder" / "model.safetensors"
    lecture_model(Vocab.from_texts(FEW)).fit(FEW, steps=60, lr=0.1, batch_size=8, checkpoint=file)
    assert not previous(file).exists()
    before = file.read_bytes()

    def interrupt(progress):
        if progress.step == 42:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained().fit(FEW, steps=60, lr=0.1, batch_size=8, checkpoint=file, callbacks=[interrupt])
    assert previous(file).read_bytes() == before
    NPLM.resume(file, FEW)
    assert file.read_bytes() != before
    assert previous(file).read_bytes() == before
