"""Commands as a user types them, run in this process, and what they print."""

import sys

from fastgrad import cli

COMMAND = [sys.executable, "-m", "fastgrad"]


def run(capsys, *arguments):
    """Run a command that works; return what it printed, and what it printed as an error."""
    code = cli.main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert code == 0, told.err
    return told.out, told.err


def printed(capsys, *arguments):
    """Run a command that works; return what it printed, without its errors."""
    return run(capsys, *arguments)[0]


def refused(capsys, *arguments, code=1):
    """Run a command that fails; return what it said, a line or, with code 2, a line and a hint."""
    ended = cli.main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert ended == code, told
    assert "Traceback" not in told.err
    if code == 1:
        assert told.err.startswith("fastgrad: ")
        assert told.err.count("\n") == 1
    elif code == 2:
        assert told.err.startswith("fastgrad")
        assert told.err.count("\n") == 2
        assert told.err.endswith(" --help`.\n")
    return told.err


def lines(output):
    """Read a report: the finding to each name, wrapped lines as one, other lines joined."""
    found, name = {}, ""
    for line in output.replace("\n" + 14 * " ", " ").splitlines():
        name = line[:12].strip() or name
        found[name] = f"{found[name]}\n{line[12:]}" if name in found else line[12:]
    return found
