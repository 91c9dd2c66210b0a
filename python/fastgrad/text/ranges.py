"""Ranges of files, which several processes read: cut where a line begins."""

from __future__ import annotations

from typing import IO, NamedTuple

# Bytes read at a time to find the end of a line.
_CHUNK = 1 << 16


class Range(NamedTuple):
    """Bytes of a file; where it is not the whole file, both ends are sought by `whole_lines`."""

    file: int
    """The number of the file among those that are shared out."""
    start: int
    stop: int


def share_out(sizes: list[int | None], parts: int) -> list[list[Range]]:
    """Return for each of so many parts its ranges of files, about as many bytes for each part.

    A file whose size is None cannot be cut, and is a range of its own, from 0 to 0.

    >>> for share in share_out([10, 2], 2):
    ...     print([tuple(part) for part in share])
    [(0, 0, 6)]
    [(0, 6, 10), (1, 0, 2)]
    """
    total = sum(size or 0 for size in sizes)
    shares: list[list[Range]] = [[] for _ in range(parts)]
    before, uncut = 0, 0
    for file, size in enumerate(sizes):
        if size is None:
            shares[uncut % parts].append(Range(file, 0, 0))
            uncut += 1
            continue
        for part, share in enumerate(shares):
            start = max(total * part // parts - before, 0)
            stop = min(total * (part + 1) // parts - before, size)
            if start < stop:
                share.append(Range(file, start, stop))
        before += size
    return shares


def whole_lines(file: IO[bytes], start: int, stop: int) -> tuple[int, int]:
    r"""Return the ends of the lines of a file that begin within a range.

    >>> import io
    >>> whole_lines(io.BytesIO(b"emma\nava\n"), 3, 6)
    (5, 9)
    """
    return _line_start(file, start), _line_start(file, stop)


def _line_start(file: IO[bytes], offset: int) -> int:
    """Return where the first line begins at or after an offset; the file's end without any."""
    if offset == 0:
        return 0
    position = offset - 1
    file.seek(position)
    while chunk := file.read(_CHUNK):
        found = chunk.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(chunk)
    return position
