"""The command that was under way when the process of a session died (net/_journal.pyx).

Most commands simply run again. Two kinds are thrown away and answered NO: those whose input was
too large to keep, and those that processes die of.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pymaild._parser import COMMAND, LITERAL, NEED_MORE, BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import outcomes
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

log = logging.getLogger("pymaild.imap")

_TRIES = 2  # processes that may die of a command

_SECRET = (b"LOGIN", b"AUTHENTICATE")


def take_up(session: ImapSession) -> None:
    """Begin with what a record says of an interrupted command; its ``unread`` is tokens now."""
    record = session.record
    unread, record.unread = record.unread, b""
    if record.lost != -1:
        _without_its_beginning(session)
    elif record.again >= _TRIES:
        _unwanted(session, unread)
    elif record.again:
        log.warning("session=%s goes on: the process that had it has died", record.id)


def _without_its_beginning(session: ImapSession) -> None:
    """Answer NO behind a literal of which the beginning is lost."""
    record, tokens = session.record, session.intake.tokens
    session.tag = record.head.lstrip().partition(b" ")[0] or b"*"
    tokens.skip(max(record.lost, 0))
    while tokens.next() == NEED_MORE:
        tokens.feed(session.read())
    _answer(session, Refused(Code.UNAVAILABLE, "The server has lost what was sent, try again"))


def _unwanted(session: ImapSession, unread: bytes) -> None:
    """Read a command that processes die of without running it, and answer NO.

    Where they die outside of commands, the session has to end.
    """
    record, tokens = session.record, session.intake.tokens
    if tokens.idle or record.idling:
        session.services.board.incident(record, b"")
        session.bye("The server has failed")
        return
    _read(session)
    size = max(len(unread) - tokens.behind, 0)
    session.services.board.incident(record, _masked(unread[:size]))
    _answer(session, Refused(Code.SERVERBUG, "This command ends the processes that run it"))


def _read(session: ImapSession) -> None:
    """Read a command to its end: its literals, and the lines that were asked for."""
    tokens, args = session.intake.tokens, session.intake.args
    asked = session.record.asked.count(b"\n")
    while (met := tokens.next()) in (NEED_MORE, LITERAL):
        if met == NEED_MORE:
            tokens.feed(session.read())
        elif tokens.literal_waits and not asked:
            tokens.discard()
        else:
            asked -= tokens.literal_waits
            tokens.stream()
            _swallow(session)
    session.tag = _tag(args) if met == COMMAND else tokens.refused_tag
    if met == COMMAND:
        for _ in range(asked):
            _line(session)


def _swallow(session: ImapSession) -> None:
    tokens = session.intake.tokens
    tokens.take()
    while tokens.literal_left:
        tokens.absorb(session.read())


def _tag(args: Arguments) -> bytes:
    args.rewind()
    try:
        return args.tag()
    except BadSyntax:
        return b"*"


def _line(session: ImapSession) -> None:
    try:
        session.intake.line()
    except BadSyntax as error:  # it was too long
        log.debug("session=%s: %s", session.record.id, error)


def _answer(session: ImapSession, refused: Refused) -> None:
    session.count()
    outcomes.no(session, refused)
    session.record.settle()
    session.commit()


def _masked(data: bytes) -> bytes:
    """Leave out what may be a password."""
    words = data.split(None, 2)
    if len(words) > 2 and words[1].upper() in _SECRET:
        return b" ".join(words[:2])
    return data
