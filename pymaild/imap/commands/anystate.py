"""CAPABILITY, NOOP, LOGOUT and ID: possible in every state."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pymaild import __version__
from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.core.session import Ending
from pymaild.imap._arguments import Arguments
from pymaild.imap.capability import announced, unauthenticate_possible
from pymaild.imap.notifier import attend

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_MOST_FIELDS = 30  # RFC 2971 §3.3
_SHOWN = (b"name", b"version")


def capability(session: ImapSession, args: Arguments) -> None:
    """CAPABILITY (RFC 3501 §6.1.1)."""
    args.end()
    session.write(b"* %b\r\n" % announced(session))


def noop(session: ImapSession, args: Arguments) -> None:
    """NOOP (RFC 3501 §6.1.2), and CHECK (§6.4.1): all there is to say is said by the loop.

    What NOTIFY asks for is told here, so that a client need not wait for it.
    """
    args.end()
    if session.notifier is not None:
        session.notifier.look()
        attend(session, partial(session.notifier.tell, expunge=True))


def logout(session: ImapSession, args: Arguments) -> None:
    """LOGOUT (RFC 3501 §6.1.3): the mailbox is left, so that nothing is told behind BYE."""
    args.end()
    session.deselect()
    session.bye("Logging out")
    session.ending = Ending.CLOSED


def unauthenticate(session: ImapSession, args: Arguments) -> None:
    """UNAUTHENTICATE (RFC 8437 §3): there is no NO, since clients pipeline a login behind it."""
    args.end()
    if not unauthenticate_possible(session):
        raise BadSyntax("UNAUTHENTICATE is not possible here")
    session.unauthenticate()
    if not session.services.board.admit(session.record):
        session.bye("Too many connections")


def identify(session: ImapSession, args: Arguments) -> None:
    """ID (RFC 2971 §3.1): take note of the client's name, and tell ours."""
    args.sp()
    fields = _fields(args)
    args.end()
    shown = [fields[name].decode("ascii", "replace") for name in _SHOWN if fields.get(name)]
    if shown:
        session.record.client = "".join(c if c.isprintable() else "?" for c in " ".join(shown))[:80]
        session.note()
    session.write(_REPLIES[session.settings.id])


def _fields(args: Arguments) -> dict[bytes, bytes]:
    """Read the list of field and value, or NIL."""
    fields: dict[bytes, bytes] = {}
    if args.peek() != LIST_BEGIN:
        if args.nstring() is not None:
            raise BadSyntax("Expected a list or NIL")
        return fields
    args.open()
    while args.item():
        name = args.string()
        args.sp()
        fields[name.lower()] = args.nstring() or b""
        if len(fields) > _MOST_FIELDS:
            raise BadSyntax("Too many fields")
    return fields


_REPLIES = {
    "full": b'* ID ("name" "pymaild" "version" "%b")\r\n' % __version__.encode(),
    "name": b'* ID ("name" "pymaild")\r\n',
    "nothing": b"* ID NIL\r\n",
}
