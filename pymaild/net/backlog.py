"""What a client has yet to take, in a file without a name.

The file's position says how much of it was sent. The kernel moves it with each sendfile(2), and
who has a descriptor of the file sees the same position: so whoever dies, the next one goes on at
the right octet.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress


class Backlog:
    """The octets in the file ``fd``, which it owns. All methods raise OSError."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size

    @classmethod
    def make(cls, folder: str) -> Backlog:
        """Begin one."""
        return cls(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))

    def add(self, data: bytes | memoryview) -> None:
        """Append octets: all of them, or none."""
        view, end = memoryview(data), self.size
        try:
            while view:
                written = os.pwrite(self.fd, view, end)
                view, end = view[written:], end + written
        except OSError:
            os.ftruncate(self.fd, self.size)
            raise
        self.size = end

    def send(self, sock: int) -> bool:
        """Send what the socket takes; true when nothing is left."""
        while count := left(self.fd):
            if not send(self.fd, sock, count):
                return False
        return True

    def close(self) -> None:
        """Forget the octets."""
        with suppress(OSError):
            os.close(self.fd)


def left(fd: int) -> int:
    """Return how much of a backlog was not sent yet."""
    return os.fstat(fd).st_size - os.lseek(fd, 0, os.SEEK_CUR)


def send(fd: int, sock: int, most: int) -> int:
    """Send at most ``most`` octets of a backlog; returns how many the socket took."""
    try:
        sent = os.sendfile(sock, fd, None, most)
    except BlockingIOError:
        return 0
    if not sent:
        raise OSError(errno.EIO, "a backlog has become shorter")
    return sent
