"""POP3 sessions that wait without a process: the lock, the marks, the time."""

from __future__ import annotations

import os

import pytest

from pymaild.core.session import Cause, Ending
from pymaild.pop3.record import Pop3Record
from tests.support.rfc import rfc
from tests.support.sessions import Bench, Running

from .conftest import MESSAGES, login


def waits(pop3: Bench, session: Running, **changes: object) -> Pop3Record:
    record: Pop3Record = pop3.parked(session, **changes)
    return record


def go_on(pop3: Bench, session: Running, **changes: object) -> Running:
    return pop3.start(waits(pop3, session, **changes))


def refused(pop3: Bench) -> bool:
    session = pop3.start()
    session.line()
    session.ask(b"USER alice")
    return session.ask(b"PASS secret").startswith(b"-ERR [IN-USE]")


def test_before_login(pop3: Bench) -> None:
    session = pop3.start()
    session.line()
    session.ask(b"USER alice")
    record = waits(pop3, session)
    assert record.wait is not None
    assert 50 < record.wait.seconds <= 60
    assert (record.wait.farewell, record.wait.leave) == (b"", b"-ERR [SYS/TEMP] %s\r\n")
    assert pop3.start(record).ask(b"PASS secret").startswith(b"+OK")


@rfc("1939", "4", 3)
def test_the_lock_waits_with_the_session(pop3: Bench) -> None:
    """No process has the maildrop open, and nobody else gets it."""
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    assert session.ask(b"DELE 2").startswith(b"+OK")
    record = waits(pop3, session)
    assert refused(pop3)
    session = pop3.start(record)
    assert session.ask(b"LIST 2").startswith(b"-ERR")
    assert refused(pop3)
    assert session.ask(b"QUIT").startswith(b"+OK")
    assert not refused(pop3)


def test_whoever_closes_the_lock_last_frees_it(pop3: Bench) -> None:
    """The client goes while nobody runs its session."""
    record = waits(pop3, login(pop3))
    assert record.wait is not None
    os.close(record.wait.descriptor)
    assert not refused(pop3)


def test_a_keeper_that_still_has_the_lock(pop3: Bench) -> None:
    """The end of the session frees it, whoever has a duplicate."""
    record = waits(pop3, login(pop3))
    assert record.wait is not None
    kept = os.dup(record.wait.descriptor)
    session = pop3.start(record)
    assert session.ask(b"QUIT").startswith(b"+OK")
    assert not refused(pop3)
    os.close(kept)


def test_a_maildrop_that_is_not_what_it_was(pop3: Bench) -> None:
    record = waits(pop3, login(pop3))
    record.uidvalidity += 1
    session = pop3.start(record)
    assert session.line().startswith(b"-ERR [SYS/PERM]")
    assert session.wait() is Ending.CLOSED
    assert not refused(pop3)


def test_the_end_of_the_client_matters_to_what_it_has_seen(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    record = waits(pop3, session)
    assert record.wait is not None
    assert record.wait.ends
    session = pop3.start(record)
    session.ask(b"RETR 1")
    session.listing()
    record = waits(pop3, session)
    assert record.wait is not None
    assert not record.wait.ends
    session = pop3.start(record)
    session.close()
    with pop3.account("alice").open("INBOX") as box:
        assert box.view().match_flags(1, 0, 0, 0).tolist() == [1]


@pytest.mark.parametrize("cause", [Cause.TIME, Cause.CLIENT])
def test_the_time_that_was_left(pop3: Bench, cause: Cause) -> None:
    """A line that has begun, and a silence that is over, get no more of it."""
    session = login(pop3)
    if cause is Cause.CLIENT:
        session.send(b"ST")
    session = go_on(pop3, session, seconds=0.05, cause=cause)
    assert session.rest() == b""
    assert session.wait() is Ending.CLOSED


def test_a_new_line_has_all_its_time(pop3: Bench) -> None:
    session = go_on(pop3, login(pop3), seconds=0.001, cause=Cause.CLIENT)
    record = waits(pop3, session)
    assert record.wait is not None
    assert 500 < record.wait.seconds <= 600
    os.close(record.wait.descriptor)


def test_a_line_in_pieces(pop3: Bench) -> None:
    session = login(pop3)
    for piece in (b"S", b"TAT", b"\r"):
        session.send(piece)
        session = go_on(pop3, session)
    session.send(b"\n")
    assert session.line() == b"+OK 0 0"
