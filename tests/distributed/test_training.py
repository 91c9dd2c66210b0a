"""Networks trained on several ranks, against one process."""

import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from fastgrad.distributed import SelfComm
from fastgrad.models import NPLM, WordNPLM
from fastgrad.training import DivergedError
from ranks import NEEDS_MPI, mpiexec, run_code, run_ranks
from thread_ranks import bits, run_threads

# A vocabulary of several tiles of 192 tokens, so that ranks share it.
WORDS = [f"w{number}" for number in range(900)]
RNG = np.random.default_rng(7)
TEXT = [" ".join(RNG.choice(WORDS, 12)) for _ in range(150)] + [" ".join(WORDS)]
DEV = TEXT[:9]
NAMES = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna"]


def words(**settings):
    return WordNPLM(context_length=3, embedding_dim=8, hidden_dim=24, **settings)


def fitted(model, comm=None, **settings):
    settings = {"steps": 12, "batch_size": 100, "evaluate_every": 5, "threads": 1} | settings
    return model.fit(TEXT, DEV, comm=comm, **settings)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_exact_training_has_the_bits_of_one_process(size, tied, optimizer):
    settings = {"optimizer": optimizer, "lr": 0.02, "dropout": 0.1}
    expected = bits(fitted(words(tie_weights=tied), **settings))
    results = run_threads(
        size, lambda comm: bits(fitted(words(tie_weights=tied), comm, **settings))
    )
    assert results == [expected] * size


def test_exact_training_over_characters_has_the_bits_of_one_process():
    def train(comm=None):
        model = NPLM(context_length=3, embedding_dim=4, hidden_dim=10, direct=True)
        return bits(model.fit(NAMES, NAMES, steps=30, batch_size=8, patience=2, comm=comm))

    expected = train()
    assert run_threads(3, train) == [expected] * 3


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_fast_training_differs_by_rounding(tied, optimizer):
    settings = {"optimizer": optimizer, "lr": 0.02, "dropout": 0.1}

    def train(comm=None):
        model = words(tie_weights=tied, dtype="float64")
        return fitted(model, comm, reduction="fast", **settings)

    expected = train()
    results = run_threads(3, train)
    assert [bits(result) for result in results[1:]] == [bits(results[0])] * 2
    for name in "CHdUbP":
        if (array := getattr(expected, name, None)) is not None:
            np.testing.assert_allclose(getattr(results[0], name), array, rtol=0, atol=1e-9)
    np.testing.assert_allclose(results[0].history.loss, expected.history.loss, atol=1e-11)


def test_what_ranks_send_is_small():
    sent = {}

    def train(comm):
        fitted(words(tie_weights=False), comm, steps=1, evaluate_every=1)
        sent[comm.rank] = comm.sent_bytes

    def longer(comm):
        fitted(words(tie_weights=False), comm, steps=11, evaluate_every=11)
        sent[comm.rank] = (comm.sent_bytes - sent[comm.rank]) / 10

    run_threads(2, train)
    run_threads(2, longer)
    # dz, a row of U and the softmax of each example of 4 micro-batches, from one rank to the next
    # and back; after some steps the rows of U and b as well.
    state = 4 * 4 * 32 * (24 + 24 + 3)
    assert sent[0] <= state + 4 * 25 * 900 + 100
    assert sent[1] <= state + 4 * 25 * 900 + 100


def test_a_run_is_resumed_on_another_number_of_ranks(tmp_path):
    expected = bits(fitted(words(), steps=20))

    def stop_early(progress):
        return progress.step >= 10

    def begin(comm):
        return fitted(words(), comm, steps=20, callbacks=[stop_early], checkpoint=tmp_path / "run")

    def go_on(comm=None):
        return bits(WordNPLM.resume(tmp_path / "run", TEXT, DEV, comm=comm, threads=1))

    assert [model.history.stopped for model in run_threads(3, begin)] == [
        "stopped by a callback"
    ] * 3
    saved = (tmp_path / "run").read_bytes()
    for size in (1, 2):
        (tmp_path / "run").write_bytes(saved)
        assert run_threads(size, go_on) == [expected] * size
    (tmp_path / "run").write_bytes(saved)
    assert go_on() == expected


