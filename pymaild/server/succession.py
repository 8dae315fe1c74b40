"""What dead processes leave: a keeper to the next one, a worker to the others."""

from __future__ import annotations

import logging
import os
import time
from typing import Protocol

from pymaild.core.session import Cause, Wait
from pymaild.net.protocols import PROTOCOLS
from pymaild.server import errands, parcels, recovery
from pymaild.server.channel import close_all
from pymaild.server.errands import Parcel
from pymaild.server.kept import Kept
from pymaild.server.parked import READING, RowState
from pymaild.server.place import Place
from pymaild.server.recovery import Recovered
from pymaild.server.safe import Entries, Safe
from pymaild.server.scoreboard import State
from pymaild.server.sessions import decode_record
from pymaild.server.waiting import WaitingRoom

log = logging.getLogger("pymaild.keeper")

PATIENCE = 5.0  # seconds in which workers come back to a new keeper


class Home(Protocol):
    """What is needed of the keeper."""

    kept: dict[bytes, Kept]
    room: WaitingRoom
    safe: Safe

    def new(self, key: bytes, fd: int) -> Kept:
        """Keep a session."""

    def drop(self, kept: Kept) -> None:
        """Forget a session and close its connection."""

    def take_in(self, kept: Kept, parcel: Parcel, files: list[int]) -> bool:
        """Let a session wait; false where there is no room."""


class Succession:
    """Takes over sessions for ``home``."""

    def __init__(self, place: Place, home: Home) -> None:
        self._home = home
        self._table = place.shared.table
        self._board = place.shared.scoreboard
        self._journal = place.shared.journal
        self._until = 0.0  # when the workers of the last keeper have come, or will not

    # -- from a keeper -------------------------------------------------------------------------

    def take_over(self, found: Entries) -> None:
        """Keep what the vault has, as the table says what it is."""
        for entry, fd in found.items():
            if entry[errands.KEY :] == errands.CLIENT:
                self._home.new(entry[: errands.KEY], fd)
        for entry, fd in found.items():
            if entry[errands.KEY :] != errands.CLIENT:
                self._take_file(entry, fd)
        for row in range(self._table.top):
            if self._table.states[row] != RowState.FREE:
                self._take_row(row)
        self._table.numbers[READING] = 0
        self._until = time.monotonic() + PATIENCE
        if self._home.kept:
            log.warning("a new keeper has taken over %d sessions", len(self._home.kept))

    def _take_file(self, entry: bytes, fd: int) -> None:
        kept = self._home.kept.get(entry[: errands.KEY])
        if kept is None:
            self._home.safe.drop(entry)
            os.close(fd)
        elif entry[errands.KEY :] == errands.LOCK:
            kept.lock = fd
        else:
            kept.file = fd

    def _take_row(self, row: int) -> None:
        head = self._table.head(row)
        kept = self._home.kept.get(head.key)
        if kept is None or not kept.complete(head.flags):
            self._table.free(row)
            return
        kept.row = row
        self._home.room.restore(kept)

    def tick(self, now: float) -> None:
        """Once the workers have come back: see to the sessions of those that have not."""
        if not self._until or now < self._until:
            return
        self._until = 0.0
        for slot in range(self._board.slots):
            if self._board.states[slot] == State.FREE:
                self.of_worker(slot, None)
        shown = {
            facts["id"] for slot in range(self._board.slots) if (facts := self._board.text(slot))
        }
        for kept in list(self._home.kept.values()):
            if not self._waits(kept) and errands.id_of(kept.key) not in shown:
                self._home.drop(kept)

    def _waits(self, kept: Kept) -> bool:
        """Whether a session has a worker, or is where the next one finds it."""
        return kept.holder is not None or (
            kept.row >= 0 and self._table.states[kept.row] != RowState.GIVEN
        )

    # -- from a worker -------------------------------------------------------------------------

    def of_worker(self, slot: int, had: Kept | None) -> None:
        """See to the session that the process in a slot had when it died.

        ``had`` is what the keeper knows of it; the journal says how far it came.
        """
        left = recovery.recover(self._journal, slot) if slot >= 0 else None
        kept = had
        if left is not None and had is None:
            kept = self._home.kept.get(errands.key_of(left.session))
            if kept is not None and self._waits(kept):
                kept = None  # it was parked, or went on elsewhere: what was left is old
        if kept is not None:
            self._go_on(kept, left)
        if slot >= 0:
            recovery.release(self._journal, slot)

    def of_live_worker(self, slot: int, session: str) -> None:
        """A worker of the last keeper's is back: what it was to be given, and has not got, is
        given to another. ``session`` is what it has."""
        for row in range(self._table.top if self._until else 0):
            if (self._table.states[row], self._table.slots[row]) != (RowState.GIVEN, slot):
                continue
            kept = self._home.kept.get(self._table.head(row).key)
            if kept is not None and kept.holder is None and errands.id_of(kept.key) != session:
                self._home.room.again(kept)

    def _go_on(self, kept: Kept, left: Recovered | None) -> None:
        kept.holder = None
        session = errands.id_of(kept.key)
        if left is None or left.session != session:
            if kept.row >= 0:  # given, and not begun: it is still what it was
                self._home.room.again(kept)
                return
            self._home.drop(kept)
        elif left.ended:
            log.error("session=%s cannot go on: %s", session, left.ended)
            self._home.drop(kept)
        elif not self._requeue(kept, left.record):
            log.error("session=%s cannot go on: no room for it", session)
            self._home.drop(kept)

    def _requeue(self, kept: Kept, encoded: bytes) -> bool:
        try:
            record = decode_record(encoded)
        except ValueError as error:
            log.error("session=%s: %s", errands.id_of(kept.key), error)
            return False
        record.wait = Wait(leave=PROTOCOLS[record.protocol].refusal, cause=Cause.CRASH)
        if kept.lock >= 0:  # it had waited with it before
            record.wait.descriptor = os.dup(kept.lock)
        parcel, files = parcels.wrap(record)
        taken = self._home.take_in(kept, parcel, files)
        close_all(files)
        return taken
