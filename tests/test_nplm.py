"""The neural probabilistic language model, from text to trained, saved and resumed."""

import math
import pickle

import numpy as np
import pytest
from fastgrad import checkpoint, datasets
from fastgrad.models.base import LanguageModel, Trainable
from fastgrad.models.nplm import NPLM, examples
from fastgrad.optim import cosine
from fastgrad.text import UnknownCharacterError, Vocab, read, split, windows
from fastgrad.training import DivergedError, find_rate

ALPHABET = Vocab("abcdefghijklmnopqrstuvwxyz")
FEW = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna", "aria", "nova"]


@pytest.fixture(scope="module")
def parts():
    """The bundled names as the commands split them: text for train and dev."""
    train, dev, _ = split(datasets.names(), seed=0)
    return train, dev


@pytest.fixture
def small():
    """A model that trains in no time."""
    return NPLM(Vocab.of(FEW), context=2, embedding=4, hidden=12, seed=1)


def same(one, other):
    """Tell whether two models have the same parameters, bit for bit."""
    pairs = zip(one.parameters().items(), other.parameters().items(), strict=True)
    return all(a == b and x.tobytes() == y.tobytes() for (a, x), (b, y) in pairs)


# What it is.


def test_the_lectures_network_has_11897_parameters():
    model = NPLM(ALPHABET, context=3, embedding=10, hidden=200)
    assert model.size == 11_897 == sum(p.size for p in model.parameters().values())
    shapes = {name: p.shape for name, p in model.parameters().items()}
    assert shapes == {"C": (27, 10), "H": (200, 30), "d": (200,), "U": (27, 200), "b": (27,)}
    assert repr(model) == (
        "NPLM(27 symbols, context=3, embedding=10, hidden=200; 11,897 parameters of float32)"
    )


def test_direct_connections_come_on_top():
    model = NPLM(ALPHABET, direct=True, dtype="float64")
    assert model.W.shape == (27, 30)
    assert model.size == 11_897 + 27 * 30
    assert "direct=True" in repr(model)
    with pytest.raises(AttributeError, match="no direct connections"):
        _ = NPLM(ALPHABET).W


def test_it_is_a_language_model_that_can_be_trained(small):
    assert isinstance(small, LanguageModel)
    assert isinstance(small, Trainable)


def test_the_lectures_split_has_its_examples(names_file):
    parts = split(read(names_file), method="lecture")
    sizes = [windows(part, ALPHABET, 3)[0].shape for part in parts]
    assert sizes == [(182_625, 3), (22_655, 3), (22_866, 3)]


def test_scaled_starts_at_the_loss_of_a_uniform_guess_and_the_lecture_far_above(parts):
    uniform = math.log(27)
    assert NPLM(ALPHABET).loss(parts[1]) == pytest.approx(uniform, abs=0.02)
    assert NPLM(ALPHABET, hidden=1000).loss(parts[1]) == pytest.approx(uniform, abs=0.02)
    assert 15 < NPLM(ALPHABET, init="lecture").loss(parts[1]) < 35


def test_scaled_spreads():
    model = NPLM(ALPHABET, embedding=30, hidden=2000, direct=True)
    spreads = {name: float(p.std()) for name, p in model.parameters().items()}
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
    model = NPLM(ALPHABET, seed=7)
    assert same(model, NPLM(ALPHABET, seed=7))
    assert not same(model, NPLM(ALPHABET, seed=8))
    # PCG64's first normal numbers: numpy promises not to change them.
    assert NPLM(ALPHABET, seed=7, dtype="float64").C[0, :2].tolist() == [
        0.0012301533574825742,
        0.2987455375084699,
    ]
    wide = NPLM(ALPHABET, seed=7, dtype="float64")
    assert all(
        (wide.parameters()[name].astype(np.float32) == p).all()
        for name, p in model.parameters().items()
    )


# What it learns.


def test_a_short_training_brings_the_losses_down(parts):
    train, dev = parts
    model = NPLM(ALPHABET, seed=1)
    history = model.fit(train, dev, steps=4000, lr=[(0, 0.1), (3000, 0.01)], seed=1)
    assert history is model.history
    assert history.loss.shape == history.rate.shape == (4000,)
    assert history.dev_step.tolist() == list(range(200, 4001, 200))
    # ln 27 = 3.296 at first; bigrams reach 2.454.
    assert history.loss[:10].mean() > 2.9
    assert history.dev_loss[0] < 2.75
    assert history.dev_loss[-1] < 2.36
    assert model.loss(dev) == history.dev_loss[-1]
    assert abs(model.loss(train) - model.loss(dev)) < 0.05
    assert model.perplexity(dev) == pytest.approx(math.exp(model.loss(dev)))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("shape", [{}, {"direct": True}, {"direct": True, "hidden": 0}])
