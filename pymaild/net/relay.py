"""One connection between a client and a session: octets both ways, in another form here.

Nothing here blocks. Each direction holds at most one piece that the other side has not taken;
while it does, its source is not read, so that a slow reader slows its writer down and memory
is bounded. The end of one direction closes that direction alone.
"""

from __future__ import annotations

import select
import socket
from typing import Protocol

from OpenSSL import SSL

PIECE = 65536  # octets read from a worker at a time
RECORD = 16384  # octets of a TLS record (RFC 8446 §5.1)

IN, OUT = select.EPOLLIN, select.EPOLLOUT

# What to wait for at the client's and at the worker's side.
_CLIENT_IN, _CLIENT_OUT = (IN, 0), (OUT, 0)
_WORKER_IN, _WORKER_OUT = (0, IN), (0, OUT)
_NOTHING = (0, 0)


class Closed(Exception):
    """The connection is over; the message is for the log."""


class Gone(Closed):
    """The client left before anything happened, as probes of load balancers do."""


class Connection(Protocol):
    """The client's side: a TLS connection of pyOpenSSL, or what behaves and raises like one."""

    def recv(self, size: int, /) -> bytes:
        """Return 1 to ``size`` octets."""

    def send(self, data: bytes, /) -> int:
        """Send some octets; returns how many."""

    def pending(self) -> int:
        """Return how many octets can be had without further input, as far as it is known."""

    def shutdown(self) -> bool:
        """Say that this is the end."""


class Relay:
    """Moves octets between ``tls`` and ``worker``, both non-blocking."""

    __slots__ = ("_down", "_down_waits", "_tls", "_up", "_up_ended", "_up_waits", "_worker")

    def __init__(self, tls: Connection, worker: socket.socket) -> None:
        self._tls = tls
        self._worker = worker
        self._up = b""  # from the client, not yet taken by the worker
        self._down = b""  # from the worker, not yet taken by the client
        self._up_ended = False
        self._up_waits = _CLIENT_IN
        self._down_waits = _WORKER_IN

    @property
    def client_events(self) -> int:
        """What to wait for on the client's socket; 0: nothing, not even its end."""
        return self._up_waits[0] | self._down_waits[0]

    @property
    def worker_events(self) -> int:
        """What to wait for on the worker's socket."""
        return self._up_waits[1] | self._down_waits[1]

    @property
    def stalled(self) -> bool:
        """Whether the client takes nothing of what the worker sends."""
        return bool(self._down)

    def move(self, client: int, worker: int) -> None:
        """Move what can be moved after these events. Raises Closed at the end of it all."""
        if client & self._up_waits[0] or worker & self._up_waits[1]:
            self._up_waits = self._move_up()
        if client & self._down_waits[0] or worker & self._down_waits[1]:
            self._down_waits = self._move_down()

    def _move_up(self) -> tuple[int, int]:
        more = True
        while True:
            if self._up and not self._send_up():
                return _WORKER_OUT
            if self._up_ended:
                return _NOTHING
            if not more:
                return _CLIENT_IN
            waits = self._receive_up()
            if waits is not None:
                return waits
            more = self._tls.pending() > 0

    def _receive_up(self) -> tuple[int, int] | None:
        """Read a record; returns what to wait for when there is none."""
        try:
            self._up = self._tls.recv(RECORD)
        except SSL.WantReadError:
            return _CLIENT_IN
        except SSL.WantWriteError:
            return _CLIENT_OUT
        except (SSL.ZeroReturnError, SSL.SysCallError):
            self._end_up()
        except SSL.Error as error:
            raise Closed(f"what the client sends is broken: {error!r}") from error
        return None

    def _send_up(self) -> bool:
        """Give the worker what it takes; false when something is left."""
        try:
            sent = self._worker.send(self._up, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError:  # it reads no more; what it still has to say follows
            sent = len(self._up)
            self._up_ended = True
        self._up = self._up[sent:]
        return not self._up

    def _end_up(self) -> None:
        self._up_ended = True
        try:
            self._worker.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _move_down(self) -> tuple[int, int]:
        if not self._down and not self._receive_down():
            return _WORKER_IN
        while self._down:
            try:
                sent = self._tls.send(self._down)
            except SSL.WantReadError:
                return _CLIENT_IN
            except SSL.WantWriteError:
                return _CLIENT_OUT
            except SSL.Error as error:
                raise Closed("the client is gone") from error
            self._down = self._down[sent:]
        return _WORKER_IN

    def _receive_down(self) -> bool:
        """Read a piece; false when there is none now. Raises Closed when there will be none."""
        try:
            self._down = self._worker.recv(PIECE)
        except BlockingIOError:
            return False
        except OSError:
            self._down = b""
        if not self._down:
            self._say_end()
        return True

    def _say_end(self) -> None:
        """Send close_notify (RFC 8446 §6.1), as far as the socket takes it. Raises Closed."""
        try:
            self._tls.shutdown()
        except SSL.Error as error:
            raise Closed("the client is gone") from error
        raise Closed("ended")
