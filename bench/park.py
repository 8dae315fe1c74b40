"""Ten thousand clients that idle: what they cost, and what those who work feel of them.

Run as ``python -m bench.park [--clients N] [--tls] [--alone NAME]``: pymaild with eight workers
and Debian's Dovecot with imap-hibernate, each by itself, one after the other, on the same mail.
Figures and plots go to bench/results. What they mean:

- starts: connects with LOGIN, SELECT and IDLE a second, 32 of them at a time;
- KiB a client: PSS of all processes, after it and before, over the number of clients;
- NOOP: the median round trip of a client at work, with nobody there and with all of them;
- news: from the OK of a delivery to the EXISTS on the socket of one who has been idle for long;
- waking: processor time of all processes for DONE, NOOP and IDLE of one who has been idle for
  long, and of one who did the same a moment before, in a mailbox of ten and of many messages;
- storm: one delivery to a mailbox that half of the clients watch, until the last of them is told,
  and NOOP of a client at work meanwhile.
"""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from tests.support import corpus, maildir
from tests.support.place import give

from . import plot
from .active import Active
from .crowd import Crowd, Guest
from .hosts import KINDS, USERS, users, watchers
from .mail import PASSWORD, message
from .raw import Address, ImapRaw, LmtpRaw
from .sync import fill as fill_with

WARM = 100  # clients that come and go before memory is measured
ROUNDS = 3
LARGE = 100_000  # messages of the large mailbox
SLEEPERS = 200  # clients in the large mailbox
RESULTS = Path(__file__).parent / "results"
LATE = 2.0  # seconds after which nobody waits for news any longer
NEWS_TIME = 90.0  # seconds for all news of a server
STORM_TIME = 60.0  # seconds in which a storm must be over
QUIET = 3.0  # seconds in which a client is parked, or hibernated

Figures = dict[str, float]


def _sleepers(clients: int) -> int:
    return min(SLEEPERS, clients // 5)


def _crowd(clients: int) -> Iterator[str]:
    """Whose mailboxes the clients watch: half of them one."""
    for number in range(clients):
        yield "watched" if number % 2 else f"user{number // 2 % USERS}"


def fill(server: Any, large: int) -> None:
    """Ten messages for each user, and many for one."""
    mail = tuple(corpus.list_mail(10))
    for user in users():
        if user != "large":
            corpus.save(maildir.make(server.maildir(user)), mail, 1_000_000)
    fill_with(server.maildir("large"), large)
    give(server.base / "mail")


def family(server: Any) -> list[psutil.Process]:
    """The master and all below it."""
    master = psutil.Process(server.process.pid)
    return [master, *master.children(recursive=True)]


def memory(server: Any) -> float:
    """PSS of all processes, KiB."""
    total = 0
    for process in family(server):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1024


def processor(server: Any) -> float:
    """Seconds of processor time that all processes have used, those that ended too."""
    spent = 0.0
    for process in family(server):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    return spent


def noop(address: Address, times: int = 400) -> float:
    """The median of a NOOP's round trip, milliseconds."""
    client = ImapRaw(address, "active", PASSWORD)
    client.ask(b"SELECT INBOX")
    found = []
    for _ in range(times):
        start = time.perf_counter()
        client.ask(b"NOOP")
        found.append((time.perf_counter() - start) * 1000)
    client.close()
    return median(found)


def news(server: Any, crowd: Crowd) -> list[float]:
    """Milliseconds from the OK of a delivery to the EXISTS of a client that has long been idle.

    Who was told before the deliverer counts as told at once, who was not told in time as LATE.
    """
    lmtp = LmtpRaw(server.lmtp)
    end = time.monotonic() + NEWS_TIME
    found = []
    for name in watchers() * ROUNDS:
        if name == "watcher0":
            time.sleep(QUIET)
        if time.monotonic() < end:
            found.append(_told(lmtp, crowd, name) * 1000)
    lmtp.close()
    return found


def _told(lmtp: LmtpRaw, crowd: Crowd, name: str) -> float:
    (guest,) = crowd.of(name)
    crowd.forget(guest)
    lmtp.deliver(name.encode(), message(2000))
    start = time.perf_counter()
    told = crowd.hear([guest], b"EXISTS", LATE)
    return told[0] - start if told else LATE


def waking(server: Any, crowd: Crowd, guests: list[Guest]) -> float:
    """Milliseconds of processor time for DONE, NOOP and IDLE of each of these clients."""
    before = processor(server)
    for guest in guests:
        guest.socket.sendall(b"DONE\r\nd NOOP\r\ne IDLE\r\n")
        crowd.hear([guest], b"+ ")
    return (processor(server) - before) / len(guests) * 1000


def wakings(server: Any, crowd: Crowd, kinds: dict[str, list[Guest]]) -> Figures:
    """What waking costs in mailboxes of each size, and the same work without it."""
    found = {}
    for name, guests in kinds.items():
        time.sleep(QUIET)
        found[f"waking, {name}, ms of processor"] = waking(server, crowd, guests)
    guest = kinds["small"][0]
    found["the same, awake, ms of processor"] = waking(server, crowd, [guest] * len(kinds["small"]))
    return found


def storm(server: Any, address: Address, crowd: Crowd) -> tuple[Figures, list[float]]:
    """One delivery to a mailbox that many watch; also milliseconds until each was told."""
    time.sleep(QUIET)
    guests = crowd.of("watched")
    lmtp = LmtpRaw(server.lmtp)
    with Active(address, "active", PASSWORD) as active:
        time.sleep(0.5)
        calm = active.taken()
        lmtp.deliver(b"watched", message(2000))
        start = time.perf_counter()
        told = [(moment - start) * 1000 for moment in crowd.hear(guests, b"EXISTS", STORM_TIME)]
        meanwhile = active.taken()
    lmtp.close()
    return {
        "storm, clients": len(guests),
        "storm, never told": len(guests) - len(told),
        "storm, median told, ms": median(told),
        "storm, all told, ms": max(told),
        "storm, NOOP before, ms": median(calm),
        "storm, NOOP meanwhile, ms": median(meanwhile or calm),
        "storm, NOOP meanwhile p99, ms": percentile(meanwhile or calm),
    }, told


def percentile(values: list[float]) -> float:
    """The 99th percentile."""
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]


