"""How the socket of a client is set up."""

from __future__ import annotations

import socket
from contextlib import suppress

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_TCP_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 300),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
)


def bequeath(listener: socket.socket) -> None:
    """Set up what accepted connections inherit (tcp(7)): no delay, dead peers are found."""
    if listener.family in _INTERNET:
        for level, option, value in _TCP_OPTIONS:
            listener.setsockopt(level, option, value)


def prepare(sock: socket.socket, write_timeout: float) -> None:
    """Set a client's socket up: non-blocking, and who takes nothing for so long is gone."""
    sock.setblocking(False)
    with suppress(OSError):  # not one of TCP, or gone: the next read will say so
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(write_timeout * 1000))