def test_what_differs_between_ranks_is_told_before_the_first_step():
    def train(comm, **changes):
        settings = {name: values[comm.rank] for name, values in changes.items()}
        model = NPLM(hidden_dim=10, seed=settings.pop("model_seed", 0))
        names = settings.pop("names", NAMES)
        before = model.history
        try:
            model.fit(names, names, comm=comm, **({"steps": 5, "batch_size": 20} | settings))
        finally:
            assert model.history is before

    for name, changes in {
        "batch_size": {"batch_size": (20, 21)},
        "seed": {"seed": (0, 1)},
        "optimizer": {"optimizer": ("sgd", "momentum")},
        "steps": {"steps": (5, 6)},
        "lr": {"lr": (0.1, 0.2)},
        "dropout": {"dropout": (0.0, 0.1)},
        "parameters": {"model_seed": (0, 1)},
        "train": {"names": (NAMES, NAMES[::-1])},
        "vocab": {"names": (NAMES, [*NAMES, "zoe"])},
        "reduction": {"reduction": ("exact", "fast")},
        "patience": {"patience": (None, 3)},
    }.items():
        results = run_threads(2, lambda comm, changes=changes: train(comm, **changes))
        assert [type(result) for result in results] == [ValueError, ValueError], (name, results)
        assert name in str(results[0]), results[0]
        assert "rank 1" in str(results[0]), results[0]


def test_what_one_rank_raises_is_raised_on_all():
    def train(comm):
        model = words()
        try:
            return fitted(model, comm, batch_size=50 if comm.rank == 0 else 10**9)
        finally:
            # The state is what it was before the call.
            with pytest.raises(ValueError, match="fit"):
                model.loss(TEXT)

    assert [type(result) for result in run_threads(2, train)] == [ValueError, ValueError]


def test_errors_of_the_loop_are_raised_on_all_ranks(tmp_path):
    def fail(progress):
        raise LookupError("enough")

    def with_callback(comm):
        model = words()
        with pytest.raises(LookupError, match="enough"):
            fitted(model, comm, callbacks=[fail])
        return bits(model)

    results = run_threads(2, with_callback)
    assert results[0] == results[1]
    assert results[0][3] == "failed in a callback"

    def diverging(comm=None):
        model = words()
        with pytest.raises(DivergedError):
            fitted(model, comm, optimizer="sgd", lr=1e9)
        return bits(model)

    expected = diverging()
    assert run_threads(2, diverging) == [expected] * 2


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="comm"):
        words().fit(TEXT, comm="world")
    with pytest.raises(ValueError, match="reduction"):
        words().fit(TEXT, comm=SelfComm(), reduction="quick")
    alone = words().fit(TEXT, steps=3, comm=SelfComm())
    assert bits(alone) == bits(words().fit(TEXT, steps=3))


PROGRAM = """
import sys
import numpy as np
from fastgrad.models import WordNPLM
from mpi4py import MPI

WORDS = [f"w{number}" for number in range(900)]
RNG = np.random.default_rng(7)
TEXT = [" ".join(RNG.choice(WORDS, 12)) for _ in range(150)] + [" ".join(WORDS)]

def train(steps, comm=MPI.COMM_WORLD, **settings):
    model = WordNPLM(context_length=3, embedding_dim=8, hidden_dim=24)
    return model.fit(
        TEXT, TEXT[:9], steps=steps, batch_size=100, evaluate_every=5, comm=comm, **settings
    )
"""


@NEEDS_MPI
@pytest.mark.parametrize("reduction", ["exact", "fast"])
def test_training_over_mpi(reduction):
    printed = run_code(
        2,
        f"""{PROGRAM}
model = train(12, reduction="{reduction}", threads=1)
alone = train(12, comm=None, threads=1)
names = "CHdbP"
if "{reduction}" == "exact":
    assert all((getattr(model, name) == getattr(alone, name)).all() for name in names)
assert all(np.allclose(getattr(model, name), getattr(alone, name), atol=1e-4) for name in names)
sys.stdout.write(f"rank {{MPI.COMM_WORLD.rank}} agrees\\n")
""",
    )
    assert sorted(printed.split("\n")[:2]) == ["rank 0 agrees", "rank 1 agrees"]


