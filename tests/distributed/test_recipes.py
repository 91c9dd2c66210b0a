"""The recipes of the page on several processes, run where their packages are installed."""

import importlib.util
import os
import re
import socket
import subprocess
import sys

import pytest
from fastgrad import NgramCounts

SHOW = "\nprint('counted', counts.num_items, counts.total, counts['mm'])\n"


@pytest.fixture
def recipe(project_root, tmp_path, monkeypatch):
    """A function that returns the program of a recipe, run where its files are."""
    (tmp_path / "a.txt").write_text("emma\nolivia\n")
    (tmp_path / "b.txt").write_text("ava\nmm\n")
    monkeypatch.chdir(tmp_path)
    page = (project_root / "docs" / "how-to" / "distributed.md").read_text(encoding="utf-8")

    def find(package):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
        (program,) = re.findall(rf"^```python\n# recipe: {package}\n(.*?)^```", page, re.M | re.S)
        return program + SHOW

    return find


def counted():
    counts = NgramCounts("a.txt") + NgramCounts("b.txt")
    return ["counted", str(counts.num_items), str(counts.total), str(counts["mm"])]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["dask", "ray"])
def test_counting_with_a_tool_that_maps_and_reduces(recipe, package):
    program = recipe(package)
    settings = {"RAY_DISABLE_IMPORT_WARNING": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
        env={**os.environ, **settings},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-4:] == counted()


@pytest.mark.slow
def test_counting_with_torch(recipe):
    program = recipe("torch")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, **place, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        assert [rank.communicate(timeout=240)[0].split() for rank in ranks] == [counted()] * 2
        assert [rank.returncode for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
