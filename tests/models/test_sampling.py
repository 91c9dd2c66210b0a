"""Items made up by language models: the same everywhere, and as likely as the model says."""

from collections import Counter

import numpy as np
import pytest
from fastgrad._core import draw_rows
from fastgrad.models import KneserNey
from fastgrad.sampling import Novelty, _Draw, novelty, sample
from fastgrad.text import read_words
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_models import FEW, ArrayModel, number, shaped


@pytest.fixture(scope="module")
def bigrams(names):
    return ArrayModel.of(names)


# The same everywhere -----------------------------------------------------------------------------

FIRST = ["iggele", "aelleyiaan", "than", "jaemai", "jan", "me", "za", "l", "hanazlla", "felere"]
TRIGRAMS = ["ir", "aelonth", "tenna", "jaemph", "jan", "ma", "za", "layle", "hanizord", "fen"]


def test_a_seed_gives_these_names(bigrams):
    assert sample(bigrams) == FIRST
    assert sample(bigrams, 3, seed=0) == FIRST[:3]


@pytest.mark.slow
def test_a_seed_gives_these_names_of_a_longer_context(names):
    assert sample(ArrayModel.of(names, context_length=2)) == TRIGRAMS


def test_threads_and_numbers_do_not_matter(bigrams):
    # More than two parts of the work, the last of which is not full.
    many = sample(bigrams, 20_000, seed=7, threads=1)
    for threads in (2, 3, 64, None):
        assert sample(bigrams, 20_000, seed=7, threads=threads) == many
    assert sample(bigrams, 5, seed=7) == many[:5]
    assert sample(bigrams, 8193, seed=7) == many[:8193]


@pytest.mark.slow
def test_items_can_be_made_in_parts(bigrams):
    many = sample(bigrams, 20_000, seed=7)
    untabled = ArrayModel(bigrams.vocab.characters, bigrams.rows, tabled=False)
    assert sample(untabled, 9_000, seed=7, offset=5_000) == many[5_000:14_000]
    assert len(sample(untabled, 3, offset=2**63 - 1)) == 3
    for first, n in ((0, 0), (0, 10), (3, 1), (8_191, 11_809), (19_999, 1)):
        assert sample(bigrams, n, seed=7, offset=first) == many[first : first + n]
    assert len(sample(bigrams, 3, offset=2**63 - 1)) == 3
    with pytest.raises(ValueError, match="offset is -1;"):
        sample(bigrams, 1, offset=-1)
    with pytest.raises(ValueError, match="offset is 9223372036854775808"):
        sample(bigrams, 1, offset=2**63)


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
    symbols = few.vocab.itos
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
    counts = np.array([firsts[symbol.strip(".")] for symbol in bigrams.vocab.itos])
    assert abs(chi_square(counts, bigrams.rows[0])) < 5


def test_rows_are_drawn_from_as_often_as_they_should():
    row = np.array([0.05, 0.0, 0.4, 0.3, 0.25])
    streams = np.arange(100_000, dtype=np.uint64)
    for temperature, top_k in [(1.0, None), (0.4, None), (5.0, 3)]:
        drawn = draw_rows(np.tile(row, (100_000, 1)), streams, 3, 9, temperature, top_k)
        assert drawn.dtype == np.uint32
        counts = np.bincount(drawn, minlength=5)
        assert abs(chi_square(counts, shaped(row, temperature, top_k))) < 5


@pytest.mark.slow
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


@pytest.mark.slow
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
        ids = [0] * table.context_length + table.vocab.encode(item).tolist()
        ids += [0] if len(item) < 12 else []
        for i in range(table.context_length, len(ids)):
            assert rows[table.row(ids[i - table.context_length : i]), ids[i]] > 0


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


