"""Processes are killed in the middle of a session; its client notices nothing.

Each process is killed at one of the calls and returns that its session consists of, or from
outside at any moment; what the client receives is compared with what it receives when nobody
dies.
"""

from __future__ import annotations

import os
import random
import re
import string
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pymaild.core.session import Ending, User
from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.settings import ImapSettings
from pymaild.mail.account import Account
from pymaild.mail.delivery import deliver
from pymaild.mail.services import Services
from pymaild.mail.settings import MailSettings
from pymaild.net.stream import SocketStream
from pymaild.pop3.record import Pop3Record
from pymaild.pop3.session import Pop3Session
from pymaild.pop3.settings import Pop3Settings
from tests.support.mortal import Ended, Mortal, Step, dies_at
from tests.support.sessions import Board

MESSAGES = [b"Subject: n%d\r\n\r\n%b\r\n" % (n, b"line %d\r\n" % n * n) for n in range(1, 9)]

IMAP: list[Step] = [
    (b"a1 CAPABILITY\r\n", b"a1 OK"),
    (b"a2 SELECT INBOX\r\n", b"a2 OK"),
    (b"a3 FETCH 1:* (UID FLAGS)\r\na4 NOOP\r\na5 STATUS INBOX (MESSAGES)\r\na6 N", b"a5 OK"),
    (b"OOP\r\n", b"a6 OK"),
    (b"b1 SEARCH RETURN (SAVE COUNT) SUBJECT {2}\r\n", b"+ OK\r\n"),
    (b"n1\r\n", b"b1 OK"),
    (b"b2 FETCH $ (UID BODY.PEEK[])\r\n", b"b2 OK"),
    (b"b3 IDLE\r\n", b"+ idling\r\n"),
    (b"DONE\r\nb4 NOOP\r\n", b"b4 OK"),
    (b"c1 ENABLE CONDSTORE\r\n", b"c1 OK"),
    (b"c2 STORE 2 +FLAGS.SILENT (\\Flagged)\r\n", b"c2 OK"),
    (b"c3 FETCH 2 (FLAGS)\r\n", b"c3 OK"),
    (b"c4 NONSENSE\r\n", b"c4 BAD"),
    (b"c5 UNSELECT\r\nc6 LIST \"\" *\r\n", b"c6 OK"),
]

POP3: list[Step] = [
    (b"STAT\r\nLIST\r\nNOOP\r\n", b"+OK Still here\r\n"),
    (b"RETR 3\r\n", b"\r\n.\r\n"),
    (b"DELE 2\r\nDELE 3\r\n", b"3 marked for deletion\r\n"),
    (b"NONSENSE\r\nUIDL 1\r\nUIDL 2\r\n", b"-ERR No such message\r\n"),
]


LETTERS = string.ascii_letters.encode() + b"-"


class House:
    """A user's mail, made anew for each session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mail = MailSettings(fsync=False)
        self.rounds = 0

    def user(self) -> User:
        self.rounds += 1
        path = self.folder / str(self.rounds) / "Maildir"
        path.parent.mkdir()
        user = User("alice", os.getuid(), os.getgid(), "", str(path))
        account = Account(user, self.mail)
        account.prepare()
        for message in MESSAGES:
            deliver(account, [message], "INBOX")
        for name in os.listdir(path / "new"):  # old mail: \\Recent is told once, whoever dies of it
            os.rename(path / "new" / name, path / "cur" / f"{name}:2,")
        return user

    def services(self, settings: Any) -> Services[Any]:
        return Services(
            settings=settings,
            mail=self.mail,
            auth=None,  # type: ignore[arg-type]  # everybody is logged in
            board=Board(),
            open_account=lambda user: Account(user, self.mail),
            hostname="mail.example.org",
            spool=str(self.folder),
        )

    def imap(self, record: ImapRecord, stream: SocketStream) -> Ending:
        return ImapSession(record, stream, self.services(ImapSettings())).run()

    def pop3(self, record: Pop3Record, stream: SocketStream) -> Ending:
        return Pop3Session(record, stream, self.services(Pop3Settings())).run()

    def sessions(self, protocol: str, *fates: Callable[[], object], sndbuf: int = 0) -> Mortal:
        """A session of a user who has logged in."""
        kind, state = {"imap": (ImapRecord, "authenticated"), "pop3": (Pop3Record, "authenticated")}[
            protocol
        ]
        record = kind(
            protocol=protocol, id="0a", greeted=True, state=state, started=1.0, user=self.user()
        )
        return Mortal(record, getattr(self, protocol), fates, sndbuf)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def told(house: House, protocol: str, *fates: Callable[[], object], sndbuf: int = 0) -> bytes:
    """What the client of a script receives."""
    with house.sessions(protocol, *fates, sndbuf=sndbuf) as session:
        return comparable(session.play({"imap": IMAP, "pop3": POP3}[protocol]))


def comparable(received: bytes) -> bytes:
    """UIDVALIDITY is the time when a mailbox was made; UIDL and MAILBOXID tell it too."""
    return re.sub(rb"[0-9A-Za-z_-]{8,}", lambda word: b"#" if word[0].strip(LETTERS) else word[0], received)


def events(house: House, protocol: str) -> int:
    """About how many calls and returns a script consists of."""
    low, high = 1, 1 << 16
    while low < high:
        middle = (low + high) // 2
        with house.sessions(protocol, partial(dies_at, middle)) as session:
            session.play({"imap": IMAP, "pop3": POP3}[protocol])
            low, high = (middle + 1, high) if session.recovered else (low, middle)
    return low


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_killed_anywhere(house: House, protocol: str) -> None:
    expected = told(house, protocol)
    for event in range(0, 4000, 97):
        assert told(house, protocol, partial(dies_at, event)) == expected, event
