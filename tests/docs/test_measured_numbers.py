"""The numbers of README and site are those of the newest records: measured, not remembered."""

import pytest


@pytest.fixture
def readme_table(project_root, monkeypatch):
    monkeypatch.syspath_prepend(project_root / "benches")
    import readme_table

    return readme_table


GROUPS = ["engine", "jit", "bigrams", "nplm", "words", "ranks"]
SHORT, BROWN = "short", "brown"


def test_every_group_of_the_records_has_its_table(readme_table):
    assert list(readme_table.TABLES) == GROUPS


@pytest.mark.parametrize("group", [SHORT, *GROUPS, BROWN])
def test_the_tables_are_those_of_the_newest_records(readme_table, group):
    page = readme_table.page_of(group).read_text(encoding="utf-8")
    expected = readme_table.rendered(group)
    advice = "run python benches/readme_table.py --write"
    assert readme_table.between_markers(page, group) == expected, advice


def test_the_readmes_table_has_six_rows_beside_a_peer_each(readme_table):
    heading, _, *rows = readme_table.rendered(SHORT).splitlines()
    assert len(rows) == 6
    for row in rows:
        assert row.count("|") == heading.count("|")
        assert all(cell.strip() for cell in row.strip("|").split("|"))


@pytest.mark.parametrize("group", GROUPS)
def test_the_records_say_how_they_were_made(readme_table, group):
    try:
        path = readme_table.newest_record(group)
    except FileNotFoundError:
        pytest.skip(f"nobody has recorded {group} yet")
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


@pytest.fixture
def results(tmp_path):
    from fastgrad.datasets import shakespeare
    from paper_table import brown

    sizes = {"train": 5_000, "valid": 1_000, "vocabulary": 100}
    brown(shakespeare()[:200_000], tmp_path / "out", rows=["MLP9"], epochs=0.1, **sizes)
    return tmp_path / "out"


def test_a_run_on_brown_becomes_a_record_and_a_table(results, readme_table, tmp_path, monkeypatch):
    import brown_record

    record = tmp_path / "record"
    written = brown_record.write(results, record)
    date = brown_record.date_of(results)
    names = [f"{date}-brown.{end}" for end in ("json", "md", "png")]
    assert [path.name for path in written] == names
    monkeypatch.setattr(readme_table, "RECORDS", record)
    path = readme_table.newest_record(BROWN, record)
    assert path == written[0]
    assert path.read_bytes() == (results / "results.json").read_bytes()
    table = readme_table.render_brown(path)
    assert "| MLP9 | 5 | 100 | 30 | no |" in table
    assert f"../benches/record/{date}-brown.png" in table
    page = written[1].read_text(encoding="utf-8")
    assert page.startswith("# Words, held against the paper's table, ")
    assert "MLP9: " in page


def test_a_group_without_a_record_has_an_empty_table(readme_table):
    first, last = readme_table.begin(BROWN), readme_table.end(BROWN)
    assert readme_table.replaced(f"a\n{first}\nold\n{last}\nb", BROWN, "") == (
        f"a\n{first}\n{last}\nb"
    )