def nucleus(row, temperature, top_k, top_p):
    """Return the ids that top_p leaves, by the book, and their probabilities."""
    shaped_row = shaped(row, temperature, top_k)
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    kept, mass = [], 0.0
    for i in order:
        if mass >= top_p or shaped_row[i] == 0:
            break
        kept.append(i)
        mass += shaped_row[i]
    probs = np.zeros(len(row))
    probs[kept] = shaped_row[kept] / mass
    return kept, probs


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.lists(st.just(0.0) | st.floats(0.001, 1), min_size=2, max_size=8).filter(any),
    st.floats(0.01, 0.99),
    st.sampled_from([0, 0.3, 1.0, 2.5, float("inf")]),
    st.none() | st.integers(1, 8),
)
def test_top_p_keeps_the_fewest_that_have_so_much_together(row, top_p, temperature, top_k):
    row = np.array(row) / np.sum(row)
    draw = _Draw(0, float(temperature), top_k, top_p)
    (kept,) = draw.nucleus(row[None])
    assert kept.sum() == pytest.approx(1)
    before = shaped(row, temperature, top_k) if temperature < np.inf else None
    if before is None:
        likely = sorted(np.flatnonzero(row), key=lambda i: (-row[i], i))[:top_k]
        before = np.zeros(len(row))
        before[likely] = 1 / len(likely)
    ids = np.flatnonzero(kept)
    mass = before[ids].sum()
    # Their mass is enough, and without the least likely of them it would not be.
    assert mass >= top_p - 1e-9
    assert mass - before[ids].min() < top_p + 1e-9
    # Nothing that is left out is likelier, and the ratios are as before.
    left_out = np.setdiff1d(np.arange(len(row)), ids)
    assert len(left_out) == 0 or before[left_out].max() <= before[ids].min() + 1e-12
    np.testing.assert_allclose(kept[ids], before[ids] / mass, rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"temperature": 2.0, "top_k": 3}])
@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.9, 1, 1.0])
@pytest.mark.parametrize("context", [1, 2])
def test_top_p_is_the_same_with_a_table_and_without(options, top_p, context):
    table = ArrayModel.of(FEW, context)
    if context == 2:
        table.rows[table.rows.sum(axis=1) == 0] = 0.2
    batches = ArrayModel(table.vocab.characters, table.rows, tabled=False)
    settings = {"seed": 3, "top_p": top_p, **options}
    drawn = sample(table, 200, **settings)
    assert sample(batches, 200, **settings) == drawn
    assert sample(table, 50, offset=100, **settings) == drawn[100:150]
    assert sample(batches, 50, offset=100, **settings) == drawn[100:150]
    if top_p == 1:
        assert drawn == sample(table, 200, seed=3, **options)
    if top_p == 0.01:
        assert set(drawn) == set(sample(table, 1, temperature=0))


def test_top_p_is_drawn_as_often_as_it_should(few):
    items = sample(few, 40_000, seed=5, top_p=0.8, max_length=1000)
    found = Counter(pair for item in items for pair in zip("." + item, item + ".", strict=True))
    for row, before in zip(few.rows, few.vocab.itos, strict=True):
        counts = np.array([found[before, after] for after in few.vocab.itos])
        assert abs(chi_square(counts, nucleus(row, 1.0, None, 0.8)[1])) < 5


@pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")
def test_words_are_sampled_by_the_same_function():
    text = read_words(["the cat sat on the mat", "a dog ate the cat"] * 5, eos="line", vocab_size=7)
    model = KneserNey(3).fit(text)
    for options in ({}, {"top_p": 0.7}, {"top_k": 2, "temperature": 0.5}, {"prompt": "the cat"}):
        drawn = sample(model, 40, seed=2, max_length=9, **options)
        assert model.sample(40, seed=2, max_length=9, **options) == drawn
        assert sample(model, 5, seed=2, max_length=9, offset=20, **options) == drawn[20:25]
        assert all(len(item.split()) <= 9 for item in drawn)
        assert not any("<unk>" in item for item in drawn)
    assert any("<unk>" in item for item in sample(model, 40, unk=True))
    greedy = sample(model, 1, prompt="the", temperature=0)
    assert sample(model, 3, prompt="the", top_p=1e-9) == greedy * 3


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
    with pytest.raises(TypeError, match="is 'emma';"):
        novelty(*arguments)
    arguments[which] = ["emma", 3]
    with pytest.raises(TypeError, match=r"\[1\] is 3;"):
        novelty(*arguments)
