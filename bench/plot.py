"""Plots as SVG, written by hand: bars beside each other, and lines over time.

A page needs nothing but this text: no script, no font, no other file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import cycle, pairwise

Points = Sequence[tuple[float, float]]

WIDTH, ROW, MARGIN = 760, 26, 220
HEIGHT, BOTTOM = 260, 40
COLOURS = ("#2b6cb0", "#c05621", "#4a5568", "#2f855a", "#805ad5", "#b83280")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 sans-serif; max-width: 60em; margin: 2em auto; color: #1a202c; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .2em .8em; border-bottom: 1px solid #cbd5e0; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
</style></head><body>
{body}
</body></html>
"""


def number(value: float) -> str:
    """A number as people read it: three digits that matter."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "-"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _text(x: float, y: float, words: str, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' * bold
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#cbd5e0") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        'stroke-dasharray="3 3"/>'
    )


def _picture(height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" font-family="sans-serif" font-size="13">{"".join(parts)}</svg>'
    )


def bars(title: str, unit: str, rows: Mapping[str, float], aim: float | None = None) -> str:
    """One bar for each row; ``aim`` is a dashed line across all of them."""
    return _picture(ROW * (len(rows) + 2), _bars(title, unit, rows, aim))


def _bars(title: str, unit: str, rows: Mapping[str, float], aim: float | None) -> Iterator[str]:
    most = max([*rows.values(), aim or 0.0, 1e-9])
    scale = (WIDTH - MARGIN - 90) / most
    yield _text(0, 16, f"{title} ({unit})" if unit else title, bold=True)
    for place, ((name, value), colour) in enumerate(zip(rows.items(), cycle(COLOURS)), 1):
        top = place * ROW
        yield _text(MARGIN - 8, top + 17, name, "end")
        yield (
            f'<rect x="{MARGIN}" y="{top + 3}" width="{max(value * scale, 1):.1f}" '
            f'height="{ROW - 6}" fill="{colour}"/>'
        )
        yield _text(MARGIN + value * scale + 6, top + 17, number(value))
    if aim is not None:
        x, end = MARGIN + aim * scale, ROW * (len(rows) + 1)
        yield _line(x, ROW, x, end, "#1a202c")
        yield _text(x, end + 14, f"aim {number(aim)}", "middle")


def lines(title: str, across: str, up: str, series: Mapping[str, Points]) -> str:
    """A line for each series of points; ``across`` and ``up`` name the axes with their units."""
    return _picture(HEIGHT + BOTTOM + ROW, _lines(title, across, up, series))


def _lines(title: str, across: str, up: str, series: Mapping[str, Points]) -> Iterator[str]:
    points = [point for row in series.values() for point in row] or [(0.0, 0.0)]
    right, top = (max(max(values), 1e-9) for values in zip(*points, strict=True))
    left, height = 70, HEIGHT - ROW
    yield _text(0, 16, f"{title}: {up} over {across}", bold=True)
    for part in range(5):
        y = HEIGHT - height * part / 4
        x = left + (WIDTH - left - 20) * part / 4
        yield _line(left, y, WIDTH - 20, y)
        yield _text(left - 8, y + 4, number(top * part / 4), "end")
        yield _text(x, HEIGHT + 18, number(right * part / 4), "middle")
    for place, ((name, row), colour) in enumerate(zip(series.items(), cycle(COLOURS))):
        spots = " ".join(
            f"{left + (WIDTH - left - 20) * x / right:.1f},{HEIGHT - height * y / top:.1f}"
            for x, y in row
        )
        yield f'<polyline points="{spots}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield f'<g fill="{colour}">{_text(left + place * 170, HEIGHT + 42, name)}</g>'


def powers(title: str, across: str, up: str, series: Mapping[str, Points]) -> str:
    """As :func:`lines`, both axes by powers of ten: a slope of one is what grows in proportion."""
    return _picture(HEIGHT + BOTTOM + ROW, _powers(title, across, up, series))


def _powers(title: str, across: str, up: str, series: Mapping[str, Points]) -> Iterator[str]:
    points = [point for row in series.values() for point in row if min(point) > 0] or [(1.0, 1.0)]
    sides = []
    for values in zip(*points, strict=True):
        low = math.floor(math.log10(min(values)))
        sides.append((low, max(low + 1, math.ceil(math.log10(max(values)) - 1e-9))))
    (left, right), (bottom, top) = sides
    width, height = WIDTH - 100, HEIGHT - ROW

    def x(value: float) -> float:
        return 80 + width * (math.log10(value) - left) / (right - left)

    def y(value: float) -> float:
        return HEIGHT - height * (math.log10(value) - bottom) / (top - bottom)

    yield _text(0, 16, f"{title}: {up} over {across}", bold=True)
    for power in range(bottom, top + 1):
        yield _line(80, y(10.0**power), 80 + width, y(10.0**power))
        yield _text(72, y(10.0**power) + 4, number(10.0**power), "end")
    for power in range(left, right + 1):
        yield _text(x(10.0**power), HEIGHT + 18, number(10.0**power), "middle")
    for place, ((name, row), colour) in enumerate(zip(series.items(), cycle(COLOURS))):
        spots = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in row if min(a, b) > 0)
        yield f'<polyline points="{spots}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield f'<g fill="{colour}">{_text(80 + place * 170, HEIGHT + 42, name)}</g>'


def shares(values: Iterable[float]) -> list[tuple[float, float]]:
    """Values as a distribution: (value, percent of all that are not greater)."""
    ordered = sorted(values)
    return [(value, 100 * place / len(ordered)) for place, value in enumerate(ordered, 1)]


def steps(points: Points) -> list[tuple[float, float]]:
    """Points joined by steps, as a count goes up."""
    found = [step for (_, y), (x2, y2) in pairwise(points) for step in ((x2, y), (x2, y2))]
    return [*points[:1], *found]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of HTML."""
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    first = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{first}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def page(title: str, parts: Iterable[str]) -> str:
    """One page of HTML with these parts."""
    return _PAGE.format(title=escape(title), body="\n".join(parts))