def test_every_optimizer_and_shape_learns_by_heart(optimizer, shape):
    model = NPLM(Vocab.of(FEW), **{"hidden": 30} | shape, dtype="float64")
    rate = {"sgd": 0.2, "momentum": 0.05, "adamw": 0.01}[optimizer]
    model.fit(FEW, steps=600, batch=16, lr=rate, optimizer=optimizer)
    # The entropy of the first letters alone is 0.4 a symbol.
    assert model.loss(FEW) < 0.75


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_weight_decay_leaves_the_biases_alone(optimizer):
    settings = {"steps": 1, "lr": 0.1, "optimizer": optimizer, "batch": 8}
    plain = NPLM(Vocab.of(FEW), hidden=20, direct=True, init="lecture", dtype="float64")
    start, decayed = plain.copy(), plain.copy()
    plain.fit(FEW, **settings)
    decayed.fit(FEW, **settings, weight_decay=0.5)
    for name in "db":
        assert (plain.parameters()[name] == decayed.parameters()[name]).all()
    for name in "HUW":
        expected = plain.parameters()[name] - 0.1 * 0.5 * start.parameters()[name]
        assert decayed.parameters()[name] == pytest.approx(expected, abs=1e-12)


def test_results_do_not_depend_on_threads_or_on_evaluations(parts):
    train, dev = windows(parts[0], ALPHABET, 3), windows(parts[1][:200], ALPHABET, 3)
    models = []
    for threads, every in ((1, None), (2, 7), (3, 300)):
        models.append(NPLM(ALPHABET, hidden=50))
        models[-1].fit(train, dev, steps=300, lr=0.1, threads=threads, evaluate_every=every)
    assert same(models[0], models[1])
    assert same(models[0], models[2])
    assert models[0].history.loss.tolist() == models[1].history.loss.tolist()


def test_windows_and_text_are_the_same_examples(small):
    other = small.copy()
    small.fit(FEW, FEW, steps=50, lr=0.1)
    other.fit(windows(FEW, other.vocab, 2), "\n".join(FEW).encode(), steps=50, lr=0.1)
    assert same(small, other)
    assert small.loss(FEW) == other.loss(windows(FEW, other.vocab, 2))


def test_early_stopping_keeps_the_best(small):
    history = small.fit(
        FEW[:5], FEW[5:], steps=5000, lr=0.3, batch=8, evaluate_every=20, patience=4
    )
    assert history.stopped == "stopped early"
    assert len(history.loss) < 5000
    assert small.loss(FEW[5:]) == history.dev_loss.min()


def test_the_finder_leaves_the_model_alone(parts):
    model = NPLM(ALPHABET)
    before = model.copy()
    sweep = find_rate(model, parts[0][:5000], steps=1000)
    assert same(model, before)
    assert sweep.rates[[0, -1]].tolist() == [0.001, 1.0]
    # The lecture finds 0.1.
    assert 0.03 < sweep.lowest() < 0.9
    smooth = sweep.smooth()
    assert smooth[:50].mean() > smooth.min() + 0.3


# What it says.


def test_probabilities_are_those_of_the_formula():
    model = NPLM(ALPHABET, context=2, direct=True, init="lecture", dtype="float64")
    x = np.concatenate([model.C[0], model.C[ALPHABET.encode("q")[0]]])
    y = model.b + model.W @ x + model.U @ np.tanh(model.d + model.H @ x)
    expected = np.exp(y - y.max()) / np.exp(y - y.max()).sum()
    assert model.probabilities("q") == pytest.approx(expected, rel=1e-12)
    assert model.probabilities("q").dtype == np.float64


def test_only_the_end_of_a_context_counts(small):
    assert (small.probabilities("emma") == small.probabilities("ma")).all()
    contexts = np.array([[0, 0], [0, 3]], dtype=np.uint32)
    rows = small.probabilities_of(contexts)
    assert rows.shape == (2, len(small.vocab))
    assert rows.sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    assert rows[0] == pytest.approx(small.probabilities(), abs=1e-6)
    symbol = small.vocab.symbols[3]
    assert rows[1] == pytest.approx(small.probabilities(symbol), abs=1e-6)


