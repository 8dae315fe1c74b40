"""The tls role: the only holder of private keys. One loop, nothing in it blocks."""

from __future__ import annotations

import logging
import os
import resource
import select
import socket
import time
from collections import Counter

from OpenSSL import SSL

from pymaild.core.session import TlsFacts
from pymaild.net.relay import IN, OUT, Closed, Gone
from pymaild.net.tls import BadCertificate, Contexts, facts, read_files
from pymaild.server.board import address_key, set_title
from pymaild.server.channel import LARGEST, Message
from pymaild.server.failures import CannotStart
from pymaild.server.hop import Hop
from pymaild.server.listeners import OUT_OF, Listener
from pymaild.server.place import Place
from pymaild.server.scoreboard import State

log = logging.getLogger("pymaild.tls")

SLICE = 1.0  # seconds between two signs of life
RETRY = 0.05  # seconds between two tries to reach a busy worker
_HANGUP = select.EPOLLHUP | select.EPOLLERR


def run(place: Place) -> int:
    """Be a tls process: give up the file system and root, then wait for certificates."""
    os.chdir(place.config.server.tls_directory)
    place.settle()
    loop = Loop(place)
    loop.run()
    return 0


class Loop:
    """All connections of one tls process; the Home of their hops."""

    def __init__(self, place: Place) -> None:
        settings = place.config.server
        self.write_timeout: float = settings.write_timeout
        self.handshake_timeout: float = place.config.tls.handshake_timeout
        self._place = place
        self._supervisor = place.supervisor
        self._contexts = Contexts(place.config.tls)
        self._asking = {item.title: item.client_certificate for item in place.config.listeners}
        self._per_address = settings.address_unauthenticated
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 64
        self._handoff = place.shared.handoff[1]
        self._listeners = {item.sock.fileno(): item for item in place.shared.implicit}
        self._listening = False
        self._paused = 0.0
        self._title = -1
        self._hops: set[Hop] = set()
        self._fresh: dict[Hop, str] = {}  # clients without a worker, and what they count as
        self._counts: Counter[str] = Counter()
        self._watched: dict[int, tuple[Hop, int, bool]] = {}
        self._waiting: list[Hop] = []
        self._epoll = select.epoll()
        self._epoll.register(self._supervisor.fileno(), IN)
        self._supervisor.orders["certificates"] = self._certificates

    # -- what hops ask for -----------------------------------------------------------------

    def watch(self, hop: Hop, sock: socket.socket, events: int) -> None:
        """See :meth:`Home.watch`."""
        fd = sock.fileno()
        known = self._watched.get(fd)
        if events and known is None:
            self._epoll.register(fd, events)
        elif events and known is not None and known[1] != events:
            self._epoll.modify(fd, events)
        elif not events and known is not None:
            self._epoll.unregister(fd)
            del self._watched[fd]
        if events:
            self._watched[fd] = (hop, events, hop.is_client(sock))

    def retry(self, hop: Hop) -> None:
        """See :meth:`Home.retry`."""
        self._waiting.append(hop)

    def context(self, listener: str) -> SSL.Context:
        """See :meth:`Home.context`; a listener that came after us may be the strictest."""
        return self._contexts.default(self._asking.get(listener, "required"))

    def facts(self, connection: SSL.Connection) -> TlsFacts:
        """See :meth:`Home.facts`."""
        return facts(connection, self._place.config.tls.client_name)

    # -- the loop --------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to leave; a process that retires stays for its connections."""
        tick = 0.0
        while not self._supervisor.urgent and not (self._supervisor.retiring and not self._hops):
            self._supervisor.beat()
            for fd, events in self._epoll.poll(RETRY if self._waiting else SLICE):
                self._event(fd, events)
            waiting, self._waiting = self._waiting, []
            for hop in waiting:
                self._step(hop)
            if time.monotonic() - tick >= SLICE:
                tick = time.monotonic()
                self._each_second(tick)
        for hop in list(self._hops):
            self._end(hop, Closed("the server stops"))

    def _event(self, fd: int, events: int) -> None:
        if fd in self._watched:
            hop, _, is_client = self._watched[fd]
            if events & _HANGUP:
                events |= IN | OUT
            self._step(hop, *((events, 0) if is_client else (0, events)))
        elif fd == self._supervisor.fileno():
            self._supervisor.attend()
            self._listen()
        elif fd in self._listeners:
            self._accept(self._listeners[fd])
        elif fd == self._handoff.fileno():
            self._take()

    def _step(self, hop: Hop, client: int = IN | OUT, worker: int = 0) -> None:
        if hop not in self._hops:
            return  # it ended by an earlier event of the same round
        try:
            hop.ready(client, worker)
            if hop.relaying:
                self._discount(hop)
        except Closed as closed:
            self._end(hop, closed)
        except Exception:
            log.exception("connection of %s ended by a bug", hop.address)
            self._place.shared.scoreboard.count(self._place.slot, "bugs")
            self._end(hop, Closed("bug"))

    def _end(self, hop: Hop, closed: Closed) -> None:
        level = logging.DEBUG if hop.relaying or isinstance(closed, Gone) else logging.INFO
        log.log(level, "connection of %s ended: %s", hop.address or "unix", closed)
        self._discount(hop)
        self._hops.discard(hop)
        hop.close()

    def _each_second(self, now: float) -> None:
        for hop in [hop for hop in self._hops if hop.deadline < now]:
            self._end(hop, hop.overdue())
        if self._title != len(self._hops):
            self._title = len(self._hops)
            set_title(f"tls {self._title} connections")
        self._listen()

    # -- where connections come from -------------------------------------------------------

    def _listen(self) -> None:
        """Listen when there are certificates and room, and not otherwise."""
        wanted = (
            self._contexts.loaded
            and not self._supervisor.retiring
            and len(self._hops) < self._most
            and time.monotonic() >= self._paused
        )
        if wanted == self._listening:
            return
        self._listening = wanted
        for fd in (*self._listeners, self._handoff.fileno()):
            if wanted:
                self._epoll.register(fd, IN | select.EPOLLEXCLUSIVE)
            else:
                self._epoll.unregister(fd)

    def _accept(self, listener: Listener) -> None:
        try:
            sock, _ = listener.sock.accept()
        except BlockingIOError:  # another process was quicker
            return
        except OSError as error:
            if error.errno in OUT_OF:
                log.error("no connection can be accepted: %s", error)
                self._paused = time.monotonic() + SLICE
                self._listen()
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
        self._hops.add(hop)
        self._fresh[hop] = key
        self._counts[key] += 1
        if key and self._counts[key] > self._per_address:
            self._end(hop, Closed("too many connections of this address"))
        else:
            self._step(hop)

    def _discount(self, hop: Hop) -> None:
        """The hop has a worker, which counts it from now on, or it has ended."""
        key = self._fresh.pop(hop, None)
        if key is not None:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

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
        self._supervisor.ready()
        self._place.shared.scoreboard.set_state(self._place.slot, State.SERVING)
