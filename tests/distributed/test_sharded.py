"""Networks whose output layer is split over ranks, against one process."""

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from fastgrad.base import NotFittedError
from fastgrad.checkpoint import CheckpointError
from fastgrad.distributed import SelfComm
from fastgrad.models import NPLM, WordNPLM
from fastgrad.models.nplm import shape, sharded
from fastgrad.training import DivergedError
from ranks import NEEDS_MPI, run_code, run_ranks
from thread_ranks import bits, run_threads

# A vocabulary of several tiles of 192 tokens, so that ranks share it.
WORDS = [f"w{number}" for number in range(900)]
RNG = np.random.default_rng(7)
TEXT = [" ".join(RNG.choice(WORDS, 12)) for _ in range(150)] + [" ".join(WORDS)]
DEV = TEXT[:9]
SHARDED = {"output_layer": "sharded"}


def words(**settings):
    return WordNPLM(context_length=3, embedding_dim=8, hidden_dim=24, **settings)


def fitted(model, comm=None, **settings):
    settings = {"steps": 12, "batch_size": 100, "evaluate_every": 5, "threads": 1} | settings
    return model.fit(TEXT, DEV, comm=comm, **settings)


def same_as_one_process(tmp_path, sizes, network, **settings):
    """Train in one process and on ranks; models and checkpoints have to be the same."""
    expected = bits(fitted(words(**network), checkpoint=tmp_path / "one", **settings))
    settings |= SHARDED | {"checkpoint": tmp_path / "run"}
    for size in sizes:
        results = run_threads(size, lambda comm: bits(fitted(words(**network), comm, **settings)))
        assert results == [expected] * size
        assert (tmp_path / "run").read_bytes() == (tmp_path / "one").read_bytes()
        (tmp_path / "run").unlink()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_training_has_the_bits_of_one_process(tmp_path, tied, optimizer):
    settings = {"optimizer": optimizer, "lr": 0.02, "dropout": 0.1, "patience": 3}
    same_as_one_process(tmp_path, (1, 2, 3, 4), {"tie_weights": tied}, **settings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("init", ["small", "scaled", "normal"])
def test_direct_connections_in_either_precision(tmp_path, dtype, init):
    network = {"tie_weights": False, "direct": True, "dtype": dtype, "init": init}
    same_as_one_process(tmp_path, (3,), network)
    same_as_one_process(tmp_path, (2,), network | {"tie_weights": True})


@pytest.mark.parametrize("part", [1, 7, 100, 2**22])
@pytest.mark.parametrize("tied", [True, False])
def test_rows_are_drawn_as_if_all_were(monkeypatch, part, tied):
    network = shape.Shape(50, 3, 4, 5, direct=True, tie_weights=tied)
    expected = shape.initial(network, "small", seed=3)
    monkeypatch.setattr(shape, "_PART", part)
    for rows in (None, slice(0, 50), slice(0, 0), slice(13, 31), slice(49, 50)):
        drawn = shape.initial(network, "small", 3, rows)
        assert drawn.keys() == expected.keys()
        for name, array in drawn.items():
            own = rows if rows is not None and network.is_output(name) else slice(None)
            assert array.tobytes() == expected[name][own].tobytes()


def test_more_ranks_than_tiles(tmp_path):
    def train(comm=None, **settings):
        model = NPLM(context_length=3, embedding_dim=4, hidden_dim=10)
        names = ["emma", "olivia", "ava", "mia"]
        return bits(model.fit(names, names, steps=9, batch_size=8, comm=comm, **settings))

    settings = SHARDED | {"checkpoint": tmp_path / "run"}
    assert run_threads(3, lambda comm: train(comm, **settings)) == [train()] * 3


def test_direct_connections_alone(tmp_path):
    def train(comm=None, **settings):
        model = WordNPLM(hidden_dim=0, direct=True, tie_weights=False)
        return bits(fitted(model, comm, **settings))

    settings = SHARDED | {"checkpoint": tmp_path / "run"}
    assert run_threads(2, lambda comm: train(comm, **settings)) == [train()] * 2


def test_messages_with_few_rows_give_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "_MESSAGE", 1000)
    same_as_one_process(tmp_path, (3,), {"direct": True}, patience=2)


