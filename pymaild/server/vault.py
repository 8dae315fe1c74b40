"""The vault: holds a duplicate of each descriptor that the keeper has, and nothing else.

A keeper that takes the place of a dead one gets them from here. A new vault is given them by the
keeper. So connections outlive the end of either.
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress

from pymaild.server import errands
from pymaild.server.board import set_title
from pymaild.server.channel import Message, close_all
from pymaild.server.place import Place
from pymaild.server.scoreboard import State

SLICE = 1.0  # seconds between two signs of life, and at least between two titles
TIMEOUT = 5.0  # seconds in which the keeper must take what it has asked for


def run(place: Place) -> int:
    """Be the vault."""
    place.settle()
    Vault(place).loop()
    return 0


class Vault:
    """Entries (errands.py) and their descriptors."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._supervisor = place.supervisor
        self._supervisor.orders["vault"] = self._connect
        self._keeper: socket.socket | None = None
        self._poller = select.poll()
        self._poller.register(self._supervisor.fileno(), select.POLLIN)
        self._kept: dict[bytes, int] = {}
        self._shown = -1
        self._looked = -SLICE

    def loop(self) -> None:
        """Hold until told to leave."""
        self._supervisor.ready()
        while not self._supervisor.retiring:
            self._show(time.monotonic())
            ready = {fd for fd, _ in self._poller.poll(SLICE * 1000)}
            if self._supervisor.fileno() in ready:
                self._supervisor.attend()
            elif ready:
                self._hear()

    def _show(self, now: float) -> None:
        if now - self._looked < SLICE:
            return
        self._looked = now
        self._supervisor.beat()
        if self._shown != len(self._kept):
            self._shown = len(self._kept)
            set_title(f"vault {self._shown} sessions")

    def _connect(self, message: Message, fds: list[int]) -> None:
        """Obey another keeper from now on, and hear first what the one before has said."""
        while self._keeper is not None:
            self._keeper.setblocking(False)
            self._hear()
        self._keeper = socket.socket(fileno=fds.pop(0))
        self._keeper.settimeout(TIMEOUT)
        self._poller.register(self._keeper, select.POLLIN)
        close_all(fds)

    def _hear(self) -> None:
        assert self._keeper is not None
        data, fds = errands.receive(self._keeper) or (b"", [])
        kind, entries = data[:1], errands.entries(data)
        try:
            if kind == errands.STORE:
                self._store(entries, fds)
                with suppress(OSError):  # who is dead may have said more
                    self._keeper.send(errands.STORED)
            elif kind == errands.DROP:
                for entry in entries:
                    self._drop(entry)
            elif kind == errands.ALL:
                self._give_all(self._keeper)
            elif kind == errands.END:  # that was all
                self._place.shared.scoreboard.set_state(self._place.slot, State.SERVING)
            else:
                raise OSError("the keeper is gone")
        except OSError:
            self._poller.unregister(self._keeper)
            self._keeper.close()
            self._keeper = None

    def _store(self, entries: list[bytes], fds: list[int]) -> None:
        for entry, fd in zip(entries, fds, strict=False):
            self._drop(entry)
            self._kept[entry] = fd
        close_all(fds[len(entries) :])

    def _drop(self, entry: bytes) -> None:
        fd = self._kept.pop(entry, -1)
        if fd >= 0:
            os.close(fd)

    def _give_all(self, keeper: socket.socket) -> None:
        for batch in errands.batches(self._kept.items()):
            entries, fds = zip(*batch, strict=True)
            errands.send(keeper, errands.STORE + b"".join(entries), fds)
        keeper.send(errands.END)
