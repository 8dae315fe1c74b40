"""LMTP sessions that wait without a process."""

from __future__ import annotations

from pymaild.core.session import Cause, Ending
from pymaild.lmtp.record import LmtpRecord, State
from tests.support.sessions import Bench, Running

from .conftest import body, mailbox, ready, with_recipients

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


def waits(lmtp: Bench, session: Running, **changes: object) -> LmtpRecord:
    record: LmtpRecord = lmtp.parked(session, **changes)
    return record


def test_between_messages(lmtp: Bench) -> None:
    record = waits(lmtp, ready(lmtp))
    assert record.wait is not None
    assert 290 < record.wait.seconds <= 300
    assert record.wait.farewell == b"421 4.4.2 Waited too long\r\n"
    assert record.wait.leave == b"421 4.3.2 %s\r\n"
    assert lmtp.start(record).ask(b"NOOP").startswith(b"250")


def test_within_a_transaction(lmtp: Bench) -> None:
    """Sender and recipients are in the record, where the message goes behind the wait."""
    record = waits(lmtp, with_recipients(lmtp, "alice", "bob"))
    assert record.state == State.RECIPIENTS
    session = lmtp.start(record)
    assert session.ask(b"DATA").startswith(b"354")
    session.send(MESSAGE + b".\r\n")
    assert [line[:3] for line in session.lines(2)] == [b"250", b"250"]
    assert [body(message) for message in mailbox(lmtp, "bob")] == [MESSAGE]


def test_between_chunks_nobody_waits(lmtp: Bench) -> None:
    """The chunks are where the session is."""
    session = with_recipients(lmtp, "alice")
    session.send(b"BDAT %d\r\n%b" % (len(MESSAGE), MESSAGE))
    assert session.line().startswith(b"250")
    session.supervisor.patience = 0.0
    session.supervisor.stir()
    assert session.ask(b"BDAT 0 LAST").startswith(b"250")
    assert session.wait() is Ending.PARK
    assert [body(message) for message in mailbox(lmtp, "alice")] == [MESSAGE]


def test_the_time_that_was_left(lmtp: Bench) -> None:
    session = ready(lmtp)
    session.send(b"NO")
    session = lmtp.start(waits(lmtp, session, seconds=0.05, cause=Cause.CLIENT))
    assert session.rest() == b"421 4.4.2 Waited too long\r\n"
    assert session.wait() is Ending.CLOSED
