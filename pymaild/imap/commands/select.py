"""SELECT, EXAMINE, CLOSE and UNSELECT."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pymaild._parser import BadSyntax
from pymaild.core.errors import StorageFailure
from pymaild.imap import grammar, modifiers
from pymaild.imap._arguments import Arguments
from pymaild.imap.commands.expunge import remove_deleted
from pymaild.imap.listing import mailbox_line
from pymaild.imap.selection import Selection
from pymaild.imap.sets import UIDREQUIRED
from pymaild.imap.sync import Known, resynchronize
from pymaild.mail.selected import Selected

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def select(session: ImapSession, args: Arguments, read_only: bool = False) -> bytes:
    """SELECT (RFC 3501 §6.3.1) and EXAMINE (§6.3.2).

    The mailbox that was selected is left first, whatever becomes of the new one; CLOSED
    separates what is told of the two (RFC 9051 §7.1).
    """
    args.sp()
    name = grammar.mailbox(args)
    parameters = _parameters(session, args)
    args.end()
    if session.selection is not None:
        session.leave()
        session.write(b"* OK [CLOSED] %b\r\n" % session.say("Previous mailbox is closed"))
    if parameters:
        session.aware()
    try:
        selected = Selected.open(session.account, name, read_only)
    except BaseException:
        session.note()
        raise
    selection = session.select(selected)
    _introduce(session, selection, name)
    if b"QRESYNC" in parameters:
        resynchronize(session, parameters[b"QRESYNC"])
    code = b"READ-ONLY" if selection.read_only else b"READ-WRITE"
    verb = "EXAMINE" if read_only else "SELECT"
    return b"[%b] %b" % (code, session.say(f"{verb} completed"))


def _parameters(session: ImapSession, args: Arguments) -> dict[bytes, Any]:
    """Read select-params (RFC 4466 §2.1), if there are any."""
    if not args.more():
        return {}
    args.sp()
    found = modifiers.read(args, _PARAMETERS)
    known = found.get(b"QRESYNC")
    if not found:
        raise BadSyntax("Expected a list of parameters")
    if known and not session.modes.qresync:
        raise BadSyntax("QRESYNC needs ENABLE QRESYNC")
    if known and known.numbers and session.modes.uidonly:
        raise BadSyntax(UIDREQUIRED)
    return found


def _known(args: Arguments) -> Known:
    args.sp()
    return Known.read(args)


_PARAMETERS: dict[bytes, Callable[[Arguments], Any]] = {
    b"CONDSTORE": lambda args: True,  # RFC 7162 §3.1.8
    b"QRESYNC": _known,  # RFC 7162 §3.2.5
}


def _introduce(session: ImapSession, selection: Selection, asked: str) -> None:
    selected, say = selection.selected, session.say
    lines = [
        b"* FLAGS %b\r\n" % selection.flag_list(),
        b"* OK [PERMANENTFLAGS %b] %b\r\n" % (selection.permanent_flags(), say("Flags kept")),
        b"* %d EXISTS\r\n" % len(selected.view),
        *(_as_rev2(session, asked) if session.modes.rev2 else _as_rev1(session, selection)),
        b"* OK [UIDVALIDITY %d] %b\r\n" % (selected.mailbox.uidvalidity, say("UIDs are valid")),
        b"* OK [UIDNEXT %d] %b\r\n" % (selected.mailbox.index.uidnext, say("Next UID")),
        _mailboxid(session, selection),
        selection.highest(),
    ]
    session.write(b"".join(lines))


def _mailboxid(session: ImapSession, selection: Selection) -> bytes:
    """RFC 8474 §4.2; what cannot be named for want of disk space can be read all the same."""
    try:
        name = selection.mailbox.mailboxid().encode("ascii")
    except StorageFailure:
        return b""
    return b"* OK [MAILBOXID (%b)] %b\r\n" % (name, session.say("Its name for good"))


def _as_rev1(session: ImapSession, selection: Selection) -> list[bytes]:
    """What IMAP4rev2 left out (RFC 9051 appendix E)."""
    selected = selection.selected
    unseen = 0 if session.modes.uidonly else selected.view.first_unseen()
    return [
        b"* %d RECENT\r\n" % selected.recent,
        b"* OK [UNSEEN %d] %b\r\n" % (unseen, session.say("First unseen")) if unseen else b"",
    ]


def _as_rev2(session: ImapSession, asked: str) -> list[bytes]:
    """The mailbox as LIST shows it, under the name it goes by (RFC 9051 §6.3.2)."""
    return [mailbox_line(session, session.account.entries(), session.record.mailbox, asked)]


def close(session: ImapSession, args: Arguments) -> None:
    """CLOSE (RFC 3501 §6.4.2): deleted messages go without being told.

    Who may not expunge just leaves (RFC 4314 §4).
    """
    args.end()
    selection = session.current
    if not selection.read_only and "e" in selection.mailbox.rights():
        remove_deleted(selection)
    session.deselect()


def unselect(session: ImapSession, args: Arguments) -> None:
    """UNSELECT (RFC 3691 §2)."""
    args.end()
    session.deselect()
