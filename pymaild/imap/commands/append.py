"""APPEND: the message streams to disk, and is refused before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import ANNOUNCED, LIST_BEGIN, QUOTED, BadSyntax
from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.mailbox import Mailbox


def announced(session: ImapSession, args: Arguments) -> bool:
    """Whether the announced literal is the message; if not, it is the mailbox's name."""
    args.sp()
    if args.peek() == ANNOUNCED:
        return False
    grammar.mailbox(args)
    return True


def append(session: ImapSession, args: Arguments) -> bytes:
    """APPEND (RFC 3501 §6.3.11), answered with the new UID (RFC 4315 §3).

    Runs when the message is announced: everything that can be refused is refused before the
    client sends it.
    """
    args.sp()
    name = grammar.mailbox(args)
    args.sp()
    flags, date = _options(args)
    _check_message(session, args)
    with open_target(session, name) as mailbox:
        return _store(session, args, mailbox, flags, date)


def _options(args: Arguments) -> tuple[list[str], int | None]:
    flags: list[str] = []
    date = None
    if args.peek() == LIST_BEGIN:
        flags = grammar.flag_list(args)
        args.sp()
    if args.peek() == QUOTED:
        date = args.date_time()
        args.sp()
    return flags, date


def _check_message(session: ImapSession, args: Arguments) -> None:
    """Look at what is announced (RFC 7889 §4, RFC 3502 §6.3.11)."""
    if args.peek() != ANNOUNCED or not args.glued():
        raise BadSyntax("Expected a message as a literal")
    if session.tokens.literal_binary:
        raise BadSyntax("A binary literal is not possible here")
    if session.tokens.literal_size > session.services.mail.message_size:
        raise Refused(Code.TOOBIG, "The message is larger than this server accepts")
    if session.tokens.literal_size == 0:
        raise Refused(None, "An empty message cannot be stored")


def open_target(session: ImapSession, name: str) -> Mailbox:
    """Open the mailbox that messages go to. Raises Refused TRYCREATE (RFC 3501 §6.3.11)."""
    try:
        return session.account.open(name)
    except NoSuchMailbox:
        raise Refused(Code.TRYCREATE, "No such mailbox") from None


def _store(
    session: ImapSession, args: Arguments, mailbox: Mailbox, flags: list[str], date: int | None
) -> bytes:
    bits = mailbox.flags(flags)
    draft = mailbox.write(session.literal())
    try:
        session.finish_command()
        args.message()
        args.end()
        (uid,) = mailbox.commit([(draft, bits, date)])
    except BaseException:
        draft.discard()
        raise
    return b"[APPENDUID %d %d] APPEND completed" % (mailbox.uidvalidity, uid)
