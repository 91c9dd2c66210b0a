"""Items made up by language models: the same everywhere, and as likely as the model says."""

import _thread
import signal
import threading
from collections import Counter

import numpy as np
import pytest
from fastgrad._core import TableSampler, draw_rows
from fastgrad.sampling import Novelty, novelty, sample
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_models import ArrayModel, number, shaped

FEW = ["ada", "dana", "nadia", "ida", "dina", "ana", "nina", "adina", "diana", "aidan", "nan"]


@pytest.fixture(scope="module")
def few():
    return ArrayModel.of(FEW)


@pytest.fixture(scope="module")
def names(names_file):
    return names_file.read_text(encoding="utf-8").split()


@pytest.fixture(scope="module")
def bigrams(names):
    return ArrayModel.of(names)


# The same everywhere -----------------------------------------------------------------------------

FIRST = ["iggele", "aelleyiaan", "than", "jaemai", "jan", "me", "za", "l", "hanazlla", "felere"]
TRIGRAMS = ["ir", "aelonth", "tenna", "jaemph", "jan", "ma", "za", "layle", "hanizord", "fen"]


def test_a_seed_gives_these_names(bigrams):
    assert sample(bigrams) == FIRST
    assert sample(bigrams, 3, seed=0) == FIRST[:3]


def test_a_seed_gives_these_names_of_a_longer_context(names):
    assert sample(ArrayModel.of(names, context=2)) == TRIGRAMS


def test_threads_and_numbers_do_not_matter(bigrams):
    # More than two parts of the work, the last of which is not full.
    many = sample(bigrams, 20_000, seed=7, threads=1)
    for threads in (2, 3, 64, None):
        assert sample(bigrams, 20_000, seed=7, threads=threads) == many
    assert sample(bigrams, 5, seed=7) == many[:5]
    assert sample(bigrams, 8193, seed=7) == many[:8193]


def test_items_can_be_made_in_parts(bigrams):
    many = sample(bigrams, 20_000, seed=7)
    untabled = ArrayModel(bigrams.vocab.characters, bigrams.rows, tabled=False)
    assert sample(untabled, 9_000, seed=7, first=5_000) == many[5_000:14_000]
    assert len(sample(untabled, 3, first=2**63 - 1)) == 3
    for first, n in ((0, 0), (0, 10), (3, 1), (8_191, 11_809), (19_999, 1)):
        assert sample(bigrams, n, seed=7, first=first) == many[first : first + n]
    assert len(sample(bigrams, 3, first=2**63 - 1)) == 3
    with pytest.raises(ValueError, match="first is -1; expected at least 0"):
        sample(bigrams, 1, first=-1)
    with pytest.raises(ValueError, match="first is 9223372036854775808"):
        sample(bigrams, 1, first=2**63)


def test_seeds_matter(few):
    assert sample(few, 20, seed=1) != sample(few, 20, seed=2)
    assert sample(few, 20, seed=2**64 - 1) != sample(few, 20)
    assert sample(few, 50, seed=None) != sample(few, 50, seed=None)


