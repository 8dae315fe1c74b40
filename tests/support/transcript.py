r"""Plays transcripts: scripts in the protocol itself, for pymaild and for Debian's Dovecot.

A transcript is a file tests/transcripts/rfcNNNN/NAME.txt. Empty lines and lines from "#" on say
nothing to the machine. Its head:

    # What this shows.
    proves 7162 3.1.2 1 3       sentences a run of it proves (python -m tools.rfc list 7162)
    needs UIDPLUS MOVE          capabilities: pymaild must have them, Dovecot may lack them
    without dovecot WHY         not for this server

Set-up, anywhere in the file; each user is new, and a name means the same user throughout:

    mailbox Archive             CREATE for user alice; `mailbox Archive bob` for bob
    mail INBOX                  one small message for alice, by APPEND on another connection
    mail INBOX (\Seen) bob      flags and user; a message of one's own follows in | lines
    connect A alice             connection A, logged in as alice
    connect B                   connection B, its greeting still to be read
    connect P pop3              a connection to the POP3 port, greeting still to be read
    close A                     without LOGOUT
    deflate A                   from here on both sides are compressed (RFC 4978)

What is said; each connection has a name:

    A> a1 FETCH 1 (FLAGS)                       the client's line
    A< * 1 FETCH (FLAGS (\Recent))              the next reply must be this one
    A< a1 OK ...                                "..." in a line is anything
    A< ...                                      any number of untagged replies, before what follows
    A< {                                        the replies up to "}" in any order
    A< * LIST (...) "/" one
    A< ...                                      (in a block: others may be among them)
    A< }
    A< * 1 FETCH any(UID {uid}|FLAGS any(\Seen|\Draft))     items of a list in any order
    A> a2 APPEND INBOX {}                       a literal; the engine counts and waits for "+"
    | Subject: hello                            (sent at once with {+}; ~{} for literal8)
    |
    | two lines, their CRLF between them; \x00 is an octet
    > (behind the literal)                      left out when nothing follows
    A< * 1 FETCH (BODY[] {}                     a literal expected; a line "| ..." is anything
    | text
    > )

`{uid}` stands for a variable. Expected for the first time it takes the word that is there, later
it must be the same; `{uid+1}` is the number after it. {alice} and {password} are what a user of
that name logs in with. Quotes around a word make no difference.

Where servers differ the RFC decides, and the script says so:

    note Dovecot leaves this out; RFC 3501 section 6.3.1 asks for it.
    [pymaild] A< * OK [UIDNEXT 4] ...
    [dovecot] A< a1 OK ...

At the end each client hangs up; a reply that is left over then is one that nobody expected.
"""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from .deflated import deflate
from .imap import Closed, Imap
from .script import MORE, BadScript, Script, Step, blocks
from .served import Served

_WORD = r'[^\s()\[\]",]+'
_VARIABLE = re.compile(r"\{([a-z]\w*)(?:\+(\d+))?\}", re.IGNORECASE)
_TOKEN = re.compile(r"\.\.\.|" + _VARIABLE.pattern, re.IGNORECASE)
_LITERAL = re.compile(r"\{(\+?)\}\Z")
_QUOTED = re.compile(r'"(?!NIL")([\w./+$-]+|\{\w+\})"', re.IGNORECASE)
_ANY = "any("
_MESSAGE = b"From: ann@example.org\r\nSubject: message\r\n\r\ntext\r\n"


class Differs(AssertionError):
    """The server said something else. The text names line, expectation and reply."""


class Line:
    """A connection whose replies are lines: POP3."""

    def __init__(self, address: Any) -> None:
        self.socket = socket.create_connection(address, 20)
        self.file = self.socket.makefile("rb")

    def receive(self) -> bytes:
        return self.file.readline()

    def may_skip(self, raw: bytes) -> bool:
        return raw not in (b"", b".\r\n")

    def rest(self) -> list[bytes]:
        self.socket.shutdown(socket.SHUT_WR)
        return self.file.readlines()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Speaker(Imap):
    """An IMAP connection that is not greeted yet. Replies go through the oracle of grammar."""

    def __init__(self, address: Any) -> None:
        self.greeted = False
        super().__init__(address)

    def receive(self) -> bytes:
        if not self.greeted:
            self.greeted = True
            return self.greeting.raw
        return self.read().raw

    def may_skip(self, raw: bytes) -> bool:
        return raw.startswith(b"* ")

    def rest(self) -> list[bytes]:
        found: list[bytes] = []
        with suppress(Closed):
            self.socket.shutdown(socket.SHUT_WR)
            while True:
                found.append(self.receive())
        return [raw for raw in found if not raw.startswith(b"* BYE ")]


