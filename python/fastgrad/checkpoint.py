"""Checkpoints: named arrays and a configuration in one file, written whole or not at all.

A checkpoint is a safetensors file that any tool for safetensors reads. Its `__metadata__` holds
the configuration as JSON, the format's version, the size of the file and a SHA-256 digest of the
whole file, taken with zeros in the digest's own place: a cut or a flipped bit anywhere is noticed.
Nothing in a file is ever executed.

`save` writes to a new file in the same folder, brings it to the disk, and only then gives it the
name asked for. What had that name before is kept as `<name>.previous`; the saves of one training
run keep there what stood before the run. A save that is interrupted,
at whatever moment, leaves the file of that name as it was.

>>> import numpy as np, pathlib, tempfile
>>> from fastgrad import checkpoint
>>> path = pathlib.Path(tempfile.mkdtemp(), "model.safetensors")
>>> checkpoint.save(path, {"weights": np.eye(2)}, {"model": "tiny"})
>>> tensors, config = checkpoint.load(path)
>>> tensors["weights"].tolist(), config
([[1.0, 0.0], [0.0, 1.0]], {'model': 'tiny'})
>>> _ = path.write_bytes(path.read_bytes().replace(b"tiny", b"tidy"))
>>> try:
...     checkpoint.load(path)
... except checkpoint.CheckpointError as error:
...     print(str(error).removeprefix(str(path)))
: damaged, its checksum does not match
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import safetensors

from ._checks import cut, escape, path_name, shorten
from ._files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = ["CheckpointError", "load", "previous", "save"]

_FORMAT = "1"
_LIBRARY = "fastgrad"

# A configuration is small. The limit keeps what a hostile header can cost below 50 MB, since a
# byte or two of JSON can become a Python object of 64 bytes.
_LARGEST_HEADER = 2**20

# The bytes of a file that are read at a time where it is not to be in memory.
_PART = 2**22

# A header starts with these, each at its fixed place, so that they can be checked before anything
# is parsed: 64 hexadecimal digits, and 16 decimal ones.
_BEFORE_DIGEST = b'{"__metadata__":{"sha256":"'
_BEFORE_SIZE = b'","bytes":"'
_NO_DIGEST = b"0" * 64
_DIGEST_AT = 8 + len(_BEFORE_DIGEST)
_SIZE_AT = _DIGEST_AT + 64 + len(_BEFORE_SIZE)
_SHORTEST = _SIZE_AT + 16

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class CheckpointError(ValueError):
    """A file is not a checkpoint, or not a whole one; the message names it and what is wrong."""


def previous(path: str | os.PathLike[str]) -> Path:
    """Return the name of the file that keeps the checkpoint which `save` replaced."""
    return Path(f"{path_name('path', path)}.previous")


# --- Saving ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """An array whose numbers come in parts, one after the other, when they are written."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    parts: Callable[[], Iterable[NDArray[Any]]]

    @property
    def itemsize(self) -> int:
        """The bytes of a number."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all numbers."""
        return math.prod(self.shape) * self.itemsize


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    config: Mapping[str, Any],
    *,
    keep_previous: bool = True,
) -> None:
    """Write arrays and a configuration to `path`, and keep what was there as `<name>.previous`.

    Without `keep_previous` what was there is replaced, and the file `<name>.previous` stays.

    Arrays may be of float, integer or bool type, any shape and byte order. `config` is what JSON
    can hold: None, bool, int, finite float, str, lists, and dictionaries with str as keys.

    Raises `ValueError` or `TypeError` for what cannot be stored, before anything is written, and
    `OSError` where the file cannot be written.
    """
    write(path, tensors, config, keep_previous=keep_previous)


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any] | Parts],
    config: Mapping[str, Any],
    *,
    keep_previous: bool = True,
) -> None:
    """Do what `save` does, also for arrays that come in parts."""
    path = path_name("path", path)
    arrays = {name: _storable(name, array) for name, array in tensors.items()}
    # The widest numbers first, so that each array starts at a multiple of its numbers' size.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    head = _head([(name, arrays[name]) for name in names], _config_text(config))
    ordered = [arrays[name] for name in names]
    content: Any = partial(_write_sealed, head, ordered)
    if not any(isinstance(array, Parts) for array in ordered):
        # Arrays in memory are read twice, for the digest first, so that the file may be a pipe.
        bodies = [body for array in ordered for body in _bodies(array)]
        digest = hashlib.sha256(head)
        for body in bodies:
            digest.update(body)
        content = [_sealed(head, digest.hexdigest()), *bodies]
    # The file that a link points to is replaced, not the link.
    kept = previous(os.path.realpath(path)) if keep_previous else None
    write_atomically(path, content, previous=kept)


