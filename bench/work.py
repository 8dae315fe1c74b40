"""What the rows of the table do: functions that make the work of a row.

A row's work is done in laps. A lap returns how many units (commands, messages, deliveries) it was
and what it found: two servers that did not find the same are not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from typing import Any

from .mail import PASSWORD, SMALL, USER, Mail, message
from .raw import Address, ImapRaw, LmtpRaw, PopRaw

Lap = Callable[[], tuple[float, Any]]


@dataclass(frozen=True)
class Place:
    """Where a row does its work: a running server, its mail, and whose mailbox."""

    server: Any
    mail: Mail
    imaps: Address
    user: str = USER

    def imap(self, stack: ExitStack, select: str = "", user: str = "") -> ImapRaw:
        """A client that is logged in, with a mailbox selected."""
        client = ImapRaw(self.server.imap, user or self.user, PASSWORD)
        stack.callback(client.close)
        if select:
            client.ask(f"SELECT {select}".encode())
        return client

    def of(self, user: str) -> Place:
        """The same for another user."""
        return replace(self, user=user)


@dataclass(frozen=True)
class Work:
    """``fresh`` is done before each lap and not measured; ``waits`` grows where laps keep them."""

    lap: Lap
    fresh: Callable[[], None] | None = None
    waits: list[float] = field(default_factory=list)  # seconds


Prepare = Callable[[Place, ExitStack], Work]


def found(client: Any, same: str) -> tuple[int, ...]:
    """What the last reply held, of the named counts."""
    return tuple(getattr(client.wire, name) for name in same.split())


def commands(*lines: bytes, times: int = 1, same: str = "", select: str = "INBOX") -> Prepare:
    """Commands on one connection with a mailbox selected, one after the other."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        client = place.imap(stack, select)

        def lap() -> tuple[float, Any]:
            for _ in range(times):
                for line in lines:
                    client.ask(line)
            return times * len(lines), found(client, same)

        return Work(lap)

    return prepare


def pipelined(times: int, line: bytes) -> Prepare:
    """The same command many times in one write."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        client = place.imap(stack, "INBOX")
        wire = (b"y " + line + b"\r\n") * (times - 1) + b"x " + line + b"\r\n"

        def lap() -> tuple[float, Any]:
            client.wire.send(wire)
            client.ok(line)
            return times, None

        return Work(lap)

    return prepare


def whole(*lines: bytes, same: str) -> Prepare:
    """Commands that concern all of INBOX; the units are messages."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        client = place.imap(stack)
        messages = client.status(b"INBOX")
        client.ask(b"SELECT INBOX")

        def lap() -> tuple[float, Any]:
            seen = []
            for line in lines:
                client.ask(line)
                seen.append(found(client, same))
            return messages * len(lines), seen

        return Work(lap)

    return prepare


def singles(items: bytes, same: str, times: int = 250) -> Prepare:
    """FETCH of one message each, walking through the mailbox."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        client = place.imap(stack)
        messages = client.status(b"INBOX")
        client.ask(b"SELECT INBOX")
        lines = [b"FETCH %d %s" % (1 + n * 7919 % messages, items) for n in range(times)]

        def lap() -> tuple[float, Any]:
            seen = []
            for line in lines:
                client.ask(line)
                seen.append(found(client, same))
            return times, seen

        return Work(lap)

    return prepare


def imap_login(place: Place, stack: ExitStack) -> Work:
    """Connect, LOGIN, LOGOUT."""

    def lap() -> tuple[float, Any]:
        client = ImapRaw(place.server.imap, place.user, PASSWORD)
        client.ask(b"LOGOUT")
        client.close()
        return 1, None

    return Work(lap)


def pop_login(place: Place, stack: ExitStack) -> Work:
    """Connect, USER, PASS, STAT, QUIT of a small maildrop."""

    def lap() -> tuple[float, Any]:
        client = PopRaw(place.server.pop3, SMALL, PASSWORD)
        told = client.ask(b"STAT").split()[1]
        client.ask(b"QUIT")
        client.close()
        return 1, told

    return Work(lap)


def retrieve(place: Place, stack: ExitStack) -> Work:
    """UIDL, and RETR of one message after the other; the units are messages."""
    client = PopRaw(place.server.pop3, place.user, PASSWORD)
    stack.callback(client.close)

    def lap() -> tuple[float, Any]:
        client.fetch(b"UIDL")
        messages = client.wire.untagged
        octets = 0
        for number in range(1, messages + 1):
            client.fetch(b"RETR %d" % number)
            octets += client.wire.octets
        return messages, (messages, octets)

    return Work(lap)


def _emptier(client: ImapRaw, mailbox: bytes, times: int) -> Callable[[], None]:
    """What empties a mailbox before each lap, and looks whether all of the last lap came."""
    expected: list[int] = []

    def empty() -> None:
        there = client.status(mailbox)
        assert not expected or there in expected, (mailbox, there, expected)
        expected[:] = [0, times]
        client.ask(b"SELECT " + mailbox)
        client.ask(b"UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.ask(b"CLOSE")

    return empty


def append(times: int, size: int) -> Prepare:
    """APPEND to a mailbox that is emptied before each lap."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        client = place.imap(stack)
        octets = message(size)

        def lap() -> tuple[float, Any]:
            for _ in range(times):
                client.append(b"Drop", octets)
            return times, None

        return Work(lap, _emptier(client, b"Drop", times))

    return prepare


