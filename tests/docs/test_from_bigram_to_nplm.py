"""The example that walks from bigrams to the NPLM, in its quick form."""

import math
import runpy

import pytest


@pytest.fixture(scope="module")
def told(project_root):
    """Run the example as a script with --quick; give its variables."""
    path = project_root / "examples" / "from_bigram_to_nplm.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [str(path), "--quick"])
        return runpy.run_path(str(path))


@pytest.mark.slow
def test_each_step_of_the_walk_has_its_losses(told):
    losses = told["losses"]
    assert len(losses) == 9
    counted, network = losses["bigrams, counted"], losses["bigrams, a network"]
    assert counted == pytest.approx((2.454, 2.464), abs=0.01)
    assert network[0] == pytest.approx(counted[0], abs=0.2)
    assert losses["trigrams, counted"][0] < 2.25
    assert losses["NPLM, 2 dimensions, untrained"][0] > 5
    assert losses["... scaled, untrained"][0] == pytest.approx(math.log(27), abs=0.05)
    assert losses["... scaled"][1] < 2.5
    assert losses["NPLM, context 8, AdamW"][1] < 2.5


@pytest.mark.slow
def test_the_finder_finds_the_lectures_learning_rate(told):
    assert 0.02 < told["sweep"].best() < 0.6
    assert told["small"].num_parameters() == 3481
    assert told["larger"].num_parameters() == 11_897
