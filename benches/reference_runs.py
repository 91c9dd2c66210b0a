"""Train the NPLM as the lecture does, and as well as a minute allows, and record what it reaches.

    python benches/reference_runs.py names.txt [--only NAME ...] [--record]

`names.txt` is makemore's file; the split is the lecture's. Losses are in nats per token, of the
whole training and development parts after the last step. Times are of the whole run as a user sees
it: reading, splitting, datasets, training, and twenty evaluations on dev. They depend on what else
the machine does; losses do not.
"""

import argparse
import datetime
import json
import platform
import resource
import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from fastgrad import NPLM, Vocab
from fastgrad._core import __version__
from fastgrad.optim.schedules import cosine, warmup
from fastgrad.text import build_dataset, read_lines, split

RECORDS = Path(__file__).parent / "record"


@dataclass
class Run:
    """A configuration, the loss on dev that it is to reach, and how often it is trained."""

    goal: float
    steps: int
    lr: Any
    what: str
    seeds: tuple[int, ...] = (0,)
    network: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def falling(lr: float, steps: int) -> Any:
    """Climb for 200 steps, then fall along half a cosine to 0."""
    return warmup(cosine(lr, 0.0, steps - 200), 200)


LECTURE = [(0, 0.1), (100_000, 0.01)]
LECTURES_NETWORK = {"context_length": 3, "embedding_dim": 10, "hidden_dim": 200}
LECTURES_TRAINING: dict[str, Any] = {"batch_size": 32, "optimizer": "sgd"}
RUNS = {
    "lecture": Run(
        goal=2.175,
        steps=200_000,
        lr=LECTURE,
        what="the lecture's init and learning rates",
        seeds=(0, 1, 2, 3, 4),
        network={"init": "normal"},
    ),
    "scaled": Run(
        goal=2.11,
        steps=200_000,
        lr=LECTURE,
        what="scaled init, the lecture's learning rates",
        seeds=(0, 1, 2, 3, 4),
    ),
    "larger": Run(
        goal=2.08,
        steps=50_000,
        lr=falling(0.002, 50_000),
        what="context 3, AdamW",
        network={"embedding_dim": 48, "hidden_dim": 512},
        training={"batch_size": 128, "optimizer": "adamw", "weight_decay": 0.03},
    ),
    "minute": Run(
        goal=2.02,
        steps=30_000,
        lr=falling(0.003, 30_000),
        what="the best found within a minute on two cores",
        network={"context_length": 8, "embedding_dim": 32, "hidden_dim": 400},
        training={"batch_size": 128, "optimizer": "adamw", "weight_decay": 0.06},
    ),
}


def main() -> int:
    options = parse()
    found = {name: train(options.file, RUNS[name]) for name in options.only or RUNS}
    stem = RECORDS / f"{datetime.date.today()}-nplm-runs"
    if options.record and stem.with_suffix(".json").is_file():
        # Runs of the same day that were not made again stay in the record.
        found = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8")) | found
    text = report(found)
    print(text)
    if options.record:
        stem.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
        stem.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    missed = [n for n, seen in found.items() if mean(seen, "dev") > RUNS[n].goal]
    if missed:
        print(f"missed: {', '.join(missed)}", file=sys.stderr)
    return bool(missed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", help="makemore's names.txt")
    parser.add_argument("--only", nargs="+", choices=RUNS, help="only these runs")
    parser.add_argument("--record", action="store_true", help="write benches/record/…-nplm-runs")
    return parser.parse_args()


def train(file: str, run: Run) -> list[dict[str, Any]]:
    """Train once a seed."""
    seen = []
    for seed in run.seeds:
        start, used = perf_counter(), processor_seconds()
        items = read_lines(file)
        vocab = Vocab.from_texts(items)
        parts = split(items, method="makemore")
        network = LECTURES_NETWORK | run.network
        length = network["context_length"]
        train, dev, test = (build_dataset(part, vocab, length) for part in parts)
        model = NPLM(vocab, **network, seed=seed)
        training = LECTURES_TRAINING | run.training
        model.fit(train, dev, steps=run.steps, lr=run.lr, seed=seed, progress=True, **training)
        seconds, used = perf_counter() - start, processor_seconds() - used
        losses = {"train": model.loss(train), "dev": model.loss(dev), "test": model.loss(test)}
        times = {"seconds": seconds, "processor_seconds": used}
        seen.append({"seed": seed, "parameters": model.num_parameters(), **losses, **times})
    return seen


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def mean(seen: list[dict[str, Any]], name: str) -> float:
    return statistics.fmean(run[name] for run in seen)


def report(found: dict[str, list[dict[str, Any]]]) -> str:
    """Write a table, means over seeds, and the settings below."""
    lines = [
        f"# Reference runs of the NPLM, {datetime.date.today()}",
        "",
        (__doc__ or "").split("\n\n")[2].strip(),
        f"fastgrad {__version__}, CPython {platform.python_version()}, {platform.machine()}.",
        "",
        "| run | parameters | train | dev | goal | test | seconds | of processor time | seeds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, seen in found.items():
        run = RUNS[name]
        devs = ", ".join(f"{one['dev']:.4f}" for one in seen) if len(seen) > 1 else ""
        lines.append(
            f"| {name}: {run.what} | {seen[0]['parameters']:,} | {mean(seen, 'train'):.4f} |"
            f" **{mean(seen, 'dev'):.4f}**{f' ({devs})' if devs else ''} | {run.goal} |"
            f" {mean(seen, 'test'):.4f} | {mean(seen, 'seconds'):.1f} |"
            f" {mean(seen, 'processor_seconds'):.1f} | {len(seen)} |"
        )
    lines.append("")
    for name in found:
        settings = asdict(RUNS[name])
        kept = {key: settings[key] for key in ("steps", "network", "training")}
        lines.append(f"- {name}: `{json.dumps(kept)}`")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
