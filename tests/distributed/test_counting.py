"""Files counted by several ranks: the same counts, and the same errors, as of one process."""

import contextlib
import gzip
import subprocess
import sys

import fastgrad
import numpy as np
import pytest
from fastgrad import NgramCounts
from fastgrad.models import load
from fastgrad.text.ranges import share_out, whole_lines
from hypothesis import given
from hypothesis import strategies as st
from ranks import NEEDS_MPI, run_code, run_ranks

PIECES = ["a", "b", "é", "日", "🙂", "\n", "\r\n", "\r", " ", "\ufeff", "\u3000", "\u2028"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 9), st.sampled_from([2, 3]))
def test_shares_of_files_are_counted_as_the_files_are(tmp_path_factory, texts, parts, order):
    folder = tmp_path_factory.mktemp("texts")
    paths = [folder / str(number) for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    whole = fastgrad._core.count_bytes(b"", order, blank=True)
    for path in paths:
        whole = whole + fastgrad._core.count_path(path, order, blank=True)
    total = fastgrad._core.count_bytes(b"", order, blank=True)
    read = 0
    for share in share_out([path.stat().st_size for path in paths], parts):
        for part in share:
            with paths[part.file].open("rb") as file:
                start, stop = whole_lines(file, part.start, part.stop)
            total = total + fastgrad._core.count_part(paths[part.file], start, stop, order)
            read += stop - start
    assert total == whole
    assert read == sum(path.stat().st_size for path in paths)


@given(st.lists(st.none() | st.integers(0, 100), max_size=8), st.integers(1, 9))
def test_every_byte_is_in_one_share_and_shares_are_even(sizes, parts):
    shares = share_out(sizes, parts)
    assert len(shares) == parts
    for file, size in enumerate(sizes):
        ranges = [part[1:] for share in shares for part in share if part.file == file]
        if size is None:
            assert ranges == [(0, 0)]
        else:
            assert [byte for start, stop in ranges for byte in range(start, stop)] == list(
                range(size)
            )
    lengths = [sum(part.stop - part.start for part in share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


@pytest.fixture
def files(tmp_path):
    """Files with CRLF, a BOM, no last newline, a BOM within, nothing, blank lines; one packed."""
    texts = {
        "plain": "emma\nolivia\nava\n" * 50,
        "crlf": "emma\r\nюля\r\n日本\r\n" * 20,
        "bom": "\ufeffada\n\ufeffbo\n" * 9,
        "open": "one line that has no end",
        "empty": "",
        "blank": " \n\u3000\r\n\n",
        "one": "x\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode())
    with gzip.open(tmp_path / "packed.gz", "wb") as file:
        file.write("zoë\nzed\n".encode())
    return [tmp_path / name for name in [*texts, "packed.gz"]]


def counted_alone(paths, order):
    parts = []
    for path in paths:
        with contextlib.suppress(ValueError):  # of blank files
            parts.append(NgramCounts(path, order))
    return sum(parts)


@pytest.mark.parametrize("order", [2, 3])
def test_one_process_counts_files_together(files, order):
    counts = NgramCounts.from_files(files, order)
    assert counts == counted_alone(files, order)
    assert counts.num_items == 3 * 50 + 3 * 20 + 2 * 9 + 1 + 1 + 2


def test_a_vocabulary_is_that_of_the_files_or_the_one_given(files):
    counts = NgramCounts.from_files(files)
    larger = fastgrad.Vocab(counts.vocab.characters + "Ω")
    assert NgramCounts.from_files(files, vocab=larger) == counts.with_vocab(larger)
    with pytest.raises(fastgrad.text.UnknownCharacterError):
        NgramCounts.from_files(files, vocab=fastgrad.Vocab("a"))


def test_files_that_cannot_be_counted_are_refused(files, tmp_path):
    with pytest.raises(ValueError, match="paths is empty"):
        NgramCounts.from_files([])
    with pytest.raises(TypeError, match="paths is b'emma'"):
        NgramCounts.from_files(b"emma")
    with pytest.raises(TypeError, match=r"paths\[0\] is 3"):
        NgramCounts.from_files([3])
    with pytest.raises(ValueError, match="all blank"):
        NgramCounts.from_files([tmp_path / "empty", tmp_path / "blank"])
    with pytest.raises(FileNotFoundError):
        NgramCounts.from_files([*files, tmp_path / "missing"])
    with pytest.raises(ValueError, match="order is 4"):
        NgramCounts.from_files(files, 4)
    with pytest.raises(TypeError, match="comm is 'world'"):
        NgramCounts.from_files(files, comm="world")


TOGETHER = """
import sys
from mpi4py import MPI
from fastgrad import NgramCounts
world, paths = MPI.COMM_WORLD, sys.argv[1:]
for order in (2, 3):
    for some in [paths, paths[::-1], paths[:1], paths[3:4], paths[6:], paths[4:7]]:
        counts = NgramCounts.from_files(some, order, comm=world)
        alone = NgramCounts.from_files(some, order)
        assert counts == alone, (some, order, world.rank)
print("counted")
"""


@NEEDS_MPI
@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 4])
def test_ranks_count_what_one_process_counts(files, size):
    assert run_code(size, TOGETHER, *files).split() == ["counted"] * size


WRONG = """
import sys
from mpi4py import MPI
from fastgrad import NgramCounts
world, paths = MPI.COMM_WORLD, sys.argv[1:]

def told(*arguments, **settings):
    try:
        NgramCounts.from_files(*arguments, **settings)
    except Exception as error:
        return type(error).__name__, str(error)

def everywhere(message, words):
    messages = set(world.allgather(message))
    assert len(messages) == 1, messages
    assert words in message[1], message

everywhere(told(paths, comm=world), "line 61: byte 0xff at offset 300")
assert told(paths, comm=world) == told(paths)
everywhere(told([*paths, paths[0] + "missing"], comm=world), "missing")
everywhere(told(["-"], comm=world), "standard input")
everywhere(told([], comm=world), "paths is empty")
everywhere(told(paths[:world.rank + 1], comm=world), "on rank 1, but")
everywhere(told(paths[1:], 2 + world.rank % 2, comm=world), "on rank 1, but")
print("told")
"""


@NEEDS_MPI
@pytest.mark.slow
def test_what_one_rank_finds_wrong_is_raised_on_all(tmp_path):
    (tmp_path / "wrong").write_bytes(b"emma\n" * 60 + b"\xff\n" + b"emma\n" * 200 + b"\xfe\n")
    (tmp_path / "right").write_bytes(b"emma\n" * 10)
    paths = tmp_path / "wrong", tmp_path / "right"
    assert run_code(3, WRONG, *paths).split() == ["told"] * 3


def train(size, *arguments, status=0, **settings):
    return run_ranks(size, "-m", "fastgrad", "train", *arguments, status=status, **settings)


@NEEDS_MPI
@pytest.mark.slow
@pytest.mark.parametrize("model", ["bigram", "ngram", "neural-bigram"])
def test_a_command_of_several_ranks_makes_the_model_of_one(files, tmp_path, model):
    more = ["--steps", "5"] if model == "neural-bigram" else []
    alone = [sys.executable, "-m", "fastgrad", "train", model, *files, "-o", tmp_path / "alone"]
    done = subprocess.run([*alone, *more], capture_output=True, check=True, timeout=120)
    together = train(3, model, *files, "-o", tmp_path / "together", "--mpi", *more)
    told = done.stdout.decode().replace(str(tmp_path / "alone"), str(tmp_path / "together"))
    assert together.stdout == told.replace("\r\n", "\n")
    one, several = load(tmp_path / "alone"), load(tmp_path / "together")
    if model == "neural-bigram":
        assert np.array_equal(one.W, several.W)
    else:
        assert one.counts == several.counts
    assert one.note == several.note


@NEEDS_MPI
@pytest.mark.slow
def test_a_command_of_several_ranks_fails_once(files, tmp_path):
    (tmp_path / "wrong").write_bytes(b"emma\n" * 200 + b"\xff\n")
    out = tmp_path / "out"
    done = train(3, "bigram", tmp_path / "wrong", *files, "-o", out, "--mpi", status=1)
    assert done.stdout == ""
    assert done.stderr.count("fastgrad:") == 1
    assert "line 201: byte 0xff" in done.stderr
    assert not out.exists()
    done = train(3, "bigram", tmp_path / "missing", "-o", out, "--mpi", status=1)
    assert done.stderr.count("fastgrad:") == 1
    assert "missing" in done.stderr


@NEEDS_MPI
@pytest.mark.slow
def test_what_the_first_rank_alone_cannot_do_ends_all(files, tmp_path):
    (tmp_path / "out").write_text("a file, where a folder is to be made")
    done = train(3, "bigram", *files, "-o", tmp_path / "out", "--mpi", status=2)
    assert done.stderr.count("cannot make") == 1


def test_a_command_takes_several_files(files, tmp_path, capsys):
    from fastgrad.cli import main

    texts = [str(path) for path in files]
    assert main(["train", "ngram", *texts, "-o", str(tmp_path / "out")]) == 0
    assert load(tmp_path / "out").counts == counted_alone(files, 3)
    assert "8 files" in capsys.readouterr().out
    assert main(["eval", str(tmp_path / "out")]) == 0
    assert main(["sample", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "232" in told


@pytest.mark.slow
def test_without_mpi4py_the_command_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['mpi4py'] = None\nfrom fastgrad.cli import main\n"
        "sys.exit(main(['train', 'bigram', '-o', sys.argv[1], '--mpi']))"
    )
    command = [sys.executable, "-c", code, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'pip install "fastgrad[mpi]"' in done.stderr
    assert "Traceback" not in done.stderr
