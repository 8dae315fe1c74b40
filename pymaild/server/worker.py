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
from contextlib import suppress

from pymaild.core.session import Ending, SessionRecord, Wait
from pymaild.net.proxy import ProxyError
from pymaild.server.channel import Message, close_all
from pymaild.server.keeping import Keeping
from pymaild.server.listeners import OUT_OF, Listener
from pymaild.server.passing import pass_on
from pymaild.server.place import Place
from pymaild.server.roles import has_tls
from pymaild.server.scoreboard import State
from pymaild.server.sessions import Refusal, Sessions, decode_record
from pymaild.storage.locks import let_go

log = logging.getLogger("pymaild.server")

SLICE = 1.0  # seconds between two signs of life of an idle worker
MOMENT = 0.002  # seconds after which it does what can wait
FEW = 16  # events of one look: there are not more sockets
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
        self._keeping = Keeping(place)
        self._keeping.meet()
        self._work = place.shared.work
        self._sessions = Sessions(place, self._keeping)
        self._handoff = Handoff(place, self._keeping, self._sessions)
        self._exhausted = False
        self._listeners = self._listen()
        self._supervisor.on_retire = self._stop_listening
        self._epoll: select.epoll | None = select.epoll()
        self._epoll.register(self._supervisor.fileno(), select.EPOLLIN)
        self._supervisor.orders["open"] = self._be_opened
        if not self._shared.held:
            self._open()
        self._heard: socket.socket | None = None  # the connection to the keeper, as we wait on it

    def _open(self) -> None:
        """Take clients from now on."""
        if self._epoll is not None:
            for fd in (self._work, *self._listeners):
                self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def _be_opened(self, message: Message, fds: list[int]) -> None:
        """See Shared.held."""
        self._supervisor.be_opened(fds)
        self._open()

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
        """Take connections, and sessions that go on, until told to leave.

        Either comes before the order: the kernel woke nobody else for it, and it would wait
        unnoticed if this process left without it.
        """
        self._be_idle()
        while self._epoll is not None and not self._supervisor.retiring:
            self._supervisor.beat()
            ready = [fd for fd, _ in self._epoll.poll(self._leisure(), FEW)]
            if not ready:
                self._catch_up()
            if not ready or self._is_heard(ready):
                self._hear_keeper(self._epoll)
            if self._keeping.returned or self._is_for_us(ready):
                self._go_on()
            for fd in ready:
                if fd in self._listeners and not self._supervisor.retiring:
                    self._take(self._listeners[fd])
            if self._supervisor.fileno() in ready:
                self._supervisor.attend()
        self._keeping.settle()
        while self._keeping.returned:  # nobody else has it
            self._go_on()
            self._keeping.settle()

    def _leisure(self) -> float:
        """Return for how many seconds there may be nothing to do, before something is."""
        if self._keeping.returned:
            return 0.0
        return MOMENT if self._sessions.board.title.due or self._keeping.owes else SLICE

    def _catch_up(self) -> None:
        """Do what could wait until there is nothing else to do."""
        self._sessions.board.title.show()
        self._keeping.tell()

    def _is_heard(self, ready: list[int]) -> bool:
        """Whether the keeper has said something, or is another."""
        heard = self._heard
        return heard is None or heard is not self._keeping.sock or heard.fileno() in ready

    def _hear_keeper(self, epoll: select.epoll) -> None:
        """Take note of what the keeper has said; where it has died, say hello to the next."""
        self._keeping.look()
        if self._heard is not self._keeping.sock and self._keeping.sock is not None:
            epoll.register(self._keeping.sock, select.EPOLLIN)
            self._heard = self._keeping.sock

    def _is_for_us(self, ready: list[int]) -> bool:
        """Take a token of a session that goes on.

        Where the kernel woke this process for a connection too, another shall be woken.
        """
        if self._work not in ready:
            return False
        if any(fd in self._listeners for fd in ready):
            os.eventfd_write(self._work, 1)
            return False
        with suppress(BlockingIOError):  # another process was quicker
            return bool(os.eventfd_read(self._work))
        return False

    def _go_on(self) -> None:
        """Go on with a session that was parked, if there still is one."""
        session = self._keeping.next()
        if session is None:
            return
        self._be_busy()
        try:
            self._keeping.resumed(session)
            record = decode_record(session.record)
            record.wait = session.wait
            if session.of_user and not record.passport:
                raise ValueError("a process of a system user says it is another's")
            if record.passport and session.wait.backlog >= 0:
                raise ValueError("its client has yet to take something")
            if record.passport:  # it goes on in a process of its user, which takes its own lock
                self._give_up_lock(session.wait)
                self._handoff.give(Ending.USER, session.sock, record)
            else:
                self._serve(session.sock, record)
        except ValueError as error:
            log.error("a parked session cannot go on: %s", error)
            self._give_up_lock(session.wait)
            close_all([session.wait.backlog] if session.wait.backlog >= 0 else [])
            self._handoff.close(session.sock)
        finally:
            self._finish()

    def _give_up_lock(self, wait: Wait) -> None:
        let_go(wait.descriptor, unlock=True)
        wait.descriptor = -1

    def _be_idle(self) -> None:
        self._sessions.board.title.be("worker idle")
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
        self._be_busy()
        try:
            self._begin(sock, name, listener)
        finally:
            self._left -= 1
            self._finish()

    def _be_busy(self) -> None:
        board = self._scoreboard
        board.set_state(self._place.slot, State.BUSY)
        if not board.full and board.count_states(State.IDLE) < self._spare:
            os.eventfd_write(self._shared.poke, 1)

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

    def _begin(self, sock: socket.socket, name: object, listener: Listener) -> None:
        try:
            record = self._sessions.begin(sock, name, listener)
        except Refusal as refusal:
            log.info("connection refused: %s", refusal)
            self._sessions.over()
            sock.close()
            return
        self._keeping.hold(record.id, sock)
        self._serve(sock, record)

    def _serve(self, sock: socket.socket, record: SessionRecord) -> None:
        ending = Ending.CLOSED
        try:
            ending = self._sessions.run(sock, record)
        finally:
            self._handoff.give(ending, self._sessions.sock, record)
            self._sessions.over()

    def _finish(self) -> None:
        if self._left == 0:
            self._supervisor.retire()
        elif self._supervisor.retiring:
            self._scoreboard.set_state(self._place.slot, State.LEAVING)
        else:
            self._be_idle()


