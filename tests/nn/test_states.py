"""Networks and optimizers of Values are saved, and training goes on from the files."""

import json
import math
import random
import re

import fastgrad
import pytest
from fastgrad import MLP, SGD, Adam, AdamW, Neuron, Value
from fastgrad.checkpoint import CheckpointError
from fastgrad.nn import Module, mse_loss

OPTIMIZERS = {
    "SGD": lambda params: SGD(params, lr=0.05),
    "momentum": lambda params: SGD(params, lr=0.05, momentum=0.9),
    "Adam": lambda params: Adam(params, lr=0.01),
    "AdamW": lambda params: AdamW(params, lr=0.01, weight_decay=0.1),
}
X, Y = [[0.0, 1.0], [1.0, 0.5], [-1.0, 2.0]], [1.0, -1.0, 0.5]


def network(seed):
    random.seed(seed)
    return MLP(2, [3, 1])


def train(model, optimizer, steps):
    for _ in range(steps):
        model.zero_grad()
        mse_loss(model(X), Y).backward()
        optimizer.step()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_goes_on_from_files_to_the_same_bits(make, tmp_path):
    model = network(1)
    optimizer = make(model.parameters())
    train(model, optimizer, 10)
    model.save(tmp_path / "net.json")
    optimizer.save(str(tmp_path / "optimizer.json"))
    train(model, optimizer, 10)

    other = network(2).load(str(tmp_path / "net.json"))
    resumed = make(other.parameters()).load(tmp_path / "optimizer.json")
    assert resumed.steps == 10
    train(other, resumed, 10)
    assert other.state_dict() == model.state_dict()
    assert resumed.state_dict() == optimizer.state_dict()


@pytest.mark.parametrize("make", [lambda: network(1), lambda: Neuron(3), lambda: MLP(1, [])])
def test_the_file_is_the_state_as_json(make, tmp_path):
    module = make()
    module.save(tmp_path / "net.json")
    assert json.loads((tmp_path / "net.json").read_text()) == module.state_dict()
    assert list(module.state_dict().values()) == [p.data for p in module.parameters()]


def test_numbers_of_every_kind_come_back(tmp_path):
    model = network(1)
    numbers = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
    for p, number in zip(model.parameters(), numbers, strict=False):
        p.data = number
    model.save(tmp_path / "net.json")
    loaded = network(2).load(tmp_path / "net.json")
    assert list(map(repr, loaded.state_dict().values())) == list(
        map(repr, model.state_dict().values())
    )


def test_a_module_of_ones_own_is_saved(tmp_path):
    class Scale(Module):
        def __init__(self):
            self.factor = Value(2.0)

        def parameters(self):
            return [self.factor]

    scale = Scale()
    scale.factor.data = 3.0
    scale.save(tmp_path / "scale.json")
    assert Scale().load(tmp_path / "scale.json").factor.data == 3.0


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"{}", b"[1.0]", b"null", b'{"layers.0": 1.0}'],
)
@pytest.mark.parametrize("make", [lambda: network(1), lambda: Adam([Value(1.0)])])
def test_a_file_of_something_else_changes_nothing(make, content, tmp_path):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    thing = make()
    before = thing.state_dict()
    with pytest.raises(ValueError, match=r"state is|other\.json: not JSON"):
        thing.load(path)
    assert thing.state_dict() == before


@pytest.mark.parametrize(
    "number", ["1.0", None, True, [1.0], 10**400], ids=["str", "None", "bool", "list", "int"]
)
def test_what_is_no_number_changes_nothing(number):
    model = network(1)
    before = model.state_dict()
    names = list(before)
    with pytest.raises(ValueError, match=re.escape(names[3])):
        model.load_state_dict({**before, names[0]: 7.0, names[3]: number})
    assert model.state_dict() == before


def test_the_state_of_an_optimizer_of_another_kind_or_size_is_refused():
    adam = Adam([Value(1.0)], lr=0.01)
    for other in (SGD([Value(1.0)], lr=0.1, momentum=0.9), Adam([Value(1.0), Value(2.0)])):
        with pytest.raises(ValueError, match="state"):
            adam.load_state_dict(other.state_dict())
    assert adam.state_dict() == Adam([Value(1.0)], lr=0.01).state_dict()


def test_load_of_models_says_who_reads_the_file_of_an_mlp(tmp_path):
    network(1).save(tmp_path / "net.json")
    with pytest.raises(CheckpointError, match=r"MLP\(...\)\.load"):
        fastgrad.load(tmp_path / "net.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        network(1).load(tmp_path / "nothing.json")


def test_the_first_wrong_entry_of_a_state_is_named():
    net = network(1)
    state = net.state_dict()
    first = next(iter(state))
    for wrong in ({k: v for k, v in state.items() if k != first}, {**state, "bias": 7.5}):
        with pytest.raises(ValueError, match=f"without '{first}'|unexpected 'bias': 7.5"):
            net.load_state_dict(wrong)
    adam = Adam([Value(1.0)])
    with pytest.raises(ValueError, match=r"state\[0\] is \[1.0\]; expected 2 numbers"):
        adam.load_state_dict({**adam.state_dict(), "state": [[1.0]]})
    assert net.state_dict() == state
