"""Tables that print as text, and show as HTML in a notebook."""

from __future__ import annotations

from html import escape as escape_html

# Type checkers read this name as typing.TYPE_CHECKING; importing typing would take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Table"]


class Table:
    """Rows of text under headings.

    `align` has a character a column: "<" for text, ">" for numbers.

    >>> Table("fruit", ("name", "count"), [("apple", "3"), ("fig", "12")], "<>")
    fruit
    name   count
    apple      3
    fig       12
    """

    def __init__(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], align: str
    ) -> None:
        """Keep the texts."""
        self.title = title
        self.columns = tuple(columns)
        self.rows = [tuple(row) for row in rows]
        self._align = align

    def __repr__(self) -> str:
        """Return the table as text, its columns aligned."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shapes = [f"{side}{width}" for side, width in zip(self._align, widths, strict=True)]
        written = ["  ".join(map(format, line, shapes)).rstrip() for line in lines]
        return "\n".join([self.title, *written])

    def _repr_html_(self) -> str:
        sides = {"<": "left", ">": "right"}

        def line(cells: Sequence[str], tag: str) -> str:
            styled = (
                f'<{tag} style="text-align: {sides[side]}">{escape_html(cell)}</{tag}>'
                for cell, side in zip(cells, self._align, strict=True)
            )
            return f"<tr>{''.join(styled)}</tr>"

        body = "\n".join(line(row, "td") for row in self.rows)
        return (
            f"<table>\n<caption>{escape_html(self.title)}</caption>\n"
            f"<thead>{line(self.columns, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        )
