"""What all language models have in common: contexts, losses, files, pickles, and a second fit."""

import copy
import json
import math
import pickle
import warnings

import fastgrad
import numpy as np
import pytest
from fastgrad.base import LanguageModel, NotFittedError
from fastgrad.models import (
    NPLM,
    BigramModel,
    DiscountWarning,
    InterpolatedTrigram,
    KneserNey,
    Mixture,
    NeuralBigram,
    NgramCounts,
    NgramModel,
    WordNPLM,
)
from fastgrad.text import UnknownCharacterError, Vocab, read_words

pytestmark = pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")

NAMES = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]
SMALL = {"context_length": 3, "embedding_dim": 3, "hidden_dim": 5}
LINES = ["the cat sat on the mat", "the dog sat on the cat", "a dog ate the mat"] * 4
TEXT = read_words(LINES, eos="line", vocab_size=8)
TRAIN, DEV, TEST = TEXT.split(40, 20)


def characters():
    network = NPLM(**SMALL).fit(NAMES, steps=20, batch_size=4)
    return {
        "bigram": BigramModel().fit(NAMES),
        "trigram": NgramModel(3, 0.5, vocab=Vocab("abcdefghijklmnopqrstuvwxyz")).fit(NAMES),
        "neural bigram": NeuralBigram().fit(NAMES, steps=20),
        "neural trigram": NeuralBigram(3).fit(NAMES, steps=20, lr=1.0),
        "nplm": network,
        "nplm, tied": NPLM(tie_weights=True, **SMALL).fit(NAMES, steps=5),
        "mixture": Mixture([BigramModel().fit(NAMES), network], [0.25, 0.75]),
        "mixture of mixtures": Mixture(
            [NgramModel(3).fit(NAMES), Mixture([BigramModel().fit(NAMES), network])]
        ).fit(NAMES),
    }


def words():
    with warnings.catch_warnings(action="ignore", category=DiscountWarning):
        counted = KneserNey(3).fit(TRAIN)
        plain = KneserNey(2, modified=False, sentences=True).fit(TRAIN)
    network = WordNPLM(**SMALL).fit(TRAIN, epochs=1, batch_size=8)
    trigram = InterpolatedTrigram().fit(TRAIN, DEV)
    return {
        "kneser-ney": counted,
        "kneser-ney of sentences": plain,
        "interpolated trigram": trigram,
        "word nplm": network,
        "mixture of words": Mixture([counted, network, trigram], [0.2, 0.3, 0.5]),
    }


CHARACTERS, WORDS = characters(), words()
MODELS = CHARACTERS | WORDS
UNFITTED = {
    "bigram": BigramModel,
    "trigram": lambda: NgramModel(3, 0.5),
    "neural bigram": NeuralBigram,
    "nplm": lambda: NPLM(**SMALL),
    "kneser-ney": lambda: KneserNey(3),
    "interpolated trigram": InterpolatedTrigram,
    "word nplm": lambda: WordNPLM(**SMALL),
}

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
unfitted = pytest.mark.parametrize("make", UNFITTED.values(), ids=UNFITTED)


def text_for(model):
    """Return a training text, another text, and a literal one that the model knows."""
    if isinstance(model.vocab, Vocab):
        return NAMES, ["emmalia", "vila"], "emila"
    return TRAIN, TEST, "the cat sat\non the dog"


def same(one, other):
    """Assert that two models predict the same, to the last bit."""
    _, texts, literal = text_for(one)
    assert type(other) is type(one)
    assert other.vocab == one.vocab
    assert other.context_length == one.context_length
    assert other.num_parameters() == one.num_parameters()
    assert other.config == one.config
    assert repr(other) == repr(one)
    assert other.loss(texts) == one.loss(texts)
    assert other.log_prob(literal) == one.log_prob(literal)
    assert other.sample(3, seed=5) == one.sample(3, seed=5)
    for context in ("", literal):
        assert other.next_probs(context).tolist() == one.next_probs(context).tolist()


# --- Every model has the same members --------------------------------------------------------


@every_model
def test_it_is_a_language_model(model):
    assert isinstance(model, LanguageModel)
    json.dumps(model.config)
    assert model.num_parameters() > 0
    networks = NeuralBigram, NPLM, WordNPLM
    assert (model.history is not None) == isinstance(model, networks)
    if model.history is not None:
        assert model.history.steps == len(model.history.loss) == len(model.history.lr) > 0