def test_the_loss_is_the_mean_over_symbols(small):
    contexts, following = windows(FEW, small.vocab, 2)
    rows = small.probabilities_of(contexts)
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
    last = small.vocab.symbols[-1]
    assert table[3 * size + size - 1] == pytest.approx(
        small.probabilities(small.vocab.symbols[3] + last), abs=1e-6
    )
    assert small.table() is table
    small.b[2] += 1
    assert small.table() is not table
    assert NPLM(ALPHABET, context=4).table() is None


def test_samples_follow_the_seed(small):
    small.fit(FEW, steps=300, lr=0.2, batch=8)
    names = small.sample(50, seed=3)
    assert names == small.sample(50, seed=3) != small.sample(50, seed=4)
    assert len(names) == 50
    assert set("".join(names)) <= set("".join(FEW))
    assert set(names) & set(FEW)


def test_samples_without_a_table():
    model = NPLM(Vocab.of(FEW), context=9, hidden=20)
    assert model.table() is None
    model.fit(FEW, steps=300, lr=0.2, batch=8)
    assert set(model.sample(30, seed=3)) & set(FEW)


def test_nearest_is_by_cosine(small):
    small.C[:] = 0.0
    small.C[:, 0] = 1.0
    small.C[:, 1] = np.arange(len(small.vocab))
    small.C[5] *= 10  # Length does not matter.
    nearest = small.nearest(small.vocab.symbols[4], k=3)
    assert [symbol for symbol, _ in nearest] == [small.vocab.symbols[i] for i in (5, 3, 6)]
    assert nearest[0][1] == pytest.approx((1 + 4 * 5) / math.sqrt(17 * 26), rel=1e-6)
    assert small.embeddings is small.C
    with pytest.raises(ValueError, match="symbol is 'ß'"):
        small.nearest("ß")
    with pytest.raises(ValueError, match="k is 0"):
        small.nearest("a", k=0)


# Files.


def test_a_saved_model_comes_back_whole(small, tmp_path):
    small.fit(FEW, FEW, steps=40, lr=0.1)
    small.save(tmp_path)
    loaded = NPLM.load(tmp_path)
    assert same(loaded, small)
    assert (loaded.vocab, loaded.shape) == (small.vocab, small.shape)
    assert loaded.history.loss.tolist() == small.history.loss.tolist()
    assert loaded.history.rate.tolist() == small.history.rate.tolist()
    assert loaded.history.dev_loss.tolist() == small.history.dev_loss.tolist()
    assert loaded.history.stopped == "finished"
    with pytest.raises(ValueError, match="a model without a training run"):
        NPLM.resume(tmp_path, FEW)
    again = pickle.loads(pickle.dumps(small))
    assert same(again, small)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("patience", [None, 50])
def test_a_resumed_run_is_bit_for_bit_the_whole_one(optimizer, patience, tmp_path):
    settings = {
        "lr": cosine(0.02, 0.001, 400),
        "steps": 400,
        "batch": 8,
        "optimizer": optimizer,
        "weight_decay": 0.01,
        "patience": patience,
        "seed": 5,
    }
    vocab = Vocab.of(FEW)
    whole = NPLM(vocab, hidden=20)
    whole.fit(FEW, FEW, **settings)

    def interrupt(progress):
        if progress.step == 160:
            raise KeyboardInterrupt

    part = NPLM(vocab, hidden=20)
    with pytest.raises(KeyboardInterrupt, match=r"after 160 of 400 steps; saved in .*safetensors"):
        part.fit(
            FEW, FEW, **settings, checkpoint=tmp_path, callbacks=[interrupt], log=tmp_path / "log"
        )
    assert len(part.history.loss) == 160
    resumed = NPLM.resume(tmp_path, FEW, FEW, log=tmp_path / "log")
    assert same(resumed, whole)
    for name in ("loss", "rate", "dev_step", "dev_loss"):
        assert getattr(resumed.history, name).tolist() == getattr(whole.history, name).tolist()
    assert same(NPLM.load(tmp_path), whole)
    assert checkpoint.previous(tmp_path / "model.safetensors").is_file()
    assert len((tmp_path / "log").read_text().splitlines()) == 20 + 2


def test_a_finished_run_is_resumed_to_itself(small, tmp_path):
    path = tmp_path / "done.safetensors"
    small.fit(FEW, FEW, steps=6, batch=8, lr=0.1, checkpoint=path)
    assert same(NPLM.resume(path, FEW, FEW), small)
    assert same(NPLM.load(path), small)
    longer = NPLM.resume(path, FEW, FEW, steps=9, lr=0.05)
    assert len(NPLM.load(path).history.loss) == len(longer.history.loss) == 9


