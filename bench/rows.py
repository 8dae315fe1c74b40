"""What is measured: a table of rows, each a name, its aim and the work of one round.

A row's work gets a server's addresses and the user, and returns a function that does the work
of one round and says how many units (commands, messages) that was.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from .raw import Address, ImapRaw, LmtpRaw, PopRaw

USER, PASSWORD = "alice", "secret"

LOGIN_AIM, ROUND_TRIP_AIM, OTHER_AIM = 5.0, 1.0, 1 / 3


class Target(Protocol):
    """A server's addresses."""

    @property
    def imap(self) -> Address:
        """Where IMAP is spoken."""

    @property
    def pop3(self) -> Address:
        """Where POP3 is spoken."""

    @property
    def lmtp(self) -> Address:
        """Where LMTP is spoken."""


Round = Callable[[], int]
Prepare = Callable[[Target, ExitStack], Round]


@dataclass(frozen=True)
class Row:
    """One line of the table: ``aim`` is the least ratio to Dovecot that is wanted."""

    name: str
    aim: float
    prepare: Prepare


def message(size: int) -> bytes:
    """A message of about ``size`` octets."""
    head = (
        b"From: sender@example.org\r\nTo: alice@example.org\r\nSubject: a benchmark\r\n"
        b"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nMessage-ID: <bench@example.org>\r\n\r\n"
    )
    line = b"The quick brown fox jumps over the lazy dog, again and again.\r\n"
    return head + line * ((size - len(head)) // len(line))


def _imap(target: Target, stack: ExitStack, select: str = "") -> ImapRaw:
    client = ImapRaw(target.imap, USER, PASSWORD)
    stack.callback(client.close)
    if select:
        client.ask(f"SELECT {select}".encode())
    return client


def commands(times: int, *lines: bytes, select: str = "INBOX") -> Prepare:
    """Commands on one connection with a mailbox selected, one after the other."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        client = _imap(target, stack, select)

        def work() -> int:
            for _ in range(times):
                for line in lines:
                    client.ask(line)
            return times * len(lines)

        return work

    return prepare


def pipelined(times: int, line: bytes) -> Prepare:
    """The same command many times in one write."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        client = _imap(target, stack, "INBOX")
        wire = (b"y " + line + b"\r\n") * (times - 1) + b"x " + line + b"\r\n"

        def work() -> int:
            client.socket.sendall(wire)
            client.until(b"x ")
            return times

        return work

    return prepare


def per_message(times: int, line: bytes) -> Prepare:
    """A FETCH of the whole INBOX; the units are messages."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        client = _imap(target, stack)
        tail = client.ask(b"STATUS INBOX (MESSAGES)")
        count = int(tail.partition(b"MESSAGES ")[2].partition(b")")[0])
        client.ask(b"SELECT INBOX")

        def work() -> int:
            for _ in range(times):
                client.ask(line)
            return count * times

        return work

    return prepare


def single_fetches(times: int, items: bytes) -> Prepare:
    """FETCH of one message each, walking through the mailbox."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        client = _imap(target, stack, "INBOX")
        lines = [b"FETCH %d %s" % (1 + n * 7 % 300, items) for n in range(times)]

        def work() -> int:
            for line in lines:
                client.ask(line)
            return times

        return work

    return prepare


def imap_login(times: int) -> Prepare:
    """Connect, LOGIN, LOGOUT."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        def work() -> int:
            for _ in range(times):
                client = ImapRaw(target.imap, USER, PASSWORD)
                client.ask(b"LOGOUT")
                client.close()
            return times

        return work

    return prepare


def pop_login(times: int) -> Prepare:
    """Connect, USER, PASS, STAT, QUIT of a small maildrop."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        def work() -> int:
            for _ in range(times):
                client = PopRaw(target.pop3, "bob", PASSWORD)
                client.ask(b"STAT")
                client.ask(b"QUIT")
                client.close()
            return times

        return work

    return prepare


def append(times: int, size: int) -> Prepare:
    """APPEND to a mailbox that is emptied before each round."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        client = _imap(target, stack)
        octets = message(size)

        def work() -> int:
            for _ in range(times):
                client.append(b"Drop", octets)
            return times

        return work

    return prepare


def deliver(times: int, size: int) -> Prepare:
    """LMTP transactions on one connection."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        client = LmtpRaw(target.lmtp)
        stack.callback(client.close)
        octets = message(size)

        def work() -> int:
            for _ in range(times):
                client.deliver(b"carol", octets)
            return times

        return work

    return prepare


def retrieve(times: int) -> Prepare:
    """RETR of one message after the other."""

    def prepare(target: Target, stack: ExitStack) -> Round:
        client = PopRaw(target.pop3, USER, PASSWORD)
        stack.callback(client.close)

        def work() -> int:
            for number in range(1, times + 1):
                client.fetch(b"RETR %d" % number)
            return times

        return work

    return prepare


def store(times: int) -> Prepare:
    """STORE that sets and takes a flag."""
    return commands(
        times, b"STORE 5 +FLAGS.SILENT (\\Flagged)", b"STORE 5 -FLAGS.SILENT (\\Flagged)"
    )


FULL = b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
HEADERS = b"UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (From To Subject Date Message-ID)])"

ROWS: tuple[Row, ...] = (
    Row("login imap", LOGIN_AIM, imap_login(60)),
    Row("login pop3", LOGIN_AIM, pop_login(60)),
    Row("noop", ROUND_TRIP_AIM, commands(5000, b"NOOP")),
    Row("noop pipelined", OTHER_AIM, pipelined(20_000, b"NOOP")),
    Row("status", ROUND_TRIP_AIM, commands(5000, b"STATUS Lists (MESSAGES UNSEEN UIDNEXT)")),
    Row("fetch one flags", ROUND_TRIP_AIM, single_fetches(5000, b"(UID FLAGS)")),
    Row("select", ROUND_TRIP_AIM, commands(300, b"SELECT Lists", b"SELECT INBOX")),
    Row("fetch one body", OTHER_AIM, single_fetches(3000, b"(BODY.PEEK[])")),
    Row("fetch all flags", OTHER_AIM, per_message(50, b"FETCH 1:* (UID FLAGS)")),
    Row("fetch all envelope", OTHER_AIM, per_message(4, FULL)),
    Row("fetch all header fields", OTHER_AIM, per_message(8, HEADERS)),
    Row("fetch all bodies", OTHER_AIM, per_message(4, b"FETCH 1:* (BODY.PEEK[])")),
    Row("search flags", OTHER_AIM, commands(1000, b"SEARCH UNSEEN FLAGGED")),
    Row("search subject", OTHER_AIM, commands(10, b"SEARCH SUBJECT index")),
    Row("search text", OTHER_AIM, commands(1, b"SEARCH TEXT segfault")),
    Row("sort subject", OTHER_AIM, commands(20, b"SORT (SUBJECT) UTF-8 ALL")),
    Row("sort date", OTHER_AIM, commands(20, b"SORT (DATE) UTF-8 ALL")),
    Row("sort new from", OTHER_AIM, commands(20, b"SORT (FROM REVERSE DATE) UTF-8 UNSEEN")),
    Row("thread references", OTHER_AIM, commands(20, b"THREAD REFERENCES UTF-8 ALL")),
    Row("thread refs", OTHER_AIM, commands(20, b"THREAD REFS UTF-8 ALL")),
    Row("thread subject", OTHER_AIM, commands(20, b"THREAD ORDEREDSUBJECT UTF-8 ALL")),
    Row("store", OTHER_AIM, store(200)),
    Row("list", OTHER_AIM, commands(2000, b'LIST "" "*"')),
    Row("append 4 KiB", OTHER_AIM, append(100, 4096)),
    Row("append 1 MiB", OTHER_AIM, append(10, 1 << 20)),
    Row("lmtp 4 KiB", OTHER_AIM, deliver(100, 4096)),
    Row("pop3 retr", OTHER_AIM, retrieve(2000)),
)
