"""The bundled files: known by their sha256, the same in repository and wheel."""

import hashlib
import math
import re
from collections import Counter
from itertools import pairwise

import pytest
from fastgrad import datasets
from fastgrad.text import read_words

# What the requirement for this file was, to the last digit given.
NAMES, DISTINCT, RAW_LOSS = 32_469, 29_910, 2.45402178


@pytest.fixture(scope="module")
def page(project_root):
    return (project_root / "data" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["names", "shakespeare"])
def test_repository_and_wheel_have_the_file_that_the_page_describes(project_root, page, name):
    (section,) = [part for part in re.split(r"^# ", page, flags=re.M) if f"`{name}.txt`" in part]
    (told,) = re.findall(r"`([0-9a-f]{64})`", section)
    in_repository = (project_root / "data" / f"{name}.txt").read_bytes()
    assert hashlib.sha256(in_repository).hexdigest() == told
    assert (datasets.names_bytes() if name == "names" else datasets.shakespeare()) == in_repository
    assert f"{len(in_repository):,} bytes" in section
    script = (project_root / "data" / f"make_{name}.py").read_text(encoding="utf-8")
    assert told in script


@pytest.mark.parametrize("name", ["names", "shakespeare"])
def test_there_is_one_copy_in_the_repository(project_root, name):
    rooms = ("data", "python", "rust", "tests", "examples", "docs")
    copies = [path for room in rooms for path in (project_root / room).rglob(f"{name}*.txt")]
    assert copies == [project_root / "data" / f"{name}.txt"]


def test_the_plays_are_words_in_paragraphs(page):
    text = read_words(datasets.shakespeare(), tokenizer="simple", eos="paragraph")
    assert f"{len(text):,} tokens of {text.types:,} types" in page
    assert text.decode(0, 40).startswith("ANTONY AND CLEOPATRA\n\nACT I .\n\nSCENE I . Alexandria")
    assert "Friends , Romans , countrymen , lend me your ears" in text.decode()


def test_the_names_are_those_that_were_asked_for(page):
    names = datasets.names()
    assert len(names) == NAMES
    assert len(set(names)) == DISTINCT
    assert f"{NAMES:,}" in page
    assert f"{DISTINCT:,}" in page
    assert names[:3] == ["emma", "olivia", "ava"]
    boys = len(names) - 1 - names[::-1].index("liam")  # there are girls of that name as well
    assert names[boys : boys + 3] == ["liam", "noah", "william"]
    assert len(set(names[:boys])) == boys
    assert len(set(names[boys:])) == NAMES - boys
    assert all(name.isalpha() and name.isascii() and name.islower() for name in names)


def test_their_bigrams_have_the_loss_that_was_asked_for(page):
    pairs, firsts = Counter(), Counter()
    for name in datasets.names():
        padded = f".{name}."
        pairs.update(pairwise(padded))
        firsts.update(padded[:-1])
    total = sum(pairs.values())
    loss = -math.fsum(n * math.log(n / firsts[a]) for (a, _), n in pairs.items()) / total
    assert round(loss, 8) == RAW_LOSS
    assert str(RAW_LOSS) in page


def test_a_list_of_names_is_the_callers_own():
    datasets.names().clear()
    assert len(datasets.names()) == NAMES
    assert b"".join(f"{name}\n".encode() for name in datasets.names()) == datasets.names_bytes()
