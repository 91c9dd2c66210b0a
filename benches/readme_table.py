"""The tables of README and site, each rendered from the newest record of its group.

`python benches/readme_table.py` prints them, `--write` puts each between its markers in its page.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from units import number

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "benches" / "record"
README = ROOT / "README.md"
SPEED = ROOT / "docs" / "benchmarks.md"
PAPER = ROOT / "docs" / "paper-table.md"
# On PyPI and on the site, a relative link to a record would lead nowhere.
LINK = "https://github.com/fastgrad/fastgrad/blob/main/benches/record"


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
    "jit": Table(
        lines=[
            ("micrograd's demo, loss and gradients", "jit demo", ""),
            ("A GPT of 4,192 scalars, a step on six letters, Adam", "jit microgpt", "a step"),
            ("… on one name, the mean of 32 names", "jit microgpt", "… on one name"),
            ("… on 32 names, for each of them", "jit microgpt", "… on 32 names"),
            ("… the first call, of eight letters", "jit recording", "the GPT"),
            ("… 1,000 steps, the whole process", "jit run", ""),
            ("The demo's points written out, the first call", "jit recording", "micrograd's demo"),
        ],
        columns=[
            ("fastgrad.jit", ["fastgrad"]),
            (
                "fastgrad, without jit",
                [
                    "fastgrad.nn, the batch in one call",
                    "fastgrad, list operations",
                    "fastgrad, eager, no backward",
                ],
            ),
            ("JAX on arrays", ["JAX, jit"]),
            ("torch on arrays", ["torch"]),
            ("CasADi on scalars", ["CasADi, SX"]),
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
                "27 tokens, context 3, embedding 10, hidden 200, batch 32",
                "nplm",
                "size S, 1 thread",
            ),
            ("context 8, embedding 24, hidden 512, batch 256", "nplm", "size M, 1 thread"),
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
                "A step: 16,384 words, context 4, embedding 60, hidden 100, batch 256",
                "nplm",
                "size W, 1 thread",
            ),
            ("… on two threads", "nplm", "size W, 2 threads"),
            (
                "50,000 words, context 4, embedding 128, hidden 512, batch 1,024",
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
    "ranks": Table(
        lines=[
            ("A step: 16,384 words, as above", "ranks", "size W, two cores"),
            ("… sent by a rank", "ranks", "size W, MB"),
            ("50,000 words, as above", "ranks", "size WL, two cores"),
            ("… sent by a rank", "ranks", "size WL, MB"),
        ],
        columns=[
            ("one process, two threads", ["fastgrad"]),
            ("two ranks, exact", ["fastgrad, 2 ranks, exact"]),
            ("two ranks, fast", ["fastgrad, 2 ranks, fast"]),
            ("torch, DistributedDataParallel", ["torch, DistributedDataParallel"]),
        ],
    ),
}


# The table that is of no speed: what benches/paper_table has found, see brown_record.py.
BROWN = "brown"
# The README's table: a title, the row of a record as in `Table`, and the peer to show beside it.
SHORT = "short"
SHORT_LINES = [
    ("One operation, `a * b`", "engine", ("eager", "a * b"), "micrograd"),
    (
        "micrograd's demo, one step, program unchanged",
        "engine",
        ("demo", "as micrograd's notebook"),
        "micrograd",
    ),
    (
        "A GPT of 4,192 scalars, one step, program unchanged",
        "engine",
        ("microgpt", "the program unchanged"),
        "micrograd",
    ),
    ("Counting the bigrams of 32,033 names", "bigrams", ("counting", "bytes"), "Python"),
    (
        "NPLM, one step: 27 tokens, context 3, hidden 200",
        "nplm",
        ("nplm", "size S, 1 thread"),
        "JAX, scan over steps",
    ),
    (
        "NPLM, one step: 16,384 words, context 4, hidden 100",
        "words",
        ("nplm", "size W, 1 thread"),
        "JAX, scan over steps",
    ),
]


def page_of(group: str) -> Path:
    """Return the page that holds a table."""
    return {SHORT: README, BROWN: PAPER}.get(group, SPEED)


def begin(group: str) -> str:
    """Return the comment in front of a table."""
    return f"<!-- {title_of(group)}: begin -->"


def end(group: str) -> str:
    """Return the comment behind a table."""
    return f"<!-- {title_of(group)}: end -->"


def title_of(group: str) -> str:
    return {SHORT: "speed in six rows", BROWN: "table of words"}.get(group, f"speed of {group}")


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
    if group == SHORT:
        return render_short()
    try:
        path = newest_record(group)
    except FileNotFoundError:
        return ""
    return render_brown(path) if group == BROWN else render(group, path)


def render_short() -> str:
    """Render the README's table, a line from each of several records, beside one peer each."""
    table = ["| | fastgrad | beside it | |", "| --- | ---: | ---: | --- |"]
    for title, group, key, peer in SHORT_LINES:
        rows = json.loads(newest_record(group).read_text(encoding="utf-8"))["rows"]
        row = find_row(rows, *key)
        if row is None:
            raise ValueError(f"the newest record of {group} has no row {key}")
        names = dict(TABLES[group].columns)
        cells = [cell_text(row, names[heading]) for heading in ("fastgrad", peer)]
        table.append(f"| {title} | {cells[0]} | {cells[1]} | {peer.partition(',')[0]} |")
    return "\n".join(table)


def render_brown(path: Path) -> str:
    """Render the table of words, and say where it comes from; the picture beside it, if any."""
    from paper_table import read_record, report

    record = read_record(path)
    lines = [*report.table(record), "", *(f"- {fact}" for fact in report.facts(record))]
    lines.append(f"- how each network was trained: [{path.stem}.md]({LINK}/{path.stem}.md)")
    if path.with_suffix(".png").is_file():
        picture = f"../benches/record/{path.stem}.png"
        lines += ["", f"![Ratios of perplexity to that of Kneser-Ney]({picture})"]
    return "\n".join(lines)


def render(group: str, path: Path) -> str:
    """Render a record as a table, with a line that says where it comes from."""
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
        f" [{path.stem}.md]({LINK}/{path.stem}.md)."
    )


def between_markers(page: str, group: str) -> str:
    """Return what stands between a table's markers; both must be there, once, in order."""
    first, last = begin(group), end(group)
    if page.count(first) != 1 or page.count(last) != 1:
        raise ValueError(f"expected one line {first!r} and one line {last!r}")
    _, _, rest = page.partition(first)
    inside, found, _ = rest.partition(last)
    if not found:
        raise ValueError(f"{last!r} stands before {first!r}")
    return inside.strip()


def replaced(page: str, group: str, table: str) -> str:
    """Return a page with a table between its markers."""
    between_markers(page, group)
    table = f"\n\n{table}\n\n" if table else "\n"
    before, _, rest = page.partition(begin(group))
    _, _, after = rest.partition(end(group))
    return f"{before}{begin(group)}{table}{end(group)}{after}"


def main() -> None:
    for group in [SHORT, *TABLES, BROWN]:
        table = rendered(group)
        print(table, end="\n\n")
        if sys.argv[1:] == ["--write"]:
            page = page_of(group)
            text = replaced(page.read_text(encoding="utf-8"), group, table)
            page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
