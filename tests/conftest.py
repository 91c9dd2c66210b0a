"""What the tests share: settings, where files are, and fixtures of several folders."""

import gc
import os
import pathlib
import sys

import pytest
from hypothesis import settings

ROOT = pathlib.Path(__file__).resolve().parents[1]

# The oracles are plain modules, imported by name.
sys.path.insert(0, str(ROOT / "tests" / "reference"))
# So are the benchmarks.
sys.path.insert(0, str(ROOT / "benches"))

# Examples may build large graphs, and the machine may be busy: no clock decides about a test.
# At home each run tries new examples; in CI a change is judged by the same ones every time.
settings.register_profile(
    "fastgrad", deadline=None, print_blob=True, derandomize="CI" in os.environ
)
settings.load_profile("fastgrad")


def pytest_collection_finish():
    """Keep the collector from walking the tests themselves whenever one of them calls it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def project_root():
    return ROOT


@pytest.fixture(scope="session")
def data_directory():
    """The directory of the files to measure with, which are not part of the project."""
    directory = pathlib.Path(os.environ.get("FASTGRAD_DATA", ROOT.parent / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"no data directory at {directory}; set FASTGRAD_DATA to where names.txt is")
    return directory


def data_file(directory, name):
    """Return the path of a file to measure with, or skip the test that needs it."""
    path = directory / name
    if not path.is_file():
        pytest.skip(f"{path} is missing; set FASTGRAD_DATA to the directory where it is")
    return path


@pytest.fixture(scope="session")
def names_file(data_directory):
    """makemore's names, one a line."""
    return data_file(data_directory, "names.txt")


@pytest.fixture(scope="session")
def names_counts(names_file):
    """The bigrams of makemore's names, counted."""
    from fastgrad.models import NgramCounts

    return NgramCounts(names_file)


@pytest.fixture(scope="session")
def brown_file(data_directory):
    """The Brown corpus, compressed."""
    return data_file(data_directory, "brown.txt.gz")


@pytest.fixture(scope="session")
def brown(brown_file):
    """The Brown corpus as the paper reads it."""
    from fastgrad.text import read_words

    return read_words(brown_file, train=800_000, vocab_size=16_383)


@pytest.fixture
def collected():
    """Collect all garbage and keep the collector off, for a test that counts what is alive."""
    from fastgrad import _core

    nodes = None
    while nodes != _core.live_nodes():  # what other tests have left may come apart layer by layer
        nodes = _core.live_nodes()
        gc.collect()
    gc.disable()
    yield
    gc.enable()
