"""The worker: takes one connection at a time and serves it in a blocking loop.

Idle workers all wait on the same sockets; the kernel wakes one of them for each connection
(EPOLLEXCLUSIVE). What a worker has accepted it serves, whatever it is told meanwhile.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket

from pymaild.core.session import Ending, SessionRecord
from pymaild.net.proxy import ProxyError
from pymaild.server.board import set_title
from pymaild.server.listeners import OUT_OF, Listener
from pymaild.server.passing import pass_on
from pymaild.server.place import Place
from pymaild.server.roles import has_tls
from pymaild.server.scoreboard import State
from pymaild.server.sessions import Refusal, Sessions

log = logging.getLogger("pymaild.server")

SLICE = 1.0  # seconds between two signs of life of an idle worker
ACCEPT_PAUSE = 0.5  # seconds without accepting when descriptors or memory have run out


def run(place: Place) -> int:
    """Be a worker."""
    place.settle()
    worker = Worker(place)
    place.supervisor.ready()
    worker.loop()
    return 0


class Worker:
    """``listeners`` are those of plain connections and the private one."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._shared = place.shared
        self._supervisor = place.supervisor
        self._scoreboard = place.shared.scoreboard
        self._spare = place.config.server.workers_spare
        self._left = place.config.server.worker_sessions or -1
        self._sessions = Sessions(place)
        self._handoff = Handoff(place)
        self._exhausted = False
        self._listeners = self._listen()
        self._supervisor.on_retire = self._stop_listening
        self._epoll: select.epoll | None = select.epoll()
        self._epoll.register(self._supervisor.fileno(), select.EPOLLIN)
        for fd in self._listeners:
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def _listen(self) -> dict[int, Listener]:
        listeners = list(self._shared.public)
        if self._shared.private is not None:
            listeners.append(self._shared.private)
        return {listener.sock.fileno(): listener for listener in listeners}

    def _stop_listening(self) -> None:
        """Stop accepting at once, also while a session goes on."""
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
        self._shared.stop_listening()
        self._listeners = {}

    def loop(self) -> None:
        """Take connections until told to leave.

        The connection comes before the order: the kernel woke nobody else for it, and it would
        stay in the queue unnoticed if this process left without it.
        """
        self._be_idle()
        while self._epoll is not None and not self._supervisor.retiring:
            self._supervisor.beat()
            ready = [fd for fd, _ in self._epoll.poll(SLICE)]
            for fd in ready:
                if fd in self._listeners and not self._supervisor.retiring:
                    self._take(self._listeners[fd])
            if self._supervisor.fileno() in ready:
                self._supervisor.attend()

    def _be_idle(self) -> None:
        set_title("worker idle")
        self._scoreboard.set_state(self._place.slot, State.IDLE)

    def _take(self, listener: Listener) -> None:
        """Accept one connection, if it is still there, and serve it."""
        try:
            sock, name = listener.sock.accept()
        except BlockingIOError:
            return
        except OSError as error:
            self._cannot_accept(error)
            return
        self._exhausted = False
        self._scoreboard.set_state(self._place.slot, State.BUSY)
        if self._scoreboard.count_states(State.IDLE) < self._spare:
            os.eventfd_write(self._shared.poke, 1)
        try:
            self._serve(sock, name, listener)
        finally:
            sock.close()
            self._finish()

    def _cannot_accept(self, error: OSError) -> None:
        """Leave the connection in the queue and wait; say so once."""
        if error.errno not in OUT_OF:
            return  # the client has gone before it was accepted: accept(2), "Error handling"
        if not self._exhausted:
            log.error("no connection can be accepted: %s", error)
        self._exhausted = True
        poller = select.poll()
        poller.register(self._supervisor.fileno(), select.POLLIN)
        poller.poll(ACCEPT_PAUSE * 1000)

    def _serve(self, sock: socket.socket, name: object, listener: Listener) -> None:
        try:
            record = self._sessions.begin(sock, name, listener)
        except Refusal as refusal:
            log.info("connection refused: %s", refusal)
            self._sessions.over()
            return
        ending = self._sessions.run(sock, record)
        self._sessions.over()  # before the client can notice, so that it is not counted twice
        self._handoff.give(ending, sock, record)

    def _finish(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._supervisor.retire()
        elif self._supervisor.retiring:
            self._scoreboard.set_state(self._place.slot, State.LEAVING)
        else:
            self._be_idle()


class Handoff:
    """Gives a session away: to the tls role, or to a process that becomes its user."""

    def __init__(self, place: Place) -> None:
        self._channel = place.supervisor.channel
        self._tls = place.shared.handoff[0]
        self._has_tls = has_tls(place.config)
        self._ways = {Ending.TLS: self._to_tls, Ending.USER: self._to_user}

    def give(self, ending: Ending, sock: socket.socket, record: SessionRecord) -> None:
        """Pass descriptor and record on. What nobody takes ends; the caller closes the socket."""
        way = self._ways.get(ending)
        if way is None:
            return
        try:
            way(sock, record.encode())
        except (OSError, ProxyError) as error:
            log.error("session=%s could not be handed over: %s", record.id, error)

    def _to_tls(self, sock: socket.socket, record: bytes) -> None:
        if not self._has_tls:
            raise OSError(errno.ECONNREFUSED, "there is no tls process")
        pass_on(self._tls, record, [sock.fileno()])

    def _to_user(self, sock: socket.socket, record: bytes) -> None:
        message = {"verb": "user", "record": record.decode("ascii")}
        if not self._channel.send(message, (sock.fileno(),)):
            raise OSError(errno.EAGAIN, "the master takes nothing")
