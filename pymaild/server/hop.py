"""One client of the tls role, from its first octet to its last.

Each step waits for events of its own: the PROXY header of a trusted proxy, the handshake, a
worker, and then the relay until the end.
"""

from __future__ import annotations

import json
import logging
import math
import socket
import time
from collections.abc import Callable
from typing import Protocol

from OpenSSL import SSL

from pymaild.core.session import Peer, TlsFacts
from pymaild.net import proxy, tls
from pymaild.net.proxy import ProxyError, Tlv
from pymaild.net.relay import IN, OUT, Closed, Gone, Relay
from pymaild.net.stream import prepare
from pymaild.server.listeners import Listener, peer_of

log = logging.getLogger("pymaild.tls")

WORKER = "worker"  # the workers' private socket, in the tls processes' root directory


class Home(Protocol):
    """What a hop needs of the process it lives in."""

    write_timeout: float
    handshake_timeout: float

    def watch(self, hop: Hop, sock: socket.socket, events: int) -> None:
        """Call ``hop.ready`` when one of ``events`` happens on ``sock``; 0: never."""

    def retry(self, hop: Hop) -> None:
        """Call ``hop.ready`` again soon."""

    def context(self, listener: str) -> SSL.Context:
        """Return the default context for a handshake with a client of this listener."""

    def facts(self, connection: SSL.Connection) -> TlsFacts:
        """Return what workers are told of a connection."""


class Hop:
    """A client's connection. ``record`` is the session's that asked for TLS, or empty."""

    def __init__(self, home: Home, sock: socket.socket, listener: Listener | None, record: bytes):
        prepare(sock, home.write_timeout)
        self._home = home
        self._sock = sock
        self._listener = listener
        self._record = record
        self._peer, self._local = _ends(sock)
        self._reader = proxy.Reader()
        self._tls: SSL.Connection | None = None
        self._worker: socket.socket | None = None
        self._relay: Relay | None = None
        self.deadline = time.monotonic() + home.handshake_timeout
        wants_header = listener is not None and listener.wants_proxy_header(self._peer)
        self._step: Callable[[int, int], None] = self._header if wants_header else self._start

    @property
    def relaying(self) -> bool:
        """Whether a worker serves this client; until then it counts as unauthenticated."""
        return self._relay is not None

    @property
    def address(self) -> str:
        """The client's IP address, as far as it is known."""
        return self._peer.address

    def is_client(self, sock: socket.socket) -> bool:
        """Whether ``sock`` is the client's side."""
        return sock is self._sock

    def ready(self, client: int = IN | OUT, worker: int = 0) -> None:
        """Go on after events of the client's and the worker's socket. Raises Closed."""
        self._step(client, worker)

    def overdue(self) -> Closed:
        """Say why the connection ends at its deadline."""
        return Closed("takes nothing" if self._relay else "handshake took too long")

    def close(self) -> None:
        """Close both sides."""
        for sock in (self._sock, self._worker):
            if sock is not None:
                self._home.watch(self, sock, 0)
                sock.close()

    def _header(self, client: int, worker: int) -> None:
        try:
            data = self._sock.recv(proxy.LONGEST_PUBLIC, socket.MSG_PEEK)
            if not data:
                raise Gone("closed before its PROXY header")
            self._sock.recv(self._reader.feed(data))
        except BlockingIOError:
            pass
        except (OSError, ProxyError) as error:
            raise Closed(str(error)) from error
        if self._reader.header is None:
            self._home.watch(self, self._sock, IN)
            return
        self._peer = self._reader.header.peer or self._peer
        self._local = self._reader.header.local or self._local
        self._start(client, worker)

    def _start(self, client: int, worker: int) -> None:
        title = self._listener.settings.title if self._listener else _listener_of(self._record)
        self._tls = SSL.Connection(self._home.context(title), self._sock)
        self._tls.set_accept_state()
        self._step = self._handshake
        self._handshake(client, worker)

    def _handshake(self, client: int, worker: int) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._home.watch(self, self._sock, IN)
        except SSL.WantWriteError:
            self._home.watch(self, self._sock, OUT)
        except SSL.SysCallError:
            raise Gone("the client is gone") from None
        except SSL.Error as error:
            raise Closed(f"handshake failed: {tls.reason(error)}") from None
        else:
            self._home.watch(self, self._sock, 0)
            self._worker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._worker.setblocking(False)
            self._step = self._connect
            self._connect(client, worker)

    def _connect(self, client: int, worker: int) -> None:
        """Find a worker; as long as all of them and their queue are busy, try again."""
        assert self._worker is not None
        assert self._tls is not None
        try:
            self._worker.connect(WORKER)
            self._worker.sendall(self._introduction(self._tls))
        except BlockingIOError:
            self._home.retry(self)
            return
        except (OSError, ProxyError) as error:
            raise Closed(f"no worker: {error}") from error
        self._relay = Relay(self._tls, self._worker)
        self._step = self._move
        self._move(IN, 0)

    def _introduction(self, connection: SSL.Connection) -> bytes:
        """Return the header that tells a worker who this is."""
        values: dict[int, bytes] = {}
        if self._record:
            values[Tlv.RECORD] = self._record
        elif self._listener is not None:
            values[Tlv.LISTENER] = self._listener.settings.title.encode()
        return proxy.encode(self._peer, self._local, self._home.facts(connection), values)

    def _move(self, client: int, worker: int) -> None:
        assert self._relay is not None
        assert self._worker is not None
        self._relay.move(client, worker)
        self._home.watch(self, self._sock, self._relay.client_events)
        self._home.watch(self, self._worker, self._relay.worker_events)
        stalled = self._relay.stalled
        self.deadline = time.monotonic() + self._home.write_timeout if stalled else math.inf


def _listener_of(record: bytes) -> str:
    """Return the title of the listener that a session with this record came to."""
    return str(json.loads(record)["listener"])


def _ends(sock: socket.socket) -> tuple[Peer, Peer]:
    """Return both ends of a connection; a client that has gone already has none."""
    try:
        return peer_of(sock, sock.getpeername()), peer_of(sock, sock.getsockname())
    except OSError:
        return Peer(), Peer()
