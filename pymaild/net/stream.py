"""The byte stream between a session and its client, over a TCP or a Unix socket.

One command costs one poll, one recv and one send. Every wait is cut into slices, so that the
process can show that it lives, and watches the supervisor too: what the server wants of the
session reaches it at its next wait.

With a journal, octets come and go through that (net/_journal.pyx): it always says what another
process needs to go on.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from pymaild.core.errors import Disconnected, Leave, TimedOut
from pymaild.core.session import Event, SessionRecord
from pymaild.net._journal import ROOM, Journal
from pymaild.net.silence import ENDLESS, SLICE, Silence
from pymaild.net.sockets import prepare
from pymaild.net.supervisor import Supervisor

READ_SIZE = 65536  # octets; what one read returns at most
HIGH_WATER = 128 * 1024  # octets queued before they are sent unasked
MOST_PIECES = 512  # of one sendmsg; half of the kernel's IOV_MAX
SMALL_FILE = 32 * 1024  # octets; below, copying is cheaper than another system call
SMALL_REPLY = 4096  # octets; below, joining pieces is cheaper than describing them to the kernel

# Numbers, not flags: combining flags costs as much as a small reply does.
_SEND = int(socket.MSG_NOSIGNAL)
_SEND_MORE = int(socket.MSG_NOSIGNAL | socket.MSG_MORE)

_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class SocketStream:
    """A :class:`pymaild.core.session.Stream` over a connected socket, which it makes non-blocking.

    ``write_timeout`` is the longest time in seconds in which a client may take nothing;
    ``patience`` says, of a client that has been silent for so many seconds, for how many more its
    session is to stay before that is asked again; 0 when it is to be parked.
    """

    def __init__(
        self,
        sock: socket.socket,
        supervisor: Supervisor,
        write_timeout: float = 120.0,
        journal: Journal | None = None,
    ) -> None:
        prepare(sock, write_timeout)
        self._sock = sock
        self._fd = sock.fileno()
        self._supervisor = supervisor
        self._write_timeout = write_timeout
        self._journal = journal
        self.patience: Callable[[float], float] | None = None
        self._queue: list[bytes | memoryview] = []
        self._queued = 0
        self._poller = select.poll()
        self._poller.register(self._fd, select.POLLIN)
        self._poller.register(supervisor.fileno(), select.POLLIN)

    @property
    def sock(self) -> socket.socket:
        """The socket that it is over now."""
        return self._sock

    def replace(self, sock: socket.socket) -> None:
        """Go on over another socket; all that is queued has been flushed. The old stays open."""
        prepare(sock, self._write_timeout)
        self._poller.unregister(self._fd)
        self._sock, self._fd = sock, sock.fileno()
        self._poller.register(self._fd, select.POLLIN)

    def begin(self, record: SessionRecord) -> None:
        """Take up a session: what it has still to say is sent first."""
        if self._journal is not None:
            self._journal.begin(record)
        elif record.outbox:
            self.write(record.outbox)
            record.outbox = b""

    def read(self, timeout: float, idle: bool = True, parks: bool = False) -> bytes:
        """See :meth:`Stream.read`."""
        if self._queue:
            self.flush()
        if self._journal is not None:
            self._rest(self._journal)
        if idle and self._supervisor.leaving:
            self._leave()
        silence = self._listen() if idle or parks else ENDLESS
        deadline = time.monotonic() + timeout
        while True:
            ready = {fd for fd, _ in self._poller.poll(min(timeout, silence.left) * 1000)}
            if self._supervisor.fileno() in ready:  # first: a client that never pauses must not win
                self._attend(idle)
            if self._fd in ready and (data := self._receive()) is not None:
                return data
            self._supervisor.beat()
            timeout = deadline - time.monotonic()
            if timeout <= 0:
                raise TimedOut
            silence.go_on()

    def wait(self, timeout: float, watch: int | None) -> Event:
        """See :meth:`Stream.wait`."""
        self.flush()
        if self._supervisor.leaving:
            self._leave()
        if self._journal is not None:
            self._rest(self._journal)
        if watch is not None:
            self._poller.register(watch, select.POLLIN)
        try:
            return self._wait(timeout)
        finally:
            if watch is not None:
                self._poller.unregister(watch)
            if self._journal is not None:
                self._journal.work()

    def _listen(self) -> Silence:
        return ENDLESS if self.patience is None else Silence(self.patience)

    def _wait(self, timeout: float) -> Event:
        silence = self._listen()
        deadline = time.monotonic() + timeout
        while True:
            remaining = max(deadline - time.monotonic(), 0)
            ready = {fd for fd, _ in self._poller.poll(min(remaining, silence.left) * 1000)}
            self._supervisor.beat()
            if self._supervisor.fileno() in ready:
                self._attend(idle=True)
                ready.discard(self._supervisor.fileno())
            if ready:
                return Event.CLIENT if self._fd in ready else Event.WATCH
            if time.monotonic() >= deadline:
                return Event.TIMEOUT
            silence.go_on()

    def write(self, data: bytes | memoryview) -> None:
        """See :meth:`Stream.write`."""
        self._queue.append(data)
        self._queued += len(data)
        if self._queued >= HIGH_WATER:
            self.flush()

    def offer(self, data: bytes) -> None:
        """See :meth:`Stream.offer`. What stops it is met again by the next flush."""
        try:
            if self._journal is not None and not self._journal.begun:
                if self._journal.post(data):  # ahead of a reply of which nothing was sent
                    self._journal.push(self._fd)
                return
        except OSError:
            return
        self._queue.append(data)
        self._queued += len(data)
        try:
            while self._queue:
                sent = self._sock.send(self._queue[0], _SEND)
                self._queued -= sent
                _drop(self._queue, sent)
        except OSError:
            return

    def write_file(self, fd: int, offset: int, count: int) -> None:
        """See :meth:`Stream.write_file`. A file shorter than promised ends the connection."""
        if count <= SMALL_FILE:
            self._copy_file(fd, offset, count)
            return
        self.flush(more=True)
        while count:
            try:
                sent = os.sendfile(self._fd, fd, offset, count)
            except BlockingIOError:
                self._until_writable()
                continue
            except OSError as error:
                raise Disconnected(str(error)) from error
            if not sent:
                self._short()
            offset += sent
            count -= sent
            self._supervisor.beat()

    def _copy_file(self, fd: int, offset: int, count: int) -> None:
        while count:
            data = os.pread(fd, count, offset)
            if not data:
                self._short()
            self.write(data)
            offset += len(data)
            count -= len(data)

    def _short(self) -> NoReturn:
        """The client waits for octets that do not exist; there is no way back."""
        self._queue.clear()
        self._queued = 0
        raise Disconnected("a file became shorter while it was sent")

    def flush(self, more: bool = False) -> None:
        """See :meth:`Stream.flush`. ``more`` says that a file follows at once."""
        queue = self._queue
        if self._journal is not None:
            self._push(self._journal)
            if queue or more:
                self._journal.begin_reply()
        flags = _SEND_MORE if more else _SEND
        if len(queue) > 1 and self._queued <= SMALL_REPLY:
            queue[:] = [b"".join(queue)]
        while queue:
            try:
                if len(queue) == 1:
                    sent = self._sock.send(queue[0], flags)
                else:
                    sent = self._sock.sendmsg(queue[:MOST_PIECES], (), flags)
            except BlockingIOError:
                self._until_writable()
                continue
            except OSError as error:
                self._queue = []
                self._queued = 0
                raise Disconnected(str(error)) from error
            if sent == self._queued:
                queue.clear()
                self._queued = 0
                return
            self._queued -= sent
            _drop(queue, sent)

    # -- the journal -------------------------------------------------------------------------

    def ask(self, data: bytes, left: int = 0) -> bool:
        """See :meth:`Stream.ask`."""
        if self._journal is None:
            self.write(data)
            return True
        if self._queue or len(data) > self._journal.room:
            self.flush()
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
        if journal is None or journal.begun or self._queue:
            self.write(data)
            self.flush()
            return
        while not journal.post(data, note):
            self._push(journal)
        self._push(journal)

    def commit(self, record: Callable[[], bytes] | None, unread: int) -> None:
        """See :meth:`Stream.commit`."""
        journal = self._journal
        if journal is None:
            return
        if self._queued > journal.room:
            self._push(journal)
            if self._queued > ROOM:
                self.flush()
        journal.commit(record() if record is not None else None, unread, self._queue)
        self._queue.clear()
        self._queued = 0

    def _rest(self, journal: Journal) -> None:
        """Send all that is on its way before a wait for the client."""
        try:
            if not journal.rest(self._fd):
                self._push(journal)
        except OSError as error:
            raise Disconnected(str(error)) from error

    def _push(self, journal: Journal) -> None:
        """Send the replies to finished commands."""
        try:
            while not journal.push(self._fd):
                self._until_writable()
        except OSError as error:
            raise Disconnected(str(error)) from error

    def _until_writable(self) -> None:
        """Wait for room in the socket. Raises Disconnected when it does not come in time."""
        deadline = time.monotonic() + self._write_timeout
        self._poller.modify(self._fd, select.POLLOUT)
        try:
            while (remaining := deadline - time.monotonic()) > 0:
                ready = {fd for fd, _ in self._poller.poll(min(remaining, SLICE) * 1000)}
                self._supervisor.beat()
                if self._fd in ready:
                    return
                if ready:
                    self._attend(idle=False)
        finally:
            self._poller.modify(self._fd, select.POLLIN)
        self._give_up("the client takes nothing")

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

    def _attend(self, idle: bool) -> None:
        self._supervisor.attend()
        if not self._supervisor.leaving:
            return
        if idle:
            self._leave()
        if self._supervisor.urgent:
            self._give_up(self._supervisor.leaving)

    def _leave(self) -> NoReturn:
        raise Leave(self._supervisor.leaving)

    def _give_up(self, why: str) -> NoReturn:
        self._queue = []
        self._queued = 0
        raise Disconnected(why)


def _drop(queue: list[bytes | memoryview], sent: int) -> None:
    """Take ``sent`` octets from the front of the queue."""
    done = 0
    while sent and sent >= len(queue[done]):
        sent -= len(queue[done])
        done += 1
    del queue[:done]
    if sent:
        queue[0] = memoryview(queue[0])[sent:]
