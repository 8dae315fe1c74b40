"""CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.resume import follow_rename

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def _one_name(args: Arguments) -> str:
    args.sp()
    name = grammar.mailbox(args)
    args.end()
    return name


def create(session: ImapSession, args: Arguments) -> None:
    """CREATE (RFC 3501 §6.3.3)."""
    args.sp()
    wire = grammar.new_name(args)
    args.end()
    session.account.create(grammar.new_mailbox(wire, args.utf8))


def delete(session: ImapSession, args: Arguments) -> None:
    """DELETE (RFC 3501 §6.3.4). A selected mailbox is left, which the client is told."""
    session.account.delete(_one_name(args))
    if session.selection is not None and not session.account.exists(session.record.mailbox):
        session.deselect()
        session.write(b"* OK [CLOSED] The selected mailbox was deleted\r\n")


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
    selected = session.record.mailbox
    if session.selection is not None and not account.exists(selected):
        follow_rename(session, new.removesuffix(account.separator) + selected[len(old) :])


def subscribe(session: ImapSession, args: Arguments) -> None:
    """SUBSCRIBE (RFC 3501 §6.3.6)."""
    session.account.subscribe(_one_name(args))


def unsubscribe(session: ImapSession, args: Arguments) -> None:
    """UNSUBSCRIBE (RFC 3501 §6.3.7)."""
    session.account.unsubscribe(_one_name(args))
