"""The keeper's side of the vault: what is to be stored there, and what has been."""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from pymaild.server import errands
from pymaild.server.channel import close_all

LAG = 0.005  # seconds that what is to be stored may wait for more: short sessions never come there

Entries = dict[bytes, int]  # with their descriptors

_KINDS = (*errands.OF_CLIENT, errands.FILE, errands.LOCK, errands.BACKLOG)


class Safe:
    """``stored`` is called with a key when the vault has all of a session that it was waited for;
    ``learned`` with all that the vault had when it was met."""

    def __init__(self, stored: Callable[[bytes], None], learned: Callable[[Entries], None]) -> None:
        self.sock: socket.socket | None = None
        self._stored = stored
        self._learned = learned
        self._found: Entries | None = None  # while the vault tells what it has
        self._incomplete = False  # it has not been sent all that it lacked then
        self._add: Entries = {}
        self._drop: list[bytes] = []
        self._due = math.inf  # when there is something to be sent
        self._sent: deque[list[bytes]] = deque()
        self._unsafe: set[bytes] = set()
        self._awaited: set[bytes] = set()  # keys

    def connect(self, fd: int) -> None:
        """Meet a vault: it says first what it has, and is then given what it has not."""
        self.close()
        self.sock = socket.socket(fileno=fd)
        self.sock.setblocking(False)
        self._found = {}
        with suppress(OSError):  # one that has died meanwhile is noticed when it is heard
            self.sock.send(errands.ALL)

    def close(self) -> None:
        """Do without a vault, until there is another."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None
        close_all(list((self._found or {}).values()))
        self._found = None
        self._add, self._drop, self._unsafe = {}, [], set()
        self._sent.clear()
        awaited, self._awaited = self._awaited, set()
        for key in awaited:
            self._stored(key)

    def add(self, entry: bytes, fd: int) -> None:
        """Store a descriptor."""
        if self.sock is not None:
            self._add[entry] = fd
            self._unsafe.add(entry)
            self._hurry()

    def drop(self, entry: bytes) -> None:
        """Forget one; it is closed behind this call. Before another is stored in its place, too."""
        if self.sock is None:
            return
        self._unsafe.discard(entry)
        if self._add.pop(entry, None) is None:
            self._drop.append(entry)
            self._hurry()

    def _hurry(self) -> None:
        if self._due == math.inf:
            self._due = time.monotonic() + LAG

    def has(self, key: bytes) -> bool:
        """Whether the vault has all of a session; where not, ``stored`` is called once it has."""
        if any(key + kind in self._unsafe for kind in _KINDS):
            self._awaited.add(key)
            return False
        return True

    @property
    def left(self) -> float:
        """The seconds until :meth:`flush` is due."""
        return math.inf if self._due == math.inf else max(self._due - time.monotonic(), 0.0)

    @property
    def lacks(self) -> int:
        """How many descriptors the vault is not known to have."""
        return len(self._unsafe)

    def flush(self) -> None:
        """Send what there is to be sent, as far as the vault takes it."""
        self._due = math.inf
        if self.sock is None or self._found is not None:
            return
        try:
            while self._drop or self._add:
                if not self._send_next(self.sock):
                    self._hurry()
                    return
            if self._incomplete:
                self._incomplete = not errands.send(self.sock, errands.END)
                if self._incomplete:
                    self._hurry()
        except OSError:
            self.close()

    def _send_next(self, vault: socket.socket) -> bool:
        if self._drop:
            if not errands.send(vault, errands.DROP + b"".join(self._drop[: errands.MOST_FDS])):
                return False
            del self._drop[: errands.MOST_FDS]
            return True
        batch = next(errands.batches(self._add.items()))
        names = [entry for entry, _ in batch]
        if not errands.send(vault, errands.STORE + b"".join(names), [fd for _, fd in batch]):
            return False
        for name in names:
            del self._add[name]
        self._sent.append(names)
        return True

    def hear(self) -> None:
        """Take what the vault says."""
        assert self.sock is not None
        got = errands.receive(self.sock)
        if got is None:
            return
        data, fds = got
        kind = data[:1]
        if kind == errands.STORED and self._sent:
            self._has_stored(self._sent.popleft())
        elif kind == errands.STORE and self._found is not None:
            self._found.update(zip(errands.entries(data), fds, strict=False))
        elif kind == errands.END and self._found is not None:
            found, self._found = self._found, None
            self._incomplete = True
            self._learned(found)
            self._hurry()
        else:
            close_all(fds)
            self.close()

    def _has_stored(self, names: list[bytes]) -> None:
        self._unsafe.difference_update(name for name in names if name not in self._add)
        for key in {name[: errands.KEY] for name in names} & self._awaited:
            if self.has(key):
                self._awaited.discard(key)
                self._stored(key)
