"""A run as text for the terminal, and as a dated record in JSON and Markdown."""

import json
from pathlib import Path

from goals import FLOOR, OURS, goal_of
from measure import Row
from units import number

TITLES = {
    "eager": "One operation from Python, its result dropped at once",
    "backward": "The backward pass, per node",
    "memory": "Memory",
    "chain": "A chain: built, gone back through, dropped",
    "demo": "micrograd's demo, one step (100 points, a network of 2-16-16-1 neurons)",
    "tanh demo": "The same with what micrograd-rust knows (tanh, squared error), one step",
    "jax demo": "micrograd's demo, one step, beside arrays",
    "microgpt": "A GPT of scalars, one step (a name of six letters, 54,000 operations)",
    "jit demo": "micrograd's demo through fastgrad.jit: scalars, recorded",
    "jit microgpt": "A GPT of scalars through fastgrad.jit, trained by fit",
    "jit recording": "The first call: recording 78,000 and 65,500 scalars, or compiling arrays",
    "jit run": "A GPT of scalars through fastgrad.jit, from Python's start to its end",
    "counting": "Bigrams of the lecture's 32,033 names, in memory",
    "counting a file": "Bigrams of a file of the same names, many times over",
    "sampling": "Names drawn from a model, as a list of strings",
    "neural bigram": "The neural bigram on 228,146 examples",
    "words": "Text of words: plays by Shakespeare",
    "words in a file": "Text of words: a file of 100 MB, the same plays many times over",
    "nplm": "The neural probabilistic language model: a training step (SGD, float32)",
    "ranks": "The NPLM over words on two cores: one process, or two ranks",
    "import": "The import statement in a fresh process",
    "wheel": "Size",
}

# What a record's file is named after, and the record's heading.
HEADINGS = {
    "engine": "The scalar engine beside its peers",
    "jit": "Scalar programs through fastgrad.jit, beside arrays",
    "bigrams": "Counting, drawing and training bigrams beside peers",
    "words": "Reading words, building n-gram models and training the NPLM over words beside peers",
    "nplm": "Training the NPLM beside its peers",
    "ranks": "Training the NPLM on two ranks, beside one process and torch",
}

METHOD = """\
Sides are measured in turn, round after round, in one process for each workload (chains, memory
and imports: a fresh process for each sample). Each side is warmed up once, outside the clock.
A number is the median of the samples, then come the lowest and the highest. Results are compared,
and a workload whose sides disagree fails. """
# What a reader of one group's numbers has to know besides.
METHODS = {
    "engine": """\
Outside the clock Python's cyclic collector is off; inside it is on, unless the side says otherwise.
"off, run once by hand" is one full collection inside the clock after each sample, so that what a
side leaves behind is paid for; fastgrad leaves nothing behind, so its "collector off" is without
it. Peers run the program as micrograd's users write it, also where fastgrad's row is for its own
layers or list operations; for the GPT micrograd is given exp and log, which it lacks. JAX computes
in f64, and has a process that it shares with fastgrad only, as its many objects would slow the
collector down for micrograd. The floor is a C type for CPython written for measuring only: no
attributes, no errors, hardly any checks.""",
    "jit": """\
All sides compute in f64, on one thread of theirs at least. JAX and torch run the same networks on
arrays, written as their users write them; for many names at once these are padded to the longest.
The time of a step has what belongs to it: Adam, and what goes through Python. CasADi builds the
demo's graph of scalars, and interprets it. A whole run is a process of its own, with its imports
and what it compiles.""",
    "bigrams": """\
Peers are written as their own users write them, at their fastest reasonable setting; one that
would take minutes on the whole file counts a part of it, which its note says. Files are read from
the page cache.""",
    "words": """\
Of reading and counting, peers are plain Python, as its users write it; a file is read in a fresh
process for each sample, from the page cache. A step of the NPLM is gather, forward pass, backward
pass and SGD on a mini-batch in float32. All sides train the same network from the same parameters
on the same batches. JAX has a process of its own.""",
    "ranks": """\
Each sample is a run of its own, in new processes: fastgrad alone with two threads, or two ranks of
one thread each under mpiexec. Times are those that a run reports, the exchange of rows after a
chunk of steps included. torch's ranks talk over gloo, and sum dense gradients.""",
    "nplm": """\
A step is gather, forward pass, backward pass and SGD on a mini-batch in float32. All sides train
the same network from the same parameters on the same batches. JAX has a process of its own.""",
}


def method_of(group: str) -> str:
    return METHOD + METHODS[group]


# The terminal ------------------------------------------------------------------------------------


