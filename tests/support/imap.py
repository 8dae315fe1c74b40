"""A small strict IMAP client: it refuses what RFC 9051 §9 does not allow a server to send."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterable

from . import grammar
from .replies import Answer, Atom, Reply, Unlawful, pairs, parse

__all__ = ["Address", "Answer", "Atom", "Closed", "Imap", "Reply", "Unlawful", "pairs", "quote"]

Address = tuple[str, int] | str

_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n\Z")


class Closed(ConnectionError):
    """The server ended the connection."""


class Imap:
    """One connection. Every wait ends by itself after ``timeout`` seconds."""

    def __init__(
        self, address: Address, timeout: float = 20.0, tls: ssl.SSLContext | None = None
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.buffer = b""
        self.count = 0
        try:
            self._open(address, timeout, tls)
            self.greeting = self.read()
        except BaseException:
            self.socket.close()
            raise

    def _open(self, address: Address, timeout: float, tls: ssl.SSLContext | None) -> None:
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        if isinstance(address, tuple):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self) -> Imap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close without LOGOUT."""
        self.socket.close()

    def starttls(self, context: ssl.SSLContext) -> None:
        """STARTTLS (RFC 9051 §6.2.1)."""
        self.ok("STARTTLS")
        assert not self.buffer, "octets behind the STARTTLS reply"
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    # --- octets -----------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send octets as they are."""
        self.socket.sendall(data)

    def trickle(self, data: bytes) -> None:
        """Send one octet at a time, each in a segment of its own."""
        for i in range(len(data)):
            self.socket.sendall(data[i : i + 1])

    def _receive(self) -> bytes:
        try:
            data = self.socket.recv(262144)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of file")
        return data

    def _more(self, size: int = 0) -> None:
        """Read until the buffer has ``size`` octets; once in any case."""
        pieces = [self.buffer, self._receive()]
        missing = size - sum(map(len, pieces))
        while missing > 0:
            pieces.append(self._receive())
            missing -= len(pieces[-1])
        self.buffer = b"".join(pieces)

    def _line(self, start: int) -> int:
        """The position after the next CRLF at or behind ``start``."""
        while True:
            end = self.buffer.find(b"\r\n", start)
            if end >= 0:
                return end + 2
            self._more()

    def _response(self) -> bytes:
        end = self._line(0)
        while match := _LITERAL.search(self.buffer, 0, end):
            after = end + int(match[1])
            if len(self.buffer) < after:
                self._more(after)
            end = self._line(after)
        raw, self.buffer = self.buffer[:end], self.buffer[end:]
        return raw

    # --- replies ----------------------------------------------------------------------------

    def read(self) -> Reply:
        """The next response of any sort."""
        raw = self._response()
        grammar.note(raw)
        return parse(raw)

    def ended(self) -> bool:
        """Read all that is left; true when the server closed the connection."""
        try:
            while True:
                self._more()
        except Closed:
            return True
        except TimeoutError:
            return False

    def finish(self, tag: str) -> Answer:
        """Read up to the tagged reply of ``tag``."""
        untagged: list[Reply] = []
        while True:
            reply = self.read()
            if reply.tag == tag:
                return Answer(reply, untagged)
            if reply.tag not in ("*", "+"):
                raise Unlawful(f"unexpected tag in {reply.raw!r}, waiting for {tag}")
            untagged.append(reply)

    def until(self, *names: str, limit: float = 20.0) -> list[Reply]:
        """Read untagged replies until each of ``names`` has been seen."""
        seen: list[Reply] = []
        deadline = time.monotonic() + limit
        while not {reply.name for reply in seen}.issuperset(names):
            assert time.monotonic() < deadline, f"waited for {names}, got {seen}"
            seen.append(self.read())
        return seen

    # --- commands ---------------------------------------------------------------------------

    def tag(self) -> str:
        """A tag not used before on this connection."""
        self.count += 1
        return f"t{self.count}"

    def start(self, command: str | bytes) -> str:
        """Send a command without waiting; returns its tag."""
        tag = self.tag()
        body = command.encode() if isinstance(command, str) else command
        self.send(tag.encode() + b" " + body + b"\r\n")
        return tag

    def command(self, command: str | bytes) -> Answer:
        """Send a command and read its answer."""
        return self.finish(self.start(command))

    def ok(self, command: str | bytes) -> Answer:
        """A command that must succeed."""
        answer = self.command(command)
        assert answer.status == "OK", f"{command!r}: {answer.tagged.raw!r}"
        return answer

    def no(self, command: str | bytes) -> Answer:
        """A command that must be refused."""
        answer = self.command(command)
        assert answer.status == "NO", f"{command!r}: {answer.tagged.raw!r}"
        return answer

    def bad(self, command: str | bytes) -> Answer:
        """A command that must be a protocol error."""
        answer = self.command(command)
        assert answer.status == "BAD", f"{command!r}: {answer.tagged.raw!r}"
        return answer

    def pipeline(self, commands: Iterable[str | bytes]) -> list[Answer]:
        """Send several commands in one write, then read all answers in their order."""
        tags, wire = [], b""
        for command in commands:
            body = command.encode() if isinstance(command, str) else command
            tags.append(self.tag())
            wire += tags[-1].encode() + b" " + body + b"\r\n"
        self.send(wire)
        return [self.finish(tag) for tag in tags]

    def login(self, user: str, password: str) -> Imap:
        """LOGIN that must succeed; else the connection is closed here."""
        try:
            self.ok(f"LOGIN {quote(user)} {quote(password)}")
        except BaseException:
            self.close()
            raise
        return self

    def append(self, mailbox: str, message: bytes, options: str = "") -> Answer:
        """APPEND with a synchronising literal (RFC 9051 §6.3.12)."""
        tag = self.tag()
        head = f"{tag} APPEND {quote(mailbox)} {options}{' ' if options else ''}"
        self.send(head.encode() + b"{%d}\r\n" % len(message))
        replies = []
        while (reply := self.read()).tag == "*":
            replies.append(reply)
        if reply.tag == tag:
            return Answer(reply, replies)
        assert reply.tag == "+", reply.raw
        self.send(message + b"\r\n")
        answer = self.finish(tag)
        return Answer(answer.tagged, replies + answer.untagged)

    def appended(self, mailbox: str, message: bytes, options: str = "") -> int:
        """APPEND that must succeed; returns the new UID (UIDPLUS)."""
        answer = self.append(mailbox, message, options)
        assert answer.status == "OK", answer.tagged.raw
        assert answer.code == "APPENDUID", answer.tagged.raw
        return int(answer.tagged.code[2])

    def idle(self) -> str:
        """Enter IDLE; returns its tag (RFC 9051 §6.3.13)."""
        tag = self.start("IDLE")
        while (reply := self.read()).tag == "*":
            pass
        assert reply.tag == "+", reply.raw
        return tag

    def done(self, tag: str) -> Answer:
        """Leave IDLE."""
        self.send(b"DONE\r\n")
        return self.finish(tag)


def quote(text: str) -> str:
    """A quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
