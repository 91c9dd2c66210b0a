"""The state of a network or an optimizer of Values, and its file."""

from __future__ import annotations

from ._checks import escape, path_name, shorten

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from typing import Any, Self


def check_names(state: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise `ValueError` unless `state` has these names and no others; it names the first."""
    from collections.abc import Mapping  # Here, since it takes as long to import as nn does.

    if not isinstance(state, Mapping):
        raise ValueError(f"state is {shorten(state)}; expected a dict, as state_dict returns it")
    expected = list(names)
    for name in expected:
        if name not in state:
            raise ValueError(
                f"state is {shorten(state)}, without {name!r}; expected {shorten(expected)}"
            )
    known = set(expected)
    for name in state:
        if name not in known:
            raise ValueError(
                f"state is {shorten(state)}, with an unexpected {shorten(name)}:"
                f" {shorten(state[name])}; expected {shorten(expected)}"
            )


class Stateful:
    """Something whose `state_dict` JSON can write: `save` and `load` are a file of it."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as JSON-able values, for `load_state_dict`."""
        raise NotImplementedError

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` has returned."""
        raise NotImplementedError

    def save(self, path: str | PathLike[str]) -> None:
        """Write `state_dict` to a file as JSON; raise `OSError` where that cannot be done."""
        import json

        from ._files import write_atomically

        write_atomically(path_name("path", path), json.dumps(self.state_dict()))

    def load(self, path: str | PathLike[str]) -> Self:
        """Take over the state in a file of `save`, and return self.

        Raises `ValueError`, with nothing changed, for a file of something else, and `OSError` where
        it cannot be read.
        """
        import json

        name = path_name("path", path)
        with open(name, encoding="utf-8") as file:
            try:
                state = json.load(file)
            except (ValueError, RecursionError):  # Text that is not UTF-8 is a ValueError as well.
                raise ValueError(
                    f"{escape(name)}: not JSON; expected a file of {type(self).__name__}.save"
                ) from None
        self.load_state_dict(state)
        return self
