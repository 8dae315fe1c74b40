"""Very many IMAP clients in one process: each logs in, selects INBOX, and idles."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

from .raw import Address

PATIENCE = 60.0  # seconds of silence after which the server has failed

#: What a guest sends when the server has said that, in turn.
_SCRIPT: tuple[tuple[bytes, str], ...] = (
    (b"* OK", "a LOGIN {user} {password}\r\n"),
    (b"a OK", "b SELECT INBOX\r\nc IDLE\r\n"),
    (b"+ ", ""),
)


class Guest:
    """One client. ``step`` is how far it has come in the script."""

    __slots__ = ("heard", "socket", "step", "user")

    def __init__(self, sock: Any, user: str) -> None:
        self.socket = sock
        self.user = user
        self.step = 0
        self.heard = b""

    def receive(self) -> bytes:
        """Return what has come; nothing where that was not yet a whole TLS record."""
        try:
            data: bytes = self.socket.recv(16384)
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""
        if not data:
            raise ConnectionError(f"{self.user}: the server closed the connection")
        return data


class Crowd:
    """Clients of one server, all of them on one epoll."""

    def __init__(self, address: Address, password: str, tls: ssl.SSLContext | None = None) -> None:
        self.guests: dict[int, Guest] = {}
        self._address = address
        self._password = password
        self._tls = tls
        self._epoll = select.epoll()

    def close(self) -> None:
        """Hang up, all of them."""
        for guest in self.guests.values():
            guest.socket.close()
        self.guests.clear()
        self._epoll.close()

    def gather(self, users: Iterable[str], at_once: int = 32) -> float:
        """Let one client of each user come and idle; returns how many seconds that took."""
        start = time.perf_counter()
        coming = iter(users)
        under_way = sum(map(self._invite, islice(coming, at_once)))
        while under_way:
            for guest in self._stirred():
                if self._go_on(guest):
                    user = next(coming, None)
                    under_way -= 1 if user is None else 1 - self._invite(user)
        return time.perf_counter() - start

    def of(self, *users: str) -> list[Guest]:
        """The clients of these users."""
        return [guest for guest in self.guests.values() if guest.user in users]

    def forget(self, guest: Guest) -> None:
        """Drop what this client was told and nobody has looked at."""
        while guest.receive():
            pass
        guest.heard = b""

    def hear(self, guests: list[Guest], mark: bytes, limit: float = PATIENCE) -> list[float]:
        """Wait until each of them was told ``mark``; returns when that was (perf_counter).

        Those who were not told within ``limit`` seconds are missing.
        """
        waiting = {guest.socket.fileno(): guest for guest in guests}
        moments = []
        end = time.perf_counter() + limit
        while waiting and (left := end - time.perf_counter()) > 0:
            for fd, _ in self._epoll.poll(left, 256):
                guest = self.guests[fd]
                guest.heard += guest.receive()
                if mark in guest.heard:
                    guest.heard = b""
                    if waiting.pop(fd, None):
                        moments.append(time.perf_counter())
        return moments

    def _invite(self, user: str) -> int:
        sock = socket.socket(socket.AF_INET)
        sock.settimeout(PATIENCE)
        sock.connect(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_hostname="localhost")
        sock.setblocking(False)
        self.guests[sock.fileno()] = Guest(sock, user)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return 1

    def _stirred(self) -> list[Guest]:
        found = self._epoll.poll(PATIENCE, 256)
        if not found:
            raise TimeoutError("the server is silent")
        return [self.guests[fd] for fd, _ in found]

    def _go_on(self, guest: Guest) -> bool:
        """Take what has come; true when the guest idles from now on."""
        while data := guest.receive():
            guest.heard += data
        if guest.step == len(_SCRIPT):  # it has idled all along, and was told something
            return False
        mark, answer = _SCRIPT[guest.step]
        at_start = guest.heard.startswith(mark)
        if (not at_start and b"\r\n" + mark not in guest.heard) or not guest.heard.endswith(b"\n"):
            return False
        guest.heard = b""
        guest.step += 1
        guest.socket.sendall(answer.format(user=guest.user, password=self._password).encode())
        return guest.step == len(_SCRIPT)
