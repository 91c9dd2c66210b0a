"""What was found so far: one JSON file, written anew after every step of the way."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgrad._core import __version__

from .machine import machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rows import Row

__all__ = ["Record", "SettingsError", "read_record"]

_FORMAT = 1
_FACTS = ("corpus", "seed")
_SECTIONS = ("models", "rows", "machine", *_FACTS)
# Settings of networks as records of November 2026 call them.
_OLD_NAMES = {
    "hidden": "hidden_dim",
    "embedding": "embedding_dim",
    "tied": "tie_weights",
    "batch": "batch_size",
}


class SettingsError(ValueError):
    """A folder holds results that were made with other settings."""


class Record:
    """The file of results, and what it says.

    `data["models"]` has a note for each model: its settings and, of a network, how its training
    went; `data["rows"]` a result for each finished row.
    """

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        """Keep what is known."""
        self.path = path
        self.data = data

    @classmethod
    def open(cls, path: Path, facts: Mapping[str, Any]) -> Record:
        """Go on with a file, or begin one where there is none.

        Raises `SettingsError` where the file is about another corpus or seed, `ValueError` where
        it is no file of results.
        """
        if not path.exists():
            now = datetime.now(UTC).strftime("%Y-%m-%d")
            about = {"format": _FORMAT, "fastgrad": __version__, "date": now, "machine": machine()}
            return cls(path, {**about, **facts, "models": {}, "rows": {}})
        data = read_record(path)
        for name in _FACTS:
            old, new = _unnamed(data[name]), _unnamed(facts[name])
            if (difference := _difference(name, old, new)) is not None:
                raise SettingsError(
                    f"{path} was made with other settings: {difference}; name another folder"
                )
        return cls(path, data)

    @property
    def models(self) -> dict[str, Any]:
        """The notes of models by name."""
        return self.data["models"]

    @property
    def rows(self) -> dict[str, Any]:
        """The results of rows by name."""
        return self.data["rows"]

    def admit(self, name: str, settings: Mapping[str, Any], *, again: bool) -> None:
        """Make sure that what is known of a model was found with these settings.

        With `again` what was found with others is forgotten. Raises `SettingsError` without.
        """
        note = self.models.get(name)
        if note is None:
            return
        difference = _difference(name, note["settings"], settings)
        if difference is None:
            return
        if not again:
            raise SettingsError(
                f"{self.path} was made with other settings: {difference}; name another folder, or"
                " have it made anew (`again`, or `--again` on the command line)"
            )
        self.forget(name)

    def forget(self, name: str) -> None:
        """Drop a model's note, and the rows that it is part of."""
        self.models.pop(name, None)
        self.data["rows"] = {
            row: found for row, found in self.rows.items() if name not in found["weights"]
        }
        self.save()

    def add(self, row: Row, found: Mapping[str, Any]) -> None:
        """Keep the result of a row."""
        self.rows[row.name] = dict(found)
        self.save()

    def save(self) -> None:
        """Write the file; at no time is there half of one."""
        fresh = self.path.with_name(f"{self.path.name}.saving")
        text = json.dumps(self.data, indent=1, ensure_ascii=False, allow_nan=False)
        fresh.write_text(text + "\n", encoding="utf-8")
        os.replace(fresh, self.path)


def read_record(path: Path) -> dict[str, Any]:
    """Return a file of results, settings under today's names; `ValueError` for anything else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        data = None
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError(f"{path}: is no file of results that this version has written")
    for name in _SECTIONS:
        if name not in data:
            raise ValueError(f"{path}: damaged, {name} is missing")
    for note in data["models"].values():
        note["settings"] = _renamed(note["settings"])
    return data


def _renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a network under today's names."""
    return {_OLD_NAMES.get(name, name): value for name, value in settings.items()}


def _unnamed(facts: Any) -> Any:
    """Leave out what a file is called: the same words in another file are the same corpus."""
    return {k: v for k, v in facts.items() if k != "name"} if isinstance(facts, dict) else facts


def _difference(name: str, old: Any, new: Any) -> str | None:
    """Name the first thing that two descriptions do not have in common; None if there is none."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None if old == new else f"{name} was {old!r} and is {new!r}"
    for key in {**new, **old}:
        inner = _difference(f"{name}.{key}", old.get(key), new.get(key))
        if inner is not None:
            return inner
    return None