def test_other_examples_are_not_resumed_on(small, tmp_path):
    small.fit(FEW, FEW, steps=40, lr=0.1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="train is not what the run was started with"):
        NPLM.resume(tmp_path, FEW[1:], FEW)
    with pytest.raises(ValueError, match="dev is not what the run was started with"):
        NPLM.resume(tmp_path, FEW, FEW[1:])
    with pytest.raises(ValueError, match="steps is 50, but rates were saved for 40"):
        NPLM.resume(tmp_path, FEW, FEW, steps=50)
    longer = NPLM.resume(tmp_path, FEW, FEW, steps=50, lr=0.01)
    assert longer.history.rate.tolist() == [0.1] * 40 + [0.01] * 10


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("shape", "hidden"), 11, r"H is \(12, 8\)"),
        (("shape", "hidden"), 10**30, "H is"),
        (("shape", "dtype"), "float16", "dtype is 'float16'"),
        (("shape", "extra"), 1, "extra"),
        (("shape",), [], "damaged"),
        (("vocab",), {"characters": "zz"}, "vocabulary"),
        (("vocab",), {"characters": "abc"}, "C is"),
        (("training", "batch"), 0, "batch is 0"),
        (("training", "seed"), -1, "seed is -1"),
        (("training", "optimizer"), {"optimizer": "magic"}, "optimizer is 'magic'"),
        (("training", "optimizer"), {"optimizer": "adamw"}, "optimizer.mean.C is missing"),
        (("training", "steps"), 39, "steps is 39, but the history has 40"),
        (("training",), 7, "settings of the training are 7"),
    ],
)
def test_checkpoints_are_checked_when_loaded(small, tmp_path, place, value, message):
    path = tmp_path / "model.safetensors"
    small.fit(FEW, steps=40, lr=0.1, checkpoint=path)
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
    small.fit(FEW, steps=40, lr=0.1, checkpoint=path, optimizer="adamw")
    tensors, config = checkpoint.load(path)
    for name, wrong in (
        ("C", tensors["C"] * np.float32(np.nan)),
        ("optimizer.mean.H", tensors["optimizer.mean.H"][:, 1:]),
        ("b", tensors["b"].astype(np.float64)),
    ):
        checkpoint.save(path, tensors | {name: wrong}, config)
        with pytest.raises(checkpoint.CheckpointError, match=name):
            NPLM.load(path)


# What is refused, and leaves everything as it was.


def test_a_rate_that_ruins_everything_stops(small, tmp_path):
    with pytest.raises(DivergedError, match=r"at rate 1e\+38") as error:
        small.fit(FEW, FEW, steps=100, batch=8, lr=[(0, 0.1), (50, 1e38)], checkpoint=tmp_path)
    assert 50 <= error.value.step < 60
    assert all(np.isfinite(p).all() for p in small.parameters().values())
    assert np.isfinite(small.history.loss).all()
    assert len(small.history.loss) == error.value.step - 1
    assert same(NPLM.load(tmp_path), small)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"context": 0}, ValueError, "context is 0; expected at least 1"),
        ({"context": 2.0}, TypeError, "context is 2.0; expected an int"),
        ({"embedding": 0}, ValueError, "embedding is 0"),
        ({"hidden": 0}, ValueError, "hidden is 0"),
        ({"direct": 1}, TypeError, "direct is 1; expected True or False"),
        ({"init": "zeros"}, ValueError, "init is 'zeros'; expected 'scaled' or 'lecture'"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": None}, TypeError, "seed is None"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16'"),
    ],
)
def test_networks_that_are_none(settings, error, message):
    with pytest.raises(error, match=message):
        NPLM(ALPHABET, **settings)
    with pytest.raises(TypeError, match="vocab is 'abc'; expected a Vocab"):
        NPLM("abc")


