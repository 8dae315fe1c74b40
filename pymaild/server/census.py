"""All sessions there are: those that a process runs, and those that are parked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pymaild.server import errands
from pymaild.server.board import FACTS
from pymaild.server.channel import Message
from pymaild.server.family import Child, Family
from pymaild.server.parked import ANSWERED, CLOSED, PARKED, UNSAFE, WOKEN, Flag, RowState, Table
from pymaild.server.roles import KEEPER

Facts = dict[str, Any]

AT_ONCE = 2000  # sessions that one order to the keeper names


class Census:
    """Counts and shows sessions; ``family`` are the processes, ``table`` the parked ones."""

    def __init__(self, family: Family, table: Table) -> None:
        self._family = family
        self._table = table

    def active(self) -> Iterator[tuple[Child, Facts]]:
        """Return each session that a process runs, with it."""
        for child in self._family.children.values():
            facts = self._family.scoreboard.text(child.slot)
            if facts is not None:
                yield child, {**facts, "pid": child.pid}

    def parked(self) -> Iterator[Facts]:
        """Return each session that waits, with the keeper's process number."""
        pid = next((child.pid for child in self._family.of(KEEPER)), 0)
        for row in self._table.used():
            facts = self._facts(row)
            if facts is not None:
                sends = self._table.head(row).flags & Flag.BACKLOG
                yield {**facts, **({"state": "sending"} if sends else {}), "pid": pid}

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
        counted = Counter(facts["protocol"] for _, facts in self.active())
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

    def kick(self, wanted: Facts, text: str) -> int:
        """End the sessions of which all of ``wanted`` is true; returns how many."""
        kicked = 0
        for child, facts in self.active():
            if facts.items() >= wanted.items():
                child.tell({"verb": "kick", "session": facts["id"], "text": text})
                kicked += 1
        ids = [facts["id"] for facts in self.parked() if facts.items() >= wanted.items()]
        for start in range(0, len(ids), AT_ONCE):
            order: Message = {"verb": "end", "sessions": ids[start : start + AT_ONCE], "text": text}
            for child in self._family.of(KEEPER):
                child.tell(order)
        return kicked + len(ids)
