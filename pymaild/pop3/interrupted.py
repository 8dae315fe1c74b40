"""The command that was under way when the process of a session died (net/_journal.pyx).

It runs again, unless processes die of it: then it is answered -ERR.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pymaild.core.lines import LineTooLong
from pymaild.core.session import Ending
from pymaild.pop3 import replies

if TYPE_CHECKING:
    from pymaild.pop3.session import Pop3Session

log = logging.getLogger("pymaild.pop3")

_TRIES = 2  # processes that may die of a command

_SECRET = (b"PASS", b"AUTH")


def take_up(session: Pop3Session) -> None:
    """Begin with what a record says of an interrupted command.

    Where processes die outside of commands, the session has to end.
    """
    record = session.record
    if record.again < _TRIES:
        if record.again:
            log.warning("session=%s goes on: the process that had it has died", record.id)
        return
    if not session.reader.pending:
        session.services.board.incident(record, b"")
        session.stream.write(replies.err("The server has failed", replies.TEMPORARY))
        session.ending = Ending.CLOSED
        return
    lines = [_line(session) for _ in range(1 + record.asked.count(b"\n"))]
    word = lines[0].partition(b" ")[0]
    session.services.board.incident(record, word if word.upper() in _SECRET else lines[0])
    session.stream.write(
        replies.err("This command ends the processes that run it", replies.PERMANENT)
    )
    session.commit()


def swallow_lines(session: Pop3Session) -> None:
    """Read lines that a process that died has asked for: they are no commands."""
    while session.stream.asked and session.ending is None:
        session.stream.ask(b"")
        _line(session)


def _line(session: Pop3Session) -> bytes:
    try:
        return session.response_line()
    except LineTooLong as error:
        if not error.ended:
            session.ending = Ending.CLOSED
        return b""
