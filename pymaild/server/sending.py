"""Parked sessions whose clients have yet to take what they were told: the keeper sends it.

How much is sent stands in the position of the backlog's file (net/backlog.py), so whoever goes on
knows it exactly. Nothing else is said to such a client meanwhile, and nothing that happens is
lost: it is seen to when all is sent.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from pymaild.net import backlog
from pymaild.server.kept import Kept, Wheel
from pymaild.server.parked import Table

AT_ONCE = 256 * 1024  # octets for one client, then it is another's turn

_ONCE = select.EPOLLOUT | select.EPOLLONESHOT


class Sending:
    """``sent`` is called when a client has taken all, ``broken`` when it never will: it is gone,
    or has taken nothing for ``patience`` seconds."""

    def __init__(
        self,
        table: Table,
        wheel: Wheel,
        arm: Callable[[Kept, int], None],
        sent: Callable[[Kept], None],
        broken: Callable[[Kept], None],
        patience: float,
    ) -> None:
        self._table = table
        self._wheel = wheel
        self._arm = arm
        self._sent = sent
        self._broken = broken
        self._patience = patience

    def begin(self, kept: Kept) -> None:
        """Send on as soon as there is room."""
        self._arm(kept, _ONCE)
        self._wheel.set(kept, self._until(kept))

    def go_on(self, kept: Kept) -> None:
        """There is room; or, where all was sent, room for more: a reply would find its place."""
        try:
            if not backlog.left(kept.backlog):
                self._sent(kept)
                return
            if backlog.send(kept.backlog, kept.fd, AT_ONCE):
                self._table.set_since(kept.row, time.monotonic())
        except OSError:
            self._broken(kept)
            return
        self._arm(kept, _ONCE)

    def look_at(self, kept: Kept, now: float) -> None:
        """End the connection of a client that has taken nothing for too long."""
        until = self._until(kept)
        if now >= until:
            self._broken(kept)
        else:
            self._wheel.set(kept, until)

    def _until(self, kept: Kept) -> float:
        return self._table.head(kept.row).since + self._patience
