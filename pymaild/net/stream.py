"""The byte stream between a session and its client, over a TCP or a Unix socket.

One command costs one poll, one recv and one send. Every wait is cut into slices, so that the
process can show that it lives, and watches the supervisor too: what the server wants of the
session reaches it at its next wait.

With a journal, octets come and go through that (net/_journal.pyx): it always says what another
process needs to go on.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from pymaild.core.errors import Disconnected, TimedOut
from pymaild.core.session import Event, SessionRecord
from pymaild.net._journal import ROOM, Journal
from pymaild.net.backlog import Backlog
from pymaild.net.sender import Sender
from pymaild.net.silence import MOMENT, SLICE, Silence

READ_SIZE = 65536  # octets; what one read returns at most

_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class SocketStream(Sender):
    """A :class:`pymaild.core.session.Stream` over a connected socket, which it makes non-blocking.

    ``write_timeout`` is the longest time in seconds in which a client may take nothing;
    ``patience`` says, of a client that has been silent for so many seconds, for how many more its
    session is to stay before that is asked again; 0 when it is to be parked.

    A client that takes nothing for so long costs a file, rather than its process: what it has yet
    to take goes into a backlog of at most ``most`` octets in ``folder``, and the session is parked
    with that at its next wait or :meth:`turn`.
    """

    def begin(self, record: SessionRecord) -> None:
        """Take up a session: what it has still to say is sent first.

        Until all of a backlog is sent the journal knows nothing of the session, which has not
        begun then: that is the one who gives it away once more.
        """
        if record.wait is not None and record.wait.backlog >= 0:
            self._backlog, record.wait.backlog = Backlog(record.wait.backlog), -1
            try:
                self._drain(self._backlog)
            except Disconnected:
                with suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)  # the session finds that out itself
                self.close()
        if self._journal is not None:
            self._journal.begin(record)
        elif record.outbox:
            self.write(record.outbox)
            record.outbox = b""

    def read(self, timeout: float, idle: bool = True, parks: bool = False) -> bytes:
        """See :meth:`Stream.read`."""
        if self._queue:
            self._emit()
        if self._journal is not None:
            self._rest(self._journal)
        if idle and self._supervisor.leaving:
            self._leave()
        if self._backlog is not None:
            self._part(idle or parks)
        return self._answer(idle, timeout, self.patience if idle or parks else None)

    def _answer(
        self, idle: bool, timeout: float, patience: Callable[[float], float] | None
    ) -> bytes:
        """Wait for the client to say something; nearly all do before anybody loses patience."""
        silence, left = None, SLICE if patience is None else MOMENT
        deadline = time.monotonic() + timeout
        while True:
            ready = [fd for fd, _ in self._poller.poll(min(timeout, left) * 1000)]
            if self._orders in ready:  # first: a client that never pauses must not win
                self._attend(idle)
            if self._fd in ready and (data := self._receive()) is not None:
                return data
            self._supervisor.beat()
            if not ready:
                self._supervisor.rest()
            timeout = deadline - time.monotonic()
            if timeout <= 0:
                raise TimedOut
            if silence is None:
                silence = Silence(patience, left)
            left = silence.go_on()

    def wait(self, timeout: float, watch: int | None) -> Event:
        """See :meth:`Stream.wait`."""
        self._emit()
        if self._supervisor.leaving:
            self._leave()
        if self._journal is not None:
            self._rest(self._journal)
        if self._backlog is not None:
            self._part(True)
        if watch is not None:
            self._poller.register(watch, select.POLLIN)
        try:
            return self._wait(timeout)
        finally:
            if watch is not None:
                self._poller.unregister(watch)
            if self._journal is not None:
                self._journal.work()

    def _wait(self, timeout: float) -> Event:
        silence = self._listen()
        deadline = time.monotonic() + timeout
        while True:
            remaining = max(deadline - time.monotonic(), 0)
            ready = {fd for fd, _ in self._poller.poll(min(remaining, silence.left) * 1000)}
            self._supervisor.beat()
            if self._orders in ready:
                self._attend(idle=True)
                ready.discard(self._orders)
            if ready:
                return Event.CLIENT if self._fd in ready else Event.WATCH
            self._supervisor.rest()
            if time.monotonic() >= deadline:
                return Event.TIMEOUT
            silence.go_on()

    # -- the journal -------------------------------------------------------------------------

    def ask(self, data: bytes, left: int = 0) -> bool:
        """See :meth:`Stream.ask`."""
        if self._journal is None:
            self.write(data)
            return True
        if self._queue or len(data) > self._journal.room:
            self._emit()
        if self._backlog is not None and not self._journal.replays:
            self.write(data)
            self._journal.expect(left)
            return True
        return self._journal.ask(data, left)

    @property
    def asked(self) -> bool:
        """See :attr:`Stream.asked`."""
        return self._journal is not None and self._journal.replays

    def expect(self, left: int) -> None:
        """See :meth:`Stream.expect`."""
        if self._journal is not None:
            self._journal.expect(left)

    def intend(self, what: bytes) -> None:
        """See :meth:`Stream.intend`."""
        if self._journal is not None:
            self._journal.intend(what)

    def post(self, data: bytes, note: bytes) -> None:
        """See :meth:`Stream.post`."""
        journal = self._journal
        if journal is None or journal.begun or self._queue or self._backlog is not None:
            self.write(data)
            self.flush()
            return
        while not journal.post(data, note):
            self._push(journal, spools=False)
        self._push(journal, spools=False)

    def commit(self, record: Callable[[], bytes] | None, unread: int) -> None:
        """See :meth:`Stream.commit`."""
        journal = self._journal
        if journal is None:
            return
        if self._queued > journal.room:
            self._push(journal)
            if self._queued > ROOM:
                self._emit()
        if record is not None:
            self._late = record()
        if self._backlog is not None:
            self._emit()
        if self._backlog is not None and not self._is_sent(self._backlog):
            return  # who died now would leave a session that lacks what the backlog has
        journal.commit(self._late, unread, self._queue)
        self._late = None
        self._queue.clear()
        self._queued = 0

    def _rest(self, journal: Journal) -> None:
        """Send all that is on its way before a wait for the client."""
        try:
            if not journal.rest(self._fd):
                self._push(journal)
        except OSError as error:
            raise Disconnected(str(error)) from error

    def pause(self, seconds: float) -> None:
        """See :meth:`Stream.pause`."""
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._fd, select.POLLRDHUP)
        poller.register(self._supervisor.fileno(), select.POLLIN)
        while (remaining := deadline - time.monotonic()) > 0:
            ready = dict(poller.poll(min(remaining, SLICE) * 1000))
            self._supervisor.beat()
            if ready.get(self._fd, 0) & _GONE:
                return
            if ready:
                self._supervisor.attend()
            if self._supervisor.leaving:
                return

    def _receive(self) -> bytes | None:
        """Return what has arrived, or None when it was nothing after all."""
        journal = self._journal
        try:
            data = self._sock.recv(READ_SIZE) if journal is None else journal.receive(self._fd)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Disconnected(str(error)) from error
        if data is None:
            return None
        if not data:
            raise Disconnected("end of file")
        self._supervisor.beat()
        return data
