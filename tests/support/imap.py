"""A small strict IMAP client: it refuses what RFC 9051 §9 does not allow a server to send.

Values of a reply: ``Atom`` for atoms, flags and numbers, ``bytes`` for strings whichever way
they were sent, ``None`` for NIL, lists for parentheses.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Address = tuple[str, int] | str

_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n\Z")
_ATOM = re.compile(rb'[^\x00-\x20(){"\x7f-\xff\]\[]+')
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')


class Atom(str):
    """An atom, flag or number as the server wrote it."""

    __slots__ = ()


class Unlawful(AssertionError):
    """The server sent what the grammar does not allow."""


class Closed(ConnectionError):
    """The server ended the connection."""


@dataclass
class Reply:
    """One response: ``tag`` is "*", "+" or the command's tag, ``raw`` all of its octets."""

    tag: str
    raw: bytes
    values: list[Any] = field(default_factory=list)
    code: list[Any] = field(default_factory=list)
    text: str = ""

    @property
    def name(self) -> str:
        """OK, NO, BAD, BYE, PREAUTH or the name of the data (FETCH, LIST, ...)."""
        return _name(self.values)

    @property
    def number(self) -> int:
        """The number of EXISTS, RECENT, EXPUNGE and FETCH."""
        return int(self.values[0])


@dataclass
class Answer:
    """A finished command: its tagged reply and the untagged ones before it."""

    tagged: Reply
    untagged: list[Reply]

    @property
    def status(self) -> str:
        return self.tagged.name

    @property
    def code(self) -> str:
        """The name of the tagged reply's response code, or ""."""
        return str(self.tagged.code[0]).upper() if self.tagged.code else ""

    def named(self, name: str) -> list[Reply]:
        """The untagged replies of one name."""
        return [reply for reply in self.untagged if reply.name == name]

    def one(self, name: str) -> Reply:
        """The only untagged reply of that name."""
        found = self.named(name)
        assert len(found) == 1, f"{len(found)} replies named {name}: {self.untagged}"
        return found[0]

    def codes(self) -> dict[str, list[Any]]:
        """All response codes of the untagged status replies and of the tagged one."""
        replies = [*self.untagged, self.tagged]
        return {str(r.code[0]).upper(): r.code[1:] for r in replies if r.code}

    def fetched(self) -> dict[int, dict[str, Any]]:
        """FETCH data by sequence number; several replies for one message are merged."""
        result: dict[int, dict[str, Any]] = {}
        for reply in self.named("FETCH"):
            result.setdefault(reply.number, {}).update(pairs(reply.values[2]))
        return result


def pairs(values: list[Any]) -> dict[str, Any]:
    """A flat list of names and values as a dictionary with upper-case names."""
    if len(values) % 2:
        raise Unlawful(f"odd list of pairs {values!r}")
    return {str(values[i]).upper(): values[i + 1] for i in range(0, len(values), 2)}


class _Reader:
    """Parses one response, strictly, with its literals in place."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def fail(self, why: str) -> Unlawful:
        return Unlawful(f"{why} at {self.at} in {self.raw[:2000]!r}")

    def peek(self) -> bytes:
        return self.raw[self.at : self.at + 1]

    def expect(self, octets: bytes) -> None:
        if not self.raw.startswith(octets, self.at):
            raise self.fail(f"expected {octets!r}")
        self.at += len(octets)

    def value(self) -> Any:
        first = self.peek()
        if first == b"(":
            return self.list()
        if first == b'"':
            return self.quoted()
        if first in (b"{", b"~"):
            return self.literal()
        return self.atom()

    def list(self) -> list[Any]:
        self.expect(b"(")
        values: list[Any] = []
        while self.peek() != b")":
            # RFC 9051 §9: body-type-mpart and env-addresses put lists side by side.
            adjacent = values and isinstance(values[-1], list) and self.peek() == b"("
            if values and not adjacent:
                self.expect(b" ")
            values.append(self.value())
        self.expect(b")")
        return values

    def quoted(self) -> bytes:
        match = _QUOTED.match(self.raw, self.at)
        if not match:
            raise self.fail("bad quoted string")
        self.at = match.end()
        return re.sub(rb"\\(.)", rb"\1", match[1])

    def literal(self) -> bytes:
        match = re.compile(rb"~?\{(\d+)\}\r\n").match(self.raw, self.at)
        if not match:
            raise self.fail("bad literal")
        self.at = match.end() + int(match[1])
        return self.raw[match.end() : self.at]

    def atom(self) -> Atom | None:
        start = self.at
        self.skip_atom()
        if self.peek() == b"[":
            self.skip_section()
            if self.peek() == b"<":
                self.skip_atom()
        text = self.raw[start : self.at]
        if not text:
            raise self.fail("expected a value")
        return None if text.upper() == b"NIL" else Atom(text.decode("ascii"))

    def skip_atom(self) -> None:
        match = _ATOM.match(self.raw, self.at)
        if match:
            self.at = match.end()

    def skip_section(self) -> None:
        end = self.raw.find(b"]", self.at)
        if end < 0:
            raise self.fail("section without end")
        self.at = end + 1

    def rest(self) -> list[Any]:
        """Values up to the end of the line."""
        values: list[Any] = []
        while self.raw[self.at :] != b"\r\n":
            if values:
                self.expect(b" ")
            values.append(self.value())
        return values

    def code(self) -> list[Any]:
        """A response code in brackets (RFC 9051 §7.1)."""
        self.expect(b"[")
        values: list[Any] = []
        while self.peek() != b"]":
            if values:
                self.expect(b" ")
            values.append(self.value())
        self.expect(b"]")
        if self.peek() == b" ":
            self.at += 1
        return values


_STATUS = ("OK", "NO", "BAD", "BYE", "PREAUTH")


def _name(values: list[Any]) -> str:
    if not values:
        return ""
    if isinstance(values[0], Atom) and values[0].isdigit() and len(values) > 1:
        return str(values[1]).upper()
    return str(values[0]).upper()


def parse(raw: bytes) -> Reply:
    """Parse one whole response. Raises Unlawful."""
    reader = _Reader(raw)
    tag, _, _ = raw.partition(b" ")
    reply = Reply(tag.strip().decode("ascii"), raw)
    reader.at = len(tag) + 1
    if reply.tag == "+":
        reply.text = raw[2:-2].decode("ascii")
        return reply
    first = reader.atom()
    if first in _STATUS:
        return _status(reply, reader, str(first))
    reader.at = len(tag) + 1
    reply.values = reader.rest()
    if not reply.values:
        raise reader.fail("empty response")
    return reply


def _status(reply: Reply, reader: _Reader, name: str) -> Reply:
    reply.values = [Atom(name)]
    reader.expect(b" ")
    if reader.peek() == b"[":
        reply.code = reader.code()
    reply.text = reader.raw[reader.at : -2].decode("utf-8")
    if "\r" in reply.text or "\n" in reply.text:
        raise reader.fail("line break in text")
    return reply


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

    def _more(self) -> None:
        try:
            data = self.socket.recv(262144)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of file")
        self.buffer += data

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
            while len(self.buffer) < after:
                self._more()
            end = self._line(after)
        raw, self.buffer = self.buffer[:end], self.buffer[end:]
        return raw

    # --- replies ----------------------------------------------------------------------------

    def read(self) -> Reply:
        """The next response of any sort."""
        return parse(self._response())

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
        """LOGIN that must succeed."""
        self.ok(f"LOGIN {quote(user)} {quote(password)}")
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
        assert reply.tag == "+"
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
