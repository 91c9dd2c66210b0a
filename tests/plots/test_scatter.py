"""Pictures of embeddings: every name within the frame, none over another, and nothing squeezed."""

import numpy as np
import pytest
from fastgrad.plots import canvas, embedding_scatter, network, plane
from fastgrad.plots.beside import find_room
from fastgrad.text import WordVocab
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

ALPHABET = [".", *"abcdefghijklmnopqrstuvwxyz"]
CYRILLIC = [".", *(chr(0x430 + i) for i in range(32))]
# Without a glyph in the bundled fonts, so that they are written as codes.
DEVANAGARI = [".", *(chr(0x915 + i) for i in range(30))]


@pytest.fixture
def scatter(tmp_path):
    """Draw embeddings, and return the axes and the line below their label."""

    def draw(rows, tokens, **options):
        path = tmp_path / "scatter.png"
        axes = embedding_scatter(rows, tokens, path=path, **options)
        assert path.read_bytes().startswith(b"\x89PNG")
        return axes, axes.get_xlabel().partition("\n")[2]

    return draw


def boxes(axes):
    """Measure the names in a picture as it was saved: left, bottom, right, top of each."""
    return {
        text.get_text(): text.get_window_extent().extents
        for text in axes.texts
        if text.get_text()  # Arrows are notes without a text.
    }


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def assert_apart_and_within(axes):
    found = list(boxes(axes).values())
    frame = axes.bbox.extents
    for i, box in enumerate(found):
        assert (box[:2] >= frame[:2]).all()
        assert (box[2:] <= frame[2:]).all()
        assert not any(overlap(box, other) for other in found[:i])


# Names beside dots --------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.integers(1, 60), st.integers(0, 999))
def test_a_name_has_a_place_unless_all_four_are_taken(count, seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 300, size=(count, 2))
    sizes = np.column_stack([rng.uniform(5, 60, size=count), np.full(count, 9.0)])
    low, high, aside, clear = np.zeros(2), np.full(2, 300.0), 4.0, 1.5
    found = find_room(places, sizes, places, low, high, aside, clear)
    taken = []
    for (x, y), (width, height), box in zip(places, sizes, found, strict=True):
        free = []
        for right, up in ((True, True), (False, True), (True, False), (False, False)):
            left = x + aside if right else x - aside - width
            bottom = y if up else y - height
            wide = left - clear, bottom - clear, left + width + clear, bottom + height + clear
            within = min(wide[:2]) >= 0 and max(wide[2:]) <= 300
            over = any(overlap(wide, other) for other in taken)
            dots = any(wide[0] < a < wide[2] and wide[1] < b < wide[3] for a, b in places)
            if within and not over and not dots:
                free.append((left, bottom, left + width, bottom + height))
        if free:
            assert box == pytest.approx(free[0])
            taken.append(free[0])
        else:
            assert np.isnan(box).all()


class Words:
    """What a picture asks of a model of words: a vocabulary and embeddings."""

    def __init__(self, words, rows):
        self.vocab, self.embeddings = WordVocab(["<unk>", *words]), np.vstack([0 * rows[:1], rows])


@pytest.mark.slow
def test_words_are_within_the_frame_and_none_is_over_another(tmp_path):
    points = np.random.default_rng(0).normal(size=(150, 5))
    words = [f"word{i}" * (1 + i % 3) for i in range(150)]
    axes = embedding_scatter(Words(words, points), path=tmp_path / "words.png")
    assert axes.get_title() == "Embeddings of the 150 most frequent words"
    assert_apart_and_within(axes)
    assert len(boxes(axes)) > 130
    assert (tmp_path / "words.png").stat().st_size > 20_000
    axes = embedding_scatter(Words(["a$b"], np.array([[1.0, 2.0]])), path=tmp_path / "one.png")
    assert list(boxes(axes)) == ["a$b"]
    with pytest.raises(ValueError, match="expected a row for each of 3 tokens"):
        embedding_scatter(points, ["a", "b", "c"], path=tmp_path / "none.png")


