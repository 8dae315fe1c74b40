"""The session table: what the keeper knows of parked sessions, in memory that others read.

The master makes it before the first fork. The keeper writes it; workers count in its columns,
the master shows its rows, and a new keeper takes up what the old one left. Rows are given from
the lowest, and pages that were never used cost no memory.

A row says who has the session, whenever the keeper dies: the worker that parks it until the row
is SAFE, then the keeper, then the worker it is GIVEN to, which itself writes that it has BEGUN.

A row has a number of octets for the wait and the record (errands.py). Where they need more, the
row says that they lie in a file in memory, which is held like the client's descriptor.
"""

from __future__ import annotations

import mmap
import struct
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import NamedTuple

from pymaild.server._exchange import SIZE as EXCHANGE
from pymaild.server._parked import count

ROW = 512  # octets, its head included
_HEAD = struct.Struct("=HHIIdd16s")  # generation, flags, length of the wait, of all; see Head
ROOM = ROW - _HEAD.size
_TIME = struct.Struct("=d")
_SINCE_AT, _ALARM_AT = 12, 20
_FLAGS = struct.Struct("=H")
_FLAGS_AT = 2
_PAGE = 4096

READING, FULL, TOP, PARKED, WOKEN, ANSWERED, CLOSED, UNSAFE, POLLING = range(
    9
)  # numbers of its own
_NUMBERS = 16

ANOTHER_KEEPER = 0xFFFF  # in Table.slots: no process of ours, the session came from elsewhere


class RowState(IntEnum):
    """Where the session of a row is."""

    FREE = 0
    PARKED = 1
    QUEUED = 2  # it has something to do, and waits for a worker
    GIVEN = 3  # the worker in Table.slots shall have it; the row is still true
    MOVED = 4  # another master's keeper has been told of it, and has not said that it has it
    BEGUN = 5  # that worker goes on with it, and has said so here: the row is not true any more


class Flag:
    """Bits of a row."""

    FILE = 1  # wait and record lie in a file in memory
    STIRRED = 2  # there is news, to be told with the client's next IDLE
    LOCK = 8  # another descriptor waits with the client's, see Wait.descriptor
    SAFE = 16  # the worker in Table.slots, which parked it, need not keep it any more
    BACKLOG = 64  # there is something that the client has yet to take, see Wait.backlog
    USERS = 128  # it comes from a process of a system user: no other's word than that user's
    CLIENT = 32  # of a parcel alone: the client's descriptor comes first


class Head(NamedTuple):
    """A row's head. Times are those of CLOCK_MONOTONIC; ``alarm`` is of the next keep-alive."""

    flags: int
    wait: int
    size: int
    since: float
    alarm: float
    key: bytes


