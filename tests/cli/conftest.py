"""What the tests of commands share: a text, and where its model goes."""

import pytest
from typed_commands import run


@pytest.fixture
def text(tmp_path):
    """Return the path of a text of four names, one twice."""
    path = tmp_path / "text.txt"
    path.write_text("emma\nolivia\nava\nava\n", encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path):
    """Return a folder for a model, which does not exist yet."""
    return tmp_path / "out"


@pytest.fixture
def trained(capsys, text, out):
    """Return the folder of a bigram model of the text."""
    run(capsys, "train", "bigram", text, "-o", out)
    return out
