"""CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import StorageFailure
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.listing import correct
from pymaild.imap.resume import follow_rename

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def _one_name(args: Arguments) -> str:
    args.sp()
    name = grammar.mailbox(args)
    args.end()
    return name


def create(session: ImapSession, args: Arguments) -> bytes:
    """CREATE (RFC 3501 §6.3.3), with special uses (RFC 6154 §3).

    Answered with the mailbox's name for good (RFC 8474 §4.1).
    """
    args.sp()
    wire = grammar.new_name(args)
    uses = _uses(args) if args.more() else []
    args.end()
    name = grammar.new_mailbox(wire, args.utf8)
    session.account.create(name, uses)
    mailboxid = _new_mailboxid(session, name)
    correct(session, name)
    return b"[MAILBOXID (%b)] %b" % (mailboxid, session.say("CREATE completed"))


def _new_mailboxid(session: ImapSession, name: str) -> bytes:
    """Return it; a mailbox that cannot have one is not made."""
    account = session.account
    try:
        with account.open(name.removesuffix(account.separator)) as mailbox:
            return mailbox.mailboxid().encode("ascii")
    except StorageFailure:
        account.delete(name.removesuffix(account.separator))
        raise


def _uses(args: Arguments) -> list[str]:
    """create-param (RFC 4466 §2.2): USE is the only one there is."""
    uses: list[str] = []
    args.sp()
    args.open()
    while args.item():
        if args.name() != b"USE":
            raise BadSyntax("Unknown parameter of CREATE")
        args.sp()
        uses += grammar.flag_list(args)
    return uses


def delete(session: ImapSession, args: Arguments) -> None:
    """DELETE (RFC 3501 §6.3.4). A selected mailbox is left, which the client is told."""
    name = _one_name(args)
    session.account.delete(name)
    correct(session, name, gone=True)
    if session.selection is not None and not session.account.exists(session.record.mailbox):
        session.closed()


def rename(session: ImapSession, args: Arguments) -> None:
    """RENAME (RFC 3501 §6.3.5). A selected mailbox stays selected under its new name."""
    args.sp()
    old = grammar.mailbox(args)
    args.sp()
    wire = grammar.new_name(args)
    args.end()
    new = grammar.new_mailbox(wire, args.utf8)
    account = session.account
    account.rename(old, new)
    correct(session, new, old)
    selected, below = session.record.mailbox, account.canonical(old) + account.separator
    moved = (selected + account.separator).startswith(below)
    if session.selection is not None and moved and not account.exists(selected):
        follow_rename(session, new.removesuffix(account.separator) + selected[len(below) - 1 :])


def subscribe(session: ImapSession, args: Arguments) -> None:
    """SUBSCRIBE (RFC 3501 §6.3.6)."""
    session.account.subscribe(_one_name(args))


def unsubscribe(session: ImapSession, args: Arguments) -> None:
    """UNSUBSCRIBE (RFC 3501 §6.3.7)."""
    session.account.unsubscribe(_one_name(args))
