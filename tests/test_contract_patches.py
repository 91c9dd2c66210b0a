"""Point 11 of the contract, for Value: who patches or subclasses it gets plain micrograd."""

import pytest
from fastgrad import _core
from fastgrad.engine import Value


@pytest.mark.parametrize(
    "name",
    ["__mul__", "__radd__", "__init__", "__new__", "relu", "data", "backward", "__getattribute__"],
)
def test_point_11_a_patched_value_is_noticed(monkeypatch, name):
    assert not _core.value_is_patched()
    with monkeypatch.context() as patch:
        patch.setattr(Value, name, property(lambda v: 1.0), raising=False)
        assert _core.value_is_patched()
        assert _core.value_is_patched()
    assert not _core.value_is_patched()


def test_point_11_an_attribute_of_the_programs_own_is_no_patch(monkeypatch):
    monkeypatch.setattr(Value, "softplus", lambda v: (v.exp() + 1).log(), raising=False)
    monkeypatch.setattr(Value, "label", "?")
    assert not _core.value_is_patched()
    assert Value(0.0).softplus().data == pytest.approx(0.6931471805599453)
