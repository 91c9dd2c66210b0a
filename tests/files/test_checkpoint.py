"""Checkpoints come back whole or not at all, and no file can do harm."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from fastgrad import checkpoint
from fastgrad.checkpoint import CheckpointError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

DTYPES = ["f8", "f4", "i8", "u8", "i4", "u4", "i2", "u2", "i1", "u1", "?"]
DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(params=[checkpoint.load, checkpoint.load_mapped], ids=["in memory", "mapped"])
def load(request):
    """Return a function that reads a checkpoint."""
    return request.param


def small(path):
    """Save a checkpoint of two arrays, and return its bytes."""
    tensors = {"ids": np.array([[0, 1]], dtype=np.uint32), "b": np.array([0.5])}
    checkpoint.save(path, tensors, {"model": "x", "rate": 0.1})
    return path.read_bytes()


def sealed(header, body=b"", *, length=None, size=None):
    """Make a file with the right start, the right size and the right digest, hostile otherwise.

    `header` is what follows the two fixed fields; by default the rest of an empty checkpoint.
    """
    zeros, digits = b"0" * 64, b"0" * 16
    text = b'{"__metadata__":{"sha256":"' + zeros + b'","bytes":"' + digits + b'"' + header
    total = 8 + len(text) + len(body)
    text = text.replace(digits + b'"' + header, b"%016d" % (size or total) + b'"' + header)
    data = (len(text) if length is None else length).to_bytes(8, "little") + text + body
    return data.replace(zeros, hashlib.sha256(data).hexdigest().encode(), 1)


PLAIN = b',"library":"fastgrad","format":"1","config":"{}"}'


def entry(name="a", dtype="U8", shape="[1]", offsets="[0,1]", more=""):
    fields = f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{more}}}'
    return b"," + fields.encode()


def test_what_is_saved_is_loaded(path, load):
    tensors = {
        "weights": np.arange(6.0).reshape(2, 3),
        "counts": np.array([2**64 - 1, 0], dtype=np.uint64),
        "none": np.zeros((0, 4), dtype=np.float32),
        "number": np.array(3, dtype=np.int64),
        "имя": np.array([True, False]),
    }
    config = {"characters": 'й\0"\\{}', "nested": {"list": [1, 2.5, None, True, "x"]}, "big": 2**70}
    checkpoint.save(path, tensors, config)
    loaded, found = load(path)
    assert found == config
    assert set(loaded) == set(tensors)
    for name, array in tensors.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert (loaded[name] == array).all()
        assert loaded[name].flags.writeable


@pytest.mark.slow
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda x: x != "__metadata__"),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: arrays.arrays(
                np.dtype(dtype).newbyteorder(">"), arrays.array_shapes(min_dims=0, min_side=0)
            )
        ),
        max_size=4,
    ),
    st.dictionaries(
        st.text(st.characters(codec="utf-8")),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(codec="utf-8")),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
            max_leaves=5,
        ),
        max_size=3,
    ),
)
def test_anything_storable_survives(tmp_path_factory, tensors, config):
    path = tmp_path_factory.mktemp("saved") / "c"
    checkpoint.save(path, tensors, config)
    for load in (checkpoint.load, checkpoint.load_mapped):
        loaded, found = load(path)
        assert found == config
        assert set(loaded) == set(tensors)
        for name, array in tensors.items():
            np.testing.assert_array_equal(loaded[name], array)
    assert set(safetensors.numpy.load_file(path)) == set(tensors)


def test_arrays_that_come_in_parts_give_the_same_file(path, tmp_path):
    array, other = np.arange(12.0).reshape(4, 3), np.arange(5, dtype=np.int32)
    checkpoint.save(path, {"array": array, "other": other}, {"number": 1})
    parts = checkpoint.Parts((4, 3), array.dtype, lambda: [array[:1], array[1:1], array[1:]])
    checkpoint.write(tmp_path / "parts", {"array": parts, "other": other}, {"number": 1})
    assert (tmp_path / "parts").read_bytes() == path.read_bytes()


def test_what_is_written_to_mapped_arrays_stays_in_memory(path):
    before = small(path)
    tensors, _ = checkpoint.load_mapped(path)
    tensors["b"][:] = 7
    assert path.read_bytes() == before
    if os.name == "nt":
        return  # A file that is mapped cannot be replaced there.
    # The arrays are those of the file that was mapped, whatever takes its name.
    checkpoint.save(path, {"b": np.zeros(1)}, {})
    assert tensors["ids"].tolist() == [[0, 1]]


def test_other_tools_read_the_file(path):
    small(path)
    assert safetensors.numpy.load_file(path)["ids"].tolist() == [[0, 1]]
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert json.loads(metadata["config"]) == {"model": "x", "rate": 0.1}
    assert (metadata["library"], metadata["format"]) == ("fastgrad", "1")
    assert int(metadata["bytes"]) == path.stat().st_size


def test_the_same_content_gives_the_same_bytes(path):
    first = small(path)
    assert small(path) == first


def test_strides_do_not_matter(path):
    array = np.arange(12).reshape(3, 4)
    checkpoint.save(path, {"a": array.T[::2]}, {})
    assert (checkpoint.load(path)[0]["a"] == array.T[::2]).all()


def test_the_one_before_is_kept(path):
    for number in range(3):
        checkpoint.save(path, {}, {"number": number})
    assert checkpoint.load(path)[1] == {"number": 2}
    assert checkpoint.load(checkpoint.previous(path))[1] == {"number": 1}
    assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.previous"]


def test_it_is_kept_without_hard_links_too(path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    checkpoint.save(path, {}, {"number": 1})
    checkpoint.save(path, {}, {"number": 2})
    assert checkpoint.load(path)[1] == {"number": 2}
    assert checkpoint.load(checkpoint.previous(path))[1] == {"number": 1}


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "latest"
    checkpoint.save(path, {}, {"number": 1})
    link.symlink_to(path.name)
    checkpoint.save(link, {}, {"number": 2})
    assert link.is_symlink()
    assert checkpoint.load(path)[1] == {"number": 2}


def test_an_ordinary_files_rights(path, tmp_path):
    small(path)
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_place_that_cannot_be_written_is_left_as_it_was(tmp_path):
    with pytest.raises(OSError, match=str(tmp_path)):
        checkpoint.save(tmp_path, {}, {})
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoint.save(tmp_path / "nowhere" / "model", {}, {})
    assert os.listdir(tmp_path) == []
    assert not [name for name in os.listdir(tmp_path.parent) if name.endswith(".saving")]


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_save_leaves_the_file_as_it_was(path, monkeypatch, call, error):
    before = small(path)

    def interrupt(*_):
        raise error("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, interrupt)
        if (call, error) != ("link", OSError):  # There the fallback comes in.
            with pytest.raises(error):
                checkpoint.save(path, {}, {"number": 2})
    assert path.read_bytes() == before
    assert not [name for name in os.listdir(path.parent) if name.endswith(".saving")]


@pytest.mark.slow
def test_killed_at_any_system_call_the_file_is_whole(path):
    code = """
