"""The README's table of speed, rendered from the newest record.

`python benches/readme_table.py` prints it, `--write` puts it between the README's two markers.
"""

import json
import sys
from pathlib import Path

from units import number

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "benches" / "record"
README = ROOT / "README.md"
BEGIN = "<!-- speed table: begin -->"
END = "<!-- speed table: end -->"

# What the table says for a row of the record, which is known by its workload and how its case
# begins.
LINES = [
    ("One operation, `a * b`", "eager", "a * b"),
    ("Backward, per node of micrograd's demo", "backward", "the graph of micrograd's demo"),
    ("Memory per live node", "memory", "bytes"),
    ("A chain of 1,000,000 nodes: build, backward, drop", "chain", "1,000,000 nodes, in all"),
    ("A chain of 10,000,000 nodes", "chain", "10,000,000 nodes, in all"),
    ("micrograd's demo, one step, only the import changed", "demo", "as micrograd's notebook"),
    ("… through `fastgrad.nn`, the batch in one call", "demo", "through fastgrad.nn, the batch"),
    ("… beside JAX (jit, arrays)", "jax demo", ""),
    ("… with tanh and squared error, Python loops", "tanh demo", ""),
    ("A GPT of scalars, one step, program unchanged", "microgpt", "the program unchanged"),
    ("… on list operations, with `optim.Adam`", "microgpt", "on list operations"),
    ("`import fastgrad.nn`", "import", "import fastgrad.nn"),
    ("The wheel", "wheel", ""),
]
# Columns: heading, the names that a cell of the record may have there.
COLUMNS = [
    ("fastgrad", ["fastgrad"]),
    ("micrograd", ["micrograd", "micrograd.nn"]),
    ("micrograd, collector by hand", ["micrograd, collector off, run once by hand"]),
    ("micrograd-rust", ["micrograd-rust", "micrograd_rust"]),
    ("JAX", ["JAX, jit", "jax"]),
    ("C floor", ["floor"]),
]


def newest_record(folder: Path = RECORDS) -> Path:
    """Find the record with the latest date, which its name begins with."""
    records = sorted(folder.glob("????-??-??-engine.json"))
    if not records:
        raise FileNotFoundError(f"no record in {folder}: run python benches/run.py --record")
    return records[-1]


def render(path: Path) -> str:
    """Render a record as the README's table, with a line that says where it comes from."""
    record = json.loads(path.read_text(encoding="utf-8"))
    lines = [(title, find_row(record["rows"], *key)) for title, *key in LINES]
    lines = [(title, row) for title, row in lines if row is not None]
    columns = [
        (heading, names)
        for heading, names in COLUMNS
        if any(name in row["cells"] for _, row in lines for name in names)
    ]
    table = [
        "| | " + " | ".join(heading for heading, _ in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for title, row in lines:
        cells = [cell_text(row, names) for _, names in columns]
        table.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*table, "", source(record, path)])


def find_row(rows: list[dict], workload: str, beginning: str) -> dict | None:
    for row in rows:
        if row["workload"] == workload and row["case"].startswith(beginning):
            return row
    return None


def cell_text(row: dict, names: list[str]) -> str:
    for name in names:
        cell = row["cells"].get(name)
        if cell:
            return cell.get("note") or f"{number(cell['median'])} {row['unit']}"
    return ""


def source(record: dict, path: Path) -> str:
    machine = record["machine"]
    versions = ", ".join(
        f"{name} {version}" for name, version in record["versions"].items() if name != "floor"
    )
    absent = f" Not installed: {', '.join(record['missing'])}." if record["missing"] else ""
    return (
        f"Medians of {record['date']} on {machine['cpu']}, {machine['cores']} cores,"
        f" {machine['python']}; {versions}.{absent} Spreads and method:"
        f" [{path.stem}.md](benches/record/{path.stem}.md)."
    )


def between_markers(readme: str) -> str:
    """Take what stands between the README's markers; both must be there, once, in order."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"README.md must have one line {BEGIN!r} and one line {END!r}")
    _, _, rest = readme.partition(BEGIN)
    inside, end, _ = rest.partition(END)
    if not end:
        raise ValueError(f"README.md has {END!r} before {BEGIN!r}")
    return inside.strip()


def replaced(readme: str, table: str) -> str:
    between_markers(readme)
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def main() -> None:
    table = render(newest_record())
    if sys.argv[1:] == ["--write"]:
        text = replaced(README.read_text(encoding="utf-8"), table)
        README.write_text(text, encoding="utf-8")
    else:
        print(table)


if __name__ == "__main__":
    main()
