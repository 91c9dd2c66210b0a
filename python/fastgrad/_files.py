"""Files written whole or not at all.

`write_atomically` writes to a new file in the same folder, brings it to the disk, and only then
gives it the name asked for: whoever reads that name, after whatever interruption, finds the old
file or the new one. What a killed process has left is removed by the next write to the same name.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed: no lock is needed.
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

__all__ = ["named_errors", "write_atomically"]

_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# Errors of file systems that cannot sync a folder.
_NO_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF}


def write_atomically(
    path: str | os.PathLike[str],
    content: str | bytes | Iterable[Any] | Callable[[IO[bytes]], object],
    *,
    previous: Path | None = None,
) -> None:
    """Write a file so that at every moment its name stands for a whole one, the old or the new.

    `content` is a text, which is written as UTF-8, bytes, parts of bytes, or a function that writes
    to an open file. The file that was there gives its permissions to the new one, and where
    `previous` is given, it is kept under that name. Where `path` is a link, what it points to is
    replaced; a device or a pipe is written to as it is.

    Raises `OSError` with the file's name where it cannot be written; nothing is left behind then.
    """
    with named_errors(path):
        target, mode = Path(os.path.realpath(path)), _mode_of(path)
        if mode is not None and not stat.S_ISREG(mode):
            with open(path, "wb", buffering=0) as device:
                _put(device, content)
            return
        _sweep(target)
        with _new_file(target, mode) as (file, fresh):
            _put(file, content)
            file.flush()
            os.fsync(file.fileno())
            if previous is not None and mode is not None:
                _keep(target, previous)
            if os.name == "nt":  # Windows cannot rename an open file.
                file.close()
            os.replace(fresh, target)
        _sync_folder(target.parent)


@contextmanager
def named_errors(path: str | os.PathLike[str]) -> Generator[None]:
    """Replace the file name in errors of the system by the one that the caller gave."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename and ".saving" not in str(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


@contextmanager
def _new_file(target: Path, mode: int | None = None) -> Generator[tuple[IO[bytes], Path]]:
    """Open a file of a random name beside `target`; remove it unless it is given another name."""
    file, fresh = _opened(target, 0o666 if mode is None else stat.S_IMODE(mode) | stat.S_IWUSR)
    try:
        with file:
            if mode is not None and hasattr(os, "fchmod"):
                with suppress(PermissionError):  # Some file systems have no permissions.
                    os.fchmod(file.fileno(), stat.S_IMODE(mode))
            yield file, fresh
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _opened(target: Path, mode: int) -> tuple[IO[bytes], Path]:
    """Make the file and lock it, so that no sweep takes it for one that was left behind."""
    while True:
        fresh = target.with_name(f"{target.name}.{secrets.token_hex(4)}.saving")
        try:
            number = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, mode & 0o777)
        except FileExistsError:
            continue
        file = os.fdopen(number, "wb")
        try:
            _lock(number, wait=True)
            if os.fstat(number).st_nlink:
                return file, fresh
        except BaseException:
            file.close()
            fresh.unlink(missing_ok=True)
            raise
        file.close()  # A sweep came between opening and locking.


def _lock(number: int, *, wait: bool) -> bool:
    """Lock an open file; tell whether nobody else has. What knows no locks is as good as locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _mode_of(path: str | os.PathLike[str]) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _put(file: Any, content: Any) -> None:
    if callable(content):
        content(file)
        return
    if isinstance(content, str):
        content = content.encode("utf-8")
    for part in [content] if isinstance(content, bytes) else content:
        rest = memoryview(part).cast("B") if len(part) else b""
        while len(rest):  # A device may take less than it is given.
            rest = rest[file.write(rest) :]


def _keep(target: Path, previous: Path) -> None:
    """Link the file to a second name; the first stays until the new file replaces it."""
    if previous.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(previous))
    second = target.with_name(f"{target.name}.{secrets.token_hex(4)}.keeping")
    try:
        os.link(target, second)
    except OSError:  # No hard links here.
        write_atomically(previous, lambda file: _copy(target, file))
        return
    try:
        with suppress(
            FileNotFoundError
        ):  # Another process has swept it, and keeps the file itself.
            os.replace(second, previous)
    finally:
        # POSIX `replace` does nothing where both are names of one file.
        second.unlink(missing_ok=True)


def _copy(source: Path, file: IO[bytes]) -> None:
    from shutil import copyfileobj

    with open(source, "rb") as old:
        copyfileobj(old, file)


def _sweep(target: Path) -> None:
    """Remove what writes to the same name have left whose process was killed."""
    ours = re.compile(re.escape(target.name) + r"\.[0-9a-f]{8}\.(saving|keeping)")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unless_locked(entry.path)


def _remove_unless_locked(path: str) -> None:
    number = os.open(path, os.O_RDONLY | _NO_LINK)
    try:
        if _lock(number, wait=False):
            os.unlink(path)
    finally:
        os.close(number)


def _sync_folder(folder: Path) -> None:
    """Sync the folder to the disk, where the system can open one."""
    if os.name == "nt":
        return
    try:
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
