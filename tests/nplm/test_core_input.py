"""Bad input to the compiled neural language model: named before anything is changed."""

import numpy as np
import pytest
from fastgrad import _core
from nplm_cases import assert_same, example, zeros_like


def broken(change):
    """Build good arguments of nplm_train and spoil them."""
    params, inputs, targets = example((5, 2, 3, 4, True), 6, dtype=np.float32)
    call = {
        "params": params, "state": [], "inputs": inputs, "targets": targets,
        "batch": 2, "rates": np.full(3, 0.1),
    }  # fmt: skip
    change(call)
    return call


def put(name, value):
    return lambda call: call.update({name: value})


def put_param(name, make):
    return lambda call: call["params"].update({name: make(call["params"].get(name), call)})


def no_w(call):
    del call["params"]["W"]
    for name, shape in {"H": (0, 6), "d": (0,), "U": (5, 0)}.items():
        call["params"][name] = np.zeros(shape, np.float32)


def drop_u(call):
    del call["params"]["U"]


def u_and_p(call):
    call["params"]["P"] = np.zeros((3, 4), np.float32)


def tie(shape):
    def change(call):
        u_and_p(call)
        drop_u(call)
        call["params"]["P"] = np.zeros(shape, np.float32)

    return change


def untied_state(call):
    call.update(optimizer="momentum", state=zeros_like(call["params"], 1))
    tie((3, 4))(call)


def one_state(call):
    call.update(optimizer="momentum", state=zeros_like(call["params"], 1))
    del call["state"][0]["W"]


def shared_state(call):
    call.update(optimizer="momentum", state=[call["params"]])


def overlapping(_array, _call):
    return overlap[2:]


def read_only(array, _call):
    array.flags.writeable = False
    return array


overlap = np.zeros(10, np.float32)
IDS = np.zeros((6, 2), np.uint32)