class Table:
    """``rows`` rows, and a few numbers: READING is 1 while reports of the kernel are taken,
    FULL while no more sessions are kept, TOP above the highest row ever used, UNSAFE how many
    descriptors the vault has not got, POLLING 1 once the kernel had no more watches; the others
    count what has happened."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        words = rows * 8
        octets = -(-rows // 8) * 8
        sizes = [_NUMBERS * 8, words, words, octets, octets, octets, 2 * octets, EXCHANGE]
        ends = list(accumulate(sizes, initial=0))
        self._texts = -(-ends[-1] // _PAGE) * _PAGE
        self._map = mmap.mmap(-1, self._texts + rows * ROW)
        self._view = view = memoryview(self._map)
        self._parts = parts = [view[start:end] for start, end in pairwise(ends)]
        self.numbers = parts[0].cast("Q")
        self.users = parts[1].cast("Q")  # digests, as in the scoreboard
        self.addresses = parts[2].cast("Q")
        self.states = parts[3]
        self.protocols = parts[4]  # places in PROTOCOLS
        self.causes = parts[5]  # why it goes on, see errands.CAUSES
        self.slots = parts[6].cast("H")
        self.exchange = parts[7]  # see _exchange.pyx
        self._states_at = ends[3]

    def close(self) -> None:
        """Be without it in this process."""
        parts = (self.numbers, self.users, self.addresses, self.states, self.protocols, self.causes)
        for part in (*parts, self.slots, *self._parts, self._view):
            part.release()
        self._map.close()

    # -- rows ------------------------------------------------------------------------------

    def take(self) -> int | None:
        """Return the lowest free row, or None."""
        start = self._states_at
        place = self._map.find(b"\0", start, start + self.rows)
        if place < 0:
            return None
        row = place - start
        if row >= self.numbers[TOP]:
            self.numbers[TOP] = row + 1
        return row

    def write(
        self, row: int, key: bytes, flags: int, wait: int, text: bytes | memoryview, since: float
    ) -> None:
        """Fill a row; ``text`` is wait and record or, where they lie in a file, what is to be
        shown of the record."""
        start = self._texts + row * ROW
        generation = self._begin(start)
        _HEAD.pack_into(self._map, start, generation, flags, wait, len(text), since, 0.0, key)
        self._map[start + _HEAD.size : start + _HEAD.size + len(text)] = bytes(text)
        self._end(start, generation)

    def patch(self, row: int, wait: bytes) -> None:
        """Replace a wait by one as long."""
        start = self._texts + row * ROW
        generation = self._begin(start)
        self._map[start + _HEAD.size : start + _HEAD.size + len(wait)] = wait
        self._end(start, generation)

    def _begin(self, start: int) -> int:
        (generation,) = _FLAGS.unpack_from(self._map, start)
        generation |= 1
        _FLAGS.pack_into(self._map, start, generation)
        return int(generation)

    def _end(self, start: int, generation: int) -> None:
        _FLAGS.pack_into(self._map, start, (generation + 1) & 0xFFFF)

    def set_alarm(self, row: int, alarm: float) -> None:
        """Say when the next keep-alive is due."""
        _TIME.pack_into(self._map, self._texts + row * ROW + _ALARM_AT, alarm)

    def set_since(self, row: int, since: float) -> None:
        """Say when the wait began; with a backlog, when its client has taken something last."""
        _TIME.pack_into(self._map, self._texts + row * ROW + _SINCE_AT, since)

    def set_flags(self, row: int, flags: int) -> None:
        """Replace a row's flags."""
        _FLAGS.pack_into(self._map, self._texts + row * ROW + _FLAGS_AT, flags)

    def is_safe(self, row: int) -> bool:
        """Whether the keeper alone has the session of a row that waits."""
        return bool(self.head(row).flags & Flag.SAFE)

    def head(self, row: int) -> Head:
        """Return a row's head."""
        return Head._make(_HEAD.unpack_from(self._map, self._texts + row * ROW)[1:])

    def text(self, row: int, start: int, end: int) -> bytes:
        """Return octets of wait and record."""
        base = self._texts + row * ROW + _HEAD.size
        return self._map[base + start : base + end]

    def record(self, row: int) -> bytes | None:
        """Return the packed record of a row as another process sees it, None where it is
        changing. Of one that lies in a file it is only what is to be shown."""
        start = self._texts + row * ROW
        for _ in range(3):
            before = _HEAD.unpack_from(self._map, start)
            data = self.text(row, 0 if before[1] & Flag.FILE else before[2], before[3])
            if before == _HEAD.unpack_from(self._map, start) and not before[0] & 1:
                return data
        return None

    def free(self, row: int) -> None:
        """Forget a row's session."""
        self.users[row] = 0
        self.addresses[row] = 0
        self.states[row] = RowState.FREE

    # -- counting --------------------------------------------------------------------------

    @property
    def top(self) -> int:
        """The number of rows that may be in use."""
        return self.numbers[TOP]

    def of_user(self, digest: int) -> int:
        """Return how many parked sessions a user has."""
        return count(self.users, digest, self.top)

    def of_address(self, digest: int) -> int:
        """Return how many parked sessions that have not logged in come from an address."""
        return count(self.addresses, digest, self.top)

    def used(self, start: int = 0, end: int | None = None) -> list[int]:
        """Return the rows of sessions that no process runs, all or from ``start`` to ``end``."""
        states = self.states[start : self.top if end is None else min(end, self.top)].tolist()
        waiting = (RowState.PARKED, RowState.QUEUED)
        return [row for row, state in enumerate(states, start) if state in waiting]

    def begin(self, row: int, slot: int) -> None:
        """Say, as the process in ``slot``, that the session goes on that it was given."""
        if (self.states[row], self.slots[row]) == (RowState.GIVEN, slot):
            self.states[row] = RowState.BEGUN

    def count_states(self, state: RowState) -> int:
        """Return how many rows are in ``state``."""
        start = self._states_at
        return self._map[start : start + self.top].count(state)
