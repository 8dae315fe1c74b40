"""Sessions of POP3 over socket pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymaild.pop3.record import Pop3Record
from pymaild.pop3.session import Pop3Session
from pymaild.pop3.settings import Pop3Settings
from tests.support.sessions import Bench, Running, bench

MESSAGES = (
    b"Subject: one\r\n\r\nfirst line\r\n.dot\r\n..two\r\nlast\r\n",
    b"Subject: two\nX: y\n\nLF only\n.\nend\n",
    b"Subject: three\n\nno end of line",
)


@pytest.fixture
def pop3(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, (Pop3Record, Pop3Session), Pop3Settings()) as made:
        made.add_user("alice", "bob")
        yield made


def elsewhere(bench: Bench, session: Running) -> Running:
    """End a session where it is and go on with its record, as in another process."""
    record = Pop3Record.decode(session.record.encode())
    session.close()
    return bench.start(record)


def login(bench: Bench, name: bytes = b"alice", tls: bool = False) -> Running:
    """A session in the TRANSACTION state."""
    session = bench.start(tls=tls)
    assert session.line().startswith(b"+OK")
    assert session.ask(b"USER " + name) == b"+OK Send the password"
    assert session.ask(b"PASS secret").startswith(b"+OK Logged in")
    return session
