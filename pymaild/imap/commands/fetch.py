"""FETCH and UID FETCH."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code
from pymaild.imap import items
from pymaild.imap._arguments import Arguments
from pymaild.imap.fetch import Fetch
from pymaild.imap.limits import Limit, check
from pymaild.imap.modifiers import NONE, Modifiers
from pymaild.imap.sets import Named, named
from pymaild.imap.sync import tell_vanished
from pymaild.index import History

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def fetch(session: ImapSession, args: Arguments, by_uid: bool) -> bytes | None:
    """FETCH (RFC 3501 §6.4.5), and UID FETCH (§6.4.8).

    UIDs of messages that others have just expunged are passed over like any that do not exist.
    """
    args.sp()
    wanted = named(session, args, by_uid)
    args.sp()
    plan = items.plan(args, by_uid and not session.modes.uidonly)
    if plan.modifiers is not NONE:
        _check(session, plan.modifiers, by_uid)
    if plan.modseq:
        session.aware()
    limit = Limit(session)
    seqs = limit.cut(_chosen(session, wanted, plan.modifiers))
    failure = Fetch(session, plan).run(seqs)
    if failure is not None and not (by_uid and failure.code == Code.EXPUNGEISSUED):
        limit.tell()
        raise failure
    return limit.ok("FETCH")


def _check(session: ImapSession, modifiers: Modifiers, by_uid: bool) -> None:
    """RFC 7162 §3.2.6, RFC 9394 §3.3, RFC 9738 §3.1. Raises BadSyntax, Refused."""
    if modifiers.partial and not by_uid:
        raise BadSyntax("PARTIAL is possible with UID FETCH only")
    if modifiers.vanished and not (by_uid and modifiers.since is not None):
        raise BadSyntax("VANISHED is possible with UID FETCH and CHANGEDSINCE only")
    if modifiers.vanished and not session.modes.qresync:
        raise BadSyntax("VANISHED needs ENABLE QRESYNC")
    if modifiers.partial is not None:
        check(modifiers.partial.places, session.settings.message_limit)


def _chosen(session: ImapSession, wanted: Named, modifiers: Modifiers) -> array[int]:
    """The messages that the modifiers let through; those that have gone are told first.

    PARTIAL takes its part of all that are named, whether they changed or not (RFC 9394 §3.4).
    """
    if modifiers is NONE:
        return wanted.all()
    if modifiers.since is None:
        seqs = wanted.all()
    else:
        if modifiers.vanished:
            tell_vanished(session, modifiers.since, wanted.ranges)
        seqs = wanted.among(History(wanted.view).changed(modifiers.since))
    if modifiers.partial is None:
        return seqs
    if modifiers.since is None:
        return array("I", modifiers.partial.cut(seqs))
    part = frozenset(modifiers.partial.cut(wanted.all()))
    return array("I", [seq for seq in seqs if seq in part])
