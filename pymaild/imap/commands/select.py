"""SELECT, EXAMINE, CLOSE and UNSELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.commands.expunge import remove_deleted
from pymaild.imap.selection import Selection
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
    args.end()
    if session.selection is not None:
        session.deselect()
        session.write(b"* OK [CLOSED] Previous mailbox is closed\r\n")
    selection = session.select(Selected.open(session.account, name, read_only))
    _introduce(session, selection)
    verb = b"EXAMINE" if read_only else b"SELECT"
    return b"[%b] %b completed" % (b"READ-ONLY" if selection.read_only else b"READ-WRITE", verb)


def _introduce(session: ImapSession, selection: Selection) -> None:
    selected = selection.selected
    view = selected.view
    unseen = view.first_unseen()
    lines = [
        b"* FLAGS %b\r\n" % selection.flag_list(),
        b"* OK [PERMANENTFLAGS %b] Flags kept\r\n" % selection.permanent_flags(),
        b"* %d EXISTS\r\n" % len(view),
        b"* %d RECENT\r\n" % selected.recent,
        b"* OK [UNSEEN %d] First unseen\r\n" % unseen if unseen else b"",
        b"* OK [UIDVALIDITY %d] UIDs are valid\r\n" % selected.mailbox.uidvalidity,
        b"* OK [UIDNEXT %d] Next UID\r\n" % selected.mailbox.status().uidnext,
    ]
    session.write(b"".join(lines))


def close(session: ImapSession, args: Arguments) -> None:
    """CLOSE (RFC 3501 §6.4.2): deleted messages go without being told."""
    args.end()
    selection = session.current
    if not selection.read_only:
        remove_deleted(selection)
    session.deselect()


def unselect(session: ImapSession, args: Arguments) -> None:
    """UNSELECT (RFC 3691 §2)."""
    args.end()
    session.deselect()
