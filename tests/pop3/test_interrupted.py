"""Sessions that begin with what a dead process has left in their record."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from tests.pop3.conftest import MESSAGES
from tests.support.sessions import Bench, Running

PLAIN = b64encode(b"\0alice\0secret")


def resumed(pop3: Bench, unread: bytes, **left: Any) -> Running:
    """A session of a stranger, of whom so much had been received."""
    fields = {"greeted": True, "state": "authorization", "unread": unread, **left}
    return pop3.start(pop3.record(**fields))


def test_a_challenge_that_stays_the_same(pop3: Bench) -> None:
    session = resumed(pop3, b"AUTH PLAIN\r\n", asked=b"+ \r\n", again=1)
    assert session.ask(PLAIN).startswith(b"+OK Logged in")
    left = session.left()
    assert left is not None
    assert left.again == session.record.again == 0


@pytest.mark.parametrize(
    ("mechanism", "reply"), [(b"PLAIN", b"-ERR [SYS/TEMP]"), (b"X", b"-ERR That mechanism")]
)
def test_a_challenge_that_has_died(pop3: Bench, mechanism: bytes, reply: bytes) -> None:
    session = resumed(pop3, b"AUTH %b\r\n" % mechanism, asked=b"+ cj1hYmM=\r\n", again=1)
    assert session.ask(PLAIN).startswith(reply)
    assert session.ask(b"USER alice").startswith(b"+OK")


DEADLY = [
    (b"CAPA\r\n", b"", b"CAPA"),
    (b"PASS secret\r\n", b"", b"PASS"),
    (b"auth plain " + PLAIN + b"\r\n", b"", b"auth"),
    (b"AUTH PLAIN\r\n", b"+ \r\n", b"AUTH"),
]


@pytest.mark.parametrize(("unread", "asked", "kept"), DEADLY)
def test_what_kills_is_refused(pop3: Bench, unread: bytes, asked: bytes, kept: bytes) -> None:
    session = resumed(pop3, unread, asked=asked, again=2)
    if asked:
        session.send(PLAIN + b"\r\n")
    assert session.line().startswith(b"-ERR [SYS/PERM]")
    assert session.ask(b"USER alice").startswith(b"+OK")
    assert pop3.board.incidents == [kept]


def test_who_dies_outside_of_commands_has_to_go(pop3: Bench) -> None:
    session = resumed(pop3, b"", again=2)
    assert session.line().startswith(b"-ERR [SYS/TEMP]")
    assert session.at_end()


def test_marks_are_ranges(pop3: Bench) -> None:
    """The record of a client that deletes all its mail stays small."""
    pop3.put("alice", *MESSAGES, *MESSAGES)
    session = resumed(pop3, b"", state="authenticated", user=pop3.user("alice"))
    session.line()
    for number in (1, 2, 3, 5, 6):
        session.ask(b"DELE %d" % number)
    assert session.record.deleted == [[1, 3], [5, 6]]
    assert session.ask(b"STAT").startswith(b"+OK 1 ")
