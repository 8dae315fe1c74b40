"""How the socket of a client is set up."""

from __future__ import annotations

import socket

_TCP_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 300),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
)


def prepare(sock: socket.socket, write_timeout: float) -> None:
    """Set a client's socket up: non-blocking, no delay, dead peers found by the kernel."""
    sock.setblocking(False)
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    milliseconds = int(write_timeout * 1000)
    for level, option, value in (
        *_TCP_OPTIONS,
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds),
    ):
        try:
            sock.setsockopt(level, option, value)
        except OSError:  # the client has already gone; the next read will say so
            return
