"""The deflate role: stands between clients that asked for compression and their sessions.

A session that is asked for COMPRESS keeps its process: it passes its client's descriptor here,
with one end of a socket pair, and goes on at the other end.
"""

from __future__ import annotations

import resource
import socket

from pymaild.core.session import Peer
from pymaild.net.deflate import Deflated
from pymaild.net.relay import IN, OUT, Relay
from pymaild.server.channel import LARGEST, close_all
from pymaild.server.hop import ends
from pymaild.server.memory import trim
from pymaild.server.passing import MARK
from pymaild.server.place import Place
from pymaild.server.relays import Home, Relayed, Relays

_MANY = 64  # connections whose memory is worth looking for


def run(place: Place) -> int:
    """Be a deflate process."""
    place.settle()
    loop = Loop(place)
    loop.ready()
    loop.run()
    return 0


class Packed(Relayed):
    """A client whose octets are in DEFLATE form; ``before`` of them were read already."""

    __slots__ = ("_deflated", "_peer")

    def __init__(
        self, home: Home, client: socket.socket, session: socket.socket, deflated: Deflated
    ) -> None:
        super().__init__(home, client)
        session.setblocking(False)
        self._session = session
        self._peer: Peer = ends(client)[0]
        self._deflated = deflated
        self._step = self._start

    @property
    def address(self) -> str:
        """The client's IP address; none behind the tls role."""
        return self._peer.address

    def rest(self) -> None:
        """Nothing has come from either side for a while."""
        self._deflated.rest()

    def _start(self, client: int, session: int) -> None:
        assert self._session is not None
        self._begin(Relay(self._deflated, self._session))


class Loop(Relays):
    """All connections of one deflate process."""

    name = "deflate"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        settings = place.config.server
        self._level, self._window = settings.deflate_level, settings.deflate_window
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 64
        self._queue = place.shared.deflate[1]
        self._stirred: set[Relayed] = set()  # in this second, and in the one before
        self._lively: set[Relayed] = set()
        self._rested = 0  # connections, since memory was given back

    def sources(self) -> list[int]:
        """The queue that sessions pass descriptors through."""
        return [self._queue.fileno()]

    def open(self) -> bool:
        """Whether there is room."""
        return len(self._all) < self._most

    def arrived(self, fd: int) -> None:
        """Take a client and its session."""
        try:
            data, fds, _, _ = socket.recv_fds(self._queue, LARGEST, 2)
        except OSError:  # another process was quicker
            return
        if len(fds) != 2:
            close_all(fds)
            return
        client, session = (socket.socket(fileno=fd) for fd in fds)
        client.setblocking(False)
        before = data.removeprefix(MARK)
        deflated = Deflated(client, before, self._level, self._window)
        self.add(Packed(self, client, session, deflated))

    def step(self, relayed: Relayed, client: int = IN | OUT, session: int = 0) -> None:
        """See :meth:`Relays.step`."""
        self._stirred.add(relayed)
        super().step(relayed, client, session)

    def _each_second(self, now: float) -> None:
        resting = self._lively - self._stirred
        for relayed in resting:
            if isinstance(relayed, Packed):
                relayed.rest()
        self._lively, self._stirred = self._stirred, set()
        super()._each_second(now)
        self._rested += len(resting)
        if self._rested >= _MANY or (self._rested and not self._lively):
            self._rested = 0
            trim()
