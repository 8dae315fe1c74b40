"""Parked sessions go from the keeper of one master to that of the next, of another version perhaps.

The old keeper is a client of the new one, as workers are. It tells of each session in plain JSON,
so that only records have to be understood by both, and these say what version they are of.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from pymaild.server import errands, parcels
from pymaild.server.channel import close_all
from pymaild.server.errands import CAUSES, KEY, Parcel
from pymaild.server.kept import Kept
from pymaild.server.parked import Flag, RowState
from pymaild.server.sessions import decode_record
from pymaild.server.waiting import WaitingRoom

AT_A_TIME = 64  # sessions on their way; all of them find room in the socket
GONE = "Server has been upgraded, please connect again"


class Arrival(NamedTuple):
    """A session as it arrives; ``alarm`` is when its next keep-alive is due, 0 for never."""

    parcel: Parcel
    files: list[int]
    alarm: float


class Moving:
    """The old keeper's side. ``done`` is called with each session and whether it was taken.

    Where the new keeper dies, the one that follows it is told again of all that was on its way.
    """

    def __init__(self, room: WaitingRoom, done: Callable[[Kept, bool], None]) -> None:
        self.sock: socket.socket | None = None
        self._room = room
        self._done = done
        self._left: dict[bytes, Kept] = {}
        self._sent: dict[bytes, Kept] = {}
        self._told: dict[bytes, bytes] = {}

    @property
    def busy(self) -> bool:
        """Whether there are sessions to move."""
        return bool(self._left or self._sent)

    def connect(self, sock: socket.socket) -> None:
        """Talk to a keeper from now on."""
        self.lose()
        sock.setblocking(False)
        self.sock = sock

    def lose(self) -> None:
        """The new keeper is gone, for a while."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None
        self._left, self._sent = {**self._sent, **self._left}, {}

    def add(self, kept: Kept) -> None:
        """Move a session as soon as can be, unless a worker runs it."""
        if kept.key not in self._sent:
            self._left[kept.key] = kept

    def flush(self) -> None:
        """Send what can be sent; for more there is room when something has been answered."""
        while self.sock is not None and len(self._sent) < AT_A_TIME:
            kept = self._next()
            if kept is None:
                return
            if self._waits(kept):
                try:
                    if not self._send(self.sock, kept):
                        return
                except OSError:
                    self.lose()
                    return
                self._sent[kept.key] = kept
            del self._left[kept.key]

    def _next(self) -> Kept | None:
        """Return the next session to move: first those that have something to do."""
        kept = self._room.line.next()
        if kept is not None:
            self._left[kept.key] = kept
            return kept
        return next(iter(self._left.values()), None)

    def _waits(self, kept: Kept) -> bool:
        states = (RowState.PARKED, RowState.QUEUED, RowState.MOVED)
        return kept.row >= 0 and self._room.table.states[kept.row] in states

    def _send(self, sock: socket.socket, kept: Kept) -> bool:
        text = self._told.get(kept.key)
        if text is None:
            text = self._told[kept.key] = _describe(self._room, kept)
        own, others = list[int](), [fd for fd in (kept.lock, kept.backlog) if fd >= 0]
        message = errands.MOVE + kept.key + text
        if len(message) > errands.BUFFER:
            own.append(os.memfd_create("moving", os.MFD_CLOEXEC))
            os.write(own[0], text)
            message = errands.MOVE + kept.key
        try:
            return errands.send(sock, message, [kept.fd, *own, *others])
        finally:
            close_all(own)

    def hear(self) -> None:
        """Take what the new keeper says."""
        while self.sock is not None and (got := errands.receive(self.sock)) is not None:
            data, fds = got
            close_all(fds)
            if not data:
                self.lose()
                return
            key = data[1 : 1 + KEY]
            kept = self._sent.pop(key, None)
            self._told.pop(key, None)
            if kept is not None and kept.row >= 0:
                self._done(kept, data[:1] == errands.HELD)
        self.flush()


def _describe(room: WaitingRoom, kept: Kept) -> bytes:
    """Take a session out of the room; returns what is told of it."""
    table, row, now = room.table, kept.row, time.monotonic()
    head = table.head(row)
    packed, record = room.text(kept)
    wait = errands.unpack_wait(packed.data)
    if wait.seconds:
        wait.seconds = max(wait.seconds - now + head.since, 0.001)
    if table.states[row] == RowState.QUEUED or kept.backlog >= 0:
        wait.cause = CAUSES[table.causes[row]]
    about = {
        "flags": head.flags & ~(Flag.FILE | Flag.SAFE),
        "alarm": max(head.alarm - now, 0.001) if head.alarm else 0.0,
    }
    room.depart(kept)
    table.states[row] = RowState.MOVED
    whole = decode_record(errands.unpack_record(record))
    whole.wait = wait
    return json.dumps(about).encode() + b"\n" + whole.encode()


def read(data: bytes, files: list[int]) -> Arrival:
    """Read what is told of a session. Raises ValueError, also for a record of another version."""
    text = data[1 + KEY :] or errands.read_file(files.pop(0))
    head, _, record = text.partition(b"\n")
    try:
        about = json.loads(head)
        flags, alarm = int(about["flags"]), float(about["alarm"])
        session = decode_record(record)
        if flags & Flag.LOCK and session.wait is not None:
            session.wait.descriptor = os.dup(files.pop(0))
        if flags & Flag.BACKLOG and session.wait is not None:
            session.wait.backlog = os.dup(files.pop(0))
        parcel, own = parcels.wrap(session, flags)
    except (TypeError, LookupError) as error:
        raise ValueError(f"not told as expected: {error}") from None
    return Arrival(parcel, own, alarm and time.monotonic() + alarm)