def as_text(rows: list[Row]) -> str:
    lines, workload, remark = [], None, ""
    for row in rows:
        if row.workload != workload:
            workload = row.workload
            lines += ["", TITLES[workload]]
        lines += [f"  {heading(row)}", *map("    ".__add__, cell_lines(row))]
        if row.remark and row.remark != remark:
            lines.append(f"    {row.remark}")
        remark = row.remark
    return "\n".join(lines)


def heading(row: Row) -> str:
    goal = goal_of(row)
    if goal is None:
        return f"{row.case}, {row.unit}"
    return f"{row.case}, {row.unit}: goal {goal.text(row.unit)}: {goal.verdict(row)}"


def cell_lines(row: Row) -> list[str]:
    width = max(map(len, row.cells), default=0)
    return [f"{name:<{width}}  {cell_text(row, name)}" for name in row.cells]


def cell_text(row: Row, name: str) -> str:
    cell = row.cells[name]
    if "note" in cell:
        return f"{cell['note']:>9}"
    ratio = ratio_text(row, name)
    return f"{number(cell['median']):>9}  {spread(cell):<17} {ratio}".rstrip()


def spread(cell: dict) -> str:
    if cell["repeats"] == 1:
        return ""
    return f"{number(cell['low'])} to {number(cell['high'])}"


def ratio_text(row: Row, name: str) -> str:
    """Say how a peer compares with fastgrad, and fastgrad with the floor."""
    ours, cell = row.cells.get(OURS, {}), row.cells[name]
    if row.unit == "%" or "median" not in ours:
        return ""
    if name != OURS:
        return f"{number(cell['median'] / ours['median'])} x fastgrad"
    floor = row.cells.get(FLOOR, {})
    return f"{number(ours['median'] / floor['median'])} x floor" if "median" in floor else ""


def goals_text(rows: list[Row]) -> str:
    """List the goals once more, each on a line."""
    lines = ["", "Goals"]
    for row in rows:
        goal = goal_of(row)
        if goal is None:
            continue
        ours = row.cells.get(OURS, {})
        got = f"{number(ours['median'])} {row.unit}" if "median" in ours else "?"
        floor = ratio_text(row, OURS) if "median" in ours else ""
        measured = f"{got} ({floor})" if floor else got
        lines.append(
            f"  {goal.verdict(row):<7} {measured:<26} {goal.text(row.unit):<26}"
            f" {row.workload}: {row.case}"
        )
    return "\n".join(lines)


def facts_text(facts: dict[str, dict[str, str]]) -> str:
    lines = []
    for title, entries in facts.items():
        lines += [f"{title}:"] if entries else []
        lines += [f"  {name}: {value}" for name, value in entries.items()]
    return "\n".join(lines)


# The record --------------------------------------------------------------------------------------


def write_record(folder: Path, date: str, group: str, facts: dict, rows: list[Row]) -> list[Path]:
    """Write DATE-GROUP.json and DATE-GROUP.md."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"date": date, **facts, "method": method_of(group).replace("\n", " "), "rows": []}
    for row in rows:
        goal = goal_of(row)
        judged = {"goal": goal.text(row.unit), "verdict": goal.verdict(row)} if goal else {}
        record["rows"].append({**vars(row), **judged})
    paths = [folder / f"{date}-{group}.json", folder / f"{date}-{group}.md"]
    paths[0].write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    paths[1].write_text(as_markdown(date, group, facts, rows), encoding="utf-8")
    return paths


def as_markdown(date: str, group: str, facts: dict, rows: list[Row]) -> str:
    lines = [f"# {HEADINGS[group]}, {date}", "", method_of(group), ""]
    for title, entries in facts.items():
        for key, value in entries.items():
            lines.append(f"- {title}, {key}: {value}")
    workload = None
    for row in rows:
        if row.workload != workload:
            workload = row.workload
            lines += ["", f"## {TITLES[workload]}"]
        lines += ["", f"### {heading(row)}", "", *cells_markdown(row)]
        if row.remark:
            lines += ["", f"The {row.remark}."]
    return "\n".join(lines) + "\n"


def cells_markdown(row: Row) -> list[str]:
    lines = [
        f"| | median, {row.unit} | lowest to highest | samples | ratio |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for name, cell in row.cells.items():
        if "note" in cell:
            lines.append(f"| {name} | {cell['note']} | | | |")
        else:
            lines.append(
                f"| {name} | {number(cell['median'])} | {spread(cell)} | {cell['repeats']} |"
                f" {ratio_text(row, name)} |"
            )
    return lines
