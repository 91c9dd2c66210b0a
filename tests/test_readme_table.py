"""The README's numbers are those of the newest record: measured, not remembered."""

import pytest


@pytest.fixture
def readme_table(project_root, monkeypatch):
    monkeypatch.syspath_prepend(project_root / "benches")
    import readme_table

    return readme_table


def test_the_readmes_table_is_that_of_the_newest_record(readme_table):
    readme = readme_table.README.read_text(encoding="utf-8")
    expected = readme_table.render(readme_table.newest_record())
    advice = "run python benches/readme_table.py --write"
    assert readme_table.between_markers(readme) == expected, advice


def test_the_record_says_how_it_was_made(readme_table):
    path = readme_table.newest_record()
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "median" in text
    assert "collector off, run once by hand" in text
    assert "machine, cpu" in text
    assert "versions, micrograd" in text


def test_writing_a_table_keeps_the_text_around_it(readme_table):
    readme = f"before\n{readme_table.BEGIN}\nold\n{readme_table.END}\nafter\n"
    written = readme_table.replaced(readme, "| new |")
    assert readme_table.between_markers(written) == "| new |"
    assert written.startswith("before\n")
    assert written.endswith("after\n")


@pytest.mark.parametrize("readme", ["", "{0}", "{1}", "{1} {0}", "{0} {0} {1}"])
def test_missing_markers_are_an_error(readme_table, readme):
    text = readme.format(readme_table.BEGIN, readme_table.END)
    with pytest.raises(ValueError, match="speed table"):
        readme_table.between_markers(text)
