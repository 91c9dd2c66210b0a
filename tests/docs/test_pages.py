"""The examples of the site's pages run and print what the pages show."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PARSER = doctest.DocTestParser()


def source(page):
    """Read a page, its fences as blank lines: they end the output above them."""
    return re.sub(r"^```.*$", "", page.read_text(encoding="utf-8"), flags=re.M)


EXAMPLES = [page for page in PAGES if PARSER.get_examples(source(page))]


@pytest.fixture(autouse=True)
def no_windows(monkeypatch, tmp_path):
    """Pictures are drawn without a display, and files written to a folder of the test's own."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_the_examples_of_a_page_run(page):
    test = PARSER.get_doctest(source(page), {}, page.name, str(page), 0)
    told = []
    results = doctest.DocTestRunner().run(test, out=told.append)
    assert results.failed == 0, "".join(told)
