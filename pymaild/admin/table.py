"""Tables for people: columns as wide as they need, numbers to the right."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], heads: Sequence[str] | None = None
) -> Iterator[str]:
    """Yield the lines of a table. ``heads`` are the columns' names as shown (coloured)."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [
        max([width(column), *(width(row[n]) for row in cells)]) for n, column in enumerate(columns)
    ]
    right = [bool(rows) and all(_is_number(row[n]) for row in rows) for n in range(len(columns))]
    titles = heads or columns
    padding = [width(column) for column in columns]
    yield _line(titles, padding, widths, right)
    for row in cells:
        yield _line(row, [width(cell) for cell in row], widths, right)


def printable(text: str) -> str:
    """Escape what could move a terminal's cursor or colour: names come from clients."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "replace").decode()
        for char in text
    )


def width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _line(
    cells: Sequence[str], taken: Sequence[int], widths: Sequence[int], right: Sequence[bool]
) -> str:
    parts = []
    for cell, have, want, flush in zip(cells, taken, widths, right, strict=True):
        gap = " " * (want - have)
        parts.append(gap + cell if flush else cell + gap)
    return "  ".join(parts).rstrip()