def deliver(times: int, size: int, user: str = "") -> Prepare:
    """LMTP transactions on one connection, to an INBOX that is emptied before each lap."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        client = LmtpRaw(place.server.lmtp)
        stack.callback(client.close)
        name = user or place.user
        reader = place.imap(stack, user=name)
        octets = message(size)

        def lap() -> tuple[float, Any]:
            for _ in range(times):
                client.deliver(name.encode(), octets)
            return times, None

        return Work(lap, _emptier(reader, b"INBOX", times))

    return prepare


def copy_and_expunge(place: Place, stack: ExitStack) -> Work:
    """COPY of all, then STORE \\Deleted and EXPUNGE of the copies; the units are messages."""
    client = place.imap(stack)
    messages = client.status(b"INBOX")

    def lap() -> tuple[float, Any]:
        client.ask(b"SELECT INBOX")
        client.ask(b"COPY 1:* Copies")
        client.ask(b"SELECT Copies")
        copied = client.wire.exists
        client.ask(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.ask(b"EXPUNGE")
        return messages, (copied, client.status(b"Copies"))

    return Work(lap)


_FOREIGN = count()  # folders of a run, which stay


def first_open(messages: int, *lines: bytes, same: str = "") -> Prepare:
    """SELECT of a Maildir that no server has seen, then commands; the units are messages."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        client = place.imap(stack)
        now = [""]

        def fresh() -> None:
            now[0] = f"Foreign{next(_FOREIGN)}"
            place.mail.anew(place.user, now[0], messages)

        def lap() -> tuple[float, Any]:
            client.ask(b"SELECT " + now[0].encode())
            exists = client.wire.exists
            for line in lines:
                client.ask(line)
            return messages, (exists, *found(client, same))

        return Work(lap, fresh)

    return prepare


def wake(place: Place, stack: ExitStack) -> Work:
    """IDLE until another session's STORE is told."""
    idler, other = place.imap(stack, "INBOX"), place.imap(stack, "INBOX")
    signs = cycle(b"+-")

    def lap() -> tuple[float, Any]:
        idler.wire.send(b"x IDLE\r\n")
        while not idler.line().startswith(b"+"):
            pass
        other.ask(b"STORE 1 %cFLAGS.SILENT (\\Draft)" % next(signs))
        idler.line()
        idler.wire.send(b"DONE\r\n")
        idler.ok(b"IDLE")
        return 1, None

    return Work(lap)


def resync(place: Place, stack: ExitStack) -> Work:
    """SELECT with QRESYNC after ten messages got another flag (RFC 7162)."""
    client = place.imap(stack)
    messages = client.status(b"INBOX")
    client.ask(b"ENABLE QRESYNC")
    client.ask(b"STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ)")
    words = client.wire.told.strip(b")\r\n").partition(b"(")[2].split()
    told = dict(zip(words[::2], words[1::2], strict=True))
    client.ask(b"SELECT INBOX")
    for number in range(10):
        client.ask(b"STORE %d FLAGS.SILENT (\\Seen)" % (1 + number * messages // 10))
        client.ask(b"STORE %d FLAGS.SILENT (\\Flagged)" % (1 + number * messages // 10))
    past = b"(QRESYNC (%s %s))" % (told[b"UIDVALIDITY"], told[b"HIGHESTMODSEQ"])

    def lap() -> tuple[float, Any]:
        client.ask(b"SELECT INBOX " + past)
        return 1, client.wire.exists

    return Work(lap)