@every_model
def test_losses_of_a_text_and_of_its_tokens_agree(model):
    _, texts, literal = text_for(model)
    tokens = model.token_log_probs(texts)
    assert tokens.ndim == 1
    assert tokens.dtype == np.float64
    assert (tokens <= 0).all()
    assert -tokens.mean() == pytest.approx(model.loss(texts), rel=1e-6)
    assert model.perplexity(texts) == pytest.approx(math.exp(model.loss(texts)))
    one = literal.encode() if model in WORDS.values() else [literal]
    alone = model.token_log_probs(one)
    assert model.log_prob(literal) == pytest.approx(alone.sum(), rel=1e-12)
    assert model.log_prob(literal) == pytest.approx(-model.loss(one) * len(alone), rel=1e-6)


@every_model
def test_a_text_has_the_probability_of_its_next_tokens(model):
    _, _, literal = text_for(model)
    if model in CHARACTERS.values():
        steps = [(literal[:i], token) for i, token in enumerate([*literal, model.vocab.eos_token])]
    else:
        steps = [
            ("", "the"), ("the", "cat"), ("the cat", "sat"), ("the cat sat", "</s>"),
            ("the cat sat\n", "on"), ("the cat sat\non", "the"), ("the cat sat\non the", "dog"),
            ("the cat sat\non the dog", "</s>"),
        ]  # fmt: skip
    stoi = model.vocab.stoi
    ids = [stoi.get(token, 0) for _, token in steps]
    rows = np.array([model.next_probs(before) for before, _ in steps])
    expected = np.log(rows[np.arange(len(ids)), ids]).sum()
    assert model.log_prob(literal) == pytest.approx(expected, rel=1e-5)


@every_model
def test_contexts_come_in_many_forms(model):
    size, width = len(model.vocab), model.context_length
    starts = ["", "em", "olivi"] if model in CHARACTERS.values() else ["", "the", "on the dog ate"]
    rows = model.next_probs(starts)
    assert rows.shape == (3, size)
    assert rows.dtype == np.float64
    assert np.abs(rows.sum(axis=1) - 1).max() < 1e-12
    for row, start in zip(rows, starts, strict=True):
        alone = model.next_probs(start)
        assert alone.shape == (size,)
        np.testing.assert_allclose(row, alone, rtol=1e-12)
    assert model.next_probs(tuple(starts)).tolist() == rows.tolist()
    assert model.next_probs().tolist() == rows[0].tolist()
    assert model.next_probs([]).shape == (0, size)
    ids = np.random.default_rng(1).integers(0, size, (4, width))
    batch = model.next_probs(ids)
    assert batch.shape == (4, size)
    for kind in (np.uint8, np.int16, np.int64, np.uint64):
        assert model.next_probs(ids.astype(kind)).tolist() == batch.tolist()
    assert model.next_probs(ids.tolist()).tolist() == batch.tolist()
    np.testing.assert_allclose(model.next_probs(ids[2]), batch[2], rtol=1e-12)
    assert model.next_probs(ids[2].tolist()).shape == (size,)
    assert model.next_probs(ids[:0]).shape == (0, size)
    # Only the last tokens count.
    longer = np.concatenate([ids[::-1], ids], axis=1)
    assert model.next_probs(longer).tolist() == batch.tolist()
    model.next_probs(ids)[:] = 0  # A copy, which may be changed.
    assert model.next_probs(ids).tolist() == batch.tolist()


@pytest.mark.parametrize("model", WORDS.values(), ids=WORDS)
def test_contexts_of_words_may_be_short(model):
    for ids in ([], [2], [2, 3]):
        expected = model.next_probs(np.array(ids, dtype=int))
        assert expected.shape == (len(model.vocab),)
        batch = model.next_probs(np.array([ids, ids], dtype=int).reshape(2, len(ids)))
        np.testing.assert_allclose(batch, [expected] * 2, rtol=1e-12)


@pytest.mark.parametrize("model", CHARACTERS.values(), ids=CHARACTERS)
def test_a_literal_text_is_taken_as_it_is(model):
    for text, character in ((" emma", " "), ("em\nma", "\n"), ("emmax", "x"), ("e.", ".")):
        if character in model.vocab:
            continue
        with pytest.raises(UnknownCharacterError) as error:
            model.log_prob(text)
        assert error.value.character == character
    empty = math.log(model.next_probs("")[0])
    assert model.log_prob("") == pytest.approx(empty, rel=1e-6)


@every_model
def test_what_is_no_text_is_refused(model):
    with pytest.raises(TypeError, match="text is 5;"):
        model.log_prob(5)
    with pytest.raises(TypeError, match="text is"):
        model.log_prob(["emma"])
    with pytest.raises(FileNotFoundError) as error:
        model.loss("no such file")
    assert "list of str" in str(error.value)
    for wrong in (5, None, np.zeros((1, 1, 9), dtype=int)):
        with pytest.raises((TypeError, ValueError), match="context"):
            model.next_probs(wrong)