def test_tokens_choose_the_words_that_are_drawn(tmp_path):
    words = [f"word{i}" for i in range(30)]
    model = Words(words, np.random.default_rng(0).normal(size=(30, 5)))
    axes = embedding_scatter(model, words[3:7], path=tmp_path / "words.png")
    assert set(boxes(axes)) == set(words[3:7])
    with pytest.raises(ValueError, match="tokens has 'zebra', which is not in the vocabulary"):
        embedding_scatter(model, ["zebra"])
    with pytest.raises(TypeError, match="expected a neural language model"):
        embedding_scatter([[1.0, 2.0]])


@pytest.mark.slow
@pytest.mark.parametrize("count", [65, 200])
def test_many_tokens_are_dots_with_names_where_there_is_room(scatter, count):
    tokens = [chr(0x400 + i) for i in range(count)]
    rows = np.random.default_rng(1).normal(size=(count, 4))
    axes, _ = scatter(rows, tokens)
    assert_apart_and_within(axes)
    assert 0.6 * count < len(boxes(axes)) <= count
    assert set(boxes(axes)) <= set(canvas.labels(tokens))


def test_tokens_that_are_written_as_codes_are_dots(scatter):
    axes, _ = scatter(np.random.default_rng(2).normal(size=(31, 8)), DEVANAGARI)
    assert_apart_and_within(axes)
    assert {"U+0915", "U+0920", "U+0930"} < set(boxes(axes))


# Points far off -----------------------------------------------------------------------------------


def star(count):
    """Give points, a multiple of four, at distance 1 from the middle, which is their median."""
    return np.tile([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], (count // 4, 1))


@pytest.mark.parametrize(
    ("count", "moved", "found"),
    [
        (8, 1, 0),
        (12, 1, 1),
        (12, 2, 0),
        (20, 2, 2),
        (36, 3, 3),
        (36, 4, 0),
        (100, 3, 3),
        (100, 4, 0),
    ],
)
def test_at_most_three_points_and_a_tenth_of_all_are_far(count, moved, found):
    points = star(count)
    points[: 4 * moved : 4, 0] = 1.51
    assert plane.far(points).nonzero()[0].tolist() == list(range(0, 4 * found, 4))
    points[: 4 * moved : 4, 0] = 1.49
    assert not plane.far(points).any()


def test_where_nearly_all_are_in_one_place_the_others_are_shown():
    points = np.zeros((40, 2))
    assert not plane.far(points).any()
    points[7] = 1.0, 2.0
    assert not plane.far(points).any()


def test_what_is_within_the_frame_all_the_same_has_its_own_place():
    axes = Figure(figsize=(4, 4), layout="constrained").add_subplot()
    points = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.8], [7.0, 0.5]])
    view = plane.settle(axes, points, 10, np.array([False, False, True, True]), "abcd")
    assert view.outside.tolist() == [False, False, False, True]
    assert (view.places[:3] == view.points[:3]).all()
    assert view.data(view.points) == pytest.approx(points)
    assert view.places[3] == pytest.approx([view.high[0] - 10 * view.point, view.points[3, 1]])
    assert view.point_out(view.places)[0] == pytest.approx([view.high[0], view.points[3, 1]])
    assert axes.get_xlabel().partition("\n")[2] == "beyond the frame: d at (7, 0.5)"


@pytest.mark.parametrize("tokens", [ALPHABET, CYRILLIC])
def test_tokens_far_off_are_at_the_frame_and_the_others_have_the_room(scatter, tokens):
    rows = np.random.default_rng(5).uniform(-1, 1, size=(len(tokens), 2))
    rows[4] = 40.0, 0.5
    rows[9] = -0.25, -30.0
    axes, remark = scatter(rows, tokens, method="first")
    names = f"{tokens[4]} at (40, 0.5), {tokens[9]} at (-0.25, -30)"
    assert remark == f"beyond the frame: {names}"
    assert_apart_and_within(axes)
    found = boxes(axes)
    assert set(found) == set(tokens)
    middles = np.array([found[token].reshape(2, 2).mean(axis=0) for token in tokens])
    low, high = axes.bbox.min, axes.bbox.max
    shares = (middles - low) / (high - low)
    assert shares[4, 0] > 0.95
    assert shares[9, 1] < 0.05
    others = np.delete(shares, [4, 9], axis=0)
    assert np.ptp(others, axis=0).min() > 0.7
    # What is true of the place is kept: how high one stands, how far right the other.
    exact = axes.transData.transform(rows)
    assert middles[4, 1] == pytest.approx(exact[4, 1], abs=3)
    assert middles[9, 0] == pytest.approx(exact[9, 0], abs=3)
    arrows = [note for note in axes.texts if not note.get_text()]
    assert len(arrows) == 2
    tips = axes.transData.transform([arrow.xy for arrow in arrows])
    assert tips[0] == pytest.approx([high[0], exact[4, 1]], abs=3)
    assert tips[1] == pytest.approx([exact[9, 0], low[1]], abs=3)


