"""The README's examples run, and its links lead somewhere."""

import ast
import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = "https://github.com/fastgrad/fastgrad/"
RAW = "https://raw.githubusercontent.com/fastgrad/fastgrad/main/"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
)


@pytest.mark.slow
def test_the_examples_run(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    # The fences as blank lines: they end the output above them.
    text = re.sub(r"^```.*$", "", README, flags=re.M)
    examples = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    assert len(examples.examples) > 30
    told = []
    results = doctest.DocTestRunner().run(examples, out=told.append)
    plt.close("all")
    assert results.failed == 0, "".join(told)


def test_it_fits_a_page():
    assert len(README.splitlines()) <= 150


def test_the_imports_shown_first_exist():
    block = re.search(r"```python\n(.*?)```", README, flags=re.S)
    assert block is not None
    names = {}
    exec(block[1], names)
    assert {"Value", "MLP"} <= names.keys()


def test_how_to_get_the_corpus_is_python_that_no_test_runs():
    page = (ROOT / "docs" / "paper-table.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", page, flags=re.S)
    assert block is not None
    # NLTK and its data need not be there, so this is read and not run.
    lines = ast.parse(block[1]).body
    assert [type(line) for line in lines] == [ast.ImportFrom, ast.Expr]
    assert not doctest.DocTestParser().get_examples(page)


def links(page):
    return re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_exist(page):
    missing = []
    for link in links(page):
        if link.startswith(RAW):
            target = ROOT / link.removeprefix(RAW)
        elif link.startswith((f"{REPOSITORY}blob/main/", f"{REPOSITORY}tree/main/")):
            target = ROOT / link.removeprefix(REPOSITORY).split("/", 2)[2]
        elif link.startswith(("https://", "http://")):
            continue
        else:
            target = (ROOT / page).parent / link
        if not target.exists():
            missing.append(link)
    assert missing == []


def test_links_of_the_readme_work_on_a_package_index_too():
    assert [link for link in links("README.md") if not link.startswith("https://")] == []