SETTINGS = {
    "plain": {},
    "prompt": {"prompt": "na"},
    "long prompt": {"prompt": "adadad"},
    "cold": {"temperature": 0.3},
    "hot": {"temperature": 3.0},
    "top_k": {"top_k": 2},
    "greedy": {"temperature": 0, "max_length": 7},
    "all": {"temperature": 0.7, "top_k": 3, "prompt": "d", "max_length": 5},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("context", [1, 2])
def test_batches_give_the_names_of_the_table(settings, context):
    table = ArrayModel.of(FEW, context)
    if context == 2:
        # Some contexts of a long prompt or a high temperature do not occur in the names.
        table.rows[table.rows.sum(axis=1) == 0] = 0.2
    batches = ArrayModel(table.vocab.characters, table.rows, tabled=False)
    assert sample(batches, 300, seed=3, **settings) == sample(table, 300, seed=3, **settings)


def test_more_items_than_a_batch_holds():
    table, batches = ArrayModel.of(FEW), ArrayModel.of(FEW, tabled=False)
    assert sample(batches, 5000, seed=3) == sample(table, 5000, seed=3)
    settings = {"max_length": 10**15, "seed": 3}
    assert sample(batches, 70, **settings) == sample(table, 70, **settings)


@pytest.mark.parametrize("letters", ["àéîø", "адин", "名前二三", "😀😁😂🤣", "a\0é🤣"])
def test_any_script(few, letters):
    letters = "".join(sorted(letters))
    other = ArrayModel(letters, few.rows)
    expected = [item.translate(str.maketrans("adin", letters)) for item in sample(few, 50)]
    assert sample(other, 50) == expected
    assert sample(ArrayModel(letters, few.rows, tabled=False), 50) == expected
    assert sample(other, 20_000)[:50] == expected


# As likely as the model says ---------------------------------------------------------------------


def chi_square(counts, probabilities):
    """How far counts are from what is expected, in standard deviations of the statistic."""
    expected = counts.sum() * probabilities
    assert not counts[expected == 0].any()
    used = expected > 0
    statistic = ((counts[used] - expected[used]) ** 2 / expected[used]).sum()
    freedom = used.sum() - 1
    return (statistic - freedom) / np.sqrt(2 * freedom) if freedom else 0.0


@pytest.mark.parametrize(
    ("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, None), (1.0, 3), (1.5, 2)]
)
def test_symbols_follow_each_other_as_often_as_they_should(few, temperature, top_k):
    items = sample(few, 40_000, seed=5, temperature=temperature, top_k=top_k, max_length=1000)
    found = Counter(pair for item in items for pair in zip("." + item, item + ".", strict=True))
    symbols = few.vocab.symbols
    for row, before in zip(few.rows, symbols, strict=True):
        counts = np.array([found[before, after] for after in symbols])
        assert abs(chi_square(counts, shaped(row, temperature, top_k))) < 5


def test_names_have_the_length_and_the_letters_of_the_model(bigrams, names):
    items = sample(bigrams, 200_000, seed=1)
    # The lengths of a chain: their mean is what solving the linear equations gives.
    inner = bigrams.rows[1:, 1:]
    mean = bigrams.rows[0, 1:] @ np.linalg.solve(np.eye(26) - inner, np.ones(26))
    lengths = np.array([len(item) for item in items])
    assert lengths.mean() == pytest.approx(mean, abs=5 * lengths.std() / np.sqrt(len(items)))
    firsts = Counter(item[:1] for item in items)
    counts = np.array([firsts[symbol.strip(".")] for symbol in bigrams.vocab.symbols])
    assert abs(chi_square(counts, bigrams.rows[0])) < 5


def test_rows_are_drawn_from_as_often_as_they_should():
    row = np.array([0.05, 0.0, 0.4, 0.3, 0.25])
    streams = np.arange(100_000, dtype=np.uint64)
    for temperature, top_k in [(1.0, None), (0.4, None), (5.0, 3)]:
        drawn = draw_rows(np.tile(row, (100_000, 1)), streams, 3, 9, temperature, top_k)
        assert drawn.dtype == np.uint32
        counts = np.bincount(drawn, minlength=5)
        assert abs(chi_square(counts, shaped(row, temperature, top_k))) < 5


@pytest.mark.parametrize("size", [1024, 1025])
def test_large_vocabularies_are_drawn_from_as_they_should(size):
    row = np.arange(size) % 7 / (np.arange(size) % 7).sum()
    row[:3] += 0.1
    row /= row.sum()
    rows, streams = np.tile(row, (3000, 1)), np.arange(3000, dtype=np.uint64)
    for temperature, top_k in [(1.0, None), (0.7, 600)]:
        drawn = [draw_rows(rows, streams, step, 9, temperature, top_k) for step in range(3)]
        counts = np.bincount(np.concatenate(drawn), minlength=size)
        assert abs(chi_square(counts, shaped(row, temperature, top_k))) < 5
    assert draw_rows(rows[:2], streams[:2], 0, 0, 0.0).tolist() == [2, 2]


def test_a_draw_is_a_function_of_seed_stream_and_step():
    # Of 2**k equal probabilities the draw is the first k bits of the number.
    streams = np.array([0, 1, 5, 2**64 - 1], dtype=np.uint64)
    rows = np.full((4, 256), 1 / 256)
    for seed in (0, 1, 2**64 - 1):
        for step in (0, 1, 2**40):
            expected = [number(seed, int(stream), step) >> 56 for stream in streams]
            assert draw_rows(rows, streams, step, seed).tolist() == expected
            assert draw_rows(rows[:1], streams[2:3], step, seed).tolist() == expected[2:3]


@st.composite
def models(draw):
    """A model of a few symbols; impossible pairs are frequent, contexts without a way out too."""
    size, context = draw(st.integers(2, 5)), draw(st.integers(1, 3))
    entry = st.one_of(st.just(0.0), st.floats(1e-6, 1.0))
    rows = [draw(st.lists(entry, min_size=size, max_size=size)) for _ in range(size**context)]
    rows = np.array(rows)
    sums = rows.sum(axis=1, keepdims=True)
    return "abcd"[: size - 1], rows / np.where(sums == 0, 1, sums)


@settings(max_examples=50)
@given(models(), st.integers(0, 2**64 - 1), st.sampled_from(list(SETTINGS)[3:7]))
def test_only_what_is_possible_is_drawn(model, seed, name):
    characters, rows = model
    options = {**SETTINGS[name], "max_length": 12, "seed": seed}
    table = ArrayModel(characters, rows)
    outcomes = []
    for tabled in (True, False):
        try:
            outcomes.append(sample(ArrayModel(characters, rows, tabled), 20, **options))
        except ValueError as error:
            outcomes.append(str(error))
    if isinstance(outcomes[0], str):
        # Which of several dead ends is met first depends on the order of the draws.
        assert all("the model gives no probability to any" in text for text in outcomes)
        return
    assert outcomes[0] == outcomes[1]
    for item in outcomes[0]:
        ids = [0] * table.context + table.vocab.encode(item).tolist()
        ids += [0] if len(item) < 12 else []
        for i in range(table.context, len(ids)):
            assert rows[table.row(ids[i - table.context : i]), ids[i]] > 0


# Settings ----------------------------------------------------------------------------------------


def test_temperature_0_takes_the_likeliest_and_the_first_of_equals():
    rows = [[0.2, 0.4, 0.4], [0.0, 0.3, 0.7], [0.5, 0.5, 0.0]]
    for tabled in (True, False):
        assert sample(ArrayModel("ab", rows, tabled), 3, temperature=0) == ["ab", "ab", "ab"]
        assert sample(ArrayModel("ab", rows, tabled), 2, top_k=1) == ["ab", "ab"]


def test_top_k_keeps_the_first_of_equals():
    rows = np.full((3, 3), 1 / 3)
    items = sample(ArrayModel("ab", rows), 200, top_k=2)
    assert "a" in items
    assert not any("b" in item for item in items)


def test_extreme_temperatures(few):
    greedy = sample(few, 5, temperature=0)
    assert sample(few, 5, temperature=1e-300) == greedy
    assert len(set(sample(few, 200, temperature=float("inf")))) > 100


def test_prompts_begin_items(few):
    items = sample(few, 100, prompt="da")
    assert all(item.startswith("da") for item in items)
    assert len(set(items)) > 10
    # The random numbers are those of the positions, so the prompt takes up its part of them.
    assert sample(few, 4, prompt="dada", max_length=4) == ["dada"] * 4


def test_max_length(few):
    items = sample(few, 1000, max_length=3)
    assert max(map(len, items)) == 3
    longer = sample(few, 1000)
    assert items == [item[:3] for item in longer]
    assert max(map(len, sample(ArrayModel("a", [[0.0, 1.0], [0.0, 1.0]])))) == 100


def test_no_items(few):
    assert sample(few, 0) == []
    assert sample(ArrayModel.of(FEW, tabled=False), 0) == []


# Bad input ---------------------------------------------------------------------------------------

WRONG = {
    "n below 0": ({"n": -1}, ValueError, "n is -1; expected at least 0"),
    "n of a float": ({"n": 1.5}, TypeError, r"n is 1\.5; expected an int"),
    "seed below 0": ({"seed": -1}, ValueError, "seed is -1; expected at least 0"),
    "seed too large": ({"seed": 2**64}, ValueError, "seed is 18446744073709551616; expected"),
    "temperature below 0": ({"temperature": -0.1}, ValueError, r"temperature is -0\.1; expected a"),
    "temperature nan": ({"temperature": float("nan")}, ValueError, "temperature is NaN; expected"),
    "temperature of a str": ({"temperature": "hot"}, TypeError, "temperature is 'hot'; expected"),
    "top_k 0": ({"top_k": 0}, ValueError, "top_k is 0; expected at least 1"),
    "threads 0": ({"threads": 0}, ValueError, "threads is 0; expected at least 1"),
    "max_length 0": ({"max_length": 0}, ValueError, "max_length is 0; expected at least 1"),
    "long prompt": ({"prompt": "dada", "max_length": 3}, ValueError, "prompt has 4 symbols; exp"),
    "prompt of an int": ({"prompt": 5}, TypeError, "prompt is 5; expected a str"),
    "strange prompt": ({"prompt": "dax"}, ValueError, "character 'x'"),
    "boundary": ({"prompt": "d.a"}, ValueError, r"character '\.'"),
}


@pytest.mark.parametrize("tabled", [True, False])
@pytest.mark.parametrize(("settings", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_settings(settings, error, message, tabled):
    if not tabled and "threads" in settings:
        return
    with pytest.raises(error, match=message):
        sample(ArrayModel.of(FEW, tabled=tabled), **settings)


def test_what_is_no_model():
    with pytest.raises(TypeError, match="model is 'emma'; expected a language model"):
        sample("emma")  # pyright: ignore[reportArgumentType]


ROWS = {
    "negative": ([[1.5, -0.5], [1.0, 0.0]], r"probabilities\[0, 1\] is -0\.5; expected a number"),
    "nan": ([[1.0, 0.0], [np.nan, 1.0]], r"probabilities\[1, 0\] is NaN"),
    "inf": ([[1.0, 0.0], [np.inf, 0.0]], r"probabilities\[1, 0\] is inf"),
    "counts": ([[1.0, 0.0], [5.0, 3.0]], r"probabilities\[1\] sums to 8\.0; expected a sum of 1"),
}


@pytest.mark.parametrize(("rows", "message"), ROWS.values(), ids=ROWS)
def test_rows_that_are_no_distributions(rows, message):
    rows = np.array(rows)
    with pytest.raises(ValueError, match=message):
        TableSampler(rows, 1)
    with pytest.raises(ValueError, match=message):
        draw_rows(rows, np.zeros(2, np.uint64), 0, 0)


def test_rows_may_be_off_by_the_rounding_of_f32():
    rows = np.full((3, 3), 1 / 3, dtype=np.float32) * np.float32(1.00001)
    assert draw_rows(rows.astype(np.float64), np.zeros(3, np.uint64), 0, 0).shape == (3,)


def test_arrays_of_the_wrong_kind():
    rows, streams = np.full((2, 2), 0.5), np.zeros(2, np.uint64)
    with pytest.raises(ValueError, match=r"shape \(2, 2\) and context is 2; expected size\*\*con"):
        TableSampler(rows, 2)
    with pytest.raises(ValueError, match="context of at least 1"):
        TableSampler(rows, 0)
    with pytest.raises(ValueError, match="context of at least 1"):
        TableSampler(np.ones((2, 1)), 1)
    with pytest.raises(ValueError, match=r"shape \(1, 0\); expected at least one symbol a row"):
        TableSampler(np.ones((1, 0)), 1)
    with pytest.raises(TypeError, match="probabilities is of type list; expected a numpy array"):
        TableSampler([[1.0]], 1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="is an array of float32; expected float64"):
        draw_rows(rows.astype(np.float32), streams, 0, 0)
    with pytest.raises(ValueError, match="probabilities has 1 dimensions; expected 2"):
        draw_rows(rows[0], streams, 0, 0)
    with pytest.raises(ValueError, match="streams has length 2; expected 1, one for each row"):
        draw_rows(rows[:1], streams, 0, 0)
    with pytest.raises(TypeError, match="streams is an array of int64; expected uint64"):
        draw_rows(rows, streams.astype(np.int64), 0, 0)


def test_the_sampler_of_the_core_checks_too():
    sampler = TableSampler(np.full((3, 3), 1 / 3), 1)
    for prompt, message in [([0], r"prompt\[0\] is 0"), ([1, 3], r"prompt\[1\] is 3; expected a")]:
        with pytest.raises(ValueError, match=message):
            sampler.sample(1, 0, prompt, 5, "ab")
    with pytest.raises(ValueError, match="characters has 3 of them; expected 2"):
        sampler.sample(1, 0, [], 5, "abc")
    with pytest.raises(ValueError, match="max_length is 1; expected at least the length of the"):
        sampler.sample(1, 0, [1, 2], 1, "ab")
    with pytest.raises(ValueError, match="threads is 0"):
        sampler.sample(1, 0, [], 1, "ab", threads=0)
    assert TableSampler(np.ones((1, 1)), 1).sample(2, 0, [], 5, "") == ["", ""]


def test_views_are_read_in_their_order(few):
    columns = np.asfortranarray(few.rows)
    assert sample(ArrayModel("adin", columns), 20) == sample(few, 20)
    streams = np.arange(10, dtype=np.uint64)
    straight = draw_rows(few.rows, np.ascontiguousarray(streams[::2]), 0, 0)
    assert draw_rows(columns, streams[::2], 0, 0).tolist() == straight.tolist()


@pytest.mark.parametrize(("n", "tabled"), [(1, True), (1, False), (50_000, True), (5000, False)])
def test_a_dead_end_is_named(tabled, n):
    # a is followed by b, and nothing by b.
    model = ArrayModel("ab", [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], tabled)
    with pytest.raises(ValueError, match="no probability to any symbol after 'b'"):
        sample(model, n)
    assert sample(model, n, max_length=2) == ["ab"] * n
    nothing = ArrayModel("ab", np.zeros((3, 3)), tabled)
    with pytest.raises(ValueError, match="no probability to any first symbol"):
        sample(nothing, n, temperature=0)


# Long work ---------------------------------------------------------------------------------------


def test_progress_is_told(few):
    told = []
    sampler = TableSampler(few.rows, 1)
    items = sampler.sample(30_000, 0, [], 100, "adin", threads=2, progress=told.append)
    assert len(items) == told[-1] == 30_000
    assert told == sorted(told)
    told.clear()
    sampler.sample(3, 0, [], 100, "adin", progress=told.append)
    assert told == [3]


def test_an_exception_in_progress_ends_the_work(few):
    def stop(done):
        raise RuntimeError("enough")

    sampler = TableSampler(few.rows, 1)
    with pytest.raises(RuntimeError, match="enough"):
        sampler.sample(10**9, 0, [], 100, "adin", progress=stop)


@pytest.mark.parametrize("settings", [{"n": 10**10}, {"n": 1, "max_length": 10**9}])
def test_interrupts_are_answered(settings):
    endless = ArrayModel("ab", np.full((3, 3), [0.0, 0.5, 0.5]))
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        pytest.skip("somebody else answers Ctrl-C here")
    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sample(endless, **settings)
    timer.join()


# What is new -------------------------------------------------------------------------------------


def test_novelty():
    report = novelty(["emma", "emmy", "emmy", "ava"], iter(["ava", "emma", "olivia"]))
    assert report == Novelty(total=4, distinct=3, known=2, new=2)
    assert str(report) == "4 samples, 3 distinct: 2 in the training text, 2 new"
    assert str(novelty([], [])) == "0 samples, 0 distinct: 0 in the training text, 0 new"


def test_novelty_of_names(bigrams, names):
    report = novelty(sample(bigrams, 10_000, seed=1), names)
    assert (report.total, report.known + report.new) == (10_000, 10_000)
    assert report == Novelty(total=10_000, distinct=6886, known=1079, new=8921)


@pytest.mark.parametrize("which", [0, 1])
def test_novelty_wants_lists(which):
    arguments = [["emma"], ["emma"]]
    arguments[which] = "emma"
    with pytest.raises(TypeError, match="is 'emma'; expected a list of str"):
        novelty(*arguments)
    arguments[which] = ["emma", 3]
    with pytest.raises(TypeError, match=r"\[1\] is 3; expected a str"):
        novelty(*arguments)