@pytest.mark.slow
def test_dots_far_off_are_at_the_frame_too(scatter):
    rows = np.random.default_rng(6).uniform(-1, 1, size=(90, 2))
    rows[0] = 50.0, 50.0
    tokens = [chr(0x400 + i) for i in range(90)]
    axes, remark = scatter(rows, tokens, method="first")
    assert remark == "beyond the frame: \u0400 at (50, 50)"
    assert_apart_and_within(axes)
    assert axes.get_xlim()[1] < 1.5
    assert tokens[0] in boxes(axes)


# What else may be asked for -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [[".", "a"], ALPHABET, [chr(0x400 + i) for i in range(64)]])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1.0])
def test_discs_are_apart_and_within_the_frame(scatter, tokens, spread):
    rows = 1.0 + spread * np.random.default_rng(3).normal(size=(len(tokens), 5))
    axes, remark = scatter(rows, tokens)
    assert remark == ""
    assert_apart_and_within(axes)
    assert set(boxes(axes)) == set(tokens)


def test_rows_that_are_all_the_same_have_no_spread():
    for rows in (np.full((30, 5), 1 / 3), np.full((1, 4), 0.1), np.zeros((3, 2))):
        points, names = network.principal(rows)
        assert (points == 0).all()
        assert names[0] == "first principal component, 0 % of the spread"
    points, names = network.principal(np.array([[0.1, 0.7], [0.3, 1.4], [0.5, 2.1]]))
    assert (points[:, 1] == 0).all()
    assert names[0] == "first principal component, 100 % of the spread"


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3, 70])
@pytest.mark.parametrize(("features", "method"), [(1, "pca"), (1, "first"), (3, "pca")])
def test_scatters_take_any_number_of_tokens_and_features(scatter, size, features, method):
    rows = np.random.default_rng(0).normal(size=(size, features))
    axes, _ = scatter(rows, [chr(0xC0 + i) for i in range(size)], title="$x", method=method)
    assert_apart_and_within(axes)


@pytest.mark.slow
@given(st.integers(1, 64), st.sampled_from([0.0, 0.01, 1.0, 100.0]), st.integers(0, 99))
def test_discs_move_apart_and_those_that_are_apart_stay(count, scale, seed):
    points = scale * np.random.default_rng(seed).normal(size=(count, 2))
    low, high = np.minimum(points.min(axis=0), -20), np.maximum(points.max(axis=0), 20)
    places = network._spread(points, 1.0, low, high)

    def gaps(places):
        return np.hypot(*(places[:, None] - places).T) + 9 * np.eye(count)

    assert gaps(places).min() > 0.95
    assert (places >= low - 0.002).all()
    assert (places <= high + 0.002).all()
    if gaps(points).min() > 1.1:
        assert places == pytest.approx(points, abs=0.002)


@given(st.integers(1, 30), st.integers(0, 99))
def test_discs_at_an_edge_move_along_it(count, seed):
    points = np.random.default_rng(seed).uniform(0, 1, size=(count, 2)) * (20, 0.1)
    places = network._spread(points, 1.0, np.zeros(2), np.full(2, 20.0))
    gaps = np.hypot(*(places[:, None] - places).T) + 9 * np.eye(count)
    assert gaps.min() > 0.9
    assert places.min() > -0.002
    assert places.max() < 20.002
