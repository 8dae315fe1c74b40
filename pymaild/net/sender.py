"""The half of a stream that sends, and what becomes of a client that does not read."""

from __future__ import annotations

import logging
import math
import os
import select
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from pymaild.core.errors import Disconnected, Leave, Parked
from pymaild.core.session import Cause, SessionRecord
from pymaild.net._journal import Journal
from pymaild.net.backlog import Backlog
from pymaild.net.silence import ENDLESS, Silence
from pymaild.net.sockets import prepare
from pymaild.net.supervisor import Supervisor

log = logging.getLogger("pymaild.net")

HIGH_WATER = 128 * 1024  # octets queued before they are sent unasked
MOST_PIECES = 512  # of one sendmsg; half of the kernel's IOV_MAX
SMALL_FILE = 32 * 1024  # octets; below, copying is cheaper than another system call
SMALL_REPLY = 4096  # octets; below, joining pieces is cheaper than describing them to the kernel

# Numbers, not flags: combining flags costs as much as a small reply does.
_SEND = int(socket.MSG_NOSIGNAL)
_SEND_MORE = int(socket.MSG_NOSIGNAL | socket.MSG_MORE)


class Sender:
    """What a :class:`pymaild.net.stream.SocketStream` does to send; the parameters are its own."""

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
        self.folder, self.most = "", 0
        self._backlog: Backlog | None = None
        self._parted = False  # the session is parked with the backlog
        self._late: bytes | None = None  # a record that is still to be put into the journal
        self._queue: list[bytes | memoryview] = []
        self._queued = 0
        self._poller = select.poll()
        self._poller.register(self._fd, select.POLLIN)
        self._orders = supervisor.fileno()
        self._poller.register(self._orders, select.POLLIN)

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

    def write(self, data: bytes | memoryview) -> None:
        """See :meth:`Stream.write`."""
        self._queue.append(data)
        self._queued += len(data)
        if self._queued >= HIGH_WATER:
            self._emit()

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
        if self._backlog is not None:
            return
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
        self._emit(more=True)
        while count:
            if self._backlog is not None:
                self._copy_file(fd, offset, count)
                return
            try:
                sent = os.sendfile(self._fd, fd, offset, count)
            except BlockingIOError:
                self._make_room()
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
            data = os.pread(fd, min(count, HIGH_WATER), offset)
            if not data:
                self._short()
            self.write(data)
            self._supervisor.beat()
            offset += len(data)
            count -= len(data)

    def _short(self) -> NoReturn:
        """The client waits for octets that do not exist; there is no way back."""
        self._queue.clear()
        self._queued = 0
        raise Disconnected("a file became shorter while it was sent")

    def flush(self) -> None:
        """See :meth:`Stream.flush`."""
        self._emit()
        if self._backlog is not None and not self._parted:
            self._drain(self._backlog)

    def _emit(self, more: bool = False, stores: bool = True) -> None:
        """Send what is queued, or put it into the backlog; ``more``: a file follows at once."""
        if self._journal is not None:
            self._push(self._journal)
        if self._backlog is None:
            self._send_queue(more, stores)
        if self._backlog is not None:
            self._store(self._backlog)

    def _send_queue(self, more: bool, stores: bool) -> None:
        """Send what is queued, until all of it is sent or a backlog has begun."""
        queue, flags = self._queue, _SEND_MORE if more else _SEND
        if self._journal is not None and (queue or more):
            self._journal.begin_reply()
        if len(queue) > 1 and self._queued <= SMALL_REPLY:
            queue[:] = [b"".join(queue)]
        while queue and self._backlog is None:
            try:
                if len(queue) == 1:
                    sent = self._sock.send(queue[0], flags)
                else:
                    sent = self._sock.sendmsg(queue[:MOST_PIECES], (), flags)
            except BlockingIOError:
                self._make_room(stores)
                continue
            except OSError as error:
                self._queue = []
                self._queued = 0
                raise Disconnected(str(error)) from error
            self._queued -= sent
            _drop(queue, sent)

    def _push(self, journal: Journal, spools: bool = True) -> None:
        """Send the replies to finished commands, or put them into a backlog where that may be."""
        try:
            while not journal.push(self._fd):
                if spools:
                    self._make_room()
                else:
                    self._until_writable(ENDLESS)
        except OSError as error:
            raise Disconnected(str(error)) from error

    def _until_writable(self, silence: Silence) -> None:
        """Wait for room in the socket. Raises Disconnected when it does not come in time, and
        Parked as ``silence`` says."""
        deadline = time.monotonic() + self._write_timeout
        self._poller.modify(self._fd, select.POLLOUT)
        try:
            while (remaining := deadline - time.monotonic()) > 0:
                ready = {fd for fd, _ in self._poller.poll(min(remaining, silence.left) * 1000)}
                self._supervisor.beat()
                if self._fd in ready:
                    return
                if ready:
                    self._attend(idle=False)
                silence.go_on()
        finally:
            self._poller.modify(self._fd, select.POLLIN)
        self._give_up("the client takes nothing")

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

    def _listen(self) -> Silence:
        return ENDLESS if self.patience is None else Silence(self.patience)

    def _give_up(self, why: str) -> NoReturn:
        self._queue = []
        self._queued = 0
        raise Disconnected(why)

    # -- a client that does not read -----------------------------------------------------------

    def turn(self) -> None:
        """See :meth:`Stream.turn`."""
        if self._backlog is not None:
            self._part(True)

    def park(self, record: SessionRecord) -> None:
        """The session waits with what its client has yet to take, and then goes on with what that
        has sent already."""
        if self._backlog is not None and record.wait is not None:
            record.wait.backlog, self._backlog = self._backlog.fd, None
            record.wait.cause = Cause.QUEUE if record.unread else ""

    def close(self) -> None:
        """Forget what is not sent. The socket stays open."""
        if self._backlog is not None:
            self._backlog.close()
        self._backlog = None

    def _make_room(self, stores: bool = True) -> None:
        """Wait for room in the socket, or begin a backlog."""
        silence = self._listen() if stores and self.most else ENDLESS
        while True:
            try:
                self._until_writable(silence)
                return
            except Parked:
                if self._begin_backlog():
                    return
                silence = ENDLESS

    def _begin_backlog(self) -> bool:
        """Store from now on what is to be sent, what is in the journal first."""
        try:
            made = Backlog.make(self.folder)
        except OSError:
            return False
        try:
            if self._journal is not None:
                made.add(self._journal.pending())
                self._journal.take()
        except OSError:
            made.close()
            return False
        self._backlog = made
        return True

    def _store(self, kept: Backlog) -> None:
        """Put the queue into the backlog; what finds no room there is sent behind it."""
        queue = self._queue
        try:
            while queue and kept.size + len(queue[0]) <= self.most:
                kept.add(queue[0])
                self._queued -= len(queue.pop(0))
        except OSError as error:
            log.warning("no room for what a client does not read: %s", error)
        if queue:
            self._drain(kept)
            self._emit(stores=False)

    def _part(self, parks: bool) -> None:
        """See that all is sent before the session waits. Raises Parked where others may do so."""
        self._emit()
        if self._backlog is None or self._is_sent(self._backlog):
            return
        if parks and self.patience is not None and self.patience(math.inf) <= 0:
            self._parted = True
            raise Parked
        self._drain(self._backlog)

    def _is_sent(self, kept: Backlog) -> bool:
        """Send what the socket takes of the backlog."""
        try:
            if not kept.send(self._fd):
                return False
        except OSError as error:
            raise Disconnected(str(error)) from error
        self.close()
        return True

    def _drain(self, kept: Backlog) -> None:
        """Send all of the backlog."""
        while not self._is_sent(kept):
            self._until_writable(ENDLESS)


def _drop(queue: list[bytes | memoryview], sent: int) -> None:
    """Take ``sent`` octets from the front of the queue."""
    done = 0
    while sent and sent >= len(queue[done]):
        sent -= len(queue[done])
        done += 1
    del queue[:done]
    if sent:
        queue[0] = memoryview(queue[0])[sent:]