# --- Files, pickles and copies ---------------------------------------------------------------


@every_model
def test_a_model_is_saved_and_loaded(model, tmp_path):
    folder = tmp_path / "new" / "deep"
    model.save(f"{folder}/")
    assert (folder / "model.safetensors").is_file()
    expected = type(model)
    if expected is NgramModel and model.order == 2:
        expected = BigramModel
    for loaded in (fastgrad.load(folder), type(model).load(folder / "model.safetensors")):
        same(model, loaded)
    again = tmp_path / "again"
    fastgrad.load(folder).save(again)
    same(model, fastgrad.load(again))


@every_model
def test_a_note_is_saved_too(model, tmp_path):
    noted = copy.deepcopy(model)
    noted.note = {"seed": 3, "names": ["emma"]}
    noted.save(tmp_path / "m")
    assert fastgrad.load(tmp_path / "m").note == {"seed": 3, "names": ["emma"]}
    assert pickle.loads(pickle.dumps(noted)).note == noted.note
    assert model.note is None


@every_model
@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_a_model_is_pickled(model, protocol):
    same(model, pickle.loads(pickle.dumps(model, protocol)))


@every_model
def test_a_model_is_copied(model):
    same(model, copy.deepcopy(model))
    same(model, copy.copy(model))


@pytest.mark.parametrize("make", [lambda: NPLM(**SMALL), NeuralBigram], ids=["nplm", "bigram"])
def test_a_deep_copy_is_trained_alone(make):
    model = make().fit(NAMES, steps=5, lr=0.1)
    other = copy.deepcopy(model)
    before = model.loss(NAMES)
    assert other.fit(NAMES, steps=20, lr=0.5).loss(NAMES) < before
    assert model.loss(NAMES) == before
    assert model.history.steps == 5


def test_a_network_and_its_history_are_kept_in_a_file(tmp_path):
    for name in ("nplm", "neural bigram", "word nplm"):
        model = MODELS[name]
        model.save(tmp_path / "m")
        loaded = fastgrad.load(tmp_path / "m")
        np.testing.assert_array_equal(loaded.history.loss, model.history.loss)
        np.testing.assert_array_equal(loaded.history.lr, model.history.lr)


def test_a_file_of_trigrams_is_no_bigram_model(tmp_path):
    CHARACTERS["trigram"].save(tmp_path / "m")
    assert NgramModel.load(tmp_path / "m").order == 3
    with pytest.raises(fastgrad.checkpoint.CheckpointError, match="NgramModel"):
        BigramModel.load(tmp_path / "m")


# --- Before fit ------------------------------------------------------------------------------


@unfitted
def test_a_model_without_a_fit_shows_itself_and_is_copied(make):
    model = make()
    assert "not fitted" in repr(model)
    json.dumps(model.config)
    assert model.context_length >= 1
    assert model.history is None or model.history.steps == 0
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        assert repr(other) == repr(model)
        assert other.config == model.config


@unfitted
def test_what_needs_a_fit_says_so(make, tmp_path):
    model = make()
    for call in (
        lambda: model.vocab,
        lambda: model.loss(NAMES),
        lambda: model.perplexity(NAMES),
        lambda: model.log_prob("emma"),
        lambda: model.token_log_probs(NAMES),
        lambda: model.next_probs(""),
        lambda: model.next_probs(["a"]),
        lambda: model.next_probs(np.zeros((1, 9), int)),
        lambda: model.sample(),
        lambda: model.num_parameters(),
        lambda: model.save(tmp_path / "m"),
    ):
        with pytest.raises(NotFittedError, match="call fit first"):
            call()
    assert list(tmp_path.iterdir()) == []
    assert not hasattr(model, "vocab")


def test_what_only_some_models_have_needs_a_fit_too():
    for call in (
        lambda: BigramModel().P,
        lambda: BigramModel().counts,
        lambda: BigramModel().unseen(NAMES),
        lambda: NeuralBigram(vocab=Vocab("ab")).W,
        lambda: NPLM(**SMALL).C,
        lambda: NPLM(**SMALL).most_similar("a"),
        lambda: KneserNey().discounts,
        lambda: KneserNey().num_ngrams,
        lambda: InterpolatedTrigram().weights,
        lambda: InterpolatedTrigram().losses,
        lambda: InterpolatedTrigram().bin_of(3),
        lambda: Mixture([BigramModel(), BigramModel()]),
    ):
        with pytest.raises(NotFittedError, match="call fit first"):
            call()


