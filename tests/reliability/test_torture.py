"""The programs of `make torture` run, one round each: what they do for minutes is shown there."""

import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "torture"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the programs fork, and limit memory and files")
@pytest.mark.parametrize(
    "name", ["checkpoints", "disk_full", "fork", "graphs", "kill_runs", "leaks", "memory"]
)
def test_a_round_without_faults(name):
    command = [sys.executable, FOLDER / f"{name}.py", "0.1", "1"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("0 faults")


def test_hostile_calls_are_counted():
    command = [sys.executable, FOLDER / "hostile_calls.py", "0", "1", "400"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" calls of seed 1")[0].replace(",", "")) >= 400
