"""What a parked session costs when it goes on: processor time of one round, in one process.

Run as ``python -m bench.resume [--small N] [--large N] [--rounds N] [--profile]``. A round is all
that a worker does between the keeper's parcel and the next one: the record is read, the session
resumed, its mailbox looked at, one command answered, and the session parked again. The size of
the mailbox must not matter.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import math
import pstats
import socket
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from pymaild.core.session import Ending
from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.settings import ImapSettings
from pymaild.net._journal import Journal
from pymaild.net.stream import SocketStream
from pymaild.server import parcels
from pymaild.server.parcels import unwrap
from pymaild.server.sessions import decode_record
from tests.support.sessions import Bench, Supervisor, bench

from .sync import fill

USER = "alice"
AIM = 0.5  # milliseconds
GREETED = 1 << 16
NOTIFY = (
    b"y NOTIFY SET (selected (MessageNew MessageExpunge)) "
    b"(personal (MailboxName MessageNew MessageExpunge))\r\n"
)


class Hurry(Supervisor):
    """Always has something to say, so that no session waits before it is parked."""

    def __init__(self) -> None:
        super().__init__()
        self.stir()

    def attend(self) -> None:
        pass


class Worker:
    """One session, and what a worker does with it again and again."""

    def __init__(self, made: Bench) -> None:
        self._services = made.services()
        self._supervisor = Hurry()
        self._ours, self.client = socket.socketpair()
        self._journal = Journal(made.journal, 0)
        fresh = made.record(protocol="imap", listener="imaps")
        self.parcel, self.files = parcels.wrap(fresh)

    def round(self, commands: bytes) -> float:
        """Let the session go on for these commands; returns the seconds of processor time."""
        self.client.send(commands)
        start = time.process_time()
        wait, encoded = unwrap(self.parcel, self.files)
        record = decode_record(encoded)
        record.wait = wait
        stream = SocketStream(self._ours, self._supervisor, 10.0, self._journal)
        stream.patience = _none
        stream.begin(record)
        ending = ImapSession(record, stream, self._services).run()
        assert ending is Ending.PARK
        self.parcel, self.files = parcels.wrap(record)
        self._journal.end()
        return time.process_time() - start

    def heard(self) -> bytes:
        return self.client.recv(GREETED)


def _none(silence: float) -> float:
    return 0.0


def _ways(worker: Worker) -> dict[str, Callable[[], float]]:
    return {
        "NOOP": lambda: worker.round(b"n NOOP\r\n"),
        "IDLE, NOOP": lambda: worker.round(b"DONE\r\nn NOOP\r\ni IDLE\r\n"),
        "NOTIFY, NOOP": lambda: worker.round(b"n NOOP\r\n"),
    }


def _prepare(worker: Worker, way: str) -> None:
    worker.round(b"l LOGIN alice secret\r\ns SELECT INBOX\r\n")
    begun = {"IDLE, NOOP": b"i IDLE\r\n", "NOTIFY, NOOP": NOTIFY}.get(way)
    if begun is not None:
        worker.round(begun)
    worker.heard()


def measure(count: int, rounds: int, profile: bool) -> dict[str, list[float]]:
    """Milliseconds of each round, by what it is, in a mailbox of so many messages."""
    found: dict[str, list[float]] = {}
    protocol = ImapRecord, ImapSession
    with TemporaryDirectory() as folder, bench(Path(folder), protocol, ImapSettings()) as made:
        fill(Path(made.user(USER).mail), count)
        made.add_user(USER)
        for way in ("NOOP", "IDLE, NOOP", "NOTIFY, NOOP"):
            worker = Worker(made)
            _prepare(worker, way)
            found[way] = _rounds(_ways(worker)[way], worker, rounds, profile)
    return found


def _rounds(work: Callable[[], float], worker: Worker, rounds: int, profile: bool) -> list[float]:
    for _ in range(20):
        work()
        worker.heard()
    gc.collect()
    seen = []
    profiler = cProfile.Profile()
    for _ in range(rounds):
        if profile:
            profiler.enable()
        seen.append(work() * 1000)
        profiler.disable()
        worker.heard()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
    return seen


def main() -> int:
    """Measure, tell; 1 where a round takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", type=int, default=10)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    worst = -math.inf
    for count in (asked.small, asked.large):
        for way, seen in measure(count, asked.rounds, asked.profile).items():
            ninth = quantiles(seen, n=10)[-1]
            print(f"{count:>8} messages  {way:12} {median(seen):6.3f} ms  9 in 10 {ninth:6.3f} ms")
            worst = max(worst, median(seen))
    return worst > AIM


if __name__ == "__main__":
    raise SystemExit(main())
