"""What the keeper counts by: sessions, the watches and the seconds they wait for, their queue.

Ten thousand sessions wait at a time, so each costs as little here as can be.
"""

from __future__ import annotations

import os
import socket
from array import array
from collections import deque
from collections.abc import Iterable, Iterator

from pymaild.core.session import Cause
from pymaild.server import errands
from pymaild.server.parked import Flag
from pymaild.storage import _watch

MANY = 16  # sessions that wait for the same, above which one is not looked for in a list
UNUSED = 60.0  # seconds that a watch stays for which nobody waits


class Link:
    """A process that runs sessions: one of its connections, the last where ``meeting`` is what
    the scoreboard says. ``kept`` is the session it has; ``only`` is the key of the one it may
    speak of, where it was to become a system user when it came."""

    __slots__ = ("kept", "meeting", "only", "slot", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.slot = -1
        self.meeting = 0
        self.only = b""
        self.kept: Kept | None = None


class Kept:
    """A session. ``holder`` is the worker that runs it, ``row`` its place in the table, ``file``
    the descriptor of its file in memory, ``lock`` that of Wait.descriptor, ``backlog`` that of
    Wait.backlog (-1 all). ``second`` is when its time is looked at; ``kind`` that of the entry of
    its client's descriptor."""

    __slots__ = ("armed", "backlog", "fd", "file", "holder", "key", "kind", "lock", "row", "second")

    def __init__(self, key: bytes, fd: int, kind: bytes = errands.CLIENT) -> None:
        self.key = key
        self.kind = kind
        self.fd = fd
        self.file = -1
        self.lock = -1
        self.backlog = -1
        self.row = -1
        self.second = 0
        self.armed = False  # epoll knows the descriptor
        self.holder: Link | None = None

    def take(self, flags: int, files: list[int]) -> bool:
        """Take the descriptors that a parcel with these flags comes with; false if any lacks."""
        if flags & Flag.FILE and files:
            self.file = files.pop(0)
        if flags & Flag.LOCK and files:
            self.lock = files.pop(0)
        if flags & Flag.BACKLOG and files:
            self.backlog = files.pop(0)
        return self.complete(flags)

    def complete(self, flags: int) -> bool:
        """Whether all is there that these flags speak of."""
        found = (self.file, self.lock, self.backlog)
        spoken_of = (flags & Flag.FILE, flags & Flag.LOCK, flags & Flag.BACKLOG)
        return not any(flag and fd < 0 for flag, fd in zip(spoken_of, found, strict=True))

    def files(self) -> list[tuple[bytes, int]]:
        """Return what there is beside the client's descriptor: each with its kind of entry."""
        kinds = (errands.FILE, errands.LOCK, errands.BACKLOG)
        found = zip(kinds, (self.file, self.lock, self.backlog), strict=True)
        return [(kind, fd) for kind, fd in found if fd >= 0]


class Wheel:
    """Sessions by the second in which something is due. A session stands in one place or, where
    an earlier time has been set, in that one and in others that count no more."""

    def __init__(self, now: float) -> None:
        self._seconds: dict[int, list[Kept]] = {}
        self._last = int(now)

    def set(self, kept: Kept, due: float) -> None:
        """Look at a session at ``due``, or within the second behind it."""
        second = max(int(due) + 1, self._last + 1)
        if not kept.second or second < kept.second:
            kept.second = second
            self._seconds.setdefault(second, []).append(kept)

    def due(self, now: float) -> Iterator[Kept]:
        """Take those whose time has come."""
        while self._last < int(now):
            self._last += 1
            for kept in self._seconds.pop(self._last, ()):
                if kept.second == self._last:
                    kept.second = 0
                    yield kept


class Watches:
    """Who waits for which directory. ``fd`` is the shared inotify instance, -1 where there is
    none; ``now`` is when this keeper began: what happened before was not reported to it."""

    def __init__(self, fd: int, now: float) -> None:
        self._fd = fd
        self._began = now
        self._waiting: dict[int, Kept | list[Kept] | dict[Kept, None]] = {}  # small, as it can be
        self._stirred: dict[int, float] = {}  # when, of late
        self._over: dict[int, float] = {}  # those the kernel has forgotten, of late
        self._unused: dict[int, float] = {}

    def missed(self, watches: array[int], looked: float) -> bool:
        """Whether something may have happened there since the session looked."""
        if not watches:
            return False
        stirred, over = self._stirred, self._over
        return looked < self._began or any(
            watch in over or stirred.get(watch, 0.0) >= looked for watch in watches
        )

    def add(self, kept: Kept, watches: array[int]) -> None:
        """Let a session wait."""
        waiting = self._waiting
        for watch in watches:
            others = waiting.get(watch)
            if others is None:
                waiting[watch] = kept
                self._unused.pop(watch, None)
            elif isinstance(others, Kept):
                waiting[watch] = [others, kept]
            elif isinstance(others, dict):
                others[kept] = None
            elif len(others) < MANY:
                others.append(kept)
            else:
                waiting[watch] = dict.fromkeys((*others, kept))

    def discard(self, kept: Kept, watches: array[int], now: float) -> None:
        """Let a session wait no more."""
        waiting = self._waiting
        for watch in watches:
            others = waiting.get(watch)
            if isinstance(others, dict):
                others.pop(kept, None)
            elif isinstance(others, list) and kept in others:
                others.remove(kept)
            if others is kept or not others:
                waiting.pop(watch, None)
                self._unused[watch] = now

    def take(self, now: float) -> Iterable[Kept]:
        """Take what the kernel reports; returns the sessions that wait for it."""
        events = _watch.read_events(self._fd)
        if events is None:  # some were lost
            self._began = now
            return self._of(list(self._waiting))
        stirred, over = events
        for watch in stirred:
            self._stirred[watch] = now
        for watch in over:
            self._over[watch] = now
            self._unused.pop(watch, None)
        return self._of([*stirred, *over])

    def _of(self, watches: list[int]) -> list[Kept]:
        found: dict[Kept, None] = {}
        for watch in watches:
            others = self._waiting.get(watch)
            if isinstance(others, Kept):
                found[others] = None
            elif others is not None:
                found.update(dict.fromkeys(others))
        return list(found)

    def tidy(self, now: float) -> None:
        """Give up watches that nobody has waited for, and forget what is long past."""
        old = now - UNUSED
        for watch in [watch for watch, since in self._unused.items() if since < old]:
            del self._unused[watch]
            _watch.drop_watch(self._fd, watch)
        self._stirred = {watch: when for watch, when in self._stirred.items() if when >= old}
        self._over = {watch: when for watch, when in self._over.items() if when >= old}


class Line:
    """Sessions that have something to do: first come, first served, clients before news; but each
    fourth place is for news. ``work`` counts them for the workers."""

    SHARE = 4

    def __init__(self, work: int) -> None:
        self._work = work
        self._clients: deque[Kept] = deque()
        self._news: deque[Kept] = deque()
        self._served = 0

    def __len__(self) -> int:
        return len(self._clients) + len(self._news)

    def add(self, kept: Kept, cause: str) -> None:
        """Put a session at the end; each one wakes one worker."""
        (self._news if cause == Cause.NEWS else self._clients).append(kept)
        os.eventfd_write(self._work, 1)

    def again(self) -> None:
        """Wake as many workers as there are sessions: some may have been woken and died."""
        for _ in range(len(self)):
            os.eventfd_write(self._work, 1)

    def put_back(self, kept: Kept) -> None:
        """Put a session at the front that could not be given."""
        self._clients.appendleft(kept)
        os.eventfd_write(self._work, 1)

    def next(self) -> Kept | None:
        """Take the first."""
        self._served += 1
        first, other = self._clients, self._news
        if self._served % self.SHARE == 0:
            first, other = other, first
        queue = first or other
        return queue.popleft() if queue else None

    def discard(self, kept: Kept) -> None:
        """Take one out of the middle."""
        for queue in (self._clients, self._news):
            if kept in queue:
                queue.remove(kept)
