"""What the tests of models share."""

import pytest
from plain_models import FEW, ArrayModel


@pytest.fixture(scope="session")
def names(names_file):
    """makemore's names in a list."""
    return names_file.read_text(encoding="utf-8").split()


@pytest.fixture(scope="session")
def few():
    """Return a model of a few names, by their bigrams."""
    return ArrayModel.of(FEW)
