"""What the tests of the NPLM over words share."""

import pytest
import small_words


@pytest.fixture(scope="session")
def parts():
    """Return sentences for train, dev and test."""
    return small_words.parts()


@pytest.fixture
def small(parts):
    """Return a model of words that trains in no time."""
    return small_words.small_model(parts[0].vocab)
