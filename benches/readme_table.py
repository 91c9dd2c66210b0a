"""The README's tables of speed, each rendered from the newest record of its group.

`python benches/readme_table.py` prints them, `--write` puts each between its markers in the README.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from units import number

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "benches" / "record"
README = ROOT / "README.md"


@dataclass(frozen=True)
class Table:
    """One table: its lines and columns.

    A line has a title, and the row of the record that it shows: its workload, and how its case
    begins. A column has a heading, and the names that a cell of the record may have there.
    """

    lines: list[tuple[str, str, str]]
    columns: list[tuple[str, list[str]]]


# The tables by the group of workloads, which the names of records and the markers contain.
TABLES = {
    "engine": Table(
        lines=[
            ("One operation, `a * b`", "eager", "a * b"),
            ("Backward, per node of micrograd's demo", "backward", "the graph of micrograd's demo"),
            ("Memory per live node", "memory", "bytes"),
            (
                "A chain of 1,000,000 nodes: build, backward, drop",
                "chain",
                "1,000,000 nodes, in all",
            ),
            ("A chain of 10,000,000 nodes", "chain", "10,000,000 nodes, in all"),
            (
                "micrograd's demo, one step, its nn.py on our `Value`",
                "demo",
                "as micrograd's notebook",
            ),
            (
                "… through `fastgrad.nn`, point by point",
                "demo",
                "through fastgrad.nn, point by point",
            ),
            (
                "… through `fastgrad.nn`, the batch in one call",
                "demo",
                "through fastgrad.nn, the batch",
            ),
            ("… beside JAX (jit, arrays)", "jax demo", ""),
            ("… with tanh and squared error, Python loops", "tanh demo", ""),
            ("A GPT of scalars, one step, program unchanged", "microgpt", "the program unchanged"),
            ("… on list operations, with `optim.Adam`", "microgpt", "on list operations"),
            ("`import fastgrad.nn`", "import", "import fastgrad.nn"),
            ("The wheel", "wheel", ""),
        ],
        columns=[
            ("fastgrad", ["fastgrad"]),
            ("micrograd", ["micrograd", "micrograd.nn"]),
            ("micrograd, collector by hand", ["micrograd, collector off, run once by hand"]),
            ("micrograd-rust", ["micrograd-rust", "micrograd_rust"]),
            ("JAX", ["JAX, jit", "jax"]),
            ("C floor", ["floor"]),
        ],
    ),
    "bigrams": Table(
        lines=[
            ("32,033 names in memory", "counting", "bytes"),
            ("… as a list of strings", "counting", "a list"),
            ("A file of 1 GB, one thread", "counting a file", "one thread"),
            ("… two threads", "counting a file", "two threads"),
            ("… memory taken", "counting a file", "memory"),
            ("A name drawn from the table", "sampling", "a name"),
            ("The neural bigram, one step", "neural bigram", "a step"),
        ],
        columns=[
            ("fastgrad", ["fastgrad"]),
            ("numpy", ["numpy bincount", "numpy in batches", "numpy, on counts"]),
            ("Python", ["Python dict", "Python, random.choices"]),
            ("Counter", ["collections.Counter"]),
            ("polars", ["polars"]),
            ("scikit-learn", ["scikit-learn"]),
        ],
    ),
    "nplm": Table(
        lines=[
            (
                "27 symbols, context 3, 10 features, 200 hidden, batch 32",
                "nplm",
                "size S, 1 thread",
            ),
            ("context 8, 24 features, 512 hidden, batch 256", "nplm", "size M, 1 thread"),
            ("… on two threads", "nplm", "size M, 2 threads"),
        ],
        columns=[
            ("fastgrad", ["fastgrad"]),
            ("JAX, scan over steps", ["jax, scan over steps"]),
            ("JAX, a call a step", ["jax, a call a step"]),
            ("numpy", ["numpy"]),
        ],
    ),
    "words": Table(
        lines=[
            ("100 MB of text to ids", "words in a file", "seconds"),
            ("… memory taken", "words in a file", "memory"),
            (
                "Kneser-Ney of order 5, a token learnt",
                "words",
                "Kneser-Ney of order 5: a token learnt",
            ),
            ("… a token scored", "words", "Kneser-Ney of order 5: a token scored"),
            (
                "A step: 16,384 words, context 4, 60 features, 100 hidden, batch 256",
                "nplm",
                "size W, 1 thread",
            ),
            ("… on two threads", "nplm", "size W, 2 threads"),
            (
                "50,000 words, context 4, 128 features, 512 hidden, batch 1,024",
                "nplm",
                "size WL, 1 thread",
            ),
            ("… on two threads", "nplm", "size WL, 2 threads"),
        ],
        columns=[
            ("fastgrad", ["fastgrad"]),
            ("JAX, scan over steps", ["jax, scan over steps"]),
            ("JAX, a call a step", ["jax, a call a step"]),
            ("torch", ["torch"]),
            ("numpy", ["numpy"]),
            ("Python", ["Python, line by line"]),
        ],
    ),
}


# The table that is of no speed: what benches/paper_table has found, see brown_record.py.
BROWN = "brown"


def begin(group: str) -> str:
    """Give the comment in front of a table."""
    return f"<!-- {title_of(group)}: begin -->"


def end(group: str) -> str:
    """Give the comment behind a table."""
    return f"<!-- {title_of(group)}: end -->"


def title_of(group: str) -> str:
    return "table of words" if group == BROWN else f"speed of {group}"


def newest_record(group: str, folder: Path = RECORDS) -> Path:
    """Find the group's record with the latest date, which its name begins with."""
    records = sorted(folder.glob(f"????-??-??-{group}.json"))
    if not records:
        raise FileNotFoundError(
            f"no record of {group} in {folder}: run python benches/run.py --record"
        )
    return records[-1]


