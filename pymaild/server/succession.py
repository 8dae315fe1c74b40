"""What dead processes leave: a keeper to the next one, a worker to the others."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from typing import Protocol

from pymaild.core.session import Cause, Wait
from pymaild.net.protocols import PROTOCOLS
from pymaild.server import errands, parcels, recovery
from pymaild.server.channel import close_all
from pymaild.server.errands import Parcel
from pymaild.server.kept import Kept
from pymaild.server.parked import ANOTHER_KEEPER, READING, Flag, RowState
from pymaild.server.place import Place
from pymaild.server.recovery import Recovered
from pymaild.server.safe import Entries, Safe
from pymaild.server.scoreboard import State
from pymaild.server.sessions import decode_record
from pymaild.server.waiting import WaitingRoom

log = logging.getLogger("pymaild.keeper")

PATIENCE = 5.0  # seconds in which workers come back to a new keeper
NO_WORKERS = (State.FREE, State.SERVING)  # of slots in which no process runs sessions


class Home(Protocol):
    """What is needed of the keeper."""

    kept: dict[bytes, Kept]
    room: WaitingRoom
    safe: Safe

    def new(self, key: bytes, fd: int, kind: bytes) -> Kept:
        """Keep a session."""

    def drop(self, kept: Kept) -> None:
        """Forget a session and close its connection."""

    def take_in(self, kept: Kept, parcel: Parcel, files: list[int], slot: int) -> bool:
        """Let a session wait; false where there is no room."""


class Succession:
    """Takes over sessions for ``home``."""

    def __init__(self, place: Place, home: Home) -> None:
        self._home = home
        self._table = place.shared.table
        self._board = place.shared.scoreboard
        self._journal = place.shared.journal
        self._slot = place.slot
        self._until = 0.0  # when the workers of the last keeper have come, or will not
        self._doubts: dict[int, list[Kept]] = {}  # by the slot of who may have them

    # -- from a keeper -------------------------------------------------------------------------

    def take_over(self, found: Entries) -> None:
        """Keep what the vault has, as the table says what it is."""
        for entry, fd in found.items():
            if entry[errands.KEY :] in errands.OF_CLIENT:
                self._home.new(entry[: errands.KEY], fd, entry[errands.KEY :])
        for entry, fd in found.items():
            if entry[errands.KEY :] not in errands.OF_CLIENT:
                self._take_file(entry, fd)
        for row in range(self._table.top):
            if self._table.states[row] != RowState.FREE:
                self._take_row(row)
        self._table.numbers[READING] = 0
        self._until = time.monotonic() + PATIENCE
        self._see_to_the_dead()
        if self._home.kept:
            log.warning("a new keeper has taken over %d sessions", len(self._home.kept))

    def _take_file(self, entry: bytes, fd: int) -> None:
        kept = self._home.kept.get(entry[: errands.KEY])
        if kept is None:
            self._home.safe.drop(entry)
            os.close(fd)
        elif entry[errands.KEY :] == errands.LOCK:
            kept.lock = fd
        elif entry[errands.KEY :] == errands.BACKLOG:
            kept.backlog = fd
        else:
            kept.file = fd

    def _take_row(self, row: int) -> None:
        head = self._table.head(row)
        kept = self._home.kept.get(head.key)
        if kept is None or not kept.complete(head.flags):
            self._table.free(row)
            return
        kept.row = row
        waits = self._home.room.has(kept)
        moved = self._table.slots[row] == ANOTHER_KEEPER  # which tells us of it again
        if waits and moved:
            self._home.room.secure(kept)
        if waits and (moved or head.flags & Flag.SAFE):
            self._home.room.restore(kept)
        else:
            self.doubt(self._table.slots[row], kept)

    def tick(self, now: float) -> None:
        """See to the sessions of workers that do not come back; once all that live have had time
        to, to those of which nobody says anything."""
        if self._doubts:
            self._see_to_the_dead(self._doubts)
        if not self._until or now < self._until:
            return
        self._until = 0.0
        self._see_to_the_dead()
        shown = {
            facts["id"] for slot in range(self._board.slots) if (facts := self._board.text(slot))
        }
        for kept in list(self._home.kept.values()):
            lost = kept.holder is None and kept.row < 0
            if lost and errands.id_of(kept.key) not in shown:
                self._home.drop(kept)

    def _see_to_the_dead(self, slots: Iterable[int] | None = None) -> None:
        for slot in list(range(self._board.slots) if slots is None else slots):
            if self._board.states[slot] in NO_WORKERS or slot == self._slot:
                self.of_worker(slot)

    def doubt(self, slot: int, kept: Kept) -> None:
        """Nobody knows what the process in a slot has done with a session."""
        self._doubts.setdefault(slot, []).append(kept)

    def _doubted(self, slot: int) -> list[Kept]:
        """Take the sessions of a slot that are still in doubt."""
        return [
            kept
            for kept in self._doubts.pop(slot, ())
            if kept.holder is None and self._home.kept.get(kept.key) is kept
        ]

    def _is_settled(self, kept: Kept) -> bool:
        """Whether a session has a worker, or is where the next one finds it."""
        waits = self._home.room.has(kept) and self._table.is_safe(kept.row)
        return kept.holder is not None or waits

    # -- from a worker -------------------------------------------------------------------------

    def of_worker(self, slot: int) -> None:
        """See to the sessions that the process in a slot had when it died.

        The table says what it was given and has parked, the journal how far it came.
        """
        left = recovery.recover(self._journal, slot)
        kept = self._home.kept.get(errands.key_of(left.session)) if left is not None else None
        doubted = self._doubted(slot)
        if kept is not None and left is not None and self._is_its(kept, slot):
            self._go_on(kept, left, slot)
        for other in doubted:
            if other is not kept and not self._is_settled(other):
                self._settle(other, dead=True)
        recovery.release(self._journal, slot)

    def _is_its(self, kept: Kept, slot: int) -> bool:
        """Whether a session is what the journal of a slot says; it may have gone on elsewhere."""
        if kept.holder is not None or self._home.room.has(kept):
            return False
        return kept.row < 0 or self._table.slots[kept.row] == slot

    def of_live_worker(self, slot: int, has: Kept | None) -> None:
        """A worker is back, and runs only what it says: what it was to be given, and has not got,
        is given to another. What it has parked it parks once more."""
        for kept in self._doubted(slot):
            if kept is not has and not self._is_settled(kept):
                self._settle(kept, dead=False)

    def _settle(self, kept: Kept, dead: bool) -> None:
        """Decide about a session of which its worker, if any, has nothing."""
        if kept.row >= 0 and self._table.states[kept.row] == RowState.GIVEN:
            self._home.room.again(kept)
        elif dead and self._home.room.has(kept):  # it was parked, and came as far as the vault
            self._home.room.secure(kept)
            self._home.room.restore(kept)
        else:
            self._home.drop(kept)

    def _go_on(self, kept: Kept, left: Recovered, slot: int) -> None:
        session = errands.id_of(kept.key)
        if left.ended:
            log.error("session=%s cannot go on: %s", session, left.ended)
            self._home.drop(kept)
        elif not self._requeue(kept, left.record, slot):
            log.error("session=%s cannot go on: no room for it", session)
            self._home.drop(kept)

    def _requeue(self, kept: Kept, encoded: bytes, slot: int) -> bool:
        try:
            record = decode_record(encoded)
        except ValueError as error:
            log.error("session=%s: %s", errands.id_of(kept.key), error)
            return False
        record.wait = Wait(leave=PROTOCOLS[record.protocol].refusal, cause=Cause.CRASH)
        if kept.lock >= 0:  # it had waited with it before
            record.wait.descriptor = os.dup(kept.lock)
        parcel, files = parcels.wrap(record)
        taken = self._home.take_in(kept, parcel, files, slot)
        close_all(files)
        if taken:
            self._home.room.secure(kept)
        return taken
