"""The notebooks are stored as they ran: in order, with outputs, and the same on every machine."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_they_are_numbered_in_the_order_of_reading():
    numbers = [int(path.name.partition("-")[0]) for path in NOTEBOOKS]
    assert numbers == list(range(1, len(NOTEBOOKS) + 1))


def test_it_begins_with_what_it_is_and_how_to_install(notebook):
    first = notebook["cells"][0]
    assert first["cell_type"] == "markdown"
    assert source(first).startswith("# ")
    assert "pip install '.[plots]'" in source(first)


def test_it_was_run_from_the_first_cell_to_the_last(notebook):
    counts = [cell["execution_count"] for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_outputs_are_stored_and_none_is_an_error_or_a_warning(notebook):
    outputs = [output for cell in code(notebook) for output in cell["outputs"]]
    assert len(outputs) > len(code(notebook)) / 2
    for output in outputs:
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"


def test_its_numbers_are_asserted(notebook):
    assert sum("assert " in source(cell) for cell in code(notebook)) >= 10


def test_it_has_exercises_with_folded_solutions(notebook):
    cells = notebook["cells"]
    exercises = [i for i, cell in enumerate(cells) if "**Exercise.**" in source(cell)]
    assert len(exercises) >= 3
    for i in exercises:
        assert "hide-cell" in cells[i + 1]["metadata"]["tags"]
        assert cells[i + 1]["metadata"]["jupyter"]["source_hidden"] is True


def test_nothing_of_the_machine_is_stored(notebook):
    text = json.dumps(notebook)
    assert re.findall(r"/(?:home|root|tmp|Users|work)/\w+|0x[0-9a-f]{8,}", text) == []
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}


def test_its_links_lead_somewhere(notebook):
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for link in re.findall(r"\]\(([^)#\s]+)", source(cell)):
                assert link.startswith("https://") or (FOLDER / link).exists(), link
