"""COPY and MOVE, and their UID forms."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.imap import grammar, news
from pymaild.imap._arguments import Arguments
from pymaild.imap.commands.append import open_target
from pymaild.imap.commands.expunge import told
from pymaild.imap.limits import Limit, check, saving
from pymaild.imap.sets import messages
from pymaild.mail import committed

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def copy(session: ImapSession, args: Arguments, by_uid: bool) -> bytes | None:
    """COPY (RFC 3501 §6.4.7), answered with the UIDs (RFC 4315 §3).

    Copies are not \\Recent, as §6.4.7 recommends and RFC 9051 no longer does: they would lie
    in new/, where other programs announce them as mail that has just come (2026-11).
    """
    _, code = _transfer(session, args, by_uid)
    return b"%b %b" % (code, session.say("COPY completed")) if code else None


def move(session: ImapSession, args: Arguments, by_uid: bool) -> bytes | None:
    """MOVE (RFC 6851 §3.1): the UIDs come before the loop tells what is expunged (§4.3)."""
    with Limit(session) as limit:
        moved, code = _transfer(session, args, by_uid, limit)
    if code:
        session.write(b"* OK %b %b\r\n" % (code, session.say("Moved")))
    return limit.ok("MOVE", told(session, "MOVE", moved))


def _transfer(
    session: ImapSession, args: Arguments, by_uid: bool, limit: Limit | None = None
) -> tuple[bool, bytes]:
    """Copy, or move as far as the limit goes.

    Returns whether there was anything, and the COPYUID code: b"" when there was nothing, or when
    the target may not be read (RFC 4315 §5).
    """
    move = limit is not None
    args.sp()
    seqs = messages(session, args, by_uid)
    args.sp()
    name = grammar.mailbox(args)
    args.end()
    selection = session.current
    if limit is None:
        check(len(seqs), saving(session))
    else:
        selection.require_writable("te")  # RFC 6851 §4.2
        seqs = array("I", sorted(limit.cut(seqs)))
    with open_target(session, name) as target:
        if not seqs:
            return False, b""
        pairs = selection.mailbox.copy(selection.selected.view, seqs, target, move=move)
        news.brought(session, target, [new for _, new in pairs])
        readable = "r" in target.rights()
    if not pairs and not by_uid:
        raise Refused(Code.EXPUNGEISSUED, "These messages are already expunged")
    told_uids = pairs and readable
    return bool(pairs), selection.copyuid(target.uidvalidity, pairs) if told_uids else b""


def taken(session: ImapSession) -> bytes | None:
    """Return the response code for what a process that died has copied or moved.

    None if that is nothing. Raises Refused.
    """
    selection = session.current
    for name in {note[1] for note in session.record.intents if note[0] == "taken"}:
        with session.account.open(name) as target:
            pairs = committed.taken(selection.mailbox, target)
            news.brought(session, target, [new for _, new in pairs])
            if pairs:
                readable = "r" in target.rights()
                code = selection.copyuid(target.uidvalidity, pairs) if readable else b""
                return code + b" " if code else b""
    return None