class Player:
    """Plays one script with one server; ``name`` makes its users' names."""

    def __init__(self, server: Served, kind: str, name: str) -> None:
        self.server, self.kind, self.name = server, kind, name
        self.values: dict[str, str] = {"password": "pw"}
        self.lines: dict[str, Any] = {}
        self.waiting: dict[str, list[bytes]] = {}
        self.skipping: set[str] = set()

    def play(self, script: Script) -> None:
        """Take every step. Raises Differs."""
        try:
            for block in blocks(script.steps_for(self.kind)):
                {"<": self._expect, ">": self._send}.get(block[0].verb, self._set_up)(block)
            for who in self.waiting:
                self._finish(who)
        finally:
            for line in self.lines.values():
                line.close()

    def _finish(self, who: str) -> None:
        """Nothing may be left to read when a client goes."""
        line, left = self.lines.get(who), self.waiting[who]
        if line:
            left += line.rest()
        if who in self.skipping:
            left = [raw for raw in left if not line or not line.may_skip(raw)]
        if left:
            raise Differs(f"{who} got a reply that nobody expected: {left[0]!r}")

    # --- set-up -------------------------------------------------------------------------------

    def _set_up(self, block: list[Step]) -> None:
        verbs = {
            "connect": self._connect,
            "close": self._close,
            "deflate": self._deflate,
            "mailbox": self._mailbox,
            "mail": self._mail,
        }
        verbs[block[0].verb](block[0])

    def user(self, name: str) -> str:
        """The user of this script who is called so."""
        if name not in self.values:
            self.values[name] = self.server.add_user(f"{name}-{self.name}")
        return self.values[name]

    def _connect(self, step: Step) -> None:
        who, *whose = step.words
        if whose == ["pop3"]:
            self.lines[who] = Line(self.server.pop3)
        else:
            self.lines[who] = Speaker(self.server.imap)
        self.waiting[who] = []
        if whose and whose != ["pop3"]:
            self.lines[who].login(self.user(whose[0]), "pw")
            self.lines[who].greeted = True

    def _close(self, step: Step) -> None:
        self.lines.pop(step.words[0]).close()

    def _deflate(self, step: Step) -> None:
        deflate(self.lines[step.words[0]])

    def _mailbox(self, step: Step) -> None:
        name, whose = [*step.words, "alice"][:2]
        with Imap(self.server.imap).login(self.user(whose), "pw") as client:
            client.ok(f"CREATE {name}")

    def _mail(self, step: Step) -> None:
        name, *rest = step.words
        flags, _, whose = " ".join(rest).rpartition(")")
        flags = flags and flags + ")"
        message = next((piece for piece in step.pieces if isinstance(piece, bytes)), _MESSAGE)
        with Imap(self.server.imap).login(self.user(whose.strip() or "alice"), "pw") as client:
            answer = client.append(name, message, flags)
        assert answer.status == "OK", f"line {step.line}: {answer.tagged.raw!r}"

    # --- what is said -------------------------------------------------------------------------

    def _send(self, block: list[Step]) -> None:
        step = block[0]
        line, wire = self.lines[step.who], b""
        for piece, after in itertools.zip_longest(step.pieces, step.pieces[1:]):
            if isinstance(piece, bytes):
                wire += piece
                continue
            wire += self._counted(self._filled(piece), after)
            if isinstance(after, bytes) and not wire.endswith(b"+}\r\n"):
                line.send(wire)
                wire = b""
                if not self._continued(step.who):
                    return
        line.send(wire + b"\r\n")

    def _counted(self, text: str, literal: str | bytes | None) -> bytes:
        """The text, with the size of the literal that follows it."""
        if not isinstance(literal, bytes):
            return text.encode()
        counted = _LITERAL.sub(lambda found: f"{{{len(literal)}{found[1]}}}", text)
        return counted.encode() + b"\r\n"

    def _continued(self, who: str) -> bool:
        """Wait for "+"; other replies wait to be expected, and a tagged one ends the command."""
        while True:
            raw = self.lines[who].receive()
            if raw.startswith(b"+"):
                return True
            self.waiting[who].append(raw)
            if not raw.startswith(b"* "):
                return False

    def _filled(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            known = self.values[found[1]]
            return str(int(known) + int(found[2])) if found[2] else known

        return _VARIABLE.sub(value, text)

    def _next(self, who: str) -> bytes:
        waiting = self.waiting[who]
        return waiting.pop(0) if waiting else self.lines[who].receive()

    def _expect(self, block: list[Step]) -> None:
        """Read replies until each step of the block has met its own, in any order."""
        who, left = block[0].who, [step for step in block if step.text != MORE]
        others = len(left) < len(block) or who in self.skipping
        self.skipping.discard(who)
        if not left:
            self.skipping.add(who)
        while left:
            raw = self._next(who)
            found = next((step for step in left if self._match(step, raw)), None)
            if found:
                left.remove(found)
            elif not others or not self.lines[who].may_skip(raw):
                expected = "".join(map(str, left[0].pieces))
                raise Differs(f"line {left[0].line}: expected {expected!r}, got {raw!r}")

    def _match(self, step: Step, raw: bytes) -> bool:
        text = _bare(raw.decode("utf-8", "surrogateescape"))
        for pieces in itertools.product(*map(_orders, step.pieces)):
            found = re.fullmatch(self._pattern(pieces), text, re.DOTALL)
            if found:
                self.values |= found.groupdict()
                return True
        return False

    def _pattern(self, pieces: Iterable[str | bytes]) -> str:
        fresh: set[str] = set()
        parts = [
            self._text_pattern(piece, fresh) if isinstance(piece, str) else _literal_pattern(piece)
            for piece in pieces
        ]
        return "".join(parts) + "\r\n"

    def _text_pattern(self, text: str, fresh: set[str]) -> str:
        pattern, at, text = "", 0, _bare(text)
        for found in _TOKEN.finditer(text):
            pattern += re.escape(text[at : found.start()])
            pattern += ".*?" if found[0] == MORE else self._variable(found[1], found[2], fresh)
            at = found.end()
        return pattern + re.escape(_LITERAL.sub("", text[at:]))

    def _variable(self, name: str, more: str | None, fresh: set[str]) -> str:
        if name in fresh:
            return f"(?P={name})"
        if name in self.values:
            return re.escape(self._filled(f"{{{name}+{more}}}" if more else f"{{{name}}}"))
        fresh.add(name)
        return f"(?P<{name}>{_WORD})"


def _bare(text: str) -> str:
    """Words without their quotes: an astring may be sent either way (RFC 9051 section 4)."""
    return _QUOTED.sub(r"\1", text)


def _literal_pattern(content: bytes) -> str:
    if content == MORE.encode():
        return r"\{\d+\}\r\n.*"
    text = _bare(content.decode("utf-8", "surrogateescape"))
    return rf"\{{{len(content)}\}}\r\n" + re.escape(text)


def _orders(piece: str | bytes) -> Iterator[str | bytes]:
    """A piece with each ``any(a|b)`` in it written as ``(a b)`` and ``(b a)``."""
    start = piece.find(_ANY) if isinstance(piece, str) else -1
    if start < 0 or isinstance(piece, bytes):
        yield piece
        return
    items, end = _items(piece, start + len(_ANY))
    for rest in _orders(piece[end:]):
        for order in itertools.permutations(items):
            for inner in itertools.product(*map(_orders, order)):
                yield f"{piece[:start]}({' '.join(map(str, inner))}){rest!s}"


def _items(text: str, at: int) -> tuple[list[str], int]:
    """The items up to the parenthesis that closes, and the position behind it."""
    items, depth = [""], 0
    for position in range(at, len(text)):
        sign = text[position]
        if sign == ")" and not depth:
            return items, position + 1
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "|" and not depth:
            items.append("")
        else:
            items[-1] += sign
    raise BadScript(f"any( is not closed: {text}")