class Handoff:
    """Gives a session away: to the keeper, the tls role, or a process that becomes its user."""

    def __init__(self, place: Place, keeping: Keeping, sessions: Sessions) -> None:
        self._channel = place.supervisor.channel
        self._keeping = keeping
        self._sessions = sessions
        self._tls = place.shared.handoff[0]
        self._has_tls = has_tls(place.config)
        self._ways = {Ending.TLS: self._to_tls, Ending.USER: self._to_user}

    def give(self, ending: Ending, sock: socket.socket, record: SessionRecord) -> None:
        """Pass descriptor and record on. What nobody takes ends.

        The session is forgotten before its client can notice, so that it is not counted twice.
        """
        if ending is Ending.PARK:
            self._sessions.board.end()
            self._keeping.park(sock, record)
            return
        self._sessions.over()
        way = self._ways.get(ending)
        try:
            if way is not None:
                self._keeping.over()  # from here on it is another's, whatever becomes of us
                way(sock, record.encode())
        except (OSError, ProxyError) as error:
            log.error("session=%s could not be handed over: %s", record.id, error)
            way = None
        if way is None:
            self.close(sock)
        sock.close()

    def close(self, sock: socket.socket) -> None:
        """End a connection; the keeper has it as well, so that closing alone ends nothing."""
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        self._keeping.over()

    def _to_tls(self, sock: socket.socket, record: bytes) -> None:
        if not self._has_tls:
            raise OSError(errno.ECONNREFUSED, "there is no tls process")
        pass_on(self._tls, record, [sock.fileno()])

    def _to_user(self, sock: socket.socket, record: bytes) -> None:
        message = {"verb": "user", "record": record.decode("ascii")}
        if not self._channel.send(message, (sock.fileno(),)):
            raise OSError(errno.EAGAIN, "the master takes nothing")
