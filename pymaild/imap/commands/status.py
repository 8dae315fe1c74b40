"""STATUS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap import grammar, names
from pymaild.imap._arguments import Arguments
from pymaild.imap.capability import append_limit

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.mailbox import Status

#: status-att (RFC 3501 §9, RFC 9051 §6.3.11, RFC 8438 §3): its value from the mailbox.
ITEMS: dict[bytes, Callable[[ImapSession, Status], int]] = {
    b"MESSAGES": lambda session, status: status.messages,
    b"RECENT": lambda session, status: status.recent,
    b"UIDNEXT": lambda session, status: status.uidnext,
    b"UIDVALIDITY": lambda session, status: status.uidvalidity,
    b"UNSEEN": lambda session, status: status.unseen,
    b"DELETED": lambda session, status: status.deleted,
    b"SIZE": lambda session, status: status.size,
    b"APPENDLIMIT": lambda session, status: append_limit(session),  # RFC 7889 §3.1
}


def status(session: ImapSession, args: Arguments) -> None:
    """STATUS (RFC 3501 §6.3.10)."""
    args.sp()
    name = grammar.mailbox(args)
    args.sp()
    items = grammar.names_list(args)
    args.end()
    unknown = [item for item in items if item not in ITEMS]
    if unknown:
        raise BadSyntax("Unknown status item")
    found = session.account.status(name, size=b"SIZE" in items)
    if name == session.record.mailbox:
        found = replace(found, recent=found.recent + _claimed(session))
    values = [b"%b %d" % (item, ITEMS[item](session, found)) for item in dict.fromkeys(items)]
    session.write(b"* STATUS %b (%b)\r\n" % (names.encode(name), b" ".join(values)))


def _claimed(session: ImapSession) -> int:
    """How many messages are \\Recent to this session and no longer to any other."""
    return 0 if session.record.read_only else session.current.selected.recent
