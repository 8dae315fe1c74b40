"""Replies of an IMAP server, read strictly: what RFC 9051 §9 does not allow is refused.

Values of a reply: ``Atom`` for atoms, flags and numbers, ``bytes`` for strings whichever way
they were sent, ``None`` for NIL, lists for parentheses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_SECTIONED = (b"BODY", b"BINARY", b"BINARY.SIZE")
_ATOM = re.compile(rb'[^\x00-\x20(){"\x7f-\xff\]\[]+')
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')


class Atom(str):
    """An atom, flag or number as the server wrote it."""

    __slots__ = ()


class Unlawful(AssertionError):
    """The server sent what the grammar does not allow."""


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
            return self.parenthesised()
        if first == b'"':
            return self.quoted()
        if first in (b"{", b"~"):
            return self.literal()
        return self.atom()

    def parenthesised(self) -> list[Any]:
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
        sectioned = self.raw[start : self.at].upper() in _SECTIONED
        while self.peek() == b"[" and not sectioned:  # an octet of an atom like others
            self.at += 1
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

    def _up_to(self, octets: bytes) -> bytes:
        start, self.at = self.at, self.raw.index(octets, self.at)
        return self.raw[start : self.at]

    def rest(self) -> list[Any]:
        """Values up to the end of the line."""
        values: list[Any] = []
        while self.raw[self.at :] != b"\r\n":
            # RFC 5256 §5: thread-lists stand side by side.
            threads = values[:1] == ["THREAD"] and len(values) > 1 and self.peek() == b"("
            if values and not threads:
                self.expect(b" ")
            values.append(self.value())
        return values

    def code(self) -> list[Any]:
        """A response code in brackets (RFC 9051 §7.1); a URL may hold parentheses."""
        self.expect(b"[")
        values: list[Any] = []
        if self.raw.startswith(b"BADURL ", self.at):
            values = [Atom(word) for word in self._up_to(b"]").decode("ascii").split(" ")]
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
