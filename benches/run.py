"""Measure fastgrad beside its peers: `python benches/run.py`; `--help` lists the options.

Each workload runs in a process of its own, so that none leaves its memory, its modules or its
garbage to the next. Peers that are not installed are named, never guessed.
"""

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import alone
import counting
import jitted
import nplm
import programs
import sampling_names
import two_ranks
import words
import workloads
from engines import FASTGRAD, MICROGRAD, ROOT, find, missing, versions
from measure import Row, Settings, machine
from report import as_text, facts_text, goals_text, write_record

# What belongs together in a record and in a table of the README.
GROUPS: dict[str, dict[str, Callable[[Settings], list[Row]]]] = {
    "engine": {
        "eager": workloads.eager,
        "backward": workloads.backward,
        "memory": alone.memories,
        "chain": alone.chains,
        "demo": programs.demo,
        "tanh-demo": programs.tanh_demo,
        "jax-demo": programs.jax_demo,
        "microgpt": programs.microgpt,
        "import": alone.imports,
        "wheel": alone.wheel,
    },
    "jit": {
        "jit-demo": jitted.demo,
        "jit-microgpt": jitted.microgpt,
        "jit-recording": jitted.recording,
        "jit-run": jitted.whole_runs,
    },
    "bigrams": {
        "counting": counting.in_memory,
        "counting-file": counting.from_file,
        "sampling": sampling_names.names,
        "neural-bigram": sampling_names.neural_bigram,
    },
    "nplm": {
        "nplm-S": nplm.small,
        "nplm-M": nplm.middle,
    },
    "words": {
        "words": words.reading,
        "words-file": words.from_file,
        "ngrams": words.ngrams,
        "nplm-W": nplm.words,
        "nplm-WL": nplm.many_words,
    },
    "ranks": {
        "ranks": two_ranks.ranks,
    },
}
WORKLOADS = {name: work for group in GROUPS.values() for name, work in group.items()}
NEEDS = {"tanh-demo": "micrograd_rust", "jax-demo": "jax"}
RECORDS = ROOT / "benches" / "record"


def main() -> int:
    options = parse()
    if options.worker:
        rows = WORKLOADS[options.worker](Settings(options.quick))
        print(json.dumps([vars(row) for row in rows]))
        return 0

    check_needs()
    facts = {"machine": machine(), "versions": versions(), "missing": missing()}
    print(facts_text(facts))
    rows_of: dict[str, list[Row]] = {}
    failed = []
    groups = options.group or GROUPS
    for name in options.only or [name for group in groups for name in GROUPS[group]]:
        if name in NEEDS and not find(NEEDS[name]):
            continue
        found = run_apart(name, options.quick)
        if found is None:
            failed.append(name)
        else:
            print(as_text(found), flush=True)
            rows_of[name] = found
    print(goals_text([row for found in rows_of.values() for row in found]))
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    elif options.record:
        date = datetime.date.today().isoformat()
        for group in groups:
            mine = [row for name in GROUPS[group] for row in rows_of.get(name, [])]
            for path in write_record(options.record, date, group, facts, mine):
                print(f"wrote {path}")
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it runs")
    parser.add_argument(
        "--only", action="append", choices=WORKLOADS, metavar="NAME", help=", ".join(WORKLOADS)
    )
    parser.add_argument(
        "--record", nargs="?", type=Path, const=RECORDS, metavar="FOLDER",
        help="write dated records of a full run, to benches/record unless told otherwise",
    )  # fmt: skip
    parser.add_argument(
        "--group", action="append", choices=GROUPS, metavar="NAME",
        help=f"only this part, with a record of its own: {', '.join(GROUPS)}",
    )  # fmt: skip
    parser.add_argument("--worker", choices=WORKLOADS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record and (options.quick or options.only):
        parser.error("--record is for full runs: leave out --quick and --only")
    return options


def check_needs() -> None:
    for engine in (FASTGRAD, MICROGRAD):
        if not engine.installed():
            sys.exit(f"benches: {engine.name} is not installed: {engine.advice}")


def run_apart(name: str, quick: bool) -> list[Row] | None:
    """Run a workload in a process of its own; None when it fails, the reason being printed."""
    command = [sys.executable, __file__, "--worker", name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print(f"\n{name} failed with exit code {done.returncode}", file=sys.stderr)
        return None
    return [Row(**row) for row in json.loads(done.stdout)]


if __name__ == "__main__":
    sys.exit(main())
