"""Counting the n-grams of texts of every kind in the core, and of files on several ranks."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._checks import path_name, shorten
from .._progress import bar
from ..text import NotUtf8Error, name_of
from ..text.ranges import share_out, whole_lines
from ..text.reading import check_iterable, opened, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._progress import Report
    from ..distributed import Comm
    from ..text import Source
    from ..text.ranges import Range


def count_text(
    source: Source, order: int, threads: int | None, progress: bool
) -> _core.NgramCounts:
    """Count in the core, each kind of text in its own way."""
    try:
        return _count(source, order, threads, progress)
    except UnicodeError as error:
        raise NotUtf8Error(str(error)) from None


def count_files(
    paths: Iterable[str | os.PathLike[str]],
    order: int,
    threads: int | None,
    progress: bool,
    comm: Comm,
) -> _core.NgramCounts:
    """Count files together with other ranks, each a share of the bytes; return all counts on all.

    Raises on all ranks what any of them raises.
    """
    from ..distributed.together import same, together

    def look() -> list[int | None]:
        if comm.size > 1 and "-" in names:
            raise ValueError("paths has '-'; standard input cannot be shared out between processes")
        return [_size_to_cut(name) for name in names]

    def count_share() -> _core.NgramCounts:
        total = _core.count_bytes(b"", order, blank=True)
        size = sum(part.stop - part.start for part in share)
        with bar(progress and comm.rank == 0, size or None, "B", "counting") as report:
            done = 0
            for part in share:
                told = _behind(report, done)
                counts = _count_range(names[part.file], part, order, threads, told)
                total, done = total + counts, done + part.stop - part.start
        return total

    names = together(comm, lambda: _names_of(paths))
    same(comm, "paths, order", (names, order))
    # Those of the first rank, should a file be growing.
    sizes = comm.broadcast_object(together(comm, look))
    share = share_out(sizes, comm.size)[comm.rank]
    total = _add_up(together(comm, count_share), comm)
    together(comm, lambda: _check_items(total, names))
    return total


def _check_items(counts: _core.NgramCounts, names: list[str]) -> None:
    if not counts.items:
        raise ValueError(f"paths is {shorten(names)}, all blank; expected at least one item")


def _names_of(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    if isinstance(paths, bytes) or not hasattr(paths, "__iter__"):
        raise TypeError(f"paths is {shorten(paths)}; expected names of files")
    names = [path_name(f"paths[{i}]", path) for i, path in enumerate(paths)]
    if not names:
        raise ValueError("paths is empty; expected at least one name of a file")
    return names


def _size_to_cut(name: str) -> int | None:
    """Return the bytes of a file of which parts can be read; None for other files."""
    if name == "-":
        return None
    with opened(name):
        status = os.stat(name)
    # Files of the system, such as those in /proc, report no length.
    can_cut = os.path.isfile(name) and not name.endswith(".gz") and status.st_size > 0
    return status.st_size if can_cut else None


def _count_range(
    name: str, part: Range, order: int, threads: int | None, report: Callable[[int], None] | None
) -> _core.NgramCounts:
    """Count the items of a file whose lines begin within a range; there may be none."""
    if part.stop == 0:
        if name.endswith(".gz"):
            return _core.count_bytes(read_bytes(name), order, threads, blank=True)
        return _core.count_path(name, order, threads, blank=True)
    with open(name, "rb", buffering=0) as file:
        start, stop = whole_lines(file, part.start, part.stop)
    try:
        return _core.count_part(name, start, stop, order, threads, report)
    except UnicodeError:
        # Whoever reads the whole file knows the number of the line.
        count_text(name, order, threads, progress=False)
        raise


def _behind(report: Report | None, done: int) -> Callable[[int], None] | None:
    """Return what moves a bar for a range, before which so many bytes were counted."""
    if report is None:
        return None

    def move(count: int) -> None:
        report(done + count)

    return move


def _add_up(counts: _core.NgramCounts, comm: Comm) -> _core.NgramCounts:
    """Return on all ranks the sum of the counts of all ranks, added up in pairs."""
    from ..distributed.together import together

    def add() -> _core.NgramCounts:
        total, error, step = counts, None, 1
        while step < comm.size:
            if comm.rank % (2 * step):
                # A rank that has failed has sent nothing to wait for in vain.
                _send(comm, None if error else total, comm.rank - step)
                break
            if comm.rank + step < comm.size:
                try:
                    part = _receive(comm, comm.rank + step)
                    total = total if part is None else total + part
                except Exception as raised:
                    error = raised
            step *= 2
        if error is not None:
            raise error
        return total

    return comm.broadcast_object(together(comm, add))


def _send(comm: Comm, counts: _core.NgramCounts | None, to: int) -> None:
    told = np.frombuffer(pickle.dumps(counts), np.uint8)
    comm.send(np.array([len(told)]), to)
    comm.send(told, to)


def _receive(comm: Comm, source: int) -> _core.NgramCounts | None:
    length = np.zeros(1, int)
    comm.receive(length, source)
    told = np.empty(length[0], np.uint8)
    comm.receive(told, source)
    return pickle.loads(told.tobytes())


def _count(source: Source, order: int, threads: int | None, progress: bool) -> _core.NgramCounts:
    if isinstance(source, (str, os.PathLike)):
        path = path_name("texts", source)
        if path.endswith(".gz"):
            return _count(read_bytes(source), order, threads, progress)
        what = f"counting {name_of(source)}"
        with opened(source), bar(progress, _size_of(path), "B", what) as report:
            return _core.count_path(path, order, threads, report)
    if isinstance(source, bytes):
        with bar(progress, len(source), "B", "counting") as report:
            return _core.count_bytes(source, order, threads, report)
    check_iterable(source)
    try:
        return _core.count_items(source, order, threads)
    except (TypeError, ValueError) as error:
        if not str(error).startswith("items"):
            raise
        raise type(error)(f"texts{str(error).removeprefix('items')}") from None


def _size_of(path: str) -> int | None:
    """Return a file's size for the bar, None where it cannot be known."""
    try:
        return os.stat(path).st_size or None
    except OSError:
        return None
