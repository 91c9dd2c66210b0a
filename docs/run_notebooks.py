"""Execute the notebooks of docs/notebooks and store their outputs: `make notebooks`.

A notebook runs from its first cell to its last in a kernel of its own; an error in a cell ends the
program. What differs between two runs without meaning anything, such as times, is not stored.
"""

import argparse
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent / "notebooks"


def run(path: Path) -> None:
    """Execute one notebook, and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, record_timing=False, resources={"metadata": {"path": path.parent}}
    ).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


def main() -> None:
    """Execute the notebooks that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "notebooks", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("*.ipynb"))
    )
    # Nothing is asked of a debugger, whose warning would be in the way.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    for path in parser.parse_args().notebooks:
        run(path)
        print(f"ran {path}")


if __name__ == "__main__":
    main()
