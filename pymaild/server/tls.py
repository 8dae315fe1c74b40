"""The tls role: the only holder of private keys."""

from __future__ import annotations

import logging
import os
import resource
import socket
import time
from collections import Counter

from OpenSSL import SSL

from pymaild.core.session import TlsFacts
from pymaild.net.relay import Closed
from pymaild.net.tls import BadCertificate, Contexts, facts, read_files
from pymaild.server.board import address_key
from pymaild.server.channel import LARGEST, Message, close_all
from pymaild.server.failures import CannotStart
from pymaild.server.hop import Hop
from pymaild.server.listeners import OUT_OF, Listener
from pymaild.server.place import Place
from pymaild.server.relays import SLICE, Relayed, Relays

log = logging.getLogger("pymaild.tls")


def run(place: Place) -> int:
    """Be a tls process: give up the file system and root, then wait for certificates."""
    os.chdir(place.config.server.tls_directory)
    place.settle()
    loop = Loop(place)
    loop.run()
    return 0


class Loop(Relays):
    """All connections of one tls process; the Home of their hops."""

    name = "tls"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.handshake_timeout: float = place.config.tls.handshake_timeout
        self._contexts = Contexts(place.config.tls)
        self._asking = {item.title: item.client_certificate for item in place.config.listeners}
        self._per_address = place.config.server.address_unauthenticated
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 64
        self._handoff = place.shared.handoff[1]
        self._listeners = {item.sock.fileno(): item for item in place.shared.implicit}
        self._paused = 0.0
        self._fresh: dict[Relayed, str] = {}  # clients without a worker, and what they count as
        self._counts: Counter[str] = Counter()
        self._supervisor.orders |= {"certificates": self._certificates, "cede": self._cede}

    # -- what hops ask for -----------------------------------------------------------------

    def context(self, listener: str) -> SSL.Context:
        """See :meth:`TlsHome.context`; a listener that came after us may be the strictest."""
        return self._contexts.default(self._asking.get(listener, "required"))

    def facts(self, connection: SSL.Connection) -> TlsFacts:
        """See :meth:`TlsHome.facts`."""
        return facts(connection, self._place.config.tls.client_name)

    # -- where connections come from -------------------------------------------------------

    def sources(self) -> list[int]:
        """The listeners, and sessions that ask for TLS."""
        return [*self._listeners, self._handoff.fileno()]

    def open(self) -> bool:
        """Whether there are certificates and room."""
        room = len(self._all) < self._most and time.monotonic() >= self._paused
        return self._contexts.loaded and room

    def arrived(self, fd: int) -> None:
        """Take a connection, or a session that asked for TLS."""
        if fd in self._listeners:
            self._accept(self._listeners[fd])
        elif fd == self._handoff.fileno():
            self._take()

    def _accept(self, listener: Listener) -> None:
        try:
            sock, _ = listener.sock.accept()
        except BlockingIOError:  # another process was quicker
            return
        except OSError as error:
            if error.errno in OUT_OF:
                log.error("no connection can be accepted: %s", error)
                self._paused = time.monotonic() + SLICE
                self.listen()
            return
        self._add(Hop(self, sock, listener, b""))

    def _take(self) -> None:
        """Take a session that asked for TLS."""
        try:
            record, fds, _, _ = socket.recv_fds(self._handoff, LARGEST, 1)
        except OSError:
            return
        for fd in fds:
            self._add(Hop(self, socket.socket(fileno=fd), None, record))

    def _add(self, hop: Hop) -> None:
        key = address_key(hop.address)
        self._fresh[hop] = key
        self._counts[key] += 1
        if key and self._counts[key] > self._per_address:
            self.end(hop, Closed("too many connections of this address"))
        else:
            self.add(hop)

    def served(self, relayed: Relayed) -> None:
        """The hop has a worker, which counts it from now on, or it has ended."""
        key = self._fresh.pop(relayed, None)
        if key is not None:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def _cede(self, message: Message, fds: list[int]) -> None:
        """Leave the listeners to another server; sessions here may still ask for TLS."""
        close_all(fds)
        for fd, listener in self._listeners.items():
            if self._listening:
                self._epoll.unregister(fd)
            listener.sock.close()
        self._listeners = {}

    # -- certificates ----------------------------------------------------------------------

    def _certificates(self, message: Message, fds: list[int]) -> None:
        """Load certificates from open files; keep the old ones when the new cannot be used."""
        try:
            contents = read_files(fds)
            client_ca = contents.pop() if message.get("client_ca") else b""
            self._contexts.load(list(zip(contents[::2], contents[1::2], strict=True)), client_ca)
        except BadCertificate as error:
            if not self._contexts.loaded:
                raise CannotStart(f"tls.certificate: {error}") from None
            log.error("new certificates are not used: %s", error)
            return
        log.info("certificates loaded: %d", len(contents) // 2)
        self.ready()