import os, sys, numpy
from fastgrad import checkpoint
path, calls = sys.argv[1], int(sys.argv[2])
def stop_after(name, calls):
    original = getattr(os, name)
    def counted(*args):
        global calls_left
        if calls_left == 0:
            os._exit(9)
        calls_left -= 1
        return original(*args)
    setattr(os, name, counted)
calls_left = calls
for name in ("fsync", "link", "replace", "open", "close"):
    stop_after(name, calls)
checkpoint.save(path, {"a": numpy.arange(10.0)}, {"number": 2})
"""
    for calls in range(12):
        checkpoint.save(path, {}, {"number": 1})
        command = [sys.executable, "-c", code, str(path), str(calls)]
        done = subprocess.run(command, check=False).returncode
        assert checkpoint.load(path)[1] in ({"number": 1}, {"number": 2})
        if done == 0:
            break
    assert done == 0
    assert calls > 4


@pytest.mark.parametrize(
    ("tensors", "config", "error", "message"),
    [
        ({"a": np.array(["x"])}, {}, TypeError, r"tensors\['a'\] is of type <U1"),
        ({"a": np.array([None])}, {}, TypeError, "is of type object"),
        ({"a": np.zeros(1, complex)}, {}, TypeError, "is of type complex128"),
        ({"a": [1.0]}, {}, TypeError, "is of type list;"),
        ({"__metadata__": np.zeros(1)}, {}, ValueError, "'__metadata__' cannot be the name"),
        ({3: np.zeros(1)}, {}, ValueError, "3 cannot be the name"),
        ({}, {"rate": float("nan")}, ValueError, "JSON"),
        ({}, {"a": object()}, TypeError, "JSON"),
        ({}, {"a": (1, 2)}, ValueError, "config does not survive JSON"),
        ({}, {1: 2}, ValueError, "config does not survive JSON"),
        ({}, {"a": "\ud800"}, ValueError, "surrogates"),
        ({}, {"a": "x" * 2**20}, ValueError, "long lists belong into arrays"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_written(
    path, tensors, config, error, message
):
    before = small(path)
    with pytest.raises(error, match=message):
        checkpoint.save(path, tensors, config)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.slow
def test_every_flipped_bit_is_noticed(path, load):
    data = small(path)
    for position in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[position] ^= 1 << bit
            path.write_bytes(broken)
            with pytest.raises(CheckpointError, match=re.escape(str(path))):
                load(path)


def test_every_cut_and_every_addition_is_noticed(path, load):
    data = small(path)
    for other in [*(data[:end] for end in range(len(data))), data + b"\0", data * 2, b"\0" + data]:
        path.write_bytes(other)
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            load(path)


def test_the_message_points_to_the_one_before(path, load):
    small(path)
    data = small(path)
    path.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match=r"the checkpoint before it is .*\.previous$"):
        load(path)


def test_a_hostile_file_made_like_a_right_one_loads(path, load):
    """The helper of the tests below makes loadable files, so that each fails for its own reason."""
    path.write_bytes(sealed(PLAIN + entry() + b"}", b"\7"))
    tensors, config = load(path)
    assert tensors["a"].tolist() == [7]
    assert config == {}


def with_config(config):
    text = json.dumps(config).encode()
    return b',"library":"fastgrad","format":"1","config":' + text + b"}"


HOSTILE = {
    "empty": (b"", "not a checkpoint"),
    "zeros": (bytes(1000), "not a checkpoint"),
    "ones": (b"\xff" * 1000, "not a checkpoint"),
    "pickle": (b"\x80\x04\x95" + b"x" * 300, "not a checkpoint"),
    "safetensors": (safetensors.numpy.save({"a": np.zeros(9)}), "not a checkpoint"),
    "long header": (sealed(PLAIN + b"}", length=2**20 + 1), "longer than it can be"),
    "longest header": (sealed(PLAIN + b"}", length=2**64 - 1), "longer than it can be"),
    "header past the end": (sealed(PLAIN + b"}", length=1000), "longer than it can be"),
    "no header": (sealed(PLAIN + b"}", length=0), "not a valid checkpoint"),
    "wrong size": (sealed(PLAIN + b"}", size=2**40), "not as many as it was saved with"),
    "overlap": (
        sealed(PLAIN + entry("a") + entry("b") + b"}", b"\0"),
        "invalid offset",
    ),
    "hole": (sealed(PLAIN + entry(offsets="[1,2]") + b"}", b"\0\0"), "invalid offset"),
    "rest": (sealed(PLAIN + entry() + b"}", b"\0\0"), "not fully covered"),
    "gigabytes": (
        sealed(PLAIN + entry(shape="[4000000000]", offsets="[0,4000000000]") + b"}"),
        "not a valid checkpoint",
    ),
    "overflow": (
        sealed(PLAIN + entry(shape="[4294967296,4294967296]", offsets="[0,0]") + b"}"),
        "overflow",
    ),
    "offsets overflow": (
        sealed(PLAIN + entry(offsets="[0,18446744073709551616]") + b"}"),
        "not a valid checkpoint",
    ),
    "reversed": (sealed(PLAIN + entry(offsets="[1,0]") + b"}", b"\0"), "not a valid checkpoint"),
    "negative": (sealed(PLAIN + entry(shape="[-1]") + b"}", b"\0"), "not a valid checkpoint"),
    "many dimensions": (
        sealed(PLAIN + entry(shape=str([1] * 100)) + b"}", b"\0"),
        "not a valid checkpoint",
    ),
    "unknown dtype": (sealed(PLAIN + entry(dtype="X") + b"}", b"\0"), "not a valid checkpoint"),
    "other dtype": (sealed(PLAIN + entry(dtype="F8_E5M2") + b"}", b"\0"), "has dtype F8_E5M2"),
    "misfit": (sealed(PLAIN + entry(dtype="F64") + b"}", b"\0"), "not a valid checkpoint"),
    "twice": (sealed(PLAIN + entry() + entry() + b"}", b"\0"), "comes twice"),
    "deep": (
        sealed(PLAIN + entry(more=',"x":' + "[" * 10**5) + b"}", b"\0"),
        "not a valid checkpoint",
    ),
    "deep config": (sealed(with_config('{"a":' + "[" * 10**5) + b"}"), "not a valid checkpoint"),
    "wide config": (sealed(with_config("[" + "[]," * 3 * 10**5) + b"}"), "not a valid checkpoint"),
    "no object": (sealed(with_config("[]") + b"}"), "configuration is not an object"),
    "twice in config": (sealed(with_config('{"a":1,"a":2}') + b"}"), "comes twice"),
    "nan": (sealed(with_config('{"a":NaN}') + b"}"), "holds NaN"),
    "large number": (sealed(with_config('{"a":' + "9" * 10**5 + "}") + b"}"), "not a valid"),
    "cut config": (sealed(with_config('{"a"') + b"}"), "not a valid checkpoint"),
    "config no text": (sealed(PLAIN.replace(b'"{}"', b"{}") + b"}"), "not a valid checkpoint"),
    "no config": (sealed(b',"library":"fastgrad","format":"1"}}'), "not a checkpoint of"),
    "no library": (sealed(b',"format":"1","config":"{}"}}'), "not a checkpoint of fastgrad"),
    "format": (sealed(PLAIN.replace(b'"1"', b'"2"') + b"}"), "of format '2'; this version"),
    "not UTF-8": (sealed(PLAIN + b',"\xff"}'), "not a valid checkpoint"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_at_little_cost(path, data, message, load):
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message) as caught:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))


def test_a_file_of_ten_gigabytes_is_not_read(path, load):
    data = small(path)
    for start in (b"", data):
        path.write_bytes(start)
        os.truncate(path, 10 * 2**30)
        with pytest.raises(CheckpointError):
            load(path)
    path.unlink()


def test_what_is_not_a_file_is_refused(tmp_path, load):
    with pytest.raises(CheckpointError, match="a directory;"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        load(tmp_path / "nothing")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="not a file"):
            load(tmp_path / "pipe")
    if pathlib.Path("/dev/zero").exists():
        with pytest.raises(CheckpointError, match="not a file"):
            load("/dev/zero")
