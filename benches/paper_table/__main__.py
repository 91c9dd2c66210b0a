"""Lets `python benches/paper_table` run the package that this folder is."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from paper_table.command import main  # noqa: E402 - the folder must be on the path first

sys.exit(main())