def measure(server: Any, clients: int, tls: bool) -> dict[str, Any]:
    """All figures of one server, and the values behind the plots."""
    address = server.addresses["imaps"] if tls else server.imap
    with ExitStack() as stack:
        crowd = Crowd(address, PASSWORD, _context() if tls else None)
        stack.callback(crowd.close)
        warm = noop(server.imap)
        _warm(address, tls)
        empty = memory(server)
        sleepers = _sleepers(clients)
        crowd.gather(["large"] * sleepers)
        seconds = crowd.gather(_crowd(clients - sleepers))
        time.sleep(2 * QUIET)
        each = (memory(server) - empty) / clients
        busy = noop(server.imap)
        crowd.gather(watchers())
        told = news(server, crowd)
        kinds = {"small": crowd.of(*(f"user{n}" for n in range(USERS)))[:SLEEPERS]}
        costs = wakings(server, crowd, kinds | {"large": crowd.of("large")})
        stormy, spread = storm(server, server.imap, crowd)
        figures = {
            "starts a second": (clients - sleepers) / seconds,
            "KiB a client": each,
            "NOOP before, ms": warm,
            "NOOP after, ms": busy,
            "news median, ms": median(told),
            "news p99, ms": percentile(told),
            "news, later than 2 s": sum(value >= LATE * 1000 for value in told),
        }
        return {"figures": figures | costs | stormy, "news": told, "storm": spread}


def _warm(address: Address, tls: bool) -> None:
    """Every process has served somebody, and the large mailbox has its index."""
    crowd = Crowd(address, PASSWORD, _context() if tls else None)
    crowd.gather(["large"], 1)
    crowd.gather(_crowd(WARM))
    time.sleep(QUIET)
    crowd.close()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


#: What is wanted of pymaild; where it depends on TLS, the second is with it.
AIMS: dict[str, tuple[float, float]] = {
    "starts a second": (2000.0, 2000.0),
    "KiB a client": (2.0, 20.0),
    "news p99, ms": (10.0, 10.0),
    "waking, small, ms of processor": (0.5, 0.5),
    "waking, large, ms of processor": (0.5, 0.5),
}


def plots(results: dict[str, Any], tls: bool) -> Iterator[str]:
    """A bar plot of each figure, and how news and the storm were spread."""
    names = next(iter(results.values()))["figures"]
    for name in names:
        rows = {kind: found["figures"][name] for kind, found in results.items()}
        yield plot.bars(name, "", rows, AIMS[name][tls] if name in AIMS else None)
    for name in ("news", "storm"):
        series = {kind: plot.shares(found[name]) for kind, found in results.items()}
        yield plot.lines(name, "ms", "% told", series)


def save(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Keep figures and plots in bench/results."""
    RESULTS.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = RESULTS / f"park-{moment}.json"
    path.write_text(json.dumps(vars(options) | results, indent=1))
    title = f"{options.clients:,} idle clients{', TLS' * options.tls}"
    path.with_suffix(".html").write_text(plot.page(title, plots(results, options.tls)))
    print(path.with_suffix(".html"))


def main() -> int:
    """Measure, print the figures, keep them in bench/results."""
    parser = argparse.ArgumentParser(prog="bench.park", description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=LARGE)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--alone", default="", choices=["", *KINDS])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and the servers with it
    results: dict[str, Any] = {}
    for name, make in KINDS.items():
        if options.alone in ("", name):
            with make() as server:
                fill(server, options.large)
                server.start()
                results[name] = measure(server, options.clients, options.tls)
            for figure, value in results[name]["figures"].items():
                print(f"{name:10s}{figure:36s}{value:12.2f}", flush=True)
    save(results, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