@NEEDS_MPI
def test_the_program_of_the_page_runs(project_root, tmp_path):
    page = (project_root / "docs" / "how-to" / "distributed.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n# train.py\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "train.py").write_text(program)
    (tmp_path / "corpus.txt").write_text("\n".join(TEXT))
    printed = run_ranks(2, "-m", "mpi4py", "train.py", cwd=tmp_path).stdout
    # Rank 0 alone prints a sample, of words of the text.
    assert set(printed.split()) <= {*WORDS, "<unk>"}
    assert printed.split()


@NEEDS_MPI
def test_an_error_on_one_rank_ends_all():
    run_code(
        2,
        f"""{PROGRAM}
import fastgrad.distributed.comm as engines
def fail(self, *arguments):
    raise MemoryError("there is none")
if MPI.COMM_WORLD.rank == 1:
    engines.MPIComm.receive = fail
train(100)
""",
        status=1,
    )


def started(tmp_path, steps, output_layer):
    """Start a run of two ranks, or go on with it."""
    path, output = str(tmp_path / "run"), f"output_layer={output_layer!r}"
    code = f"""{PROGRAM}
def tell(progress):
    sys.stdout.write(f"{{progress.step}}\\n")
    sys.stdout.flush()
if {steps}:
    train({steps}, checkpoint={path!r}, callbacks=[tell], {output})
else:
    WordNPLM.resume({path!r}, TEXT, TEXT[:9], comm=MPI.COMM_WORLD, {output})
"""
    command = [mpiexec(), "-n", "2", sys.executable, "-I", "-m", "mpi4py", "-c", code]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True, env={**os.environ, "FASTGRAD_NUM_THREADS": "1"},
    )  # fmt: skip


@NEEDS_MPI
@pytest.mark.parametrize("output_layer", ["whole", "sharded"])
def test_ctrl_c_on_mpiexec_saves_and_a_killed_run_is_resumed_bit_for_bit(tmp_path, output_layer):
    steps = 400
    expected = bits(
        words().fit(TEXT, DEV, steps=steps, batch_size=100, evaluate_every=5, threads=1)
    )
    run = started(tmp_path, steps, output_layer)
    while int(run.stdout.readline()) < 20:
        pass
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode != 0
    model = WordNPLM.load(tmp_path / "run")
    assert 20 <= len(model.history.loss) < steps
    for delay in RNG.uniform(0.5, 2.0, 2):
        run = started(tmp_path, 0, output_layer)
        killer = threading.Timer(delay, os.killpg, (run.pid, signal.SIGKILL))
        killer.start()
        run.communicate(timeout=60)
        killer.cancel()
    assert bits(WordNPLM.resume(tmp_path / "run", TEXT, DEV, threads=1)) == expected


@NEEDS_MPI
def test_the_command_line_trains_and_resumes_on_ranks(tmp_path):
    text = tmp_path / "names.txt"
    text.write_text("\n".join(NAMES * 20))
    small = ["--hidden-dim", 10, "--embedding-dim", 4, "--context-length", 3, "--steps", 40]
    command = ["-m", "fastgrad", "train", "nplm", text, *small, "--threads", 1]
    one = subprocess.run(
        [sys.executable, "-I", *map(str, [*command, "-o", tmp_path / "one"])],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    done = run_ranks(2, *command, "-o", tmp_path / "two", "--mpi")
    # Rank 0 alone speaks, and says the same but for the folder and the time.
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("steps", "saved"))]
    assert [line for line in one.stdout.splitlines() if line in lines] == lines
    assert bits(NPLM.load(tmp_path / "two")) == bits(NPLM.load(tmp_path / "one"))
    resumed = run_ranks(2, "-m", "fastgrad", "train", "nplm", "--resume", tmp_path / "two", "--mpi")
    assert "none were left to make" in resumed.stdout
    wrong = run_ranks(2, *command, "-o", tmp_path / "two", "--mpi", "--batch-size", 10**9, status=1)
    assert wrong.stderr.count("batch_size is 1000000000") == 1
    assert run_ranks(2, *command[:4], "-", "-o", tmp_path / "x", "--mpi", status=2).returncode == 2
