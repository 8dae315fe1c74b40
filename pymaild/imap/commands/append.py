"""APPEND and REPLACE: messages stream to disk, and are refused before they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pymaild._parser import ANNOUNCED, BadSyntax
from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.imap import grammar, news
from pymaild.imap._arguments import Arguments
from pymaild.imap.listing import correct
from pymaild.imap.responses import sequence_set
from pymaild.imap.upload import Upload
from pymaild.mail import committed, exchange

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.mailbox import Mailbox


def announced(session: ImapSession, args: Arguments) -> bool:
    """Whether the announced literal belongs to the messages; if not, it is the mailbox's name."""
    args.sp()
    if args.peek() == ANNOUNCED:
        return False
    grammar.mailbox(args)
    return True


def append(session: ImapSession, args: Arguments) -> bytes:
    """APPEND (RFC 3501 §6.3.11) of one message or several, all or none (RFC 3502).

    Answered with the new UIDs (RFC 4315 §3). Runs when the first literal is announced.
    """
    args.sp()
    name = grammar.mailbox(args)
    with open_target(session, name) as mailbox:
        uids = _came(session, mailbox)
        if not uids:
            with Upload(session, args, mailbox) as upload:
                uids = mailbox.commit(upload.receive())
        news.brought(session, mailbox, uids)
        code = _code(mailbox, mailbox.uidvalidity, uids)
    correct(session, name)
    return code + session.say("APPEND completed")


def stored(session: ImapSession) -> bytes | None:
    """Return the response code for what a process that died has stored, None if that is nothing.

    Raises Refused.
    """
    for name in {note[1] for note in session.record.intents if note[0] == "new"}:
        with session.account.open(name) as mailbox:
            uids = committed.brought(mailbox)
            news.brought(session, mailbox, uids)
            if uids:
                return _code(mailbox, mailbox.uidvalidity, uids)
    return None


def _came(session: ImapSession, mailbox: Mailbox) -> list[int]:
    """Return the UIDs of what was stored by a process that died before it could say so.

    What the client has sent of it is read, and not looked at again.
    """
    uids = committed.brought(mailbox)
    if uids:
        session.intake.settle()
    return uids


def _code(mailbox: Mailbox, uidvalidity: int, uids: Sequence[int]) -> bytes:
    """The APPENDUID response code (RFC 4315 §3) and a space.

    b"" where the user may not read: UIDs say how much mail has come (§5).
    """
    if "r" not in mailbox.rights():
        return b""
    return b"[APPENDUID %d %b] " % (uidvalidity, sequence_set(uids))


def open_target(session: ImapSession, name: str) -> Mailbox:
    """Open the mailbox that messages go to. Raises Refused TRYCREATE (RFC 3501 §6.3.11)."""
    try:
        return session.account.open(name, "i")
    except NoSuchMailbox:
        raise Refused(Code.TRYCREATE, "No such mailbox") from None


def replace_announced(session: ImapSession, args: Arguments) -> bool:
    """Whether the announced literal belongs to the message; if not, it is the mailbox's name."""
    args.sp()
    args.number()
    return announced(session, args)


def replace(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """REPLACE and UID REPLACE (RFC 8508 §3).

    The new UID is told first (§4.3); the loop tells of the new message and of the one that has
    gone when all is done.
    """
    args.sp()
    uid = _replaced(session, args, by_uid)
    args.sp()
    name = grammar.mailbox(args)
    source = session.current.selected.mailbox
    with open_target(session, name) as target:
        uids = _came(session, target)
        if uids:
            source.level()  # the message that went may still be in its index
        else:
            with Upload(session, args, target) as upload:
                upload.frees = exchange.frees(source, uid, target)
                (message,) = upload.receive(1)
                uids = [source.replace(uid, target, message)]
        news.brought(session, target, uids)
        code = _code(target, target.uidvalidity, uids)
    session.write(b"* OK %b%b\r\n" % (code, session.say("Replacement is ready")))


def _replaced(session: ImapSession, args: Arguments, by_uid: bool) -> int:
    """Read which message is to go; returns its UID. Raises BadSyntax, Refused.

    RFC 8508 §4.1: what STORE of \\Deleted and EXPUNGE need is needed here.
    """
    number = args.number()
    selection = session.current
    view = selection.selected.view
    if not by_uid and not 0 < number <= len(view):
        raise BadSyntax("There is no message of this number")
    selection.require_writable("te")
    if by_uid and not view.seq(number):
        raise Refused(Code.NONEXISTENT, "There is no message of this UID")
    return number if by_uid else view.uid(number)
