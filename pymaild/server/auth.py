"""The auth role: runs the auth package's loop beside a thread that listens to the master."""

from __future__ import annotations

import os
import select
import threading

from pymaild.auth.server import serve
from pymaild.server.place import Place
from pymaild.server.scoreboard import State

SLICE = 1.0  # seconds between two signs of life


def run(place: Place) -> int:
    """Be the auth process."""
    place.settle()
    stop, end = os.pipe()
    place.shared.scoreboard.set_state(place.slot, State.SERVING)
    watcher = Watcher(place, end)
    threading.Thread(target=watcher.loop, name="master", daemon=True).start()
    place.supervisor.ready()
    serve(place.shared.auth, place.config.auth, bytes(place.shared.key), stop)
    return 0


class Watcher:
    """Turns the master's orders into what the loop understands: an octet, or end of file."""

    def __init__(self, place: Place, end: int) -> None:
        self._supervisor = place.supervisor
        self._end = end
        self._supervisor.on_retire = self._finish

    def _finish(self) -> None:
        os.write(self._end, b"\0")

    def loop(self) -> None:
        """Follow the master until it wants an end."""
        poller = select.poll()
        poller.register(self._supervisor.fileno(), select.POLLIN)
        while not self._supervisor.leaving:
            self._supervisor.beat()
            if poller.poll(SLICE * 1000):
                self._supervisor.attend()
        os.close(self._end)
