"""STORE and UID STORE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.sets import messages

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

How = Literal["set", "add", "remove"]

#: store-att-flags (RFC 3501 §9): what is done, and whether in silence.
ACTIONS: dict[bytes, tuple[How, bool]] = {
    b"FLAGS": ("set", False),
    b"FLAGS.SILENT": ("set", True),
    b"+FLAGS": ("add", False),
    b"+FLAGS.SILENT": ("add", True),
    b"-FLAGS": ("remove", False),
    b"-FLAGS.SILENT": ("remove", True),
}


def store(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """STORE (RFC 3501 §6.4.6), and UID STORE (§6.4.8)."""
    args.sp()
    seqs = messages(session, args, by_uid)
    args.sp()
    action = ACTIONS.get(args.name())
    if action is None:
        raise BadSyntax("Expected FLAGS, +FLAGS or -FLAGS")
    args.sp()
    names = grammar.store_flags(args)
    args.end()
    _store(session, seqs, action, names, by_uid)


def _store(
    session: ImapSession,
    seqs: Sequence[int],
    action: tuple[How, bool],
    names: list[str],
    by_uid: bool,
) -> None:
    how, silent = action
    selection = session.current
    selection.require_writable()
    flags = selection.mailbox.flags(names, create=how != "remove")
    lost = set(selection.mailbox.store(selection.selected.view, seqs, how, flags))
    selection.tell_keywords(session.write)
    if not silent:
        for seq in seqs:
            if seq not in lost:
                session.write(selection.update(seq, by_uid))
    if lost and not by_uid:
        raise Refused(Code.EXPUNGEISSUED, "Some of these messages are already expunged")
