"""Texts of words as files: the same ids, and training of the same bits, with little memory."""

import json
import os
import subprocess
import sys

import fastgrad
import numpy as np
import pytest
from fastgrad.models import KneserNey, WordNPLM
from fastgrad.text import NotUtf8Error, WordVocab, open_tokens, read_words, write_tokens
from hypothesis import given
from hypothesis import strategies as st

PIECES = ["a", "b", "dog", "é", "日本", "-", ".", " ", "\n", "\r\n", "\n\n", "\ufeff", "</s>"]
TEXT = "the cat sat on the mat\n\nthe dog sat on the cat , and the cat ran\n" * 30


def same_text(one, other):
    assert one.vocab == other.vocab
    assert one.ids.tolist() == other.ids.tolist()
    assert one.types == other.types
    assert one.counts.tolist() == other.counts.tolist()
    assert one.unk_rate == other.unk_rate


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join),
    st.sampled_from(["space", "simple"]),
    st.sampled_from([None, "line", "paragraph"]),
    st.none() | st.integers(1, 8) | st.sampled_from([0.3, 0.9]),
    st.none() | st.integers(3, 8),
    st.integers(1, 3),
)
def test_a_file_holds_the_ids_of_read_words(
    tmp_path_factory, text, tokenizer, eos, train, vocab_size, min_count
):
    path = tmp_path_factory.mktemp("tokens") / "text.npy"
    settings = {"tokenizer": tokenizer, "eos": eos, "train": train}
    settings |= {"vocab_size": vocab_size, "min_count": min_count}
    try:
        expected = read_words(text.encode(), **settings)
    except ValueError as error:
        with pytest.raises(type(error)):
            write_tokens(text.encode(), path, **settings)
        assert list(path.parent.iterdir()) == []
        return
    same_text(write_tokens(text.encode(), path, **settings), expected)
    same_text(open_tokens(path), expected)
    vocab = expected.vocab
    written = write_tokens(text.encode(), path, vocab=vocab)
    assert written.ids.tolist() == vocab.read(text.encode()).ids.tolist()


def test_parts_know_what_stands_before_them_and_the_first_nothing(tmp_path):
    text = write_tokens(TEXT.encode(), tmp_path / "text.npy", eos="line")
    kept = read_words(TEXT.encode(), eos="line")
    for opened, expected in zip(text.split(0.5, 7), kept.split(0.5, 7), strict=True):
        for length in (0, 1, 5, 1000):
            assert opened.before(length).tolist() == expected.before(length).tolist()
            with_context = opened._with_context(length, 1)
            assert with_context.tolist() == expected._with_context(length, 1).tolist()
            assert with_context.dtype == np.uint32
        assert np.shares_memory(opened._with_context(5, 1), text.ids) or opened is text
    assert not text.ids.flags.writeable
    assert isinstance(text.ids.base.base, np.memmap)


def test_the_file_is_an_array_of_numpy(tmp_path):
    text = write_tokens(TEXT.encode(), tmp_path / "text.npy", eos="paragraph")
    found = np.load(tmp_path / "text.npy")
    assert found.dtype == np.uint32
    assert found[:256].tolist() == [1] * 256
    assert found[256:].tolist() == text.ids.tolist()
    told = json.loads((tmp_path / "text.npy.vocab.json").read_text(encoding="utf-8"))
    assert WordVocab.from_config(told["vocab"]) == text.vocab


@pytest.mark.parametrize("eos", [None, "line"])
@pytest.mark.parametrize("context_length", [1, 4, 300])
def test_training_from_a_file_has_the_same_bits(tmp_path, eos, context_length):
    kept = read_words(TEXT.encode(), eos=eos).split(0.8)
    opened = write_tokens(TEXT.encode(), tmp_path / "text.npy", eos=eos).split(0.8)
    models = []
    for train, dev in (kept, opened):
        model = WordNPLM(context_length=context_length, embedding_dim=4, hidden_dim=6)
        path = tmp_path / f"{len(models)}.safetensors"
        models.append(model.fit(train, dev, steps=20, batch_size=16, checkpoint=path))
        assert np.array_equal(model.token_log_probs(dev), models[0].token_log_probs(kept[1]))
    one, other = models
    for name, array in one._parameters.items():
        assert np.array_equal(array, other._parameters[name]), name
    assert one.history.dev_loss.tolist() == other.history.dev_loss.tolist()
    # A run goes on from either.
    longer = [
        WordNPLM.resume(tmp_path / "0.safetensors", *parts, steps=30, lr=0.001)
        for parts in (opened, kept)
    ]
    assert np.array_equal(longer[0].C, longer[1].C)


@pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")
def test_counted_models_take_files(tmp_path):
    kept = read_words(TEXT.encode()).split(0.8)
    opened = write_tokens(TEXT.encode(), tmp_path / "text.npy").split(0.8)
    one, other = (KneserNey(order=3, modified=False).fit(parts[0]) for parts in (kept, opened))
    for part in (0, 1):
        assert one.loss(kept[part]) == other.loss(opened[part])


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "text.npy"
    before = write_tokens(b"a b c", path).ids.tolist()
    files = sorted(tmp_path.iterdir())
    with pytest.raises(NotUtf8Error, match="line 2"):
        write_tokens(b"a\n\xff b", path)
    with pytest.raises(ValueError, match="empty"):
        write_tokens(b" \n", path)
    with pytest.raises(ValueError, match="train is 9; expected 1 to 3"):
        write_tokens(b"a b c", path, train=9)
    with pytest.raises(ValueError, match="eos is given, and vocab too"):
        write_tokens(b"a b c", path, vocab=WordVocab(["<unk>", "a"]), eos="line")
    with pytest.raises(TypeError, match=r"vocab is \['a'\]"):
        write_tokens(b"a b c", path, vocab=["a"])
    with pytest.raises(OSError, match="missing"):
        write_tokens(b"a b c", tmp_path / "missing" / "text.npy")
    assert open_tokens(path).ids.tolist() == before
    assert sorted(tmp_path.iterdir()) == files


def test_other_files_are_told_apart(tmp_path):
    path, other = tmp_path / "text.npy", tmp_path / "other.npy"
    write_tokens(b"a b c", path)
    with pytest.raises(FileNotFoundError):
        open_tokens(tmp_path / "missing.npy")
    np.save(other, np.arange(300, dtype=np.uint32))
    with pytest.raises(FileNotFoundError, match=r"other\.npy\.vocab\.json"):
        open_tokens(other)
    beside = tmp_path / "other.npy.vocab.json"
    good = (tmp_path / "text.npy.vocab.json").read_text(encoding="utf-8")
    beside.write_text(good, encoding="utf-8")
    with pytest.raises(ValueError, match="is not the file"):
        open_tokens(other)
    write_tokens(b"a b b", other)
    beside.write_text(good, encoding="utf-8")
    with pytest.raises(ValueError, match="is not the file"):
        open_tokens(other)
    for damaged in ("", "{}", "[]", good[:-9], good.replace('"words"', '"w"')):
        beside.write_text(damaged, encoding="utf-8")
        with pytest.raises(ValueError, match="is damaged"):
            open_tokens(other)
    other.write_bytes(b"no array")
    with pytest.raises(ValueError, match="no array of numpy"):
        open_tokens(other)


def test_examples_out_of_the_vocabulary_are_refused_however_long_a_text_is():
    ids = np.zeros(5_000_000, dtype=np.uint32)
    model = WordNPLM(WordVocab(["<unk>", "a"]), context_length=2, embedding_dim=2, hidden_dim=2)
    parameters = {name: array.copy() for name, array in model._parameters.items()}
    ids[3:] = 2
    with pytest.raises(ValueError, match=r"id 2 at position \d{3,}"):
        fastgrad._core.nplm_train(
            model._parameters, [], ids[:-1], ids[2:], batch=4, rates=np.full(3, 0.1), first_step=0,
            seed=0, optimizer="sgd",
        )  # fmt: skip
    assert all(np.array_equal(array, model._parameters[name]) for name, array in parameters.items())


# Reads a text from a pipe, writes its ids and trains, with less memory than the ids need.
SMALL_MEMORY = """
import pathlib, resource, sys
import numpy as np
from fastgrad.models import WordNPLM
from fastgrad.text import read_words, write_tokens

def fit(train, dev, **settings):
    model = WordNPLM(context_length=3, embedding_dim=4, hidden_dim=8)
    return model.fit(train, dev, steps=40, batch_size=64, **settings)

fit(*read_words(b"a b c d e f g h " * 100).split(0.5))
status = pathlib.Path("/proc/self/status").read_text()
data = 1024 * int(status.split("VmData:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_DATA, (data + 56 * 2**20,) * 2)
path = pathlib.Path(sys.argv[1])
text = write_tokens("-", path)
assert path.stat().st_size > 96 * 2**20, path.stat().st_size
train, dev = text.split(len(text) - 1000)
model = fit(train, dev, checkpoint=path.with_name("run.safetensors"))
assert model.history.steps == 40
try:
    train.ids.copy()
except MemoryError:
    print("trained", len(text))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits the memory of data")
def test_a_text_that_does_not_fit_into_memory_is_written_and_trained(tmp_path):
    command = [sys.executable, "-c", SMALL_MEMORY, tmp_path / "text.npy"]
    environment = {**os.environ, "FASTGRAD_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    line = b"a b c d e f g h a a b \n"
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        for _ in range(100):
            process.stdin.write(line * 24_000)
        told, _ = process.communicate(timeout=300)
    assert told.decode().split() == ["trained", str(100 * 24_000 * 11)]
