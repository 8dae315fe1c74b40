"""Passing a client to whichever process of a role is the first to take it."""

from __future__ import annotations

import errno
import select
import socket
import time

from pymaild.server.channel import LARGEST

#: What stands in front of the octets that a client has sent already: no message is empty.
MARK = b"+"
TIMEOUT = 5.0  # seconds in which one of the processes must take it


def pass_on(queue: socket.socket, data: bytes, fds: list[int]) -> None:
    """Put a message with descriptors into a queue. Raises OSError when nobody takes it in time."""
    if len(data) > LARGEST:
        raise OSError(errno.EMSGSIZE, "message is too large")
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            socket.send_fds(queue, [data], fds)
            return
        except BlockingIOError:
            _wait_for_room(queue, deadline)


def _wait_for_room(queue: socket.socket, deadline: float) -> None:
    poller = select.poll()
    poller.register(queue, select.POLLOUT)
    if not poller.poll(max(deadline - time.monotonic(), 0) * 1000):
        raise TimeoutError("no process of the role takes anything")
