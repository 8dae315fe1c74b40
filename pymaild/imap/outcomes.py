"""What a client is told of a command that failed, and what the log is told (RFC 3501 §7.1)."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused, StorageFailure
from pymaild.imap.responses import refusal
from pymaild.imap.selection import GONE, Gone

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

log = logging.getLogger("pymaild.imap")


def rejected(session: ImapSession) -> None:
    """The tokenizer threw a command away: it is too long or lexically wrong."""
    tokens = session.intake.tokens
    session.tag = tokens.refused_tag
    code = "[TOOBIG] " if tokens.too_long else ""
    bad(session, code + (tokens.refusal or "Command was refused"))


def bad(session: ImapSession, reason: str) -> None:
    """Answer BAD; who sends nothing else has to leave."""
    session.record.bad += 1
    session.changed = True
    session.write(b"%b BAD %b\r\n" % (session.tag, session.say(reason)))
    if session.record.bad >= session.settings.max_bad:
        session.bye("Too many faulty commands")


def refuse(session: ImapSession, error: Refused, expunge: bool) -> None:
    """Answer NO behind what there is to tell: a refusal may be due to an expunge."""
    try:
        if session.selection is not None:
            session.tell(expunge)
    except Gone:
        session.bye(GONE)
        return
    except Refused as second:
        log_refusal(session, second)
    no(session, error)


def no(session: ImapSession, error: Refused) -> None:
    """Answer NO, and BYE behind it where the command asks for that."""
    log_refusal(session, error)
    session.record.bad = 0
    session.changed = True
    session.write(b"%b NO %b\r\n" % (session.tag, refusal(error, session.say)))
    if session.last_words:
        session.bye(session.last_words)


def bug(session: ImapSession) -> None:
    """Answer NO to what raised an exception that nobody foresaw; it is being handled."""
    reference = log_bug(session)
    session.intake.settle()
    no(session, Refused(Code.SERVERBUG, f"Internal error, reference {reference}"))


def log_bug(session: ImapSession) -> str:
    """Log the exception that is being handled; returns what the client is told of it."""
    reference = secrets.token_hex(4)
    log.exception("internal error %s: session=%s", reference, session.record.id)
    session.services.board.count("bugs")
    return reference


def log_refusal(session: ImapSession, error: Refused) -> None:
    """Log what is the server's fault, with what the client is not told."""
    if isinstance(error, StorageFailure):
        user = session.record.user.name if session.record.user else ""
        log.error("session=%s user=%r: %s", session.record.id, user, error.detail)
