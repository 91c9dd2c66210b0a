"""Counting of files, pipes and standard input: how it is watched, ended, and told of mistakes."""

import gzip
import io
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from fastgrad._core import count_bytes, count_path
from fastgrad.models import BigramModel, NgramCounts
from fastgrad.text import read_lines


def test_files_that_open_does_not_open(tmp_path):
    for path in (tmp_path / "missing", tmp_path, tmp_path / "a" / "b", "nul\0"):
        with pytest.raises((OSError, ValueError)) as expected:
            io.FileIO(str(path))
        with pytest.raises(type(expected.value)) as got:
            count_path(path)
        assert str(got.value) == str(expected.value)


def test_mistakes_in_a_file_name_it(tmp_path):
    path = tmp_path / "some.txt"
    path.write_bytes(b"ab\n" * 200_000 + b"\x80\n")
    for threads in (1, 2):
        with pytest.raises(ValueError, match=r"some.txt, line 200001: byte 0x80 at offset 600000"):
            count_path(path, threads=threads)
    path.write_bytes(b"\n")
    with pytest.raises(ValueError, match=r"some.txt is empty"):
        count_path(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="the system has no such files")
def test_files_without_a_length_are_counted():
    assert os.path.getsize("/proc/self/maps") == 0
    with open("/proc/cpuinfo", "rb") as file:
        text = file.read()
    # Processors' speeds may differ by now, but not by much.
    assert count_path("/proc/cpuinfo", threads=2).items == count_bytes(text).items
    assert count_path("/proc/self/maps").items > 10


def test_progress_is_told_in_bytes(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"ab\n" * 1_000_000)
    for threads in (1, 2):
        told = []
        assert count_path(path, threads=threads, progress=told.append).total == 3_000_000
        assert told == sorted(told)
        assert told[-1] == 3_000_000
    told = []
    count_bytes(b"ab", progress=told.append)
    assert told[-1] == 2

    def stop(done):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        count_path(path, progress=stop)


def test_standard_input_is_whatever_python_has_there(monkeypatch):
    text = "ab\nяb\n" * 100_000
    for standard in (io.TextIOWrapper(io.BytesIO(text.encode())), io.StringIO(text)):
        monkeypatch.setattr(sys, "stdin", standard)
        told = []
        assert count_path("-", progress=told.append) == count_bytes(text.encode())
        assert told[-1] == len(text.encode())
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(ValueError, match="standard input is empty"):
        count_path("-")


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@needs_pipes
def test_a_named_pipe_is_read_to_its_end(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = b"anna\n" * 300_000
    writer = threading.Thread(target=path.write_bytes, args=(text,))
    writer.start()
    assert count_path(path) == count_bytes(text)
    writer.join()


WAITS = """
import os, sys
from fastgrad._core import count_path, count_bytes, count_items
def progress(done):
    print("ready", flush=True)
"""


@needs_pipes
@pytest.mark.parametrize(
    "call",
    [
        "print('ready', flush=True); count_path('-')",
        "os.mkfifo('pipe'); print('ready', flush=True); count_path('pipe')",
        "count_path('/dev/zero', progress=progress)",
        # Only once: a full pipe would keep the process from ending.
        "told = []\n"
        "def item():\n"
        "    if not told:\n"
        "        told.append(print('ready', flush=True))\n"
        "    return 'ab'\n"
        "count_items(iter(item, None))",
    ],
    ids=["stdin", "pipe", "endless file", "endless iterable"],
)
def test_ctrl_c_ends_the_waiting(call, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS + call],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    _, error = process.communicate()
    assert error.strip().endswith(b"KeyboardInterrupt")


STATUS = pathlib.Path("/proc/self/status")


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell")
def test_memory_stays_small_whatever_the_size_of_the_text(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        for piece in (b"a" * 1_000_000, b" " * 1_000_000, "я ".encode() * 300_000):
            for _ in range(50):
                file.write(piece)
    # The most memory that the process had; getrusage would tell its parent's, if that is larger.
    code = (
        "import re, sys\n"
        "from fastgrad._core import count_path\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "assert count_path(sys.argv[1], threads=2).total == 130_000_000\n"
        "print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    assert 0 < int(done.stdout) < 64 << 10


def test_a_packed_text_is_unpacked_for_characters_too(tmp_path):
    names = ["emma", "olivia"]
    packed = tmp_path / "names.txt.gz"
    packed.write_bytes(gzip.compress(b"emma\nolivia\n"))
    assert read_lines(packed) == names
    assert NgramCounts(packed) == NgramCounts(names)
    assert BigramModel().fit(str(packed)).loss(packed) == BigramModel().fit(names).loss(names)
    for data in (b"emma", packed.read_bytes()[:-9]):
        packed.write_bytes(data)
        for read in (read_lines, NgramCounts):
            with pytest.raises(OSError, match=r"names\.txt\.gz is damaged"):
                read(packed)
