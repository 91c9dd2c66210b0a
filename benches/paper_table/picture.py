"""The table as a picture: every row beside Kneser-Ney, and the paper's figures beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .report import finished, papers_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["draw"]


def draw(data: Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Save a PNG of what `results.json` holds: ratios of perplexity on test to that of KN5.

    Where the test part was not looked at, ratios are those on the validation part, the paper's as
    well. Raises `ImportError` where matplotlib is not installed, `OSError` where the file cannot be
    written.
    """
    from .dots import dot_chart

    names = finished(data)
    rows = [data["rows"][name] for name in names]
    part, key = ("test", "ratio") if any(r["test"] for r in rows) else ("valid", "valid_ratio")
    values = {
        "fastgrad": [row[key] for row in rows],
        "the paper": [papers_ratio(name, part) for name in names],
    }
    remarks = ["" if row[part] is None else f"{row[part]:.0f}" for row in rows]
    dot_chart(
        names,
        values,
        path,
        title=f"Perplexity on {part}, divided by that of Kneser-Ney of order 5",
        label=f"ratio; at the right fastgrad's perplexity on {part}",
        remarks=remarks,
        mark=1.0,
    )
