"""The table of ratios: pymaild beside Debian's Dovecot, the same mail, rounds in turn.

Run as ``python -m bench.ratio [--rounds N] [--only NAMES] [--more] [--quick] [--report]
[--json FILE] [--alone NAME]``. Rates are by the clock; beside them stands what the server's
processes spent on a unit, in microseconds of processor time, whose ratio (``by cpu``) is steadier
on a busy machine. ``--report`` measures at several sizes of the mailbox too, looks what the time
goes to where an aim was missed, and writes a page into bench/results.

``--against FOLDER`` compares with another checkout of pymaild, built there, in Dovecot's place:
what a change costs or saves.

The exit code is 1 where an aim was missed, 2 where a row has no figure: a server failed, or both
did not find the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from . import growth
from . import idle as idling
from .mail import MESSAGES, sized
from .measure import SPAN, Disagreement, family, measure, pss
from .page import Found, Results, page, ratios, reached
from .peers import servers, settings, surroundings
from .profiles import profile
from .rows import LARGE, MORE, ROWS, Row
from .work import Place

RESULTS = Path(__file__).parent / "results"
MEMORY_AIM = 80.0  # MiB PSS of an idle pymaild
FAILURES = (Disagreement, AssertionError, OSError, RuntimeError)


def choose(options: argparse.Namespace) -> list[Row]:
    """The rows that were asked for."""
    rows = (*ROWS, *MORE) if options.more or options.only else ROWS
    words = options.only.split(",")
    return [
        row
        for row in rows
        if any(word in row.name for word in words) and not (options.quick and row.slow)
    ]


def head(names: list[str]) -> str:
    """The first line of the table."""
    rates = "".join(f"{name + '/s':>14s}" for name in names)
    costs = "".join(f"{'µs/unit':>12s}" for _ in names)
    return f"{'row':22s}{rates}{costs}" + "    ratio   by cpu      aim" * (len(names) > 1)


def lines(row: Row, found: Found) -> Iterator[str]:
    """What the table says of a row."""
    rates = "".join(f"{one.rate:14,.1f}" for one in found.values())
    costs = "".join(f"{one.cost:12,.4g}" for one in found.values())
    verdict = ""
    if len(found) == 2:
        mine, other = found.values()
        verdict = f"{mine.rate / other.rate:9.2f}{other.cost / max(mine.cost, 1e-9):9.2f}"
        verdict += f"   >= {row.aim:4.1f} {'ok' if reached(row, found) else 'MISSED'}"
    yield f"{row.name:22s}{rates}{costs}{verdict}"
    if any(one.p99 for one in found.values()):
        waits = "".join(f"{one.p99:14,.2f}" for one in found.values())
        share = f"{' ' * 12 * len(found)}{ratios(found)[1]:9.2f}" if len(found) == 2 else ""
        yield f"{'  p99, ms':22s}{waits}{share}"


class Run:
    """One run: its results, and what is told on the way."""

    def __init__(self, options: argparse.Namespace, places: dict[str, Place]) -> None:
        self._options = options
        self._places = places
        self.results = Results(surroundings(places), settings(places))

    def idle(self) -> None:
        """Memory before anybody has come."""
        self.results.memory = {name: pss(family(p.server)) for name, p in self._places.items()}
        sizes = ", ".join(f"{name} {size:.1f} MiB" for name, size in self.results.memory.items())
        mine = self.results.memory.get("pymaild", 0.0)
        verdict = "ok" if mine < MEMORY_AIM else "MISSED"
        self.results.notes.append(f"idle memory (PSS): {sizes}   < {MEMORY_AIM:.0f} MiB {verdict}")

    def row(self, row: Row) -> Iterator[str]:
        """Measure one row."""
        try:
            found = measure(row, self._places, self._options.rounds, self._options.span)
        except FAILURES as error:
            self.results.failed.append(f"{row.name}: {error!r}")
            yield f"{row.name:22s}NO FIGURE: {error!r}"
            return
        self.results.rows.append((row, found))
        yield from lines(row, found)

    def news(self) -> Iterator[str]:
        """How soon one who idles is told."""
        for text in idling.table({name: place.server for name, place in self._places.items()}):
            self.results.notes.append(text)
        yield from self.results.notes

    def grow(self, sizes: tuple[int, ...]) -> Iterator[str]:
        """Rows at several sizes."""
        for point in growth.table(self._places, growth.rows(self._options.only), sizes):
            if isinstance(point, growth.Point):
                self.results.growth.append(point)
                yield growth.line(point)
            else:
                self.results.failed.append(point)
                yield f"NO FIGURE: {point}"

    def explain(self) -> Iterator[str]:
        """What the time of missed rows goes to."""
        for row, found in self.results.rows:
            if not reached(row, found):
                try:
                    self.results.profiles[row.name] = profile(row, self._places["pymaild"])
                except FAILURES as error:
                    self.results.profiles[row.name] = repr(error)
                yield f"{row.name:22s}{self.results.profiles[row.name]}"

    def write(self) -> Iterator[str]:
        """Keep the figures, and the page where it was asked for."""
        self._options.results.mkdir(exist_ok=True)
        path = self._options.results / f"bench-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        text = json.dumps(self.results.data(), indent=1)
        for where in (path, Path(self._options.json or path)):
            where.write_text(text)
        if self._options.report:
            path.with_suffix(".html").write_text(page(self.results))
            yield str(path.with_suffix(".html"))


def steps(run: Run, options: argparse.Namespace, sizes: tuple[int, ...]) -> Iterator[str]:
    """All that a run tells, as soon as it is known."""
    chosen = choose(options)
    run.idle()
    for row in chosen:
        yield from run.row(row)
    if not options.only and not options.against:
        yield from run.news()
    if options.report:
        yield from run.grow(sizes)
        yield from run.explain()
    yield from run.write()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.ratio", description="Ratios to Dovecot.")
    parser.add_argument("--rounds", type=int, default=0, help="5, or 3 of a quick run")
    parser.add_argument("--span", type=float, default=SPAN, help="seconds of a round")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="in INBOX")
    parser.add_argument("--only", default="", help="rows whose name contains one of these words")
    parser.add_argument("--more", action="store_true", help="rows that are not in the first table")
    parser.add_argument("--quick", action="store_true", help="without what takes long")
    parser.add_argument("--report", action="store_true", help="growth, profiles, a page of HTML")
    parser.add_argument("--million", action="store_true", help="growth up to a million messages")
    parser.add_argument("--alone", default="", choices=("", "pymaild", "dovecot"))
    parser.add_argument("--against", default="", help="another checkout, built, as the peer")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for figures, page")
    parser.add_argument("--json", default="", help="another file for the figures")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    return options


def main() -> int:
    """Measure and print."""
    options = parse()
    sizes = growth.SIZES[: 2 if options.quick else None] if options.report else ()
    sizes += (growth.MILLION,) * (options.report and options.million)
    large = (LARGE,) if any(row.user == sized(LARGE) for row in choose(options)) else ()
    there = tuple(dict.fromkeys((*sizes, *large)))
    with servers(there, options.messages, options.alone, options.against) as running:
        print(head(list(running)), flush=True)
        run = Run(options, running)
        for text in steps(run, options, sizes):
            print(text, flush=True)
    return run.results.code


if __name__ == "__main__":
    sys.exit(main())
