"""Sessions whose processes die: each runs in a process of its own, and the next one goes on.

The test's process is the keeper: it has the connection and the journal, and nothing else of a
session.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

from pymaild.core.session import SessionRecord
from pymaild.net import _journal
from pymaild.net.stream import SocketStream
from pymaild.server.recovery import Recovered, recover
from tests.support.sessions import Supervisor

Step = tuple[bytes, bytes]  # what the client sends, and the end of what it waits for
Run = Callable[[Any, SocketStream], object]  # runs a session from its record


class Ended(Exception):
    """The connection had to be closed."""


def dies_at(event: int) -> None:
    """Have this process killed at the n-th call or return of a function."""
    left = event

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def dies_after(function: str, event: int) -> None:
    """Have this process killed at the n-th call or return after the first call of a function of
    this name."""

    def count(frame: FrameType, met: str, _: object) -> None:
        if met == "call" and frame.f_code.co_name == function:
            dies_at(event)

    sys.setprofile(count)


def dies_in(function: str, call: int = 1) -> None:
    """Have this process killed when a function of this name is called for the n-th time."""
    left = call

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        left -= event == "call" and frame.f_code.co_name == function
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


class Mortal:
    """One connection, and its sessions one after the other.

    ``run`` runs a session. ``fates`` are called in the processes one after the other, before
    their sessions; those that follow live on.
    """

    def __init__(
        self,
        record: SessionRecord,
        run: Run,
        fates: Iterable[Callable[[], object]] = (),
        sndbuf: int = 0,
    ) -> None:
        self.received = b""
        self.recovered: list[Recovered] = []
        self.journal = _journal.make(1)
        self.pid = -1
        self._run = run
        self._fates: Iterator[Callable[[], object]] = iter(fates)
        self._kind = type(record)
        self._record = record.encode()
        self.server, self.client = socket.socketpair()
        if sndbuf:
            self.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        self.client.setblocking(False)
        self._start(record)

    def __enter__(self) -> Mortal:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()
        if self.pid > 0:
            self.kill()
            self._bury()
        os.close(self.journal)

    def _start(self, record: SessionRecord) -> None:
        fate = next(self._fates, lambda: None)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.client.close()
                journal = _journal.Journal(self.journal, 0)
                stream = SocketStream(self.server, Supervisor(), 20.0, journal)
                stream.begin(record)
                fate()
                self._run(record, stream)
                journal.end()
            finally:
                os._exit(0)
        self._alive = os.pidfd_open(self.pid)

    def _next(self) -> None:
        """Go on with the session of the process that has died. Raises Ended."""
        self._bury()
        found = recover(self.journal, 0)
        if found is None:  # it has not even begun
            found = Recovered("", self._record)
        self.recovered.append(found)
        if found.ended:
            raise Ended(found.ended)
        self._record = found.record
        self._start(self._kind.decode(found.record))

    def _bury(self) -> None:
        os.close(self._alive)
        os.waitpid(self.pid, 0)
        self.pid = -1

    def kill(self) -> None:
        """End the present process, which may just have ended."""
        assert self.pid > 0
        os.kill(self.pid, signal.SIGKILL)

    def send(self, data: bytes) -> None:
        """Send what sockets take; the rest when they take more."""
        while data:
            try:
                data = data[self.client.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def until(self, end: bytes, start: int = 0) -> None:
        """Receive until ``end`` stands somewhere behind ``start``."""
        while end not in self.received[start:]:
            self._wait(select.POLLIN)
            with suppress(BlockingIOError):
                self.received += self.client.recv(65536)

    def _wait(self, event: int) -> None:
        poller = select.poll()
        poller.register(self.client, event)
        poller.register(self._alive, select.POLLIN)
        ready = {fd for fd, _ in poller.poll(30_000)}
        assert ready, f"nothing happens behind {self.received[-200:]!r}"
        if self._alive in ready:
            self._next()

    def answer(self, data: bytes, end: bytes) -> bytes:
        """Send something and return what comes up to ``end``, and a little more perhaps."""
        start = len(self.received)
        self.send(data)
        self.until(end, start)
        return self.received[start:]

    def play(self, steps: Iterable[Step]) -> bytes:
        """Play a script; returns all that was received."""
        for data, end in steps:
            self.answer(data, end)
        return self.received
