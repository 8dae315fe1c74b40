"""What every process is doing, in memory that all of them share.

One anonymous mapping, made before the first fork, with a fixed number of slots. It is laid out
in columns where many slots are counted at once (states, users, addresses), so that a count is
one pass over neighbouring memory. A slot has one writer, the process it belongs to; the master
writes it only while no process does. Free pages of it cost no memory.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from pymaild.core._json import written

COUNTERS = (
    "connections",
    "logins",
    "failed_logins",
    "commands",
    "delivered",
    "bugs",
)
TEXT = 1024  # octets of text in a slot, of which four are its header
_HEADER = struct.Struct("=HH")  # generation (odd while it is being written), length


class State(IntEnum):
    """What the process in a slot is doing; one octet."""

    FREE = 0
    STARTING = 1
    IDLE = 2  # a worker that waits for a connection
    BUSY = 3  # a worker or user process with a session
    LEAVING = 4  # takes no more work
    SERVING = 5  # auth, tls


@lru_cache(maxsize=1024)
def digest(text: str) -> int:
    """Return 64 bits that stand for a user's name or an address; never 0, which is "none"."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") | 1


class Scoreboard:
    """``slots`` slots; all numbers are in native order."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        numbers = 5 + len(COUNTERS)  # 8-octet columns: those below, counters
        offsets = [slots * 8 * column for column in range(numbers + 1)]
        self._texts = offsets[-1] + -(-slots // 8) * 8
        self._full = self._texts + slots * TEXT
        self._map = mmap.mmap(-1, self._full + 1)
        view = memoryview(self._map)
        columns = [view[a:b] for a, b in pairwise(offsets)]
        self.beats = columns[0].cast("d")  # time.monotonic() of the last sign of life
        self.since = columns[1].cast("d")  # time.time() of the last change of state
        self.users = columns[2].cast("Q")  # digest of the session's user
        self.addresses = columns[3].cast("Q")  # digest of an unauthenticated client's address
        self.meetings = columns[4].cast("Q")  # connections to a keeper that were begun or given up
        self._counters = dict(zip(COUNTERS, (c.cast("Q") for c in columns[5:]), strict=True))
        self._state_offset = offsets[-1]
        self.states = view[offsets[-1] : offsets[-1] + slots]

    @property
    def full(self) -> bool:
        """Whether there are as many workers as there may be, and all of them are needed."""
        return self._map[self._full] != 0

    @full.setter
    def full(self, value: bool) -> None:
        self._map[self._full] = value

    def allot(self) -> int | None:
        """Give the lowest free slot to a new child, or None when all are taken."""
        slot = self._map.find(b"\0", self._state_offset, self._state_offset + self.slots)
        if slot < 0:
            return None
        slot -= self._state_offset
        self.clear(slot)
        self.beats[slot] = time.monotonic()
        self.set_state(slot, State.STARTING)
        return slot

    def release(self, slot: int) -> dict[str, int]:
        """Free a dead child's slot and return what it had counted."""
        counted = {name: column[slot] for name, column in self._counters.items()}
        self.clear(slot)
        for column in self._counters.values():
            column[slot] = 0
        self.states[slot] = State.FREE
        return counted

    def clear(self, slot: int) -> None:
        """Forget the session that was here."""
        self.users[slot] = 0
        self.addresses[slot] = 0
        self.set_text(slot, None)

    def set_state(self, slot: int, state: State) -> None:
        """Say what the process does from now on."""
        self.states[slot] = state
        self.since[slot] = time.time()

    def count_states(self, state: State) -> int:
        """Return how many slots are in ``state``."""
        end = self._state_offset + self.slots
        return self._map[self._state_offset : end].count(state)

    def beat(self, slot: int) -> None:
        """Show a sign of life."""
        self.beats[slot] = time.monotonic()

    def count(self, slot: int, counter: str, amount: int = 1) -> None:
        """Add to a counter of this slot. Raises KeyError for one that does not exist."""
        self._counters[counter][slot] += amount

    def totals(self) -> dict[str, int]:
        """Return each counter summed over all slots."""
        return {name: sum(column) for name, column in self._counters.items()}

    def set_text(self, slot: int, facts: dict[str, Any] | None) -> None:
        """Show ``facts`` for `who`; values are shortened until they fit."""
        data = b"" if facts is None else _fitting(facts)
        start = self._texts + slot * TEXT
        generation, _ = _HEADER.unpack_from(self._map, start)
        generation |= 1  # a writer that died half-way left it odd
        _HEADER.pack_into(self._map, start, generation, 0)
        self._map[start + _HEADER.size : start + _HEADER.size + len(data)] = data
        _HEADER.pack_into(self._map, start, (generation + 1) & 0xFFFF, len(data))

    def text(self, slot: int) -> dict[str, Any] | None:
        """Return the facts shown in a slot, or None when there are none or they are changing."""
        start = self._texts + slot * TEXT
        for _ in range(3):
            before = _HEADER.unpack_from(self._map, start)
            data = self._map[start + _HEADER.size : start + _HEADER.size + before[1]]
            if before == _HEADER.unpack_from(self._map, start) and not before[0] & 1:
                return _loaded(data)
        return None


def _fitting(facts: dict[str, Any]) -> bytes:
    """Write facts as JSON of at most the text area, with long strings cut where need be."""
    room = TEXT - _HEADER.size
    data = written(facts, json.dumps).encode("ascii")
    for most in (1024, 200, 64, 16):
        if len(data) <= room:
            return data
        short = {k: v[:most] if isinstance(v, str) else v for k, v in facts.items()}
        data = written(short, json.dumps).encode("ascii")
    return data if len(data) <= room else b""


def _loaded(data: bytes) -> dict[str, Any] | None:
    try:
        facts = json.loads(data) if data else None
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None