def test_parameters_that_a_model_has_are_where_training_starts(tmp_path):
    first = fitted(words(tie_weights=False), steps=3)
    expected = bits(fitted(first.copy(), seed=1))
    settings = SHARDED | {"checkpoint": tmp_path / "run", "seed": 1}

    def train(comm):
        model = first.copy()
        return fitted(model, comm, **settings)

    models = run_threads(2, train)
    assert [bits(model) for model in models] == [expected] * 2
    # A model mapped from the file can be used as any other, and changed without the file.
    model, saved = models[0], (tmp_path / "run").read_bytes()
    assert bits(pickle.loads(pickle.dumps(model))) == expected
    assert model.loss(DEV) == expected[2][-1]
    model.U[:] = 0
    fitted(model, seed=2)
    assert (tmp_path / "run").read_bytes() == saved
    assert bits(WordNPLM.load(tmp_path / "run")) == expected


def test_a_run_is_resumed_whole_or_sharded_on_another_number_of_ranks(tmp_path):
    settings = {"steps": 20, "patience": 9}
    expected = bits(fitted(words(), checkpoint=tmp_path / "one", **settings))

    def fail_at_10(progress):
        if progress.step == 10:
            raise LookupError("enough")

    def begin(comm=None, **more):
        more |= settings | {"callbacks": [fail_at_10], "checkpoint": tmp_path / "run"}
        with pytest.raises(LookupError):
            fitted(words(), comm, **more)

    def go_on(comm=None, **more):
        return bits(WordNPLM.resume(tmp_path / "run", TEXT, DEV, comm=comm, threads=1, **more))

    begin()
    saved = (tmp_path / "run").read_bytes()
    (tmp_path / "run").unlink()
    run_threads(3, lambda comm: begin(comm, **SHARDED))
    assert (tmp_path / "run").read_bytes() == saved
    for size, more in ((1, SHARDED), (2, SHARDED), (4, SHARDED), (2, {})):
        (tmp_path / "run").write_bytes(saved)
        assert run_threads(size, lambda comm, more=more: go_on(comm, **more)) == [expected] * size
        assert (tmp_path / "run").read_bytes() == (tmp_path / "one").read_bytes()
    (tmp_path / "run").write_bytes(saved)
    assert go_on() == expected
    # There is nothing left to do.
    assert run_threads(2, lambda comm: go_on(comm, **SHARDED)) == [expected] * 2


def test_until_the_end_the_model_is_what_it_was(tmp_path):
    def fail_at_10(progress):
        if progress.step == 10:
            raise LookupError("enough")

    def train(comm):
        model = words()
        seen = []

        def look(progress):
            with pytest.raises(NotFittedError):
                model.loss(DEV)
            with pytest.raises(NotFittedError):
                _ = model.C
            seen.append(progress.step)
            fail_at_10(progress)

        with pytest.raises(LookupError, match="enough"):
            fitted(model, comm, callbacks=[look], checkpoint=tmp_path / "run", **SHARDED)
        with pytest.raises(NotFittedError):
            model.num_parameters()
        return seen

    assert run_threads(2, train) == [[5, 10], []]
    alone = words()
    with pytest.raises(LookupError):
        fitted(alone, callbacks=[fail_at_10])
    assert bits(WordNPLM.load(tmp_path / "run")) == bits(alone)


@pytest.mark.parametrize("lr", [1e9, 300.0])
def test_a_run_that_diverges_saves_what_one_process_saves(tmp_path, lr):
    rates = [(0, 0.1), (8, lr)]
    settings = {"optimizer": "sgd", "lr": rates, "steps": 400}
    network = {"init": "scaled", "tie_weights": False}
    with pytest.raises(DivergedError):
        fitted(words(**network), checkpoint=tmp_path / "one", **settings)

    def train(comm):
        model = words(**network)
        with pytest.raises(DivergedError) as caught:
            fitted(model, comm, checkpoint=tmp_path / "run", **settings, **SHARDED)
        return caught.value.args

    first, second = run_threads(2, train)
    assert first == second
    assert (tmp_path / "run").read_bytes() == (tmp_path / "one").read_bytes()