@unfitted
def test_a_fit_that_fails_leaves_the_model_as_it_was(make):
    model = make()
    for wrong in ("no such file", 5, b""):
        args = (wrong, TEXT) if isinstance(model, InterpolatedTrigram) else (wrong,)
        with pytest.raises((OSError, TypeError, ValueError)):
            model.fit(*args)
        assert "not fitted" in repr(model)
        assert not hasattr(model, "vocab")


@pytest.mark.parametrize("name", ["bigram", "trigram", "neural bigram", "nplm"])
def test_a_second_fit_that_fails_leaves_the_model_as_it_was(name):
    model = copy.deepcopy(CHARACTERS[name])
    wrong = ["a\nb"] if name != "nplm" else ["x"]
    with pytest.raises(ValueError, match=r"newline|not in the vocabulary"):
        model.fit(wrong)
    same(CHARACTERS[name], model)


@pytest.mark.parametrize("name", ["kneser-ney of sentences", "interpolated trigram", "word nplm"])
def test_a_second_fit_of_words_that_fails_leaves_the_model_as_it_was(name):
    model = copy.deepcopy(WORDS[name])
    other = read_words(b"a b a c")
    # Sentences need end tokens, and the others their own vocabulary for dev or train.
    args = (other, DEV) if name == "interpolated trigram" else (other,)
    with pytest.raises(ValueError, match=r"end tokens|expected the model's"):
        model.fit(*args)
    same(WORDS[name], model)


def test_a_vocabulary_may_be_given():
    vocab = Vocab("abcdefghijklmnopqrstuvwxyz")
    for model in (BigramModel(vocab=vocab), NeuralBigram(vocab=vocab), NPLM(vocab, **SMALL)):
        options = {} if isinstance(model, BigramModel) else {"steps": 5}
        assert model.vocab == vocab
        assert model.fit(NAMES, **options).vocab == vocab
        assert math.isfinite(model.loss(["xyz"]))
        with pytest.raises(UnknownCharacterError):
            model.fit(["ä"], **options)
        assert model.vocab == vocab
    for model in (KneserNey(3, vocab=TEXT.vocab), WordNPLM(TEXT.vocab, **SMALL)):
        assert model.vocab is TEXT.vocab
        assert model.fit(LINES).vocab is TEXT.vocab
    model = InterpolatedTrigram(vocab=TEXT.vocab)
    assert model.fit(LINES, LINES[:2]).vocab is TEXT.vocab
    for cls in (BigramModel, NgramModel, NeuralBigram, NPLM, KneserNey, WordNPLM):
        with pytest.raises(TypeError, match="vocab is 27;"):
            cls(vocab=27)


# --- A second fit ----------------------------------------------------------------------------


def test_counting_models_count_anew():
    model = BigramModel().fit(NAMES)
    assert model.fit(["bob"]) is model
    assert model.vocab == Vocab("bo")
    assert (model.P == BigramModel().fit(["bob"]).P).all()
    model = KneserNey(3).fit(TRAIN)
    assert model.loss(TEST) != KneserNey(3).fit(DEV).loss(TEST)
    same(KneserNey(3).fit(DEV), model.fit(DEV))
    model = InterpolatedTrigram().fit(TRAIN, DEV)
    same(InterpolatedTrigram().fit(DEV, TEST), model.fit(DEV, TEST))


def test_a_neural_bigram_goes_on():
    whole = NeuralBigram().fit(NAMES, steps=20, lr=1.0)
    parts = NeuralBigram().fit(NAMES, steps=10, lr=1.0)
    first = parts.history.loss
    assert parts.fit(NAMES, steps=10, lr=1.0) is parts
    np.testing.assert_allclose(parts.W, whole.W, rtol=1e-12)
    np.testing.assert_allclose([*first, *parts.history.loss], whole.history.loss, rtol=1e-12)
    with pytest.raises(UnknownCharacterError):
        parts.fit(["bob"])


def test_counts_are_learned_from_as_text_is():
    counts = NgramCounts(NAMES)
    same(BigramModel().fit(NAMES), BigramModel().fit(counts))
    one = NeuralBigram().fit(NAMES, steps=5)
    assert (one.W == NeuralBigram().fit(counts, steps=5).W).all()


def test_words_are_read_from_a_file_as_the_command_line_reads_them(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("The cat sat. It sat!\n\nThe end.\n", encoding="utf-8")
    model = KneserNey(2, modified=False).fit(path)
    assert model.vocab.eos == "paragraph"
    assert model.vocab.tokenizer == "simple"
    assert {"The", "sat", "."} <= set(model.vocab)
    assert WordNPLM(**SMALL).fit(path, epochs=1).vocab == model.vocab
    with pytest.raises(ValueError, match="give it a vocab"):
        KneserNey(2).fit(np.array([1, 2, 3]))
