"""One client of the tls role, from its first octet to its last.

Each step waits for events of its own: the PROXY header of a trusted proxy, the handshake, a
worker, and then the relay until the end.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from typing import Protocol

from OpenSSL import SSL

from pymaild.core.session import Peer, TlsFacts
from pymaild.net import proxy, tls
from pymaild.net.proxy import ProxyError, Tlv
from pymaild.net.relay import IN, OUT, Closed, Gone, Relay
from pymaild.net.sockets import prepare
from pymaild.server.listeners import Listener, peer_of
from pymaild.server.relays import Home, Relayed

log = logging.getLogger("pymaild.tls")

WORKER = "worker"  # the workers' private socket, in the tls processes' root directory


class TlsHome(Home, Protocol):
    """What a hop needs of the process it lives in."""

    handshake_timeout: float

    def context(self, listener: str) -> SSL.Context:
        """Return the default context for a handshake with a client of this listener."""

    def facts(self, connection: SSL.Connection) -> TlsFacts:
        """Return what workers are told of a connection."""


class Hop(Relayed):
    """A client's connection. ``record`` is the session's that asked for TLS, or empty."""

    __slots__ = (
        *("_introduction", "_listener", "_local", "_peer", "_reader", "_record", "_tls"),
        "_tls_home",
    )

    def __init__(
        self, home: TlsHome, sock: socket.socket, listener: Listener | None, record: bytes
    ) -> None:
        super().__init__(home, sock)
        prepare(sock, home.write_timeout)
        self._tls_home = home
        self._listener = listener
        self._record = record
        self._peer, self._local = ends(sock)
        self._reader: proxy.Reader | None = None
        self._tls: SSL.Connection | None = None
        self._introduction = b""
        self.deadline = time.monotonic() + home.handshake_timeout
        wants_header = listener is not None and listener.wants_proxy_header(self._peer)
        self._step = self._header if wants_header else self._start

    @property
    def address(self) -> str:
        """The client's IP address, as far as it is known."""
        return self._peer.address

    def overdue(self) -> Closed:
        """Say why the connection ends at its deadline."""
        return super().overdue() if self.relaying else Closed("handshake took too long")

    def _header(self, client: int, session: int) -> None:
        self._reader = self._reader or proxy.Reader()
        try:
            data = self._client.recv(proxy.LONGEST_PUBLIC, socket.MSG_PEEK)
            if not data:
                raise Gone("closed before its PROXY header")
            self._client.recv(self._reader.feed(data))
        except BlockingIOError:
            pass
        except (OSError, ProxyError) as error:
            raise Closed(str(error)) from error
        if self._reader.header is None:
            self._home.watch(self, self._client, IN)
            return
        self._peer = self._reader.header.peer or self._peer
        self._local = self._reader.header.local or self._local
        self._start(client, session)

    def _start(self, client: int, session: int) -> None:
        title = self._listener.settings.title if self._listener else _listener_of(self._record)
        self._tls = SSL.Connection(self._tls_home.context(title), self._client)
        self._tls.set_accept_state()
        self._reader = None
        self._step = self._handshake
        self._handshake(client, session)

    def _handshake(self, client: int, session: int) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._home.watch(self, self._client, IN)
        except SSL.WantWriteError:
            self._home.watch(self, self._client, OUT)
        except SSL.SysCallError:
            raise Gone("the client is gone") from None
        except SSL.Error as error:
            raise Closed(f"handshake failed: {tls.reason(error)}") from None
        else:
            self._home.watch(self, self._client, 0)
            self._session = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._session.setblocking(False)
            self._introduction = self._introduce(self._tls)
            self._step = self._connect
            self._connect(client, session)

    def _connect(self, client: int, session: int) -> None:
        """Find a worker; as long as all of them and their queue are busy, try again."""
        assert self._session is not None
        assert self._tls is not None
        try:
            self._session.connect(WORKER)
            self._session.sendall(self._introduction)
        except BlockingIOError:
            self._home.retry(self)
            return
        except OSError as error:
            raise Closed(f"no worker: {error}") from error
        connection, self._tls = self._tls, None
        self._introduction = self._record = b""
        self._begin(Relay(connection, self._session))

    def _introduce(self, connection: SSL.Connection) -> bytes:
        """Return the header that tells a worker who this is."""
        values: dict[int, bytes] = {}
        if self._record:
            values[Tlv.RECORD] = self._record
        elif self._listener is not None:
            values[Tlv.LISTENER] = self._listener.settings.title.encode()
        facts = self._tls_home.facts(connection)
        try:
            return proxy.encode(self._peer, self._local, facts, values)
        except ProxyError as error:
            raise Closed(f"no worker: {error}") from error


def _listener_of(record: bytes) -> str:
    """Return the title of the listener that a session with this record came to."""
    return str(json.loads(record)["listener"])


def ends(sock: socket.socket) -> tuple[Peer, Peer]:
    """Return both ends of a connection; a client that has gone already has none."""
    try:
        return peer_of(sock.getpeername()), peer_of(sock.getsockname())
    except OSError:
        return Peer(), Peer()
