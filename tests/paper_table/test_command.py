"""The paper's table of words, run again on a small text by its command."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest
from paper_table import read_record
from paper_table.command import main
from small_brown import SETTINGS, SIZES, written

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The text is too short to estimate all discounts.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return written(tmp_path_factory.mktemp("corpus"))


def command(path, out, *options):
    sizes = [part for name, value in SIZES.items() for part in (f"--{name}", value)]
    sets = [
        part
        for row in ("MLP1", "MLP3")
        for key, value in SETTINGS[row].items()
        for part in ("--set", f"{row}.{key}={value}")
    ]
    arguments = [path, "-o", out, "--threads", 1, *sizes, *sets, *options]
    return [str(argument) for argument in arguments]


def test_the_command_prints_the_table_and_says_where_it_is(path, tmp_path, capsys):
    out = tmp_path / "new" / "brown"
    assert main(command(path, out, "--rows", "MLP1,MLP2")) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0].startswith("KN5 ")
    assert lines[-1] == f"kept in {out}: results.json, brown.md, brown.png"
    assert sum(line.startswith("MLP1 ") for line in lines) == 2
    assert {"results.json", "brown.md", "brown.png"} <= {file.name for file in out.iterdir()}
    assert main(command(path, out, "--rows", "MLP1,MLP2")) == 0
    assert capsys.readouterr().out == told.out


def test_help_says_where_the_corpus_is_and_what_it_looks_like(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 100
    told = " ".join(output.split())
    assert "plain, one sentence a line, tokens separated by spaces (.gz is unpacked)" in told
    assert "NLTK's data, for one, have it (package `brown`, for non-commercial use)" in told
    assert "as word/tag pairs, whose tags are to be taken off" in told


def test_the_command_is_interrupted_and_goes_on(path, tmp_path):
    out = tmp_path / "out"
    arguments = [sys.executable, ROOT / "benches" / "paper_table"]
    arguments += command(path, out, "--rows", "MLP1", "--set", "MLP1.epochs=30000")
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not _is_training(out / "results.json"):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "the same command goes on from there" in errors
    assert (out / "MLP1.safetensors").is_file()


def _is_training(path):
    return path.is_file() and bool(read_record(path)["models"].get("MLP1", {}).get("valid"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "MLP11"], "rows has 'MLP11'"),
        (["--set", "MLP1.hidden_dim"], "expected ROW.SETTING=VALUE"),
        (["--set", "MLP1.hidden_dim=many"], "MLP1.hidden_dim is 'many';"),
        (["--set", "MLP0.hidden_dim=1"], "no network is named 'MLP0'"),
        (["--epochs", "zero"], "invalid float value"),
        (["--schedule", "slow"], "invalid choice: 'slow'"),
    ],
)
def test_commands_that_make_no_sense(path, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        main([str(path), "-o", str(tmp_path / "out"), *options])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_paths_that_lead_nowhere(path, tmp_path, capsys):
    missing = tmp_path / "missing.txt.gz"
    assert main([str(missing), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"paper_table: {missing}: No such file or directory\n"
    assert main([str(path), "-o", str(tmp_path / "out")]) == 1
    assert "train is 800000;" in capsys.readouterr().err
    arguments = ["--train", "1000", "--valid", "1400", "-o", str(tmp_path / "out")]
    assert main([str(path), *arguments]) == 1
    assert "the text has 2,400 tokens;" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert main(command(path, tmp_path / "file")) == 1
    assert "file" in capsys.readouterr().err