def test_arguments_are_checked(tmp_path):
    given = SHARDED | {"checkpoint": tmp_path / "run", "comm": SelfComm(), "steps": 1}
    for changes, words_of_error in {
        ("output_layer", "split"): ("output_layer", "'split'", "whole, sharded"),
        ("output_layer", None): ("output_layer", "whole, sharded"),
        ("reduction", "fast"): ("reduction", "'fast'", "output_layer", "'sharded'"),
        ("comm", None): ("comm", "output_layer"),
        ("checkpoint", None): ("checkpoint", "output_layer"),
        ("update_ratio", True): ("update_ratio", "output_layer"),
    }.items():
        model = words()
        with pytest.raises(ValueError, match=changes[0]) as caught:
            model.fit(TEXT, **(given | dict([changes])))
        assert all(word in str(caught.value) for word in words_of_error), caught.value
        with pytest.raises(NotFittedError):
            model.num_parameters()
    with pytest.raises(TypeError, match="output_layer"):
        words().fit(TEXT, output="sharded")
    assert not (tmp_path / "run").exists()


def test_ranks_have_to_agree_on_the_output_layer(tmp_path):
    def train(comm):
        layer = "sharded" if comm.rank else "whole"
        return fitted(words(), comm, output_layer=layer, checkpoint=tmp_path / "run")

    results = run_threads(2, train)
    assert [type(result) for result in results] == [ValueError] * 2
    assert "output_layer" in str(results[0])


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "run"
    fitted(words(), steps=5, checkpoint=path)
    whole = path.read_bytes()

    def go_on(comm):
        return WordNPLM.resume(path, TEXT, DEV, comm=comm, steps=9, lr=0.1, **SHARDED)

    for damaged in (whole[:-1], whole[:5000] + b"\x01" + whole[5001:], b"", b"x" * 999):
        path.write_bytes(damaged)
        assert [type(error) for error in run_threads(2, go_on)] == [CheckpointError] * 2
    path.unlink()
    assert [type(error) for error in run_threads(2, go_on)] == [FileNotFoundError] * 2


def test_ranks_may_differ_in_their_threads(tmp_path):
    expected = bits(fitted(words(), batch_size=900))

    def train(comm):
        more = SHARDED | {"checkpoint": tmp_path / "run", "threads": 1 + 2 * comm.rank}
        return bits(fitted(words(), comm, batch_size=900, **more))

    assert run_threads(3, train) == [expected] * 3


def test_a_file_that_cannot_be_written_ends_all_ranks(tmp_path, monkeypatch):
    from fastgrad import checkpoint

    def full(path, content, **settings):
        with open(tmp_path / "scratch", "wb") as file:
            content(file)
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "write_atomically", full)

    def train(comm):
        return fitted(words(), comm, checkpoint=tmp_path / "run", **SHARDED)

    assert [type(error) for error in run_threads(3, train)] == [OSError] * 3


PROGRAM = """
import sys
import numpy as np
from fastgrad.models import WordNPLM
from mpi4py import MPI

WORDS = [f"w{number}" for number in range(900)]
RNG = np.random.default_rng(7)
TEXT = [" ".join(RNG.choice(WORDS, 12)) for _ in range(150)] + [" ".join(WORDS)]

def train(steps, **settings):
    model = WordNPLM(context_length=3, embedding_dim=8, hidden_dim=24)
    return model.fit(
        TEXT, TEXT[:9], steps=steps, batch_size=100, evaluate_every=5, comm=MPI.COMM_WORLD,
        output_layer="sharded", **settings
    )
"""


@NEEDS_MPI
def test_an_error_on_one_rank_ends_all(tmp_path):
    run_code(
        2,
        f"""{PROGRAM}
from fastgrad.models.nplm import sharded
def fail(self, best):
    raise MemoryError("there is none")
sharded.ShardedRun.give_rows = fail
train(100, checkpoint={str(tmp_path / "run")!r})
""",
        status=1,
    )
    assert not (tmp_path / "run").exists()


MEMORY = """
import resource
import sys
import numpy as np
from fastgrad.models import WordNPLM
from fastgrad.text import WordText, WordVocab
from mpi4py import MPI

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

vocab = WordVocab([f"w{number}" for number in range(60_000)])
text = WordText(vocab, np.random.default_rng(1).integers(0, len(vocab), 2000, np.uint32))
model = WordNPLM(context_length=2, embedding_dim=2, hidden_dim=100, tie_weights=False)
before = peak()
model.fit(
    text, text, steps=6, evaluate_every=2, comm=MPI.COMM_WORLD, output_layer="sharded",
    checkpoint=sys.argv[1],
)
sys.stdout.write(f"{peak() - before}\\n")
"""


