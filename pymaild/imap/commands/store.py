"""STORE and UID STORE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import grammar, modifiers
from pymaild.imap._arguments import Arguments
from pymaild.imap.limits import Limit
from pymaild.imap.responses import sequence_set
from pymaild.imap.sets import messages
from pymaild.mail.condition import Unchanged

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.mailbox import Mailbox

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


def store(session: ImapSession, args: Arguments, by_uid: bool) -> bytes | None:
    """STORE (RFC 3501 §6.4.6), and UID STORE (§6.4.8)."""
    args.sp()
    seqs = messages(session, args, by_uid)
    args.sp()
    condition = _condition(session, args)
    action = ACTIONS.get(args.name())
    if action is None:
        raise BadSyntax("Expected FLAGS, +FLAGS or -FLAGS")
    args.sp()
    names = grammar.store_flags(args)
    args.end()
    with Limit(session) as limit:
        answer = _store(session, limit.cut(seqs), Change(*action, names), condition, by_uid)
    return limit.ok("STORE", answer)


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to the flags of the messages."""

    how: How
    silent: bool
    names: list[str]


def _condition(session: ImapSession, args: Arguments) -> Unchanged | None:
    """Read UNCHANGEDSINCE, if it is there (RFC 7162 §3.1.3)."""
    since = modifiers.read(args, modifiers.STORE).get(b"UNCHANGEDSINCE")
    if since is None:
        return None
    args.sp()
    session.aware()
    return Unchanged(since)


def _store(
    session: ImapSession,
    seqs: Sequence[int],
    change: Change,
    condition: Unchanged | None,
    by_uid: bool,
) -> bytes | None:
    selection = session.current
    selection.require_writable()
    _require_some(selection.mailbox, change.names)
    flags = selection.mailbox.flags(change.names, create=change.how != "remove")
    view = selection.selected.view
    lost = set(selection.mailbox.store(view, seqs, change.how, flags, condition))
    failed = sorted(condition.failed) if condition is not None else []
    selection.tell_keywords(session.write)
    _tell(session, [seq for seq in seqs if seq not in lost], change, set(failed), by_uid)
    modified = sequence_set(selection.uids(failed) if by_uid else failed)
    if lost and not by_uid:
        raise _expunged(modified)
    told = session.say("STORE was conditional")
    return b"[MODIFIED %b] %b" % (modified, told) if modified else None


def _require_some(mailbox: Mailbox, names: Sequence[str]) -> None:
    """Refuse where the user may change none of the flags named (RFC 4314 §4)."""
    rights = mailbox.rights()
    needed = {_RIGHTS.get(name.upper(), "w") for name in names} or set("stw")
    if not rights & needed:
        raise Refused(Code.NOPERM, "You have no right to change these flags")


_RIGHTS = {"\\SEEN": "s", "\\DELETED": "t"}


def _tell(
    session: ImapSession, seqs: Sequence[int], change: Change, failed: set[int], by_uid: bool
) -> None:
    """Tell the new flags, or in silence the new mod-sequences to those who know these.

    What stood in the way of a condition is told in any case (RFC 7162 §3.1.3).
    """
    if change.silent and not session.modes.condstore:
        return
    for seq in seqs:
        flags = not change.silent or seq in failed
        session.write(session.current.update(seq, by_uid, flags))


def _expunged(modified: bytes) -> Refused:
    """RFC 5530 §3, and RFC 7162 §3.1.3 where some messages failed the condition, too."""
    text = "Some of these messages are already expunged"
    refused = Refused(Code.MODIFIED if modified else Code.EXPUNGEISSUED, text)
    refused.argument = modified.decode("ascii")
    return refused
