"""FETCH and UID FETCH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.core.errors import Code
from pymaild.imap import items
from pymaild.imap._arguments import Arguments
from pymaild.imap.fetch import Fetch
from pymaild.imap.sets import messages

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def fetch(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """FETCH (RFC 3501 §6.4.5), and UID FETCH (§6.4.8).

    UIDs of messages that others have just expunged are passed over like any that do not exist.
    """
    args.sp()
    seqs = messages(session, args, by_uid)
    args.sp()
    plan = items.plan(args, by_uid)
    failure = Fetch(session, plan).run(seqs)
    if failure is not None and not (by_uid and failure.code == Code.EXPUNGEISSUED):
        raise failure