@pytest.mark.parametrize("hidden", [10**13, 10**18, 10**30])
def test_networks_that_no_memory_holds(hidden):
    size = hidden * (30 + 1 + 27) + 27 * 11
    with pytest.raises(MemoryError, match=f"network of {size:,} parameters: .* {4 * size:,} bytes"):
        NPLM(ALPHABET, hidden=hidden)
    with pytest.raises(MemoryError, match=r"contexts of 52 symbols.*: 2,080,000,000,000,000 bytes"):
        windows(FEW, ALPHABET, 10**13)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train": []}, ValueError, "is empty; expected at least one"),
        ({"train": b" \n"}, ValueError, "is empty; expected at least one"),
        ({"dev": []}, ValueError, "empty"),
        ({"train": ["zoë"]}, UnknownCharacterError, "'z'"),
        ({"dev": ["Ava"]}, UnknownCharacterError, "'A'"),
        ({"train": "no-such-file.txt"}, FileNotFoundError, "no-such-file"),
        ({"train": 3}, TypeError, "source is 3"),
        ({"batch": 0}, ValueError, "batch is 0"),
        ({"batch": 10**6}, ValueError, "batch is 1000000, but train has 52 examples"),
        ({"steps": 0}, ValueError, "steps is 0"),
        ({"lr": math.nan}, ValueError, "lr is nan"),
        ({"lr": [(0, 0.1), (5, math.nan)]}, ValueError, r"lr\[1\] is nan"),
        ({"optimizer": "adam"}, ValueError, "optimizer is 'adam'; expected one of"),
        ({"optimizer": ["sgd"]}, ValueError, r"optimizer is \['sgd'\]; expected one of"),
        ({"optimizer": "momentum", "momentum": 1.0}, ValueError, "momentum is 1.0; expected"),
        ({"optimizer": "adamw", "betas": (0.9, 1.0)}, ValueError, r"betas\[1\] is 1.0; expected"),
        ({"optimizer": "adamw", "betas": 0.9}, TypeError, "betas is 0.9; expected"),
        ({"optimizer": "adamw", "eps": 0.0}, ValueError, "eps is 0.0; expected"),
        ({"momentum": 0.9}, ValueError, "momentum is 0.9, but optimizer is 'sgd'; .*'momentum'"),
        ({"optimizer": "momentum", "betas": (0, 0)}, ValueError, "a setting of 'adamw'"),
        ({"eps": 1e-8}, ValueError, "eps is 1e-08, but optimizer is 'sgd'; .* 'adamw'"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay is -1.0"),
        ({"weight_decay": "a"}, TypeError, "weight_decay is 'a'"),
        ({"seed": 2**64}, ValueError, "seed is 18446744073709551616"),
        ({"threads": 0}, ValueError, "threads is 0"),
        ({"patience": 3}, ValueError, "patience is 3, but there is no dev"),
        ({"log": "no/such/folder/log"}, FileNotFoundError, "no/such/folder"),
    ],
)
def test_training_that_makes_no_sense(small, changes, error, message):
    before = small.copy()
    call = {"train": FEW, "steps": 10, "lr": 0.1} | changes
    with pytest.raises(error, match=message):
        small.fit(call.pop("train"), **call)
    assert same(small, before)
    assert small.history.loss.shape == (0,)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda x, y: (x.astype(np.int64), y),
            TypeError,
            r"train\[0\] is of int64; expected uint32",
        ),
        (lambda x, y: (x, y.astype(float)), TypeError, r"train\[1\] is of float64"),
        (lambda x, y: (x[:, :1], y), ValueError, r"train\[0\] has shape \(52, 1\); expected"),
        (lambda x, y: (x, y[:-1]), ValueError, r"train\[1\] has shape \(51,\); expected \(52,\)"),
        (lambda x, y: (x[0], y), ValueError, r"train\[0\] has shape \(2,\)"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "train is empty"),
        (
            lambda x, y: (x + np.uint32(7), y),
            ValueError,
            r"train\[0\]\[.*\] is .*; expected ids less",
        ),
        (lambda x, y: (x, y + np.uint32(2**31)), ValueError, r"train\[1\]\[\d+\] is 21474836"),
        (lambda x, y: (x, y, y), ValueError, "train is a tuple of 3"),
        (
            lambda x, y: (x, y.tolist()),
            TypeError,
            r"train\[1\] is a list; expected an array of ids",
        ),
    ],
)
def test_examples_that_are_none(small, spoil, error, message):
    before = small.copy()
    with pytest.raises(error, match=message):
        small.fit(spoil(*windows(FEW, small.vocab, 2)), steps=10, lr=0.1)
    assert same(small, before)


def test_parameters_cannot_be_replaced(small):
    with pytest.raises(AttributeError, match=r"C cannot be replaced; .*model.C\[...\]"):
        small.C = np.zeros((3, 3))


def test_contexts_that_are_none(small):
    with pytest.raises(ValueError, match=r"contexts has shape \(1, 3\); expected \(N, 2\)"):
        small.probabilities_of(np.zeros((1, 3), dtype=np.uint32))
    with pytest.raises(ValueError, match=r"contexts\[0, 1\] is 99; expected ids less than"):
        small.probabilities_of(np.array([[0, 99]], dtype=np.uint32))
    with pytest.raises(UnknownCharacterError, match="'z'"):
        small.probabilities("z")
