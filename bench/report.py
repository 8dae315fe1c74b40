"""What it is worth that sessions outlive their worker: one page of HTML, `make report`.

Run as ``python -m bench.report [--clients N] [--seconds N] [--rate N]``: pymaild, pymaild whose
sessions die with their worker (`server.keeper = false`), and Debian's Dovecot under the same load
and the same faults. Clients with a model of what they must see (tests/soak) work for a while
undisturbed, then while processes that serve them are killed with SIGKILL. Dovecot's faults hit
its imap processes, pymaild's its workers, which serve POP3 and LMTP too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from tests.soak.run import Outcome, Phase, Run, lenient, names, percentile, pymaild
from tests.soak.torment import Dovecot, Pymaild
from tests.support.dovecot import dovecot

from . import plot
from .hosts import dovecot_tls

RESULTS = Path(__file__).parent / "results"
MOST_POINTS = 2000  # of a line of a plot

_MORE = """
protocol imap {
  mail_plugins = imap_zlib
}
mail_max_userip_connections = 0
service imap-login {
  service_count = 0
}
service pop3-login {
  service_count = 0
}
"""


@contextmanager
def _dovecot(clients: int) -> Iterator[Any]:
    with (
        dovecot_tls() as (more, addresses),
        dovecot(names(clients), spare=4, more=_MORE + more) as server,
    ):
        server.addresses = {"imap": server.imap} | addresses  # type: ignore[attr-defined]
        server.start()
        yield Dovecot(server, stops=False)


@contextmanager
def _pymaild(clients: int, keeper: bool) -> Iterator[Any]:
    workers = 8 if keeper else clients  # each session has its own, and need not wait for it
    with pymaild(clients, keeper=keeper, workers_min=workers, workers_max=2 * clients) as server:
        yield Pymaild(server, stops=False)


ON, OFF, PEER = "pymaild", "pymaild, keeper off", "Dovecot"
KINDS: dict[str, Callable[[int], Any]] = {
    ON: lambda clients: _pymaild(clients, True),
    OFF: lambda clients: _pymaild(clients, False),
    PEER: _dovecot,
}


def measure(target: Any, options: argparse.Namespace) -> list[Outcome]:
    """A calm time and one with faults."""
    run = Run(target, options.clients, options.think, lenient())
    run.prepare()
    return [
        run.phase(Phase("calm", "", 0, options.seconds / 2)),
        run.phase(Phase("faults", "worker", options.rate, options.seconds)),
    ]


#: Rows of the page's first table, and which way is the better one.
ROWS: dict[str, Callable[[Outcome], float]] = {
    "faults": lambda one: sum(one.blows.values()),
    "connections lost": lambda one: one.disconnections("half"),
    "connections lost for a reply half sent": lambda one: (
        one.disconnections() - one.disconnections("half")
    ),
    "wrong answers": lambda one: len(one.wrong),
    "messages lost, doubled or renumbered": lambda one: sum(one.faults.values()),
    "answers a second": lambda one: one.wishes / one.seconds,
    "answer, median ms": lambda one: one.figures()["answer median, ms"],
    "answer, p99 ms": lambda one: one.figures()["answer p99, ms"],
    "recovery, median ms": lambda one: one.figures()["recovery median, ms"],
    "recovery, p99 ms": lambda one: one.figures()["recovery p99, ms"],
}


def parts(results: dict[str, list[Outcome]], options: argparse.Namespace) -> Iterator[str]:
    """The page from top to bottom."""
    calm, faults = ({kind: found[n] for kind, found in results.items()} for n in (0, 1))
    yield "<h1>Sessions that outlive their worker</h1>"
    yield (
        f"<p>{options.clients} clients (IMAP plain, with TLS and compressed, POP3, LMTP), each "
        f"with a wish every {options.think} s; {options.rate} processes killed a second, for "
        f"{options.seconds:.0f} s. {platform.system()}, {os.cpu_count()} processors, load "
        f"{os.getloadavg()[1]:.1f}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. The clients run on "
        "the same machine.</p>"
    )
    yield "<h2>Under faults</h2>" + _table(faults)
    yield "<h2>Undisturbed</h2>" + _table(calm)
    yield "<h2>Reliability</h2>"
    lost = {kind: one.disconnections() for kind, one in faults.items()}
    yield plot.bars("Connections lost", "all", lost)
    losses = {kind: _lost(one) for kind, one in faults.items()}
    yield plot.lines("Connections lost so far", "s", "connections", losses)
    yield "<h2>Response time</h2>"
    for title, found in (("undisturbed", calm), ("under faults", faults)):
        for name, share in (("median", 0.5), ("p99", 0.99)):
            bars = {kind: _quantile(one.waits, share) for kind, one in found.items()}
            yield plot.bars(f"Answer {title}, {name}", "ms", bars)
    yield plot.lines("Answers under faults", "ms", "% answered", _shares(faults, "waits"))
    yield "<h2>Recovery</h2><p>From a fault to the client's next right answer, or from the moment "
    yield "when it wanted one, if that was later.</p>"
    bars = {kind: _quantile(one.recoveries, 0.5) for kind, one in faults.items()}
    yield plot.bars("Recovery, median", "ms", bars)
    yield plot.lines("Recovery", "ms", "% recovered", _shares(faults, "recoveries"))


def _table(found: dict[str, Outcome]) -> str:
    rows = (
        [name, *(plot.number(row(one)) for one in found.values())] for name, row in ROWS.items()
    )
    return plot.table(["", *found], rows)


def _quantile(points: list[tuple[float, float]], share: float) -> float:
    values = sorted(value for _, value in points)
    return percentile(values) if share > 0.9 else values[int(len(values) * share)] if values else 0


def _shares(found: dict[str, Outcome], name: str) -> dict[str, plot.Points]:
    """The distribution of each, up to the largest p99 of them."""
    most = max(_quantile(getattr(one, name), 0.99) for one in found.values())
    series = {}
    for kind, one in found.items():
        points = [(x, y) for x, y in plot.shares(v for _, v in getattr(one, name)) if x <= most]
        series[kind] = list(islice(points, 0, None, max(1, len(points) // MOST_POINTS)))
    return series


def _lost(outcome: Outcome) -> plot.Points:
    moments = sorted(moment for moment, *_ in outcome.losses)
    counts = [(moment, float(number)) for number, moment in enumerate(moments, 1)]
    return plot.steps([(0.0, 0.0), *counts, (outcome.seconds, float(len(moments)))])


def main() -> int:
    """Measure all, write the page, say where it is."""
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--think", type=float, default=1.0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and the servers with it
    results: dict[str, list[Outcome]] = {}
    for kind, make in KINDS.items():
        with make(options.clients) as target:
            results[kind] = measure(target, options)
        for name, row in ROWS.items():
            values = "".join(f"{row(one):12.1f}" for one in results[kind])
            print(f"{kind:22s}{name:42s}{values}", flush=True)
        for one in results[kind]:
            print("\n".join(one.wrong[:2]))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"report-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
    path.write_text(plot.page("Sessions that outlive their worker", parts(results, options)))
    data = {kind: [one.data() for one in found] for kind, found in results.items()}
    path.with_suffix(".json").write_text(json.dumps(data))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
