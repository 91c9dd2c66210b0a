"""The table, for a terminal and as Markdown, from what `results.json` holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .rows import REFERENCE, ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Data = Mapping[str, Any]

__all__ = ["facts", "finished", "line", "markdown", "papers_ratio", "text"]

_HEADINGS = (
    *("row", "n", "h", "m", "direct", "mixed with", "epochs", "time"),
    *("train", "valid", "test", "of KN5"),
    *("train", "valid", "test", "of KN5"),
)
# Where the columns of the paper's figures begin.
_OURS, _PAPERS = 8, 12
_LEFT = (0, 4, 5)
# What one may read of a network's training, and how it is written.
_TRAINING = ("optimizer", "lr", "weight_decay", "batch_size", "dropout")


def finished(data: Data) -> list[str]:
    """Name the rows that there are results for, in the table's order."""
    return [name for name in ROWS if name in data["rows"]]


def line(data: Data, name: str) -> str:
    """Tell the result of one row."""
    found = data["rows"][name]
    parts = [f"{part} {found[part]:.1f}" for part in ("train", "valid", "test") if found[part]]
    part, key = ("test", "ratio") if found["test"] else ("valid", "valid_ratio")
    parts.append(f"{found[key]:.3f} of {REFERENCE}")
    if (theirs := papers_ratio(name, part)) is not None:
        parts[-1] += f" (the paper: {theirs:.3f})"
    return f"{name:<13} {', '.join(parts)}"


def papers_ratio(name: str, part: Literal["valid", "test"]) -> float | None:
    """Divide the paper's perplexity of a row by that of its own Kneser-Ney model of order 5."""
    figures, reference = ROWS[name].paper, ROWS[REFERENCE].paper
    theirs, by = (getattr(paper, part, None) for paper in (figures, reference))
    return theirs / by if theirs and by else None


def text(data: Data) -> str:
    """Lay the table out for a terminal: columns aligned, what there is to know above and below."""
    names = finished(data)
    rows = [_HEADINGS, *(_cells(data, name) for name in names)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    lines = [_aligned(row, widths) for row in rows]
    over = " " * _start(widths, _OURS) + "fastgrad"
    over = over.ljust(_start(widths, _PAPERS)) + "the paper"
    return "\n".join([*_plain(facts(data)), "", over, *lines, "", *_plain(_method(data))])


def markdown(data: Data, title: str = "Words, held against the paper's table") -> str:
    """Write the table as a page of Markdown."""
    lines = [f"# {title}", "", *(f"- {fact}" for fact in facts(data)), "", *table(data), ""]
    return "\n".join([*lines, *(f"- {fact}" for fact in _method(data)), *_settings(data), ""])


def table(data: Data) -> list[str]:
    """Write the lines of the table in Markdown."""
    headings = [
        f"paper: {heading}" if i == _PAPERS else heading for i, heading in enumerate(_HEADINGS)
    ]
    rules = ["---" if i in _LEFT else "---:" for i in range(len(headings))]
    rows = [headings, rules, *(_cells(data, name) for name in finished(data))]
    return [f"| {' | '.join(row)} |" for row in rows]


def facts(data: Data) -> list[str]:
    """Say what the corpus is, and what the times depend on."""
    corpus, machine = data["corpus"], data["machine"]
    parts = ", ".join(
        f"{name} {part['tokens']:,} ({part['rare']:.1%} rare)"
        for name, part in corpus["parts"].items()
    )
    return [
        f"{corpus['name']}: {corpus['tokens']:,} tokens, {corpus['types']:,} types; |V| ="
        f" {corpus['vocabulary']:,}, one of them for all rare words (checksum"
        f" {corpus['checksum']})",
        f"tokens: {parts}",
        f"seed {data['seed']}, {data['date']}, fastgrad {data['fastgrad']}, {machine['cpu']},"
        f" {machine['cores']} cores, {machine['python']}",
    ]


def _method(data: Data) -> list[str]:
    lines = [
        "Perplexities; `of KN5` is that on test, divided by that of the interpolated Kneser-Ney"
        " model of order 5 on the same ids (the paper's: its back-off model). The paper's corpus"
        " has 1,181,041 tokens and another vocabulary: compare ratios.",
        "n counts the word that is predicted; h hidden units, m features a word. Stopping, and the"
        " weights of mixtures where they are learned, follow from the valid part; test is looked"
        " at once a row.",
    ]
    learned = [
        f"{name} has the weights "
        + ", ".join(f"{share:.3f} {model}" for model, share in found["weights"].items())
        for name, found in data["rows"].items()
        if found["learned"]
    ]
    return [*lines, *(f"{line}." for line in learned)]


def _settings(data: Data) -> list[str]:
    """List how each network was trained."""
    lines = []
    for name, note in data["models"].items():
        settings = note["settings"]
        if settings["kind"] != "network" or not note.get("stopped"):
            continue
        told = ", ".join(f"{key} {settings[key]:g}" if not isinstance(settings[key], str)
                         else f"{settings[key]}" for key in _TRAINING)  # fmt: skip
        tied = ", tied weights" if settings["tie_weights"] else ""
        seconds, processor = _time(note["seconds"]), _time(note["processor_seconds"])
        lines.append(
            f"- {name}: {note['parameters']:,} parameters{tied}; {told};"
            f" {note['steps']:,} steps planned, {note['stopped']} after"
            f" {note['epochs']:.2f} epochs; {seconds}, of processor time {processor}."
        )
    return lines


def _cells(data: Data, name: str) -> tuple[str, ...]:
    row, found = ROWS[name], data["rows"][name]
    first = data["models"][row.models[0]]
    settings = first["settings"]
    network = settings["kind"] == "network"
    epochs, seconds = first.get("epochs"), _seconds(data, row.models)
    return (
        name,
        str(settings["n"]),
        str(settings["hidden_dim"]) if network else "",
        str(settings["embedding_dim"]) if network else "",
        ("yes" if settings["direct"] else "no") if network else "",
        _mixed(row.models[1:], found["learned"]),
        "" if epochs is None else f"{epochs:.1f}",
        "" if seconds is None else _time(seconds),
        *(_number(found[part]) for part in ("train", "valid", "test")),
        _ratio(found["ratio"]),
        *(_number((found["paper"] or {}).get(part), "g") for part in ("train", "valid", "test")),
        _ratio((found["paper"] or {}).get("ratio")),
    )


def _mixed(others: Sequence[str], learned: bool) -> str:
    if not others:
        return ""
    what = others[0] if len(others) == 1 else f"{len(others)} more"
    return f"{what}, {'learned' if learned else 'half'}"


def _seconds(data: Data, models: Sequence[str]) -> float | None:
    """Add up how long the networks of a row took; None where it has none."""
    notes = [data["models"][name] for name in models]
    times = [note["seconds"] for note in notes if "seconds" in note]
    return sum(times) if times else None


def _number(value: float | None, form: str = ".1f") -> str:
    return "" if value is None else format(value, form)


def _ratio(value: float | None) -> str:
    return _number(value, ".3f")


def _time(seconds: float) -> str:
    """Write a time as minutes and seconds.

    >>> _time(125.4)
    '2:05'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if i in _LEFT else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _start(widths: Sequence[int], column: int) -> int:
    return sum(widths[:column]) + 2 * column


def _plain(lines: Sequence[str]) -> list[str]:
    """Take the marks of Markdown away, and break lines where a terminal would."""
    import textwrap

    return [part for one in lines for part in textwrap.wrap(one.replace("`", ""), width=100)]
