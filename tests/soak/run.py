"""A run: clients, phases of what is done to the server, and what came of it."""

from __future__ import annotations

import signal
import ssl
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from tests.machines.world import RECENT
from tests.support import grammar
from tests.support.imap import Imap
from tests.support.instance import Instance, instance
from tests.support.place import ROOT

from .actor import Actor, Stage
from .imap import SUBJECT, ImapActor, number_of
from .lmtp import LmtpActor
from .pop3 import PopActor
from .torment import Blow, Torment
from .truth import ASIDE, INBOX, Found

PASSWORD = "secret"
#: Of ten clients: what they are, in turn.
MIX = ("plain", "plain", "tls", "deflate", "lmtp", "plain", "tls", "pop3", "deflate", "pop3")
JOIN = 90.0  # seconds in which clients must come to an end


@dataclass(frozen=True)
class Phase:
    """``rate`` times a second ``what`` is done, for that many seconds."""

    name: str
    what: str
    rate: float
    seconds: float


@dataclass
class Outcome:
    """What a phase was like. Times are in milliseconds, moments seconds since it began."""

    name: str
    seconds: float = 0.0
    wishes: int = 0
    blows: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)  # "imap silent": connections that ended
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # messages: lost, doubled, ...
    losses: list[tuple[float, str, str, str]] = field(default_factory=list)  # each of those
    unreachable: int = 0
    wrong: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)  # moment, time of the answer
    recoveries: list[tuple[float, float]] = field(default_factory=list)  # moment, time

    def disconnections(self, *but: str) -> int:
        """Connections that the server ended, but for those that ended in one of these ways."""
        return sum(count for how, count in self.ends.items() if how.split()[1] not in but)

    def figures(self) -> dict[str, float]:
        """The numbers that stand for it."""
        waits = [wait for _, wait in self.waits]
        found = [time for _, time in self.recoveries]
        return {
            "answers a second": self.wishes / max(self.seconds, 1e-9),
            "blows": sum(self.blows.values()),
            "disconnections": self.disconnections("half"),
            "replies half sent": self.disconnections() - self.disconnections("half"),
            "answers wrong": len(self.wrong),
            "messages wrong": sum(self.faults.values()),
            "refused": sum(self.refused.values()),
            "answer median, ms": median(waits) if waits else 0.0,
            "answer p99, ms": percentile(waits),
            "recovery median, ms": median(found) if found else 0.0,
            "recovery p99, ms": percentile(found),
        }

    def data(self) -> dict[str, Any]:
        """All of it, for a file of JSON."""
        return vars(self) | {"figures": self.figures()}


def percentile(values: list[float]) -> float:
    """The 99th percentile, 0 of nothing."""
    return quantiles(values, n=100)[98] if len(values) > 1 else sum(values)


