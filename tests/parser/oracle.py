"""A slow tokenizer in plain Python: the same rules as pymaild._parser, read off RFC 3501 §9.

It sees the whole input at once and works line by line, so it has no state to get wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

ATOM, QUOTED, KEPT, STREAMED, BEGIN, END = "atom", "quoted", "kept", "streamed", "(", ")"

_RUN = re.compile(rb'[^\x00-\x20\x7f(){"]+')
_QUOTED = re.compile(rb'"(?:[^"\\\r\n\x00]|\\["\\])*"')
_LITERAL = re.compile(rb"~?\{([0-9]{1,18})(\+?)\}\r?\n")
_TRAILING = re.compile(rb"\{([0-9]{1,18})\+\}\r?\n\Z")
_TAG = re.compile(rb"[^\x00-\x20\x7f-\xff(){\"%*\\+]+")

#: What is done about a literal: "keep", "stream" or "discard".
Policy = Callable[[int], str]


@dataclass
class Met:
    """One command: its tokens as (kind, octets, depth), or the tag of what was refused."""

    tokens: list[tuple[str, bytes, int]] = field(default_factory=list)
    refused: bytes | None = None
    own: bool = False  # refused by the caller, not by the rules


class Bad(Exception):
    """The command breaks the rules; ``at`` is the start of the line that has to be drained."""

    def __init__(self, line: int) -> None:
        self.line = line


class Short(Exception):
    """The input ends before the command does."""


class Oracle:
    """Reads commands off the front of ``data``."""

    def __init__(self, data: bytes, max_command: int, max_nesting: int, policy: Policy) -> None:
        self.data = data
        self.max_command = max_command
        self.max_nesting = max_nesting
        self.policy = policy
        self.at = 0

    def commands(self) -> list[Met]:
        """All commands that are in the data from beginning to end."""
        met = []
        try:
            while True:
                met.append(self._command())
        except Short:
            return met

    def _command(self) -> Met:
        self.command = self.line = self.at
        self.streamed = 0  # octets that passed by and do not count
        self.depth = 0
        met = Met()
        try:
            while not self._token(met):
                pass
        except Bad as bad:
            met = Met(refused=self._tag(met))
            self._drain(bad.line)
        return met

    def _fail(self) -> None:
        raise Bad(self.line)

    def _within(self, stop: int) -> None:
        """The command may have ``max_command`` octets; what lies behind is not looked at."""
        if stop - self.command - self.streamed > self.max_command:
            self._fail()

    def _token(self, met: Met) -> bool:
        """Read one token; true at the end of the command."""
        data, at = self.data, self.at
        if at == len(data):
            raise Short
        octet = data[at : at + 1]
        self._within(at + 1)
        if octet == b" ":
            self.at += 1
        elif octet in b"()":
            self._parenthesis(met, octet)
        elif octet in b"\r\n":
            return self._end()
        elif octet == b'"':
            self._quoted(met)
        elif octet == b"{" or data[at : at + 2] == b"~{":
            return self._literal(met)
        else:
            self._atom(met)
        return False

    def _parenthesis(self, met: Met, octet: bytes) -> None:
        if octet == b"(":
            if self.depth == self.max_nesting:
                self._fail()
            met.tokens.append((BEGIN, octet, self.depth))
            self.depth += 1
        else:
            if not self.depth:
                self._fail()
            self.depth -= 1
            met.tokens.append((END, octet, self.depth))
        self.at += 1

    def _end(self) -> bool:
        if self.data[self.at : self.at + 1] == b"\r":
            if self.at + 1 == len(self.data):
                raise Short
            self._within(self.at + 2)
            if self.data[self.at + 1 : self.at + 2] != b"\n":
                self._fail()
            self.at += 1
        if self.depth:
            self._fail()
        self.at += 1
        return True

    def _atom(self, met: Met) -> None:
        match = _RUN.match(self.data, self.at)
        if match is None:
            self._fail()
        assert match is not None
        if match.end() == len(self.data):
            self._within(match.end())
            if match.end() - self.command - self.streamed >= self.max_command:
                self._fail()
            raise Short
        self._within(match.end() + 1)
        met.tokens.append((ATOM, match[0], self.depth))
        self.at = match.end()

    def _quoted(self, met: Met) -> None:
        match = _QUOTED.match(self.data, self.at)
        if match is not None:
            self._within(match.end())
            met.tokens.append((QUOTED, match[0], self.depth))
            self.at = match.end()
            return
        whole = re.compile(rb'"(?:[^"\\\r\n\x00]|\\["\\])*\\?\Z').match(self.data, self.at)
        if whole is None:
            self._fail()
        self._short()

    def _short(self) -> None:
        """More may come, unless the limit is reached by what is there."""
        if len(self.data) - self.command - self.streamed >= self.max_command:
            self._fail()
        raise Short

    def _literal(self, met: Met) -> bool:
        match = _LITERAL.match(self.data, self.at)
        if match is None:
            rest = self.data[self.at : self.at + 25]
            if self.at + len(rest) == len(self.data) and _unfinished(rest):
                self._short()
            self._fail()
        assert match is not None
        self._within(match.end())
        size, waits = int(match[1]), not match[2]
        decision = self.policy(size)
        used = match.end() - self.command - self.streamed
        if decision == "discard" or (decision == "keep" and used + size >= self.max_command):
            met.refused, met.own = self._tag(met), decision == "discard"
            self.at = match.end()
            self._settle(met, size, waits)
            return True
        self.at = self.line = match.end() + size
        if self.at > len(self.data):
            raise Short
        met.tokens.append((STREAMED if decision == "stream" else KEPT, match[0], self.depth))
        if decision == "stream":
            self.streamed += size
        else:
            met.tokens[-1] = (KEPT, self.data[match.start() : self.at], self.depth)
        return False

    def _settle(self, met: Met, size: int, waits: bool) -> None:
        """A refused literal: nothing comes where the client waits."""
        met.tokens = []
        if not waits:
            if self.at + size > len(self.data):
                raise Short
            self._drain(self.at + size)

    def _drain(self, line: int) -> None:
        """Skip the line that starts at ``line``, and what non-synchronizing literals add."""
        while True:
            stop = self.data.find(b"\n", max(line, self.at)) + 1
            if not stop:
                raise Short
            match = _TRAILING.search(self.data, line, stop)
            if match is None:
                self.at = stop
                return
            line = self.at = stop + int(match[1])
            if line > len(self.data):
                raise Short

    def _tag(self, met: Met) -> bytes:
        first = met.tokens[0] if met.tokens else None
        if first is None or first[0] != ATOM or self.data[self.command : self.command + 1] == b" ":
            return b"*"
        return first[1] if _TAG.fullmatch(first[1]) else b"*"


def _unfinished(rest: bytes) -> bool:
    return re.fullmatch(rb"~?\{(?:[0-9]{1,18}(?:\+?(?:\}\r?)?)?)?", rest) is not None
