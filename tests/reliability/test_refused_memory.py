"""What the system refuses, and faults in Rust, are exceptions: never an abort, nothing changed."""

import subprocess
import sys
from textwrap import dedent

import pytest

resource = pytest.importorskip("resource")

MODELS = """
ids = np.random.default_rng(0).integers(0, 8000, 20_000).astype(np.uint32)
contexts = np.zeros((10**7, 2), np.uint32)
full = lambda *shape: np.full(shape, 0.1, np.float32)
params = dict(C=full(8000, 2), H=full(4, 4), d=full(4), U=full(8000, 4), b=full(8000))
"""

REFUSED = {
    "Kneser-Ney's distributions": (
        "table = _core.KneserNeyTable(ids, 8000)\nbefore = table.score(ids)",
        "table.distributions(contexts)",
        "assert (table.score(ids) == before).all()",
    ),
    "the trigram's distributions": (
        "table = _core.InterpolatedTable(ids, 8000)\nbefore = table.score(ids)",
        "table.distributions(contexts)",
        "assert (table.score(ids) == before).all()",
    ),
    "the network's distributions": (
        "",
        "_core.nplm_probabilities(params, contexts)",
        "assert (params['C'] == full(8000, 2)).all()",
    ),
    "the network's activations": (
        "",
        "_core.nplm_forward(params, contexts)",
        "assert (params['C'] == full(8000, 2)).all()",
    ),
    "a mini-batch": (
        "targets = contexts[:10**6, 0].copy()",
        "_core.nplm_train(params, [], contexts[:10**6].copy(), targets, batch=10**6, "
        "rates=np.full(1, 0.1))",
        "assert (params['C'] == full(8000, 2)).all()",
    ),
    "a vocabulary beyond memory": ("", "_core.KneserNeyTable(ids, 2**62)", ""),
    "the largest vocabulary": ("", "_core.KneserNeyTable(ids, 2**64 - 1)", ""),
    "another table's vocabulary": ("", "_core.InterpolatedTable(ids, 2**62)", ""),
    "numbers": ("", "_core.normal_numbers(10**9, 0)", ""),
    "numbers beyond memory": ("", "_core.normal_numbers(2**63, 0)", ""),
    "a table to sample from": (
        "rows = np.full((430**2, 430), 1 / 430)",
        "_core.TableSampler(rows, 2)",
        "",
    ),
    "losses of steps": (
        "w, ids = np.zeros((27, 27)), np.array([[0, 1]], np.uint32)",
        "_core.train_bigram(w, w.copy(), ids, np.ones(1, np.uint64), steps=10**10, lr=0.1)",
        "assert not w.any()",
    ),
}


def run(program: str) -> None:
    """Run a program in an interpreter of its own, which must end well."""
    program = "import numpy as np\nfrom fastgrad import _core\n" + program
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to RLIMIT_AS")
@pytest.mark.parametrize("case", REFUSED)
def test_what_memory_cannot_hold_is_refused(case):
    before, call, after = REFUSED[case]
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
    attempt = f"""
    try:
        {call}
    except MemoryError:
        pass
    else:
        raise AssertionError("not refused")
    """
    # A table of 636 MB is there, and its copy, before the third is refused.
    if case == "a table to sample from":
        limit = limit.replace("2 << 30", "3 << 29")
    run(limit + MODELS + before + dedent(attempt) + after)


def test_a_panic_is_an_internal_error():
    program = """
    import sys
    sys.modules["numpy"] = None
    import fastgrad
    for call in lambda: _core.normal_numbers(3, 0), _core.count_bytes(b"abc").dense:
        try:
            call()
        except fastgrad.InternalError as error:
            assert isinstance(error, RuntimeError) and "please report" in str(error)
        else:
            raise AssertionError("no error")
    assert _core.count_bytes(b"abc").total == 4
    """
    run(dedent(program))


@pytest.mark.parametrize("threads", [0, 1025, 10**12, 2**70])
def test_threads_that_nobody_has(threads):
    run(
        dedent(f"""
        for call in (
            lambda: _core.count_bytes(b"abc", threads={threads}),
            lambda: _core.TableSampler(np.eye(2), 1).sample(9, 0, [], 9, "a", threads={threads}),
        ):
            try:
                call()
            except ValueError as error:
                assert str(error).startswith("threads is {threads}")
            else:
                raise AssertionError("not refused")
        """)
    )
