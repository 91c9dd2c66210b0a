"""Files are written whole or not at all, and nothing is left behind."""

import os
import stat
import subprocess
import sys

import pytest
from fastgrad import checkpoint
from fastgrad._files import write_atomically

LEFT = "model.0badcafe"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model"


def names(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize(
    "content",
    ["h\u00fcrde", b"bytes", [b"some ", bytearray(b"parts")], lambda file: file.write(b"x")],
)
def test_a_file_holds_what_was_given(path, content):
    write_atomically(path, content)
    expected = {str: "h\u00fcrde".encode(), bytes: b"bytes", list: b"some parts"}
    assert path.read_bytes() == expected.get(type(content), b"x")
    assert names(path.parent) == ["model"]


def test_the_old_files_rights_are_kept(path):
    path.write_text("old")
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        write_atomically(path, "new")
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_links_of_guessable_names_are_not_followed(path, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("model.saving", f"{LEFT}.saving", f"{LEFT}.keeping"):
        (tmp_path / name).symlink_to(precious)
    write_atomically(path, "new")
    checkpoint.save(path, {}, {})
    assert precious.read_text() == "mine"


def test_what_a_killed_process_has_left_is_swept_by_the_next_write(path, tmp_path):
    others = ["model.1234567.saving", "other.0badcafe.saving"]
    for name in (f"{LEFT}.saving", f"{LEFT}.keeping", *others):
        (tmp_path / name).write_text("half")
    write_atomically(path, "new")
    assert names(tmp_path) == ["model", *others]


def test_what_another_process_is_writing_is_left_alone(path, tmp_path):
    code = (
        "import sys, fastgrad._files as files\n"
        "def wait(file):\n"
        "    file.write(b'first'); print(flush=True); sys.stdin.read()\n"
        "files.write_atomically(sys.argv[1], wait)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        write_atomically(path, "second")
        assert len(names(tmp_path)) == 2
        process.stdin.close()
        assert process.wait() == 0
    assert path.read_text() == "first"
    assert names(tmp_path) == ["model"]


def test_a_second_name_of_the_same_file_leaves_nothing(path):
    # As a save leaves it that is killed after the old file got its second name.
    checkpoint.save(path, {}, {"number": 1})
    os.link(path, checkpoint.previous(path))
    for number in (2, 3):
        checkpoint.save(path, {}, {"number": number})
        assert names(path.parent) == ["model", "model.previous"]
    assert checkpoint.load(checkpoint.previous(path))[1] == {"number": 2}


def test_a_folder_in_the_previous_ones_place_is_named_and_nothing_is_left(path):
    checkpoint.save(path, {}, {"number": 1})
    checkpoint.previous(path).mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError) as caught:
            checkpoint.save(path, {}, {"number": 2})
        assert caught.value.filename == str(checkpoint.previous(path))
    assert names(path.parent) == ["model", "model.previous"]
    assert checkpoint.load(path)[1] == {"number": 1}


def test_without_hard_links_the_one_before_is_kept_as_a_copy(path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    checkpoint.save(path, {}, {"number": 1})
    monkeypatch.setattr(os, "link", refuse)
    checkpoint.save(path, {}, {"number": 2})
    assert checkpoint.load(checkpoint.previous(path))[1] == {"number": 1}
    assert names(path.parent) == ["model", "model.previous"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_is_written_to_and_named_when_it_is_full():
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically("/dev/full", "text")
    assert caught.value.filename == "/dev/full"
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    write_atomically("/dev/null", "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_file_that_becomes_too_large_is_named(path):
    code = (
        "import resource, sys, fastgrad._files as files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    files.write_atomically(sys.argv[1], b'x' * 5000)\n"
        "except OSError as error:\n"
        "    print(error.filename)\n"
    )
    path.write_text("old")
    told = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert told.stdout == f"{path}\n"
    assert path.read_text() == "old"
    assert names(path.parent) == ["model"]


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_whatever_the_system_refuses_the_file_is_named(path, monkeypatch, call):
    def refuse(*_):
        raise OSError(5, "Input/output error")

    path.write_text("old")
    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_atomically(path, "new")
    assert caught.value.filename == str(path)
    monkeypatch.undo()
    assert names(path.parent) == ["model"]


def test_a_folder_that_cannot_be_brought_to_the_disk_is_no_error_where_that_is_unknown(
    path, monkeypatch
):
    fsync = os.fsync

    def refuse(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(number)

    monkeypatch.setattr(os, "fsync", refuse)
    write_atomically(path, "new")
    assert path.read_text() == "new"


@pytest.mark.slow
def test_killed_at_any_system_call_a_file_is_whole_and_the_next_write_sweeps(path):
    code = """
import os, sys
from fastgrad import checkpoint
path, calls = sys.argv[1], int(sys.argv[2])
def counted(call):
    def count(*arguments, **named):
        global calls
        calls -= 1
        if calls < 0:
            os.kill(os.getpid(), 9)
        return call(*arguments, **named)
    return count
for name in ("open", "fsync", "link", "replace", "unlink", "close", "fstat", "fchmod"):
    setattr(os, name, counted(getattr(os, name)))
checkpoint.save(path, {}, {"number": 2})
"""
    checkpoint.save(path, {}, {"number": 1})
    for calls in range(40):
        done = subprocess.run([sys.executable, "-c", code, path, str(calls)])
        assert checkpoint.load(path)[1] in ({"number": 1}, {"number": 2})
        checkpoint.save(path, {}, {"number": 1})
        assert names(path.parent) == ["model", "model.previous"]
        if done.returncode == 0:
            break
    assert calls > 5