def _write_sealed(head: bytes, arrays: list[NDArray[Any] | Parts], file: BinaryIO) -> None:
    """Write arrays as they come, and then the head with the digest of all that was written."""
    file.write(head)
    digest = hashlib.sha256(head)
    for array in arrays:
        for body in _bodies(array):
            file.write(body)
            digest.update(body)
    file.seek(0)
    file.write(_sealed(head, digest.hexdigest()))


def _sealed(head: bytes, digest: str) -> bytes:
    """Return the length and the header with the digest in its place."""
    return head[:_DIGEST_AT] + digest.encode() + head[_DIGEST_AT + 64 :]


def _bodies(array: NDArray[Any] | Parts) -> Iterator[memoryview]:
    for part in array.parts() if isinstance(array, Parts) else [array]:
        yield part.reshape(-1).view(np.uint8).data


def _storable(name: str, array: NDArray[Any] | Parts) -> NDArray[Any] | Parts:
    if not isinstance(name, str) or name == "__metadata__":
        raise ValueError(f"{shorten(name)} cannot be the name of an array")
    if isinstance(array, Parts):
        return array
    if not isinstance(array, np.ndarray) or array.dtype.newbyteorder("<") not in _CODES:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"tensors[{shorten(name)}] is of type {kind}; expected an array of numbers")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _config_text(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode("utf-8")  # Lone surrogates are refused here.
    if json.loads(text) != config:
        raise ValueError(
            "config does not survive JSON; expected str as keys, and lists instead of tuples"
        )
    return text


def _head(arrays: list[tuple[str, NDArray[Any] | Parts]], config: str) -> bytes:
    """Make the length and the header, zeros in the digest's place."""
    fields: dict[str, Any] = {"library": _LIBRARY, "format": _FORMAT, "config": config}
    entries: dict[str, Any] = {}
    end = 0
    for name, array in arrays:
        start, end = end, end + array.nbytes
        code = _CODES[array.dtype]
        entries[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [start, end]}
    rest = _json_bytes(fields)[1:] + b"".join(
        b"," + _json_bytes({name: entry})[1:-1] for name, entry in entries.items()
    )
    length = _SHORTEST - 8 + len(b'",') + len(rest) + len(b"}")
    padding = -length % 8
    if length + padding > _LARGEST_HEADER:
        raise ValueError(
            f"config and names take {length} bytes; expected at most {_LARGEST_HEADER}:"
            " long lists belong into arrays"
        )
    size = 8 + length + padding + end
    start_of_header = _BEFORE_DIGEST + _NO_DIGEST + _BEFORE_SIZE + f"{size:016}".encode()
    header = start_of_header + b'",' + rest + b"}" + b" " * padding
    return len(header).to_bytes(8, "little") + header


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


# --- Loading ---------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays, each writable and of its own memory, and the configuration.

    Raises `CheckpointError` for whatever is not a whole checkpoint of this library, before memory
    is taken for what a header merely claims, and `OSError` where there is no file to read.
    """
    name = path_name("path", path)
    with _refusing(name):
        data = _read_checked(name)
        # This refuses overlaps, holes, sizes that overflow, and whatever is not of the right type.
        entries = _deserialized(data)
        config = _json_object(_metadata(data)["config"])
        return {key: _array(key, entry) for key, entry in entries}, config


def load_mapped(
    path: str | os.PathLike[str],
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Do what `load` does, but leave the arrays in the file, which is mapped into memory.

    What is written to an array is not written to the file. The file is read through once, for its
    digest, and after that only where an array is looked at.
    """
    name = path_name("path", path)
    with _refusing(name), _opened(name) as (file, start):
        _check_digest(start, iter(partial(file.read, _PART), b""))
        with safetensors.safe_open(name, "np"):
            pass  # This refuses what `load` refuses.
        file.seek(0)
        head = file.read(8 + int.from_bytes(start[:8], "little"))
        config = _json_object(_metadata(head)["config"])
        header = _json_object(head[8:].decode("utf-8"))
        mapped = np.asarray(np.memmap(file, np.uint8, "c"))[len(head) :]
        del header["__metadata__"]
        return {key: _array(key, _mapped(mapped, entry)) for key, entry in header.items()}, config


def _mapped(mapped: NDArray[np.uint8], entry: dict[str, Any]) -> dict[str, Any]:
    """Return an array's entry in the header with its bytes."""
    start, end = entry["data_offsets"]
    return entry | {"data": mapped[start:end]}


class _DamageError(Exception):
    """A fault of a file, before its name is put in front."""


@contextmanager
def _refusing(name: str) -> Generator[None]:
    """Raise `CheckpointError` with a file's name for whatever is wrong with it."""
    try:
        yield
    except _DamageError as damage:
        _refuse(name, str(damage))
    except (safetensors.SafetensorError, RecursionError, ValueError) as error:
        _refuse(name, f"not a valid checkpoint: {error}")


def _refuse(name: str, reason: str) -> NoReturn:
    kept = previous(name)
    hint = f"; the checkpoint before it is {escape(str(kept))}" if kept.is_file() else ""
    raise CheckpointError(f"{escape(name)}: {cut(reason)}{hint}") from None


@contextmanager
def _opened(name: str) -> Generator[tuple[BinaryIO, bytes]]:
    """Open a file, and check its start and its size; it is behind the digest's place then."""
    mode = os.stat(name).st_mode
    if not stat.S_ISREG(mode):
        raise _DamageError("a directory; expected a file" if stat.S_ISDIR(mode) else "not a file")
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_SHORTEST)
        if (
            start[8:_DIGEST_AT] != _BEFORE_DIGEST
            or start[_DIGEST_AT + 64 : _SIZE_AT] != _BEFORE_SIZE
            or len(start) < _SHORTEST
        ):
            hint = "; MLP(...).load reads the JSON of MLP.save" if start[:1] == b"{" else ""
            raise _DamageError(f"not a checkpoint of {_LIBRARY}, or cut short{hint}")
        if int.from_bytes(start[:8], "little") > min(_LARGEST_HEADER, size - 8):
            raise _DamageError("damaged, its header claims to be longer than it can be")
        if start[_SIZE_AT:] != f"{size:016}".encode():
            raise _DamageError(f"damaged, its {size} bytes are not as many as it was saved with")
        file.seek(_DIGEST_AT + 64)
        yield file, start


