"""The README's tour runs, and its links lead somewhere."""

import ast
import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def test_the_tour_runs():
    parser = doctest.DocTestParser()
    tour = parser.get_doctest(README.read_text(encoding="utf-8"), {}, "README.md", str(README), 0)
    assert len(tour.examples) > 30
    runner = doctest.DocTestRunner()
    told = []
    results = runner.run(tour, out=told.append)
    assert results.failed == 0, "".join(told)


def test_the_imports_shown_first_exist():
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    assert block is not None
    names = {}
    exec(block[1], names)
    assert {"Value", "MLP"} <= names.keys()


def test_how_to_get_the_corpus_is_python_that_the_tour_leaves_alone():
    text = README.read_text(encoding="utf-8")
    section = text.partition("### Held against the paper's table")[2].partition("\n## ")[0]
    block = re.search(r"```python\n(.*?)```", section, flags=re.S)
    assert block is not None
    # NLTK and its data need not be there, so this is read and not run.
    lines = ast.parse(block[1]).body
    assert [type(line) for line in lines] == [ast.ImportFrom, ast.Expr]
    assert not any(
        "nltk" in example.source for example in doctest.DocTestParser().get_examples(text)
    )


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_within_the_repository_exist(page):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (ROOT / link).exists()] == []
