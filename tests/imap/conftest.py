"""Sessions of IMAP over socket pairs, with real accounts and a real auth role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pymaild.core.session import Ending
from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.settings import ImapSettings
from tests.support.imap import Answer, Imap, Reply
from tests.support.sessions import Bench, Running, bench

MESSAGES = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: one\r\n"
    b"Date: Mon, 1 Jan 2024 10:00:00 +0100\r\n\r\nfirst body\r\n",
    b"From: Carl <carl@example.org>\nTo: bob@example.org\nSubject: two\n"
    b"Date: Tue, 2 Jan 2024 10:00:00 +0100\nMIME-Version: 1.0\n"
    b'Content-Type: multipart/mixed; boundary="b"\n\npreamble\n--b\n\ntext part\n'
    b"--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner body\n--b--\n",
    b"From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\nSubject: three\r\n\r\nthird body\r\n",
)


class Client(Imap):
    """The client's end of a session that runs in this process."""

    def __init__(self, running: Running, greeted: bool = False) -> None:
        self.running = running
        self.record: ImapRecord = running.record
        self.socket = running.client
        self.buffer = b""
        self.count = 0
        if not greeted:
            self.greeting = self.read()

    def wait(self) -> Ending | None:
        """Wait for the end of the session."""
        return self.running.wait()

    def leave(self, text: str) -> None:
        """Let the server ask the session to end."""
        self.running.supervisor.leave(text)

    def told(self, answer: Answer) -> list[str]:
        """The untagged replies of an answer, as text without "* " and CRLF."""
        return [reply.raw[2:-2].decode() for reply in answer.untagged]


class ImapBench(Bench):
    """A bench of IMAP sessions."""

    def connect(self, record: ImapRecord | None = None, tls: bool = False) -> Client:
        """A session, new or from a record."""
        greeted = record is not None and record.greeted
        return Client(self.start(record, tls), greeted)

    def resume(self, client: Client, **changes: Any) -> Client:
        """End a session where it is and go on with its record, as in another process."""
        client.leave("parked")
        assert client.read().name == "BYE"
        client.wait()
        record = ImapRecord.decode(client.record.encode())
        for name, value in changes.items():
            setattr(record, name, value)
        resumed = self.connect(record)
        resumed.count = client.count
        return resumed

    def login(self, name: str = "alice", **fields: Any) -> Client:
        """A session in the authenticated state."""
        client = self.connect(self.record(**fields) if fields else None)
        client.ok(f"LOGIN {name} secret")
        return client

    def select(self, name: str = "alice", mailbox: str = "INBOX") -> Client:
        """A session in the selected state."""
        client = self.login(name)
        client.ok(f'SELECT "{mailbox}"')
        return client


@pytest.fixture
def imap(tmp_path: Path) -> Iterator[ImapBench]:
    with ImapBench(tmp_path, (ImapRecord, ImapSession), ImapSettings()) as made:
        made.add_user("alice", "bob")
        yield made


@pytest.fixture
def mail(imap: ImapBench) -> ImapBench:
    """A bench where alice has three messages."""
    imap.put("alice", *MESSAGES)
    return imap


__all__ = ["Answer", "Client", "ImapBench", "Reply", "bench"]
