"""The README's numbers are those of the newest record: measured, not remembered."""

import pytest


@pytest.fixture
def readme_table(project_root, monkeypatch):
    monkeypatch.syspath_prepend(project_root / "benches")
    import readme_table

    return readme_table


GROUPS = ["engine", "bigrams", "nplm"]


def test_every_group_of_the_records_has_its_table(readme_table):
    assert list(readme_table.TABLES) == GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_the_readmes_tables_are_those_of_the_newest_records(readme_table, group):
    readme = readme_table.README.read_text(encoding="utf-8")
    expected = readme_table.render(group, readme_table.newest_record(group))
    advice = "run python benches/readme_table.py --write"
    assert readme_table.between_markers(readme, group) == expected, advice


@pytest.mark.parametrize("group", GROUPS)
def test_the_records_say_how_they_were_made(readme_table, group):
    path = readme_table.newest_record(group)
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "median" in text
    assert "Sides are measured in turn" in text
    assert "machine, cpu" in text
    assert "versions, numpy" in text


def test_writing_a_table_keeps_the_text_around_it(readme_table):
    first, last = readme_table.begin("engine"), readme_table.end("engine")
    written = readme_table.replaced(f"before\n{first}\nold\n{last}\nafter\n", "engine", "| new |")
    assert readme_table.between_markers(written, "engine") == "| new |"
    assert written.startswith("before\n")
    assert written.endswith("after\n")


@pytest.mark.parametrize("readme", ["", "{0}", "{1}", "{1} {0}", "{0} {0} {1}"])
def test_missing_markers_are_an_error(readme_table, readme):
    text = readme.format(readme_table.begin("engine"), readme_table.end("engine"))
    with pytest.raises(ValueError, match="speed of engine"):
        readme_table.between_markers(text, "engine")
