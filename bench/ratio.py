"""The table of ratios: pymaild beside Debian's Dovecot, the same mail, rounds in turn.

Run as ``python -m bench.ratio [--rounds N] [--only NAMES] [--more] [--quick] [--json FILE]
[--alone NAME]``. Both servers run as one unprivileged user, check PLAIN passwords of a
passwd-file and keep their defaults for fsync. ``rate`` is by the clock; ``processor`` is what the
server's processes spent on a unit, in microseconds, and its ratio is steadier on a busy machine.

``--against FOLDER`` compares with another checkout of pymaild, built there, in Dovecot's place:
what a change costs or saves.

The exit code is 1 where an aim was missed, 2 where the servers did not find the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.dovecot import dovecot
from tests.support.instance import instance

from .mail import MESSAGES, Mail, users
from .measure import SPAN, Disagreement, Figures, measure
from .rows import LARGE, MORE, ROWS, Row
from .work import Place

SPARE = 4  # login processes of Dovecot that wait, as many as pymaild has workers


@contextmanager
def servers(
    sizes: tuple[int, ...] = (), messages: int = MESSAGES, alone: str = "", against: str = ""
) -> Iterator[dict[str, Place]]:
    """The servers, running, each with its copy of the mail."""
    kinds: dict[str, Callable[..., Any]] = {"pymaild": instance}
    if against:
        kinds["earlier"] = partial(instance, source=Path(against).resolve())
    else:
        kinds["dovecot"] = partial(dovecot, spare=SPARE)
    with ExitStack() as stack:
        running = {}
        for name, make in kinds.items():
            if alone in ("", name):
                server = stack.enter_context(make(users(sizes)))
                (server.base / "mail").mkdir(exist_ok=True)
                if name != "dovecot":
                    server.settings["server"]["workers_min"] = SPARE
                mail = Mail(server, messages, sizes)
                server.start()
                running[name] = Place(server, mail)
        yield running


def line(row: Row, found: dict[str, Figures]) -> str:
    """One line of the table."""
    rates = "".join(f"{one.rate:14,.1f}" for one in found.values())
    costs = "".join(f"{one.cost:12,.4g}" for one in found.values())
    if len(found) == 1:
        return f"{row.name:22s}{rates}{costs}"
    (mine, other) = found.values()
    verdict = "ok" if reached(row, found) else "MISSED"
    shares = f"{mine.rate / other.rate:9.2f}{other.cost / max(mine.cost, 1e-9):9.2f}"
    return f"{row.name:22s}{rates}{costs}{shares}   >= {row.aim:4.1f} {verdict}"


def reached(row: Row, found: dict[str, Figures]) -> bool:
    """Whether the row has reached its aim; alone nothing is missed."""
    rates = [one.rate for one in found.values()]
    return len(rates) < 2 or rates[0] >= row.aim * rates[1]


def choose(options: argparse.Namespace) -> list[Row]:
    """The rows that were asked for."""
    rows = (*ROWS, *MORE) if options.more or options.only else ROWS
    words = options.only.split(",")
    return [row for row in rows if any(word in row.name for word in words)]


def head(names: list[str]) -> str:
    """The first line of the table."""
    rates = "".join(f"{name + '/s':>14s}" for name in names)
    costs = "".join(f"{'µs/unit':>12s}" for _ in names)
    return f"{'row':22s}{rates}{costs}" + "    ratio   by cpu      aim" * (len(names) > 1)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.ratio", description="Ratios to Dovecot.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--span", type=float, default=SPAN, help="seconds of a round")
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--only", default="", help="rows whose name contains one of these words")
    parser.add_argument("--more", action="store_true", help="rows without an aim of their own too")
    parser.add_argument("--alone", default="", choices=("", "pymaild", "dovecot"))
    parser.add_argument("--against", default="", help="another checkout, built, as the peer")
    parser.add_argument("--json", default="", help="a file for the figures")
    options = parser.parse_args()
    chosen = choose(options)
    large = any("mail" in row.user or "first" in row.name for row in chosen)
    worst = 0
    results: dict[str, Any] = {}
    sizes = (LARGE,) if large else ()
    with servers(sizes, options.messages, options.alone, options.against) as running:
        print(head(list(running)), flush=True)
        for row in chosen:
            try:
                found = measure(row, running, options.rounds, options.span)
            except (Disagreement, AssertionError, OSError) as error:
                print(f"{row.name:22s}failed: {error!r}", flush=True)
                worst = 2
                continue
            print(line(row, found), flush=True)
            worst = max(worst, not reached(row, found))
            results[row.name] = {name: one.data() for name, one in found.items()}
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    return worst


if __name__ == "__main__":
    sys.exit(main())
