"""The run: row after row, each written down as soon as it is found."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fastgrad.models.mixture import mixture_weights
from fastgrad.training import DivergedError

from .corpus import PARTS, Corpus
from .estimates import Estimator, model_settings
from .record import Record
from .report import line, markdown
from .rows import REFERENCE, ROWS, choose, settled

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from fastgrad.text import Source
    from numpy.typing import NDArray

    from .rows import Row, Schedule

__all__ = ["PICTURE", "RESULTS", "TABLE", "brown"]

RESULTS = "results.json"
TABLE = "brown.md"
PICTURE = "brown.png"


def brown(
    source: Source,
    out: str | os.PathLike[str],
    *,
    rows: Iterable[str] | None = None,
    schedule: Schedule = "modern",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    train: int = 800_000,
    valid: int = 200_000,
    vocabulary: int = 16_383,
    test: bool = True,
    again: bool = False,
    progress: bool = False,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train the rows of the paper's table on a corpus, and compare them with its figures.

    Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model" (JMLR 3, 2003),
    table 1, on the Brown corpus: `source`, whose tokens are separated by whitespace. `rows` names
    those to train, all unless told otherwise (`paper_table.ROWS`); the n-gram models are
    always among them. The first `train` tokens train and choose a vocabulary of `vocabulary`
    symbols, that for rare words included; the next `valid` validate, the rest tests.

    Under the `schedule` "modern" the paper's networks are trained with AdamW, under "paper" with
    its own per-example SGD, which takes hours. `settings` changes fields of `Network` by row, as in
    `{"best": {"hidden_dim": 300}}`; `epochs` and `minutes` do so for all networks. A mean of models
    has weights that are given (the paper's, half and half) or learned on the validation part.
    Early stopping looks at that part too, and nothing but a finished row's figures at the test
    part; with `test=False`, for choosing settings, not even these.

    Everything is kept in the folder `out`: `results.json`, `brown.md`, `brown.png` where matplotlib
    is installed, and the networks, which `fastgrad.models.load` reads. A run that was interrupted
    goes on when it is called again with the same arguments; what is finished is not done again, and
    other rows may be added. What was made with other settings is an error, unless `again` says to
    make it anew. `tell` gets a line for every row, `progress` shows bars on a terminal. The result
    is what `results.json` holds.

    Raises `OSError` where a file cannot be read or written, `SettingsError`, `ValueError` or
    `TypeError` for arguments that make no sense, `KeyboardInterrupt` on Ctrl-C, after saving, and
    `DivergedError` after all other rows where a network's loss has become infinite.

    >>> import tempfile
    >>> from fastgrad.datasets import shakespeare
    >>> folder = tempfile.TemporaryDirectory()
    >>> found = brown(
    ...     shakespeare(), folder.name, rows=["KN5"], train=20_000, valid=5_000, vocabulary=500
    ... )
    >>> found["corpus"]["vocabulary"], found["rows"]["KN5"]["ratio"]
    (500, 1.0)
    >>> folder.cleanup()
    """
    wanted = choose(rows)
    models = settled(wanted, schedule, settings, {"epochs": epochs, "minutes": minutes})
    for name, value in {"train": train, "valid": valid}.items():
        _check_count(name, value)
    folder = Path(out)
    corpus = Corpus.read(source, train, valid, vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    record = Record.open(folder / RESULTS, {"corpus": corpus.facts(), "seed": seed})
    for name, model in models.items():
        record.admit(name, model_settings(model), again=again)
    estimator = Estimator(
        models, corpus, folder, record, seed=seed, threads=threads, progress=progress, test=test
    )
    diverged = None
    # The row that the others are divided by comes first.
    for row in sorted(wanted, key=lambda row: row.name != REFERENCE):
        if not _is_known(row, record, test=test):
            try:
                record.add(row, _found(row, estimator, record, test=test))
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(_advice(row, folder, stop)) from None
            except DivergedError as error:
                diverged = error
                error.add_note(f"in row {row.name}")
                _tell(tell, f"{row.name}: {error}")
                continue
        _tell(tell, line(record.data, row.name))
        _write_table(folder, record)
    _draw(folder, record)
    if diverged is not None:
        raise diverged
    return record.data


def _is_known(row: Row, record: Record, *, test: bool) -> bool:
    found = record.rows.get(row.name)
    return found is not None and (found["test"] is not None or not test)


def _found(row: Row, estimator: Estimator, record: Record, *, test: bool) -> dict[str, Any]:
    """Compute the figures of a row, which has its models made where they are missing."""
    estimates = [estimator.of(name) for name in row.models]
    if row.weights is None:
        columns = [found["valid"] for found in estimates]
        weights = mixture_weights(np.stack(columns)).tolist()
    else:
        weights = list(row.weights)
    found: dict[str, Any] = {
        "title": row.title,
        "weights": dict(zip(row.models, weights, strict=True)),
        "learned": row.weights is None,
    }
    for part in PARTS:
        if part == "test" and not test:
            found[part] = None
            continue
        shares = zip(weights, estimates, strict=True)
        mean = sum(weight * estimate[part] for weight, estimate in shares)
        found[part] = _perplexity(row, part, np.asarray(mean))
    reference = found if row.name == REFERENCE else record.rows[REFERENCE]
    for key, part in (("ratio", "test"), ("valid_ratio", "valid")):
        found[key] = _ratio(found[part], reference[part])
    found["paper"] = _paper(row)
    return found


def _paper(row: Row) -> dict[str, float | None] | None:
    """Give the paper's figures of a row, and their ratio to its own Kneser-Ney of order 5."""
    if row.paper is None:
        return None
    reference = ROWS[REFERENCE].paper
    return {**asdict(row.paper), "ratio": _ratio(row.paper.test, reference and reference.test)}


def _ratio(value: float | None, reference: float | None) -> float | None:
    return None if value is None or not reference else value / reference


def _perplexity(row: Row, part: str, probabilities: NDArray[np.float64]) -> float:
    if not probabilities.all():
        raise ValueError(f"row {row.name} has no perplexity: it calls a token of {part} impossible")
    return math.exp(-float(np.mean(np.log(probabilities))))


def _write_table(folder: Path, record: Record) -> None:
    (folder / TABLE).write_text(markdown(record.data), encoding="utf-8")


def _draw(folder: Path, record: Record) -> None:
    if importlib.util.find_spec("matplotlib") is not None:
        from .picture import draw

        draw(record.data, folder / PICTURE)


def _tell(tell: Callable[[str], None] | None, text: str) -> None:
    if tell is not None:
        tell(text)


def _advice(row: Row, folder: Path, stop: KeyboardInterrupt) -> str:
    how_far = str(stop).partition(";")[0] or "interrupted"
    return (
        f"row {row.name}: {how_far}; all is kept in {folder}, the same command goes on from there"
    )


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
