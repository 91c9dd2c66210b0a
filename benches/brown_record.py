"""Keep what benches/paper_table has found as a dated record.

    python benches/paper_table brown.txt.gz -o out
    python benches/brown_record.py out
    python benches/readme_table.py --write

The record is a copy of `results.json`, the table in Markdown with all settings, and the picture.
"""

import argparse
import shutil
import sys
from pathlib import Path

from paper_table import ROWS, read_record, report

RECORDS = Path(__file__).parent / "record"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the folder that the command has written")
    out = parser.parse_args().out
    found = read_record(out / "results.json")
    if missing := [name for name in ROWS if name not in found["rows"]]:
        print(f"not in the record, since they were not run: {', '.join(missing)}", file=sys.stderr)
    for path in write(out, RECORDS):
        print(f"wrote {path}")
    return 0


def date_of(out: Path) -> str:
    """Give the day on which the run began."""
    return read_record(out / "results.json")["date"]


def write(out: Path, folder: Path) -> list[Path]:
    """Write DATE-brown.json, .md and, where there is a picture, .png."""
    folder.mkdir(parents=True, exist_ok=True)
    date = date_of(out)
    record = folder / f"{date}-brown.json"
    shutil.copyfile(out / "results.json", record)
    page = record.with_suffix(".md")
    title = f"Words, held against the paper's table, {date}"
    page.write_text(report.markdown(read_record(record), title), encoding="utf-8")
    written = [record, page]
    if (picture := out / "brown.png").is_file():
        written.append(record.with_suffix(".png"))
        shutil.copyfile(picture, written[-1])
    return written


if __name__ == "__main__":
    sys.exit(main())