@NEEDS_MPI
@pytest.mark.parametrize(
    ("command", "number"),
    [("_Copy", 3), ("_Train", 3), ("_Measure", 3), ("_Save", 2), ("_Put", 1), ("_End", 1)],
)
def test_ctrl_c_at_any_command_ends_all_ranks_and_leaves_a_whole_file(tmp_path, command, number):
    path = tmp_path / "run"
    done = run_ranks(
        2,
        *("-m", "mpi4py", "-c"),
        f"""{PROGRAM}
import os
import signal
from fastgrad.distributed import MPIComm
broadcast_object, left = MPIComm.broadcast_object, [{number}]
def interrupted(self, value, root=0):
    if type(value).__name__ == "{command}":
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
    return broadcast_object(self, value, root)
MPIComm.broadcast_object = interrupted
def stop(progress):
    if progress.step == 20:
        raise LookupError("enough")
train(40, checkpoint={str(path)!r}, patience=5, callbacks=[stop])
""",
        status=None,
    )
    assert done.returncode != 0
    expected = bits(fitted(words(), steps=40, patience=5))
    assert bits(WordNPLM.resume(path, TEXT, DEV, threads=1)) == expected


@NEEDS_MPI
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_ranks_share_the_memory(tmp_path):
    (alone,) = map(int, run_code(1, MEMORY, tmp_path / "one").split())
    ranks = [*map(int, run_code(4, MEMORY, tmp_path / "four").split())]
    # U, the optimizer's two moments of it, and their copies have 24 MB each; the rest is small.
    assert alone > 200e6
    assert len(ranks) == 4
    assert max(ranks) < 0.4 * alone
    assert (tmp_path / "one").read_bytes() == (tmp_path / "four").read_bytes()


@NEEDS_MPI
def test_the_program_of_the_page_runs(project_root, tmp_path):
    page = (project_root / "docs" / "how-to" / "distributed.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n# large.py\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "large.py").write_text(program)
    (tmp_path / "corpus.txt").write_text("\n".join(TEXT))
    run_ranks(2, "-m", "mpi4py", "large.py", cwd=tmp_path)
    assert WordNPLM.load(tmp_path / "model").history.stopped == "finished"


@NEEDS_MPI
def test_the_command_line_trains_and_resumes(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXT))
    small = ["--hidden-dim", 10, "--embedding-dim", 4, "--context-length", 3, "--threads", 1]
    command = ["-m", "fastgrad", "train", "word-nplm", text, *small, "--epochs", 2]
    sharded = ["--mpi", "--mpi-output", "sharded"]
    one = subprocess.run(
        [sys.executable, "-I", *map(str, [*command, "-o", tmp_path / "one"])],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    done = run_ranks(3, *command, "-o", tmp_path / "three", *sharded)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("steps", "saved"))]
    assert [line for line in one.stdout.splitlines() if line in lines] == lines
    files = [tmp_path / place / "model.safetensors" for place in ("one", "three")]
    assert files[0].read_bytes() == files[1].read_bytes()
    resume = ["-m", "fastgrad", "train", "word-nplm", "--resume"]
    resumed = run_ranks(2, *resume, tmp_path / "three", *sharded)
    assert "none were left to make" in resumed.stdout
    nothing = run_ranks(2, *resume, tmp_path / "nothing", *sharded, status=1)
    assert "nothing" in nothing.stderr
    for wrong in (["--mpi-output", "sharded"], [*sharded, "--mpi-reduction", "fast"]):
        told = run_ranks(1, *command, "-o", tmp_path / "wrong", *wrong, status=2).stderr
        assert "--mpi-output" in told
        assert "--mpi" in told
    assert not (tmp_path / "wrong").exists()


@NEEDS_MPI
def test_the_command_line_trains_over_characters(tmp_path):
    text = tmp_path / "names.txt"
    text.write_text("\n".join(["emma", "olivia", "ava", "mia", "isla", "amelia"] * 20))
    small = ["--hidden-dim", 10, "--embedding-dim", 4, "--context-length", 3, "--threads", 1]
    command = ["-m", "fastgrad", "train", "nplm", text, *small, "--steps", 40]
    run_ranks(1, *command, "-o", tmp_path / "one")
    run_ranks(2, *command, "-o", tmp_path / "two", "--mpi", "--mpi-output", "sharded")
    files = [tmp_path / place / "model.safetensors" for place in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
