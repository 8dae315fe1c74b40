"""Sessions of system users that wait until there may be another of their processes."""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import replace

from pymaild.server.channel import close_all
from pymaild.server.place import Parcel

MOST = 256  # sessions that wait; each costs a descriptor here

log = logging.getLogger("pymaild.server")


class Turns:
    """First come, first served. A client that goes meanwhile is noticed by its process."""

    def __init__(self) -> None:
        self._waiting: deque[Parcel] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, parcel: Parcel) -> None:
        """Keep a session, with a descriptor of its own. Raises ValueError where too many wait."""
        if len(self._waiting) >= MOST:
            raise ValueError("too many sessions of system users")
        if not self._waiting:
            log.warning("all processes of system users are busy; sessions have to wait")
        self._waiting.append(replace(parcel, fd=os.dup(parcel.fd)))

    def next(self) -> Parcel:
        """Take the first; its descriptor is the caller's then."""
        return self._waiting.popleft()

    def close(self) -> None:
        """Close all, in a process that has nothing to do with them."""
        close_all([parcel.fd for parcel in self._waiting])
        self._waiting.clear()
