"""The command: its demo, its messages and its exit codes."""

import contextlib
import importlib.util
import re
import struct
import subprocess
import sys

import fastgrad
import pytest
from fastgrad import cli, demo, engine, nn
from fastgrad.demo import bigram, nplm, scalar
from typed_commands import refused


def without(monkeypatch, missing):
    """Make a package look as if it were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )


@pytest.fixture
def short(monkeypatch):
    """Leave micrograd two steps of the demo, of which one is timed, and the last network few."""
    monkeypatch.setattr(scalar, "PEER_STEPS", 2)
    monkeypatch.setattr(nplm, "STEPS", 1500)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastgrad {fastgrad.__version__}\n"


def test_help_names_the_demo(capsys):
    assert cli.main(["--help"]) == 0
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demon"], "no command 'demon'; did you mean demo?"),
        (["generate", "out"], "did you mean sample?"),
        (["train", "trigram"], "did you mean ngram?"),
        (["nothing"], "there are demo, train, lr-find, sample, eval, plot"),
        (["sample", "out", "--against", "x"], "no option --against; did you mean --compare-to?"),
        (["train", "nplm", "--hidden", "3"], "did you mean --hidden-dim?"),
        (["train", "nplm", "--keep-repeats-together"], "did you mean --group-duplicates?"),
        (["train", "nplm", "--level", "word"], "there is `fastgrad train word-nplm`"),
        (["train", "nplm", "--find-rate"], "there is `fastgrad lr-find`"),
        (["train", "bigram", "--order", "3"], "there is `fastgrad train ngram`"),
        (["train", "bigram", "--neural"], "there is `fastgrad train neural-bigram`"),
        (["train", "neural-bigram", "--penalty", "0"], "did you mean --l2?"),
        (["train", "word-nplm", "--marks", "line"], "did you mean --eos?"),
        (["train", "word-nplm", "--max-size", "9"], "did you mean --vocab-size?"),
        (["train", "word-nplm", "--tied"], "did you mean --tie-weights?"),
        (["demo", "--in", "x"], "--in"),
        (["demo", "--out"], "--out"),
    ],
)
def test_a_wrong_command_is_explained(capsys, arguments, words):
    assert words in refused(capsys, *arguments, code=2)


def test_an_empty_command_shows_what_there_is(capsys):
    assert cli.main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    for command in ("demo", "train", "lr-find", "sample", "eval", "plot", "Examples:"):
        assert command in told.err
    assert cli.main(["train"]) == 2
    assert "bigram" in capsys.readouterr().err


def test_a_file_in_place_of_the_folder_is_explained(capsys, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("")
    told = refused(capsys, "demo", "--out", taken, code=2)
    assert f"--out: cannot make {taken}: " in told


def test_the_demo_writes_no_pictures_beside_a_model(capsys, tmp_path):
    fastgrad.BigramModel().fit(["ada"]).save(tmp_path)
    assert "holds a model" in refused(capsys, "demo", "--out", tmp_path, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_ctrl_c_ends_with_130_and_one_line(capsys, monkeypatch, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", interrupted)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.split("\n") == ["", "fastgrad: interrupted", ""]


def test_a_full_disk_is_told_without_a_traceback(capsys, monkeypatch, tmp_path):
    def full(_):
        raise OSError(28, "No space left on device", "moons.png")

    monkeypatch.setattr(demo, "run", full)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("fastgrad: ")
    assert "No space left on device" in told
    assert told.count("\n") == 1


def test_the_module_is_the_command(tmp_path):
    command = [sys.executable, "-m", "fastgrad", "--version"]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=tmp_path)
    assert done.stdout == f"fastgrad {fastgrad.__version__}\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way there")
def test_a_reader_that_goes_away_is_no_error_to_talk_about(tmp_path):
    code = (
        "import sys; from fastgrad import cli, demo\n"
        "demo.run = lambda out: print('line\\n' * 100_000)\n"
        "sys.exit(cli.main(['demo']))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_the_expression_is_that_of_micrograds_readme():
    found = scalar.expression()
    assert found["g"] == pytest.approx(24.70408163265306, rel=1e-14)
    assert {name: round(number, 4) for name, number in found.items()} == scalar.README_REFERENCE


@pytest.mark.slow
def test_the_demo_shows_what_it_promises(capsys, short, tmp_path):
    out = tmp_path / "new" / "folder"
    assert cli.main(["demo", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.err == ""  # no progress bar where there is no terminal
    assert told.out.isascii()
    assert max(map(len, told.out.replace(str(out), "").splitlines())) <= 80

    lines = [line.split() for line in told.out.splitlines()]
    assert ["g", "24.7041", "24.7041"] in lines
    assert ["dg/da", "138.8338", "138.8338"] in lines
    assert ["dg/db", "645.5773", "645.5773"] in lines

    rows = {int(line[0]): line for line in lines if len(line) == 7 and line[0].isdigit()}
    assert list(rows) == [0, 1, 2, 3, 10, 50, 99]
    for step, loss, accuracy in scalar.MOONS_REFERENCE:
        ours, theirs, our_share, _, their_share, _ = rows[step][1:]
        assert float(ours) == pytest.approx(loss, abs=1e-6)
        assert float(theirs) == pytest.approx(loss, abs=1e-8)
        assert int(our_share) == int(their_share) == accuracy

    assert "Measured: " in told.out
    assert re.search(r"^ *fastgrad +99 +[\d.,]+ ms", told.out, flags=re.MULTILINE)
    assert re.search(r"^ *micrograd +1 +[\d.,]+ ms", told.out, flags=re.MULTILINE)
    assert re.search(r"fastgrad is [\d,]+ times as fast", told.out)
    (apart,) = re.findall(r"differ by at most (\S+)\.$", told.out, flags=re.MULTILINE)
    assert float(apart) <= 1e-12

    # The bundled names: the loss of the counts, with 1 added, and of the network.
    assert "32,469 first names" in told.out
    losses = re.findall(r"^  (?:counted|a network).* (2\.45\d{6})  ", told.out, flags=re.MULTILINE)
    assert losses[:2] == ["2.45402178", "2.45458601"]
    assert float(losses[0]) <= float(losses[2]) <= float(losses[0]) + 1e-6
    (new, names) = re.search(r"(\d+) of them new, .*:\n((?: {4}.*\n)+)", told.out).groups()
    made_up = re.findall(r"[a-z]+", names)
    assert len(made_up) == 10
    assert int(new) == sum(name not in set(fastgrad.datasets.names()) for name in made_up)

    # The network that looks at five letters: losses to train on and on others.
    rows = re.findall(r"^  (bi|tri|the net).* (\d\.\d{4}) +(\d\.\d{4})$", told.out, re.MULTILINE)
    assert [name for name, _, _ in rows] == ["bi", "tri", "the net"]
    dev = [float(loss) for _, _, loss in rows]
    assert dev[0] == pytest.approx(2.45, abs=0.02)
    assert dev[2] < 2.32
    assert re.search(r"1,500 steps of 64 examples in .* examples per second", told.out)
    assert re.search(r"10 names made up by the network, \d+ of them new", told.out)

    for path in (out / "moons.png", out / "bigrams.png", out / "embeddings.png"):
        assert str(path) in told.out
        picture = path.read_bytes()
        assert picture.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", picture[16:24])
        assert width >= 800
        assert height >= 500


def test_the_demo_goes_on_where_packages_are_missing(capsys, monkeypatch, tmp_path):
    without(monkeypatch, "micrograd")
    seen = scalar.train([[0.0, 1.0], [1.0, 0.0]], [1, -1], steps=3)
    scalar._show_times(seen, [[0.0, 1.0], [1.0, 0.0]], [1, -1])
    told = capsys.readouterr().out
    assert "micrograd is not installed" in told
    assert "pip install micrograd" in told
    assert "times as fast" not in told

    without(monkeypatch, "matplotlib")
    scalar._show_picture(seen, None, None, tmp_path / "moons.png")
    told = capsys.readouterr().out
    assert "No picture, since matplotlib is not installed: pip install" in told
    bigram._draw(None, tmp_path / "bigrams.png")
    assert "No picture, since matplotlib is not installed: pip install" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_moons_loss_table_is_micrograds():
    points, classes = fastgrad.datasets.make_moons(100, noise=0.1, random_state=1337)
    seen = scalar.train(points.tolist(), (2 * classes - 1).tolist())
    for step, loss, accuracy in scalar.MOONS_REFERENCE:
        assert seen.losses[step] == pytest.approx(loss, abs=1e-6)
        assert seen.accuracies[step] == accuracy
    assert seen.losses[0] == pytest.approx(scalar.MOONS_REFERENCE[0][1], rel=1e-12)


def test_micrograd_in_the_demo_makes_the_same_steps():
    from micrograd import engine as micrograd_engine
    from micrograd import nn as micrograd_nn

    points, labels = ([[0.5, -1.0], [1.5, 2.0], [-1.0, 0.25]], [1, -1, 1])
    ours = scalar.train(points, labels, steps=4)
    plain = scalar.train_plainly(nn, engine.Value, points, labels, steps=4)
    theirs = scalar.train_plainly(micrograd_nn, micrograd_engine.Value, points, labels, steps=4)
    assert plain.losses == pytest.approx(theirs.losses, rel=1e-12)
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-12)
    assert ours.accuracies == theirs.accuracies


@pytest.mark.parametrize(
    "arguments",
    [
        ["x" * 100_000],
        ["sample", "x" * 100_000],
        ["sample", "out", "--" + "x" * 100_000],
        ["sample", "out", "-n", "9" * 100_000],
        ["train", "nplm", "-o", "out", "--schedule", "x" * 100_000],
        ["eval", "out/\x1b[31m", "y" * 100_000],
    ],
)
def test_messages_of_long_arguments_are_short(capsys, arguments):
    with contextlib.suppress(SystemExit):
        cli.main(arguments)
    told = capsys.readouterr().err.rstrip().splitlines()[-1]
    assert len(told) < 2000
    assert "\x1b" not in told
