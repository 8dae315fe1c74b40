"""Clients that cost next to nothing: they send ready octets and read only for a reply's end."""

from __future__ import annotations

import socket
import ssl
import struct

from ._wire import Wire

Address = tuple[str, int] | str

PATIENCE = 120  # seconds of silence after which the server has failed
_TIMEOUT = struct.pack("ll", PATIENCE, 0)


class Raw:
    """A connection; ``wire`` reads its replies and counts what they hold."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None = None) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
            self.socket.connect(address)
            if family == socket.AF_INET:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        except OSError:
            self.socket.close()
            raise
        self.wire = Wire(self.socket.fileno(), None if tls is None else self.socket)
        self.line, self.until = self.wire.line, self.wire.until

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class ImapRaw(Raw):
    """IMAP with one tag for everything."""

    def __init__(
        self,
        address: Address,
        user: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(address, tls)
        self.line()
        if user:
            self.ask(f"LOGIN {user} {password}".encode())

    def ask(self, command: bytes) -> bytes:
        """One command to its tagged OK; returns that line."""
        self.wire.send(b"x " + command + b"\r\n")
        return self.ok(command)

    def ok(self, command: bytes) -> bytes:
        """Read the reply of a command that was sent; returns its tagged line."""
        reply: bytes = self.wire.until(b"x ")
        assert reply.startswith(b"x OK"), (command, reply)
        return reply

    def append(self, mailbox: bytes, message: bytes) -> None:
        """APPEND with a literal that waits for the server's leave."""
        self.wire.send(b"x APPEND %s {%d}\r\n" % (mailbox, len(message)))
        answer = self.line()
        assert answer.startswith(b"+"), answer
        self.wire.send(message + b"\r\n")
        self.ok(b"APPEND")

    def status(self, mailbox: bytes) -> int:
        """The number of messages of a mailbox."""
        self.ask(b"STATUS %s (MESSAGES)" % mailbox)
        return int(self.wire.told.rpartition(b"MESSAGES ")[2].partition(b")")[0])


class PopRaw(Raw):
    """POP3."""

    def __init__(self, address: Address, user: str, password: str) -> None:
        super().__init__(address)
        self.line()
        self.ask(f"USER {user}".encode())
        self.ask(f"PASS {password}".encode())

    def ask(self, command: bytes) -> bytes:
        """A command with a one-line reply."""
        self.wire.send(command + b"\r\n")
        reply: bytes = self.line()
        assert reply.startswith(b"+OK"), (command, reply)
        return reply

    def fetch(self, command: bytes) -> None:
        """A command with a reply of many lines, which are counted without the first."""
        self.ask(command)
        self.wire.until(b".\r\n", False)


class LmtpRaw(Raw):
    """LMTP, one transaction after another on one connection."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.line()
        self.wire.send(b"LHLO bench\r\n")
        self.until(b"250 ")

    def deliver(self, user: bytes, message: bytes) -> None:
        """One message to one user; the envelope is pipelined (RFC 2920)."""
        head = b"MAIL FROM:<s@example.org>\r\nRCPT TO:<" + user + b">\r\nDATA\r\n"
        self.wire.send(head)
        replies = [self.line() for _ in range(3)]
        assert replies[2].startswith(b"354"), replies
        self.wire.send(message + b".\r\n")
        answer = self.line()
        assert answer.startswith(b"250"), answer
