"""The table of ratios: pymaild beside Debian's Dovecot, the same mail, rounds in turn.

Run as ``python -m bench.ratio [--rounds N] [--only NAME] [--alone dovecot]``; writes the table
to bench/results too. Both servers run as one unprivileged user, check PLAIN passwords of a
passwd-file and keep their defaults for fsync.

``--against FOLDER`` compares with another checkout of pymaild, built there, in Dovecot's place:
what a change costs or saves.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.support import corpus, maildir
from tests.support.dovecot import dovecot
from tests.support.instance import instance
from tests.support.place import give

from . import idle as idling
from .rows import PASSWORD, ROWS, USER, Row

USERS = {USER: PASSWORD, "bob": PASSWORD, "carol": PASSWORD}
RESULTS = Path(__file__).parent / "results"
MEMORY_AIM = 80.0  # MiB PSS of an idle instance with 8 workers


def fill(server: Any, limit: int) -> None:
    """The list's mail in INBOX, some of it in Lists; flags in a fixed pattern."""
    inbox = maildir.make(server.maildir(USER))
    for number, message in enumerate(corpus.list_mail(limit)):
        flags = ("", "S", "S", "RS", "FS")[number % 5]
        name = f"{1700000000 + number}.M{number}P1.bench,S={len(message)}"
        (inbox / "cur" / f"{name}:2,{flags}").write_bytes(message)
    corpus.save(maildir.make(inbox / ".Lists"), corpus.list_mail(limit)[:200], 1_000_000)
    maildir.make(inbox / ".Drop")
    corpus.save(maildir.make(server.maildir("bob")), corpus.list_mail(limit)[:10], 2_000_000)
    maildir.make(server.maildir("carol"))
    give(server.base / "mail")


def empty(server: Any) -> None:
    """Take away what the writing rows left, so that each round finds the same."""
    for folder in (server.maildir(USER) / ".Drop", server.maildir("carol")):
        for path in maildir.files(folder):
            path.unlink()


@contextmanager
def servers(limit: int, alone: str, against: str) -> Iterator[dict[str, Any]]:
    """Both servers, running, each with its copy of the mail."""
    kinds: dict[str, Callable[..., Any]] = {"pymaild": instance}
    if against:
        kinds["earlier"] = partial(instance, source=Path(against).resolve())
    else:
        kinds["dovecot"] = partial(dovecot, spare=4)
    with ExitStack() as stack:
        running = {}
        for name, make in kinds.items():
            if alone in ("", name):
                server = stack.enter_context(make(USERS))
                (server.base / "mail").mkdir(exist_ok=True)
                fill(server, limit)
                if name != "dovecot":
                    server.settings["server"].update(workers_min=8, workers_spare=2)
                server.start()
                running[name] = server
        yield running


def measure(row: Row, running: dict[str, Any], rounds: int) -> dict[str, float]:
    """Units a second of each server: the median of rounds taken in turn, after one to warm up."""
    with ExitStack() as stack:
        work = {name: row.prepare(server, stack) for name, server in running.items()}
        rates: dict[str, list[float]] = {name: [] for name in work}
        for number in range(rounds + 1):
            for name, one in work.items():
                start = time.perf_counter()
                units = one()
                if number:
                    rates[name].append(units / (time.perf_counter() - start))
                if row.name.startswith(("append", "lmtp")):
                    empty(running[name])
    return {name: median(found) for name, found in rates.items()}


def pss(pids: list[psutil.Process]) -> float:
    """Proportional memory of processes, MiB."""
    return float(sum(process.memory_full_info().pss for process in pids)) / (1 << 20)


def memory(running: dict[str, Any]) -> dict[str, float]:
    """PSS of each idle server."""
    return {name: pss(_family(server)) for name, server in running.items()}


def _family(server: Any) -> list[psutil.Process]:
    master = psutil.Process(server.process.pid)
    return [master, *master.children(recursive=True)]


def line(name: str, found: dict[str, float], aim: float) -> str:
    """One line of the table."""
    mine = found.get("pymaild")
    other = next((value for kind, value in found.items() if kind != "pymaild"), None)
    ratio = mine / other if mine and other else None
    verdict = "" if ratio is None else ("ok" if ratio >= aim else "MISSED")
    cells = [f"{value:12,.1f}" if value else " " * 12 for value in (mine, other)]
    shown = f"{ratio:8.2f}" if ratio else " " * 8
    return f"{name:26s}{cells[0]}{cells[1]}{shown}   >= {aim:4.2f} {verdict}"


def report(running: dict[str, Any], chosen: list[Row], rounds: int) -> Iterator[str]:
    """The lines of the table, each as soon as it is known."""
    yield f"{'row':26s}" + "".join(f"{name + '/s':>12s}" for name in running) + "   ratio      aim"
    idle = memory(running)
    results: dict[str, Any] = {}
    for row in chosen:
        results[row.name] = measure(row, running, rounds)
        yield line(row.name, results[row.name], row.aim)
    if len(chosen) == len(ROWS) and "earlier" not in running:
        yield from idling.table(running)
    mine = idle.get("pymaild", 0.0)
    verdict = "ok" if mine < MEMORY_AIM else "MISSED"
    sizes = ", ".join(f"{name} {size:.1f} MiB" for name, size in idle.items())
    yield f"{'idle memory (PSS)':26s}{sizes}   < {MEMORY_AIM:.0f} MiB {verdict}"
    results["memory"] = idle
    save(results)


def save(results: dict[str, Any]) -> None:
    """Keep the numbers for later comparison."""
    RESULTS.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    (RESULTS / f"{stamp}.json").write_text(json.dumps(results, indent=1))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Ratios to Dovecot.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=0, help="0: the whole corpus")
    parser.add_argument("--only", default="", help="rows whose name contains one of these words")
    parser.add_argument("--alone", default="", choices=("", "pymaild", "dovecot"))
    parser.add_argument("--against", default="", help="another checkout, built, as the peer")
    options = parser.parse_args()
    chosen = [row for row in ROWS if any(word in row.name for word in options.only.split(","))]
    with servers(options.messages, options.alone, options.against) as running:
        for text in report(running, chosen, options.rounds):
            print(text, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
