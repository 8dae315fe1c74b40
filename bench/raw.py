"""Clients that cost next to nothing: they send ready octets and look only at the last line."""

from __future__ import annotations

import socket
from collections.abc import Callable

Address = tuple[str, int] | str


class Raw:
    """A connection. ``ask`` sends octets and reads until the received octets end the reply."""

    def __init__(self, address: Address) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        try:
            self.socket.settimeout(60)
            self.socket.connect(address)
            if family == socket.AF_INET:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise
        self.buffer = bytearray(1 << 18)
        self.view = memoryview(self.buffer)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def line(self) -> bytes:
        """Read one short reply that ends with a line end."""
        data = self.socket.recv(65536)
        while not data.endswith(b"\r\n"):
            data += self._more()
        return data

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def until(self, mark: bytes) -> bytes:
        """Read until a line that starts with ``mark`` is complete; returns the last octets.

        Earlier octets are dropped: a reply of many megabytes costs no memory here.
        """
        tail = b""
        needle = b"\r\n" + mark
        while True:
            count = self.socket.recv_into(self.buffer)
            if not count:
                raise ConnectionError("the server closed the connection")
            chunk = bytes(self.view[max(0, count - 1024) : count])
            tail = (tail + chunk)[-2048:] if count < 1024 else chunk
            if tail.endswith(b"\r\n") and (
                tail.rfind(needle) >= 0 or (tail.startswith(mark) and len(tail) < 2048)
            ):
                return tail


class ImapRaw(Raw):
    """IMAP with one tag for everything."""

    def __init__(self, address: Address, user: str = "", password: str = "") -> None:
        super().__init__(address)
        self.line()
        if user:
            self.ask(f"LOGIN {user} {password}".encode())

    def ask(self, command: bytes) -> bytes:
        """One command to its tagged OK."""
        self.socket.sendall(b"x " + command + b"\r\n")
        return self._ok(self.until(b"x "), command)

    def append(self, mailbox: bytes, message: bytes) -> None:
        """APPEND with a literal that waits for the server's leave."""
        self.socket.sendall(b"x APPEND %s {%d}\r\n" % (mailbox, len(message)))
        assert self.line().startswith(b"+")
        self.socket.sendall(message + b"\r\n")
        self._ok(self.until(b"x "), b"APPEND")

    @staticmethod
    def _ok(tail: bytes, command: bytes) -> bytes:
        last = tail[:-2].rpartition(b"\r\n")[2]
        assert last.startswith(b"x OK"), (command, last)
        return tail


class PopRaw(Raw):
    """POP3."""

    def __init__(self, address: Address, user: str, password: str) -> None:
        super().__init__(address)
        self.line()
        self.ask(f"USER {user}".encode())
        self.ask(f"PASS {password}".encode())

    def ask(self, command: bytes) -> bytes:
        """A command with a one-line reply."""
        self.socket.sendall(command + b"\r\n")
        reply = self.line()
        assert reply.startswith(b"+OK"), (command, reply)
        return reply

    def fetch(self, command: bytes) -> None:
        """A command with a reply of many lines."""
        self.socket.sendall(command + b"\r\n")
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            count = self.socket.recv_into(self.buffer)
            if not count:
                raise ConnectionError("the server closed the connection")
            tail = (tail + bytes(self.view[max(0, count - 5) : count]))[-5:]


class LmtpRaw(Raw):
    """LMTP, one transaction after another on one connection."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.line()
        self.socket.sendall(b"LHLO bench\r\n")
        self.until(b"250 ")

    def deliver(self, user: bytes, message: bytes) -> None:
        """One message to one user; the envelope is pipelined (RFC 2920)."""
        head = b"MAIL FROM:<s@example.org>\r\nRCPT TO:<" + user + b">\r\nDATA\r\n"
        self.socket.sendall(head)
        reply = b""
        while reply.count(b"\n") < 3:
            reply += self._more()
        assert b"\n354" in reply, reply
        self.socket.sendall(message + b".\r\n")
        answer = self.line()
        assert answer.startswith(b"250"), answer


Row = Callable[[], int]
