"""Waits for many descriptors and calls whoever is concerned."""

from __future__ import annotations

import select
from collections.abc import Callable

Callback = Callable[[], None]


class Loop:
    """Descriptors with what to call when something happens on them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[int, Callback]] = {}

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call ``callback`` at ``events`` of ``fd``, in the place of what was watched before."""
        known = self._watched.pop(fd, None)
        if events and known is None:
            self._epoll.register(fd, events)
        elif not events and known is not None:
            self._epoll.unregister(fd)
        elif known is not None and known[0] != events:
            self._epoll.modify(fd, events)
        if events:
            self._watched[fd] = (events, callback)

    def forget(self, fd: int) -> None:
        """Watch ``fd`` no more; it is closed after that, not before."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def wait(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds and call back for all that has happened."""
        for fd, _ in self._epoll.poll(timeout):
            watched = self._watched.get(fd)
            if watched is not None:
                watched[1]()

    def close(self) -> None:
        """Close the loop; what it watches is the caller's."""
        self._epoll.close()
