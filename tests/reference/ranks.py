"""Programs that run on several ranks of MPI, in processes of their own."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HAS_MPI4PY = importlib.util.find_spec("mpi4py") is not None
NEEDS_MPI = pytest.mark.skipif(not HAS_MPI4PY, reason="mpi4py is not installed")
SECONDS = 120


def mpiexec():
    """Return the launcher that belongs to this Python, or skip the test."""
    beside = pathlib.Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("mpiexec is not installed")
    return found


def run_ranks(size, *arguments, status=0, **settings):
    """Run Python with arguments on ranks; return the finished process, whose status was checked."""
    command = [mpiexec(), "-n", str(size), sys.executable, "-I", *map(str, arguments)]
    # Ranks share the machine's cores with each other and with other tests.
    environment = {**os.environ, "FASTGRAD_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=SECONDS, env=environment, text=True,
        encoding="utf-8", **settings,
    )  # fmt: skip
    told = f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert status is None or done.returncode == status, told
    return done


def run_code(size, code, *arguments, status=0, **settings):
    """Run a program text on ranks; return what it printed. What a rank raises ends all of them."""
    return run_ranks(size, "-m", "mpi4py", "-c", code, *arguments, status=status, **settings).stdout