class Run:
    """Clients of one server, over several phases; what was promised holds to the end."""

    def __init__(self, target: Any, clients: int, think: float, tls: ssl.SSLContext) -> None:
        self.target = target
        self.stage = Stage(target.server, PASSWORD, think, tls)
        self.kinds = [MIX[number % len(MIX)] for number in range(clients)]

    def prepare(self) -> None:
        """Each user has a mailbox Aside."""
        self._actors()  # each makes its user known
        for user in self.stage.truths:
            with Imap(self.stage.server.imap).login(user, PASSWORD) as client:
                assert client.command(f"CREATE {ASIDE}").status in ("OK", "NO")
                client.ok("LOGOUT")

    def _actors(self) -> list[Actor]:
        return [make(self.stage, f"soak{number}", kind) for number, kind in enumerate(self.kinds)]

    def phase(self, phase: Phase) -> Outcome:
        """Let the clients work while it happens to the server, then look at all their mail."""
        actors, torment = self._actors(), Torment(self.target, phase.what, phase.rate)
        self.stage.over.clear()
        begin = time.monotonic()
        for actor in actors:
            actor.start()
        torment.start()
        time.sleep(phase.seconds)
        torment.stop()
        self.stage.over.set()
        seconds = time.monotonic() - begin
        for actor in actors:
            actor.join(JOIN)
        outcome = self._outcome(phase, begin, actors, torment)
        outcome.seconds = seconds
        self._check(outcome)
        return outcome

    def _outcome(
        self, phase: Phase, begin: float, actors: list[Actor], torment: Torment
    ) -> Outcome:
        outcome = Outcome(phase.name, failures=list(torment.failures))
        outcome.blows.update(blow.what for blow in torment.blows)
        for actor in actors:
            ledger = actor.ledger
            outcome.wishes += len(ledger.wishes)
            outcome.wrong += ledger.wrong
            outcome.wrong += [f"{actor.name} does not end"] * actor.is_alive()
            outcome.ends.update(f"{actor.kind} {how}" for _, how, _ in ledger.ends)
            outcome.losses += [(t - begin, actor.name, how, work) for t, how, work in ledger.ends]
            outcome.refused.update(ledger.refused)
            outcome.unreachable += ledger.unreachable
            outcome.waits += [(b - begin, (e - b) * 1000) for b, e, _ in ledger.wishes]
        users = {getattr(actor, "user", ""): actor for actor in actors}
        outcome.recoveries += list(_recoveries(torment.blows, users, begin))
        return outcome

    def _check(self, outcome: Outcome) -> None:
        """Compare all mail with what was promised."""
        for truth in self.stage.truths.values():
            with Imap(self.stage.server.imap, 60.0).login(truth.user, PASSWORD) as client:
                faults = truth.check(contents(client))
            outcome.faults += faults
            if faults:
                outcome.wrong.append(f"{truth.user}: {dict(faults)}")


def make(stage: Stage, user: str, kind: str) -> Actor:
    """A client of a kind."""
    if kind == "lmtp":
        return LmtpActor(stage, user)
    return PopActor(stage, user) if kind == "pop3" else ImapActor(stage, user, kind)


def contents(client: Imap) -> Found:
    """All messages of a user."""
    found: Found = {}
    for mailbox in (INBOX, ASIDE):
        client.ok(f"EXAMINE {mailbox}")
        for values in client.ok(f"UID FETCH 1:* (UID FLAGS {SUBJECT})").fetched().values():
            flags = frozenset(map(str, values["FLAGS"])) - {RECENT}
            number = number_of(values["BODY[HEADER.FIELDS (SUBJECT)]"])
            found[mailbox, int(values["UID"])] = (number, flags)
    return found


def _recoveries(
    blows: Iterable[Blow], users: dict[str, Actor], begin: float
) -> Iterator[tuple[float, float]]:
    """From each blow that hit a session to the next right answer that its client got.

    Where the client wanted nothing at that moment, from when it did.
    """
    for blow in blows:
        wishes = users[blow.user].ledger.wishes if blow.user in users else []
        after = [(start, end) for start, end, _ in wishes if end > blow.moment]
        if after:
            start, end = after[0]
            yield blow.moment - begin, (end - max(start, blow.moment)) * 1000


def names(clients: int) -> dict[str, str]:
    """The users of a run."""
    return {f"soak{number}": PASSWORD for number in range(clients)}


@contextmanager
def pymaild(clients: int, source: Path = ROOT, **settings: Any) -> Iterator[Instance]:
    """A server for a run, with processes that are soon found to hang."""
    with instance(names(clients), source) as server:
        server.settings["server"].update(
            {"workers_min": 8, "workers_max": 64, "hang_timeout": 7.0, "user_connections": 2000}
            | {"address_unauthenticated": 2000, "tls_processes": 2, "deflate_processes": 2}
            | settings
        )
        if source != ROOT:
            server.settings["server"].pop("crash_directory", None)  # an earlier one knows it not
        server.start()
        try:
            yield server
        finally:
            _end_successor(server)


def _end_successor(server: Instance) -> None:
    """End the master that an upgrade has put into the place of the one that was started."""
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        master = psutil.Process(server.control("status")["pid"])
        if server.process is None or master.pid != server.process.pid:
            family = [master, *master.children(recursive=True)]
            master.send_signal(signal.SIGINT)
            _, left = psutil.wait_procs(family, 20)
            for process in left:
                process.kill()


def lenient() -> ssl.SSLContext:
    """Clients' TLS: what is tested is not the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def lawful() -> bool:
    """Whether all replies kept the grammar."""
    return not grammar.unlawful()