def _check_digest(start: bytes, rest: Iterable[bytes | memoryview]) -> None:
    """Compare the digest in the start of a file with that of the file; `rest` is behind it."""
    digest = hashlib.sha256(start[:_DIGEST_AT] + _NO_DIGEST)
    for part in rest:
        digest.update(part)
    if digest.hexdigest().encode() != start[_DIGEST_AT : _DIGEST_AT + 64]:
        raise _DamageError("damaged, its checksum does not match")


def _read_checked(name: str) -> bytes:
    """Read a file whose start, size and digest are right."""
    with _opened(name) as (file, start):
        file.seek(0)
        data = file.read()
    _check_digest(start, [memoryview(data)[_DIGEST_AT + 64 :]])
    return data


def _deserialized(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    # The stub of safetensors leaves it without types.
    return safetensors.deserialize(data)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    metadata = _json_object(data[8 : 8 + length].decode("utf-8"))["__metadata__"]
    if metadata.get("library") != _LIBRARY or "config" not in metadata:
        raise _DamageError(f"not a checkpoint of {_LIBRARY}")
    if metadata.get("format") != _FORMAT:
        raise _DamageError(
            f"of format {shorten(metadata.get('format'))};"
            f" this version of {_LIBRARY} reads {_FORMAT!r}"
        )
    return metadata


def _json_object(text: str) -> dict[str, Any]:
    """Parse strict JSON: no nan, no infinity, and no key twice."""
    value: dict[str, Any] = json.loads(
        text, object_pairs_hook=_distinct, parse_constant=_no_constant
    )
    if not isinstance(value, dict):
        raise _DamageError("not a valid checkpoint: its configuration is not an object")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DamageError(
            "not a valid checkpoint: a key of its header or configuration comes twice"
        )
    return found


def _no_constant(text: str) -> NoReturn:
    raise _DamageError(f"not a valid checkpoint: its configuration holds {text}")


def _array(name: str, entry: dict[str, Any]) -> NDArray[Any]:
    if entry["dtype"] not in _DTYPES:
        raise _DamageError(
            f"not a valid checkpoint: array {shorten(name)} has dtype {cut(entry['dtype'])}"
        )
    # A bytearray is the array's own memory from now on; older versions of safetensors give bytes.
    array = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return array if array.flags.writeable else array.copy()
