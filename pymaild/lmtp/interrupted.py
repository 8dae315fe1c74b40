"""The command that was under way when the process of a session died (net/_journal.pyx).

It runs again. Two kinds do not: a message that was too large to keep is read to its end and
its sender told to try again; what processes die of is answered 554.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pymaild.core.lines import LineTooLong
from pymaild.core.session import OPEN, Ending
from pymaild.lmtp import replies
from pymaild.lmtp.data import DataDecoder
from pymaild.lmtp.delivery import refuse_all
from pymaild.lmtp.replies import Reply

if TYPE_CHECKING:
    from pymaild.lmtp.session import LmtpSession

log = logging.getLogger("pymaild.lmtp")

_TRIES = 2  # processes that may die of a command


def take_up(session: LmtpSession) -> None:
    """Begin with what a record says of an interrupted command."""
    record = session.record
    if record.lost != -1:
        _without_its_beginning(session)
    elif record.again >= _TRIES:
        _unwanted(session)
    elif record.again:
        log.warning("session=%s goes on: the process that had it has died", record.id)


def _without_its_beginning(session: LmtpSession) -> None:
    """Read the rest of a message whose beginning is lost; the sender has to try again."""
    line = session.record.head.partition(b"\r\n")[0].upper()
    with session.message():
        if session.record.lost == OPEN:
            _to_the_dot(session, DataDecoder(begun=True))
        else:
            session.swallow(session.record.lost)
    _answer(session, line, replies.CHUNKS_LOST)


def _unwanted(session: LmtpSession) -> None:
    """Read a command that processes die of without running it.

    Where they die outside of commands, the session has to end.
    """
    record = session.record
    if not session.reader.pending:
        session.services.board.incident(record, b"")
        session.reply(replies.FAILED)
        session.ending = Ending.CLOSED
        return
    try:
        line = session.command_line()
    except LineTooLong as error:
        session.ending = None if error.ended else Ending.CLOSED
        line = b""
    session.services.board.incident(record, line)
    line = line.upper()
    with session.message():
        if line.startswith(b"BDAT "):
            session.swallow(_size(line))
        elif record.asked:
            _to_the_dot(session, DataDecoder())
    _answer(session, line, replies.DEADLY)


def _to_the_dot(session: LmtpSession, decoder: DataDecoder) -> None:
    while not decoder.done:
        decoder.feed(session.chunk())
    session.reader.give_back(decoder.rest)


def _size(line: bytes) -> int:
    digits = line.split()[1]
    return int(digits) if digits.isdigit() and len(digits) <= 20 else 0


def _answer(session: LmtpSession, line: bytes, reply: Reply) -> None:
    """A reply for each recipient at the end of a message (RFC 2033 §4.2), else one."""
    words = line.split()
    record = session.record
    whole = words == [b"DATA"] and (record.asked or record.lost == OPEN)
    if whole or (words[:1] == [b"BDAT"] and words[2:] == [b"LAST"]):
        refuse_all(session, reply)
        session.reset()
    else:
        session.reply(reply)
        if words[:1] == [b"BDAT"]:
            session.lose(reply)
    session.commit()
