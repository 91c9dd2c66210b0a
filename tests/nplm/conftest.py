"""What the tests of the NPLM share."""

import pytest
import small_nplm


@pytest.fixture
def small():
    """Return a model of characters that trains in no time."""
    return small_nplm.small_model()
