"""The report of `make bench`: one page of HTML that needs no other file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any

from . import plot
from .growth import PRIVATE_AIM, Point
from .measure import Figures
from .rows import Row

TITLE = "pymaild and Dovecot"
Found = dict[str, Figures]


@dataclass
class Results:
    """All that was measured in one run."""

    surroundings: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[Row, Found]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    profiles: dict[str, str] = field(default_factory=dict)
    growth: list[Point] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code of the run: 2 where a figure is missing, 1 where an aim was missed."""
        missed = not all(reached(*pair) for pair in self.rows)
        return 2 if self.failed else int(missed)

    def data(self) -> dict[str, Any]:
        """For the file."""
        return {
            "surroundings": self.surroundings,
            "rows": {
                row.name: {"aim": row.aim, "unit": row.unit}
                | {name: one.data() for name, one in found.items()}
                for row, found in self.rows
            },
            "failed": self.failed,
            "profiles": self.profiles,
            "growth": [vars(point) for point in self.growth],
            "memory": self.memory,
        }


def ratios(found: Found) -> tuple[float, float]:
    """The first server's rate over the second's; and of p99 the second's over the first's.

    The latter is 0 where nobody looked.
    """
    mine, other = found.values()
    return mine.rate / other.rate, other.p99 / mine.p99 if mine.p99 else 0.0


def reached(row: Row, found: Found) -> bool:
    """Whether the row has reached its aim; alone nothing is missed."""
    return len(found) < 2 or all(ratio >= row.aim for ratio in ratios(found) if ratio)


def page(results: Results) -> str:
    """The page."""
    return plot.page(TITLE, _parts(results))


def _parts(results: Results) -> Iterator[str]:
    yield f"<h1>{TITLE}</h1><p>{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. Each server has its own "
    yield "copy of the same mail; the figures are medians of rounds taken in turn. A row whose "
    yield "servers did not find the same has no figure.</p>"
    yield plot.table(("machine", ""), results.surroundings.items())
    yield "<h2>Rows</h2>" + _rows(results)
    pairs = {row.name: ratios(found)[0] for row, found in results.rows if len(found) == 2}
    if pairs:
        reach = {row.name: min(12.0, pairs[row.name]) for row, _ in results.rows}
        yield plot.bars("Times the other server (no more than 12 is drawn)", "", reach, 1.0)
    if results.failed:
        yield "<h2>Without a figure</h2>" + _list(results.failed)
    if results.profiles:
        yield "<h2>What the time goes to where an aim was missed</h2>"
        yield plot.table(("row", "pymaild"), results.profiles.items())
    if results.growth:
        yield "<h2>How cost grows</h2>"
        yield from _growth(results.growth)
    if results.notes:
        yield "<h2>Also</h2>" + _list(results.notes)
    for name, text in results.settings.items():
        yield f"<h2>Settings of {name}</h2><pre>{escape(text)}</pre>"


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _rows(results: Results) -> str:
    names = list(results.rows[0][1]) if results.rows else []
    head = ["row", "unit", *(f"{name}/s" for name in names), *(f"{name}, µs" for name in names)]
    head += ["client, µs", "ratio", "aim", "", "p99 ms"]
    return plot.table(head, (_cells(*pair) for pair in results.rows))


def _cells(row: Row, found: Found) -> list[str]:
    cells = [row.name, row.unit, *(plot.number(one.rate) for one in found.values())]
    cells += [plot.number(one.cost) for one in found.values()]
    cells.append(" / ".join(plot.number(one.client) for one in found.values()))
    ratio = plot.number(ratios(found)[0]) if len(found) == 2 else ""
    late = " / ".join(plot.number(one.p99) for one in found.values() if one.p99)
    return [*cells, ratio, plot.number(row.aim), "ok" if reached(row, found) else "missed", late]


def _growth(points: list[Point]) -> Iterator[str]:
    names = list(dict.fromkeys(point.row for point in points))
    for name in names:
        series: dict[str, list[tuple[float, float]]] = {}
        for point in points:
            if point.row == name:
                series.setdefault(point.server, []).append((point.messages, point.milliseconds))
        yield plot.powers(name, "messages", "ms", series)
    memory: dict[str, dict[int, float]] = {}
    for point in points:
        for kind, value in (("all", point.pss), ("largest", point.private)):
            sizes = memory.setdefault(f"{point.server}, {kind}", {})
            sizes[point.messages] = max(sizes.get(point.messages, 0.0), value)
    series = {name: list(sizes.items()) for name, sizes in memory.items()}
    yield plot.powers("Memory", "messages", "MiB, the most behind any row", series)
    private = max(point.private for point in points if point.server == "pymaild")
    yield f"<p>The largest process of pymaild had {private:.1f} MiB of its own; the aim is "
    yield f"{PRIVATE_AIM:.0f} MiB.</p>"