@pytest.mark.parametrize(
    ("change", "exception", "message"),
    [
        (put("params", []), TypeError, r"params is of type .*list.*;"),
        (put("params", {}), ValueError, "params has no 'C'"),
        (drop_u, ValueError, "params has no 'U', nor a 'P' as a tied model has"),
        (u_and_p, ValueError, "params has both 'U' and 'P';"),
        (
            tie((4, 3)),
            ValueError,
            r"params\['P'\] has shape \[4, 3\];",
        ),
        (tie((3,)), ValueError, r"params\['P'\] has shape \[3\];"),
        (untied_state, ValueError, r"state\[0\] and params differ in whether they have a 'P'"),
        (put_param("X", lambda *_: None), ValueError, "params has the key 'X';"),
        (put_param("C", lambda *_: [1.0]), TypeError, r"params\['C'\] is of type .*list"),
        (put_param("C", lambda c, _: c.astype(np.float16)), TypeError, "float16;.*float32"),
        (put_param("C", lambda c, _: c.astype(">f4")), TypeError, "dtype >f4;.*float32"),
        (put_param("d", lambda d, _: d.astype(float)), TypeError, "float64;.*float32"),
        (put_param("C", lambda c, _: c.astype(float)), TypeError, "float32;.*float64"),
        (
            put_param("C", lambda c, _: c[0]),
            ValueError,
            r"\['C'\] has shape \[3\]; expected \(V, m",
        ),
        (put_param("H", lambda h, _: h[:, 1:].copy()), ValueError, r"\(h, c·m\) = \[4, 6\]"),
        (put_param("U", lambda u, _: u[1:]), ValueError, r"\(V, h\) = \[5, 4\]"),
        (put_param("b", lambda b, _: b[1:]), ValueError, r"\(V,\) = \[5\]"),
        (put_param("W", lambda w, _: w[1:]), ValueError, r"\(V, c·m\) = \[5, 6\]"),
        (put_param("H", lambda h, _: np.asfortranarray(h)), ValueError, "not C-contiguous"),
        (put_param("d", lambda *_: np.zeros(8, np.float32)[::2]), ValueError, "not C-contiguous"),
        (put_param("U", read_only), ValueError, r"params\['U'\] is read-only"),
        (put_param("d", lambda _, call: call["params"]["U"][0]), ValueError, "share memory"),
        (put_param("C", lambda *_: np.zeros((0, 3), np.float32)), ValueError, "expected"),
        (put_param("C", lambda *_: np.zeros((5, 0), np.float32)), ValueError, "expected"),
        (no_w, ValueError, "d has length 0 and there is no W"),
        (put("inputs", IDS.astype(np.int64)), TypeError, "inputs has dtype int64;.*uint32"),
        (put("inputs", IDS.tolist()), TypeError, "inputs is of type .*list"),
        (
            put("inputs", IDS[:, 0].copy()),
            ValueError,
            r"params\['H'\] has shape \[4, 6\]",
        ),
        (put("inputs", IDS[:, :0]), ValueError, "inputs has contexts of length 0"),
        (put("inputs", np.asfortranarray(IDS)), ValueError, "inputs is not C-contiguous"),
        (put("inputs", IDS + np.uint32(7)), ValueError, "inputs: id 7 at position 0; .* 0 to 4"),
        (put("inputs", IDS[1:]), ValueError, r"targets has shape \[6\];"),
        (put("targets", IDS[:, 0] + np.uint32(5)), ValueError, "targets: id 5 at position 0"),
        (put("targets", np.zeros(6)), TypeError, "targets has dtype float64;.*uint32"),
        (put("batch", 0), ValueError, "batch is 0;"),
        (put("batch", -1), ValueError, "batch is -1;"),
        (put("batch", 2.5), TypeError, "batch is 2.5;"),
        (put("batch", 7), ValueError, "batch is 7;"),
        (put("rates", [0.1]), TypeError, "rates is of type .*list"),
        (put("rates", np.ones(3, np.float32)), TypeError, "float32;.*float64"),
        (put("rates", np.ones((3, 1))), ValueError, "rates has shape"),
        (
            put("rates", np.array([0.1, np.nan])),
            ValueError,
            r"rates\[1\] is NaN;",
        ),
        (put("rates", np.array([-0.1])), ValueError, r"rates\[0\] is -0.1;"),
        (put("rates", np.array([np.inf])), ValueError, r"rates\[0\] is inf;"),
        (put("first_step", -1), ValueError, "first_step is -1;"),
        (put("first_step", 2**64 - 1), ValueError, "steps have numbers below"),
        (put("seed", 2**64), ValueError, "seed is 18446744073709551616;"),
        (put("seed", "x"), TypeError, "seed is 'x';"),
        (put("optimizer", "adam"), ValueError, "optimizer is 'adam';"),
        (put("momentum", np.nan), ValueError, "momentum is NaN;"),
        (put("betas", (0.9, 1.0)), ValueError, r"betas\[1\] is 1.0; .* below 1"),
        (put("eps", -1e-8), ValueError, "eps is -1e-8;"),
        (put("weight_decay", -1.0), ValueError, "weight_decay is -1.0;"),
        (put("dropout", (np.nan, 0.0)), ValueError, r"dropout\[0\] is NaN;"),
        (put("dropout", (0.0, 1.0)), ValueError, r"dropout\[1\] is 1.0; .* at least 0 and below 1"),
        (put("dropout", (-0.1, 0.0)), ValueError, r"dropout\[0\] is -0.1; .* at least 0"),
        (put("dropout", (0.1,)), ValueError, r"dropout is \(0.1,\);"),
        (put("dropout", (0, 0, 0)), ValueError, r"dropout is \(0, 0, 0\);"),
        (put("dropout", 0.5), TypeError, "dropout is 0.5;"),
        (put("dropout", ("a", 0.5)), TypeError, r"dropout is \('a', 0.5\);"),
        (put("threads", 0), ValueError, "threads is 0;"),
        (put("optimizer", "adamw"), ValueError, "state has 0 dicts;"),
        (one_state, ValueError, "differ in whether they have a 'W'"),
        (shared_state, ValueError, "share memory"),
    ],
)
def test_bad_input_is_named_before_anything_is_changed(change, exception, message):
    call = broken(change)
    sets = [s for s in [call["params"], *call["state"]] if isinstance(s, dict)]
    before = [{k: np.copy(a) for k, a in s.items()} for s in sets]
    with pytest.raises(exception, match=message):
        _core.nplm_train(**call)
    for now, then in zip(sets, before, strict=True):
        assert_same({k: np.asarray(a) for k, a in now.items()}, then)


def test_examples_must_exist():
    params, inputs, targets = example((5, 2, 3, 4, True), 6)
    with pytest.raises(ValueError, match="inputs has no rows;"):
        _core.nplm_loss(params, inputs[:0], targets[:0])
    with pytest.raises(ValueError, match="contexts: id 5 at position 3;"):
        _core.nplm_probabilities(params, np.array([[0, 0], [0, 5]], np.uint32))


def test_examples_may_be_read_only():
    params, inputs, targets = example((5, 2, 3, 4, True), 6)
    inputs.flags.writeable = targets.flags.writeable = False
    assert len(_core.nplm_train(params, [], inputs, targets, batch=3, rates=np.ones(2))) == 2
