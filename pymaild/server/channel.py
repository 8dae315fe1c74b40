"""Messages between the master and a child: small JSON objects, with descriptors where needed.

A channel is one end of a SOCK_SEQPACKET pair, so that a message is whole or not there, and
the end of file says that the other process is gone.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

LARGEST = 180 * 1024  # octets; below the kernel's default send buffer (212,992)
MOST_FDS = 253  # SCM_MAX_FD of Linux

Message = dict[str, Any]


class ChannelClosed(Exception):
    """The process at the other end is gone."""


class Channel:
    """One end. Nothing here ever blocks."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return two connected ends."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Return the descriptor, for poll and epoll."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close this end."""
        self._sock.close()

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> bool:
        """Send a message. False when it cannot be taken now or never will be."""
        data = json.dumps(message, separators=(",", ":")).encode()
        try:
            socket.send_fds(self._sock, [data], fds)
        except OSError:  # full, gone, or larger than the buffer
            return False
        return True

    def receive(self) -> tuple[Message, list[int]] | None:
        """Return the next message and its descriptors, or None when there is none now.

        Raises ChannelClosed at the end, and ValueError for what is no message; its
        descriptors are closed.
        """
        try:
            data, fds, flags, _ = socket.recv_fds(self._sock, LARGEST, MOST_FDS)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed from error
        if not data and not fds:
            raise ChannelClosed
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ValueError("truncated message")
            return self._message(data), fds
        except ValueError:
            close_all(fds)
            raise

    @staticmethod
    def _message(data: bytes) -> Message:
        message = json.loads(data)
        if not isinstance(message, dict) or not isinstance(message.get("verb"), str):
            raise ValueError("not a message")
        return message


def close_all(fds: list[int] | tuple[int, ...]) -> None:
    """Close received descriptors."""
    for fd in fds:
        os.close(fd)
