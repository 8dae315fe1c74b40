"""All sessions there are: those that a process runs, and those that are parked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pymaild.server import errands
from pymaild.server.board import FACTS
from pymaild.server.family import Family
from pymaild.server.parked import ANSWERED, CLOSED, PARKED, UNSAFE, WOKEN, Flag, RowState, Table
from pymaild.server.roles import KEEPER

Facts = dict[str, Any]

AT_ONCE = 64  # rows that are looked at before others get their turn: one or two milliseconds


class Census:
    """Counts and shows sessions; ``family`` are the processes, ``table`` the parked ones."""

    def __init__(self, family: Family, table: Table) -> None:
        self._family = family
        self._table = table

    def active(self) -> Iterator[Facts]:
        """Return each session that a process runs, with the number of that."""
        for child in self._family.children.values():
            facts = self._family.scoreboard.text(child.slot)
            if facts is not None:
                yield {**facts, "pid": child.pid}

    def groups(self) -> Iterator[list[Facts]]:
        """Return all sessions, some at a time. What moves meanwhile may come twice."""
        yield list(self.active())
        for start in range(0, self._table.top, AT_ONCE):
            yield list(self._parked(start, start + AT_ONCE))
        yield list(self.active())

    def _parked(self, start: int, end: int) -> Iterator[Facts]:
        """Return the sessions that wait in some rows, with the keeper's process number."""
        pid = next((child.pid for child in self._family.of(KEEPER)), 0)
        for row in self._table.used(start, end):
            facts = self._facts(row)
            if facts is not None:
                sends = self._table.head(row).flags & Flag.BACKLOG
                yield {**facts, **({"state": "sending"} if sends else {}), "pid": pid}

    def who(self) -> Iterator[list[Facts]]:
        """Return all sessions, some at a time, each once."""
        told: set[str] = set()
        for group in self.groups():
            yield [facts for facts in group if facts["id"] not in told]
            told.update(facts["id"] for facts in group)

    def _facts(self, row: int) -> Facts | None:
        """Read what is shown off an encoded record, for decoding it takes three times as long."""
        data = self._table.record(row)
        try:
            body = json.loads(errands.unpack_record(data or b""))
        except ValueError:  # it is changing: the session goes on in this very moment
            return None
        user, peer, tls = (body.get(name) or {} for name in ("user", "peer", "tls"))
        state = "idle" if body.get("idling") else body.get("state", "")
        values = user.get("name", ""), body.get("mailbox", ""), state, peer.get("address", "")
        rest = tls.get("version", ""), body.get("client", ""), body.get("started", 0.0)
        names = body.get("id", ""), body.get("protocol", "")
        return dict(zip(FACTS, (*names, *values, *rest), strict=True))

    def counts(self) -> dict[str, int]:
        """Return how many sessions each protocol has."""
        counted = Counter(facts["protocol"] for facts in self.active())
        counted.update(errands.NAMES[self._table.protocols[row]] for row in self._table.used())
        return {name: counted[name] for name in errands.NAMES}

    def waiting(self) -> dict[str, int]:
        """Return how many sessions are parked, how many have something to do, and how many of
        all would not outlive the keeper."""
        return {
            "silent": self._table.count_states(RowState.PARKED),
            "queued": self._table.count_states(RowState.QUEUED),
            "unsafe": self._table.numbers[UNSAFE],
        }

    def totals(self) -> dict[str, int]:
        """Return all counters since the start of the server."""
        totals, numbers = self._family.totals(), self._table.numbers
        totals["commands"] += numbers[ANSWERED]
        names = {"parked": PARKED, "woken": WOKEN, "left_while_parked": CLOSED}
        return totals | {name: numbers[place] for name, place in names.items()}

    def kick(self, wanted: Facts, text: str) -> Iterator[int]:
        """End the sessions of which all of ``wanted`` is true; yields how many at each step."""
        kicked: set[str] = set()
        for group in self.groups():
            found = [facts for facts in group if facts.items() >= wanted.items()]
            for pid in {facts["pid"] for facts in found}:
                ids = [facts["id"] for facts in found if facts["pid"] == pid]
                while not self._end(pid, ids, text):
                    yield 0
            before = len(kicked)
            kicked.update(facts["id"] for facts in found)
            yield len(kicked) - before

    def _end(self, pid: int, ids: list[str], text: str) -> bool:
        """Have a process end its sessions; false where it takes no more orders now."""
        child = self._family.children.get(pid)
        if child is None:
            return True
        if child.role is KEEPER:
            return child.channel.send({"verb": "end", "sessions": ids, "text": text})
        for session in ids:
            child.tell({"verb": "kick", "session": session, "text": text})
        return True
