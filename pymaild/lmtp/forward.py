"""Delivery to a system user: by an LMTP session in a process that has become that user.

The record of that session says the whole transaction but for the message, which follows as one
chunk (RFC 3030 §2). This session is its client for the length of one reply.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pymaild.core.errors import Code, Disconnected, Refused, TimedOut
from pymaild.core.lines import LineReader
from pymaild.core.session import Stream, User
from pymaild.lmtp.record import LmtpRecord, State
from pymaild.lmtp.replies import Reply
from pymaild.mail.spool import Spool
from pymaild.storage.maildir import unique_name

if TYPE_CHECKING:
    from pymaild.lmtp.session import LmtpSession

LONGEST_REPLY = 512  # octets, RFC 5321 §4.5.3.1.5


def forward(session: LmtpSession, recipient: list[str], spool: Spool, past: list[Any]) -> Reply:
    """Deliver as the user; returns that session's reply. Raises Refused when none comes.

    The file's name is chosen here: where this process dies, and another asks again, the message
    is not delivered under that name a second time.
    """
    user, ticket = session.services.auth.vouched(recipient[1])
    become = session.services.become
    if user is None or become is None:
        raise Refused(Code.UNAVAILABLE, "Try again later", "the user has gone")
    sent = [note for note in past if note[0] == "sent"] or [["sent", unique_name()]]
    session.stream.intend(json.dumps(sent[0]).encode())
    record = _record(session, recipient, user, ticket)
    record.mark, record.intents = sent[0][1], sent if past else []
    try:
        return _converse(session, become(record), spool)
    except (Disconnected, TimedOut, ValueError) as error:
        detail = f"the process of user {user.name!r} did not answer: {error}"
        raise Refused(Code.UNAVAILABLE, "Try again later", detail) from error


def _record(session: LmtpSession, recipient: list[str], user: User, ticket: str) -> LmtpRecord:
    ours = session.record
    return LmtpRecord(
        protocol=ours.protocol,
        id=ours.id,
        listener=ours.listener,
        peer=ours.peer,
        local=ours.local,
        tls=ours.tls,
        started=ours.started,
        greeted=True,
        state=State.RECIPIENTS,
        user=user,
        ticket=ticket,
        helo=ours.helo,
        sender=ours.sender,
        utf8=ours.utf8,
        recipients=[recipient],
    )


def _converse(session: LmtpSession, stream: Stream, spool: Spool) -> Reply:
    stream.write(b"BDAT %d LAST\r\n" % spool.size)
    for piece in spool.pieces():
        stream.write(piece)
        session.services.board.beat()
    stream.write(b"QUIT\r\n")
    line = LineReader(stream).line(LONGEST_REPLY, session.services.settings.timeout, False)
    return Reply.parse(line.decode("ascii", "replace"))