def rendered(group: str) -> str:
    """Render the newest record of a group; nothing, where there is none yet."""
    try:
        path = newest_record(group)
    except FileNotFoundError:
        return ""
    return render_brown(path) if group == BROWN else render(group, path)


def render_brown(path: Path) -> str:
    """Render the table of words, and say where it comes from; the picture beside it, if any."""
    from paper_table import read_record, report

    record = read_record(path)
    place = f"benches/record/{path.stem}"
    lines = [*report.table(record), "", *(f"- {fact}" for fact in report.facts(record))]
    lines.append(f"- how each network was trained: [{path.stem}.md]({place}.md)")
    if path.with_suffix(".png").is_file():
        lines += ["", f"![Ratios of perplexity to that of Kneser-Ney]({place}.png)"]
    return "\n".join(lines)


def render(group: str, path: Path) -> str:
    """Render a record as a table of the README, with a line that says where it comes from."""
    record = json.loads(path.read_text(encoding="utf-8"))
    lines = [(title, find_row(record["rows"], *key)) for title, *key in TABLES[group].lines]
    lines = [(title, row) for title, row in lines if row is not None]
    columns = [
        (heading, names)
        for heading, names in TABLES[group].columns
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
    for found, cell in row["cells"].items():
        # A peer that measured only a part of the work says so behind its name.
        if found.partition(", on ")[0] in names or found in names:
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


def between_markers(readme: str, group: str) -> str:
    """Take what stands between a table's markers; both must be there, once, in order."""
    first, last = begin(group), end(group)
    if readme.count(first) != 1 or readme.count(last) != 1:
        raise ValueError(f"README.md must have one line {first!r} and one line {last!r}")
    _, _, rest = readme.partition(first)
    inside, found, _ = rest.partition(last)
    if not found:
        raise ValueError(f"README.md has {last!r} before {first!r}")
    return inside.strip()


def replaced(readme: str, group: str, table: str) -> str:
    """Put a table between its markers."""
    between_markers(readme, group)
    table = f"\n\n{table}\n\n" if table else "\n"
    before, _, rest = readme.partition(begin(group))
    _, _, after = rest.partition(end(group))
    return f"{before}{begin(group)}{table}{end(group)}{after}"


def main() -> None:
    readme = README.read_text(encoding="utf-8")
    for group in [*TABLES, BROWN]:
        table = rendered(group)
        readme = replaced(readme, group, table)
        print(table, end="\n\n")
    if sys.argv[1:] == ["--write"]:
        README.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()
