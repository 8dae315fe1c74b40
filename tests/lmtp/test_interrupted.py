"""Sessions that begin with what a dead process has left in their record."""

from __future__ import annotations

from typing import Any

import pytest

from pymaild.core.session import OPEN
from tests.lmtp.conftest import body, mailbox
from tests.support.sessions import Bench, Running

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def resumed(lmtp: Bench, unread: bytes, *recipients: str, **left: Any) -> Running:
    """A session with a transaction under way."""
    fields = {
        "greeted": True,
        "helo": "client.example.org",
        "state": "recipients" if recipients else "ready",
        "recipients": [[f"{name}@example.org", name, ""] for name in recipients],
        "unread": unread,
        **left,
    }
    return lmtp.start(lmtp.record(**fields))


def test_data_runs_again(lmtp: Bench) -> None:
    session = resumed(lmtp, b"DATA\r\nSubject: x\r\n\r\n", "alice", asked=START, again=1)
    session.send(b"body\r\n.\r\n")
    assert session.line().startswith(b"250 ")
    assert [body(message) for message in mailbox(lmtp, "alice")] == [MESSAGE]
    assert session.ask(b"NOOP") == b"250 2.0.0 OK"


START = b"354 End the message with <CRLF>.<CRLF>\r\n"


@pytest.mark.parametrize("tail", [b"", b"text", b"\r\n.\r", b"abc\r\n"])
def test_a_message_that_was_lost(lmtp: Bench, tail: bytes) -> None:
    """Its end is found, and each recipient has to be tried again."""
    rest = (tail + b"more\r\n.\r\n") if not tail.endswith(b"\r") else tail + b"\n"
    session = resumed(lmtp, tail, "alice", "bob", lost=OPEN, head=b"DATA\r\nSubject")
    session.send(rest[len(tail) :])
    assert [line[:4] for line in session.lines(2)] == [b"451 ", b"451 "]
    assert session.ask(b"NOOP") == b"250 2.0.0 OK"
    assert mailbox(lmtp, "alice") == []


@pytest.mark.parametrize(("last", "replies"), [(b" LAST", 2), (b"", 1)])
def test_a_chunk_that_was_lost(lmtp: Bench, last: bytes, replies: int) -> None:
    session = resumed(lmtp, b"", "alice", "bob", lost=5, head=b"BDAT 99%b\r\nxx" % last)
    session.send(b"12345NOOP\r\n")
    assert [line[:4] for line in session.lines(replies)] == [b"451 "] * replies
    assert session.line() == b"250 2.0.0 OK"
    if not last:
        session.send(b"BDAT 0 LAST\r\n")
        assert [line[:4] for line in session.lines(2)] == [b"451 ", b"451 "]


DEADLY = [
    (b"NOOP\r\n", b"", 1, b"NOOP"),
    (b"DATA\r\n" + MESSAGE + b".\r\n", START, 2, b"DATA"),
    (b"BDAT 5 LAST\r\n12345", b"", 2, b"BDAT 5 LAST"),
    (b"BDAT 5\r\n12345", b"", 1, b"BDAT 5"),
    (b"BDAT\r\n", b"", 1, b"BDAT"),
    (b"BDAT x\r\n", b"", 1, b"BDAT x"),
]


@pytest.mark.parametrize(("unread", "asked", "replies", "kept"), DEADLY)
def test_what_kills_is_refused(
    lmtp: Bench, unread: bytes, asked: bytes, replies: int, kept: bytes
) -> None:
    session = resumed(lmtp, unread, "alice", "bob", asked=asked, again=2)
    assert [line[:4] for line in session.lines(replies)] == [b"554 "] * replies
    assert session.ask(b"NOOP") == b"250 2.0.0 OK"
    assert lmtp.board.incidents == [kept]
    assert mailbox(lmtp, "alice") == []


def test_who_dies_outside_of_commands_has_to_go(lmtp: Bench) -> None:
    session = resumed(lmtp, b"", again=2)
    assert session.line().startswith(b"421 ")
    assert session.at_end()
