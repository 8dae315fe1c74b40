"""How a session begins in this process: anew, or where its record says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.core.errors import Refused
from pymaild.core.session import Ending
from pymaild.imap import capability, interrupted, loop, outcomes
from pymaild.imap.commands import IDLE_AGAIN
from pymaild.imap.responses import refusal
from pymaild.imap.resume import resume_patiently
from pymaild.imap.states import State
from pymaild.storage.retry import passes

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def begin(session: ImapSession) -> None:
    """Come to where commands can be obeyed, or end the session. Raises Gone."""
    _take_over(session)
    if not _resumed(session):
        return
    if not session.record.greeted:
        session.record.greeted = True
        session.write(b"* OK [%b] IMAP4rev1 ready\r\n" % capability.announced(session))
        session.commit()
    session.note()
    interrupted.take_up(session)
    if session.record.idling and session.ending is None:
        _idle_on(session)


def _take_over(session: ImapSession) -> None:
    """Go on from what the keeper has done, and with octets that nobody has read yet."""
    record, waited = session.record, session.waited
    if waited.idle:
        record.idling = waited.idle[0]
        record.commands += waited.commands
    if record.unread:
        session.intake.tokens.feed(record.unread)
    record.state = record.state or State.NOT_AUTHENTICATED


def _resumed(session: ImapSession) -> bool:
    """Take up account and mailbox, or leave that to the next command where it may work then.

    Where it never will, or in IDLE, where no command is to come, the client has to leave.
    """
    try:
        resume_patiently(session)
    except Refused as error:
        outcomes.log_refusal(session, error)
        session.absent = passes(error) and not session.record.idling
        if not session.absent:
            session.write(b"* BYE %b\r\n" % refusal(error, session.say))
            session.ending = Ending.CLOSED
            return False
    return True


def _idle_on(session: ImapSession) -> None:
    session.tag, session.record.idling = session.record.idling.encode(), ""
    loop.execute(session, IDLE_AGAIN)
    if session.ending is None:
        loop.ended(session)
