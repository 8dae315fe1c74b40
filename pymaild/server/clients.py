"""What the keeper does with a client's connection, which belongs to a session that waits."""

from __future__ import annotations

import socket
from contextlib import suppress


def borrow(fd: int) -> socket.socket:
    """Return an object for a descriptor that it does not own: detach it."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd)


def peek(fd: int, count: int) -> bytes | None:
    """Return what a client has sent, unread; b"" at the end, None where there is nothing."""
    sock = borrow(fd)
    try:
        return sock.recv(count, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""
    finally:
        sock.detach()


def take(fd: int, count: int) -> None:
    sock = borrow(fd)
    with suppress(OSError):
        sock.recv(count, socket.MSG_DONTWAIT)
    sock.detach()


def say(fd: int, text: bytes) -> bool:
    """Send a short text without waiting; false where it could not be sent as a whole."""
    sock = borrow(fd)
    try:
        return sock.send(text, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == len(text)
    except OSError:
        return False
    finally:
        sock.detach()


def shut(fd: int) -> None:
    """End a connection, whoever else has it open."""
    sock = borrow(fd)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.detach()
