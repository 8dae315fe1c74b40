"""EXPUNGE and UID EXPUNGE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pymaild.imap._arguments import Arguments
from pymaild.imap.sets import messages
from pymaild.mail.flags import DELETED

if TYPE_CHECKING:
    from pymaild.imap.selection import Selection
    from pymaild.imap.session import ImapSession


def expunge(session: ImapSession, args: Arguments) -> None:
    """EXPUNGE (RFC 3501 §6.4.3); the loop tells what is gone."""
    args.end()
    session.current.require_writable()
    remove_deleted(session.current)


def uid_expunge(session: ImapSession, args: Arguments) -> None:
    """UID EXPUNGE (RFC 4315 §2.1): of the messages named, those marked as deleted."""
    args.sp()
    named = set(messages(session, args, by_uid=True))
    args.end()
    session.current.require_writable()
    remove_deleted(session.current, named)


def remove_deleted(selection: Selection, only: set[int] | None = None) -> None:
    """Remove the messages marked as deleted, or those of them whose number is in ``only``."""
    view = selection.selected.view
    deleted: Sequence[int] = view.match_flags(DELETED, 0, 0, 0)
    if only is not None:
        deleted = [seq for seq in deleted if seq in only]
    if deleted:
        selection.mailbox.expunge(selection.uids(deleted))
