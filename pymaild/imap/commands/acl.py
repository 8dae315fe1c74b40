"""SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.responses import astring
from pymaild.mail.rights import NONE, ORDER, Rights, parse, prepare, tell

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def setacl(session: ImapSession, args: Arguments) -> None:
    """SETACL (RFC 4314 §3.1)."""
    args.sp()
    name = grammar.mailbox(args)
    identifier = _identifier(args)
    how, given = _modification(args)
    args.end()
    account = session.account
    account.controlled(name).change(account.identifier(identifier), how, given)


def deleteacl(session: ImapSession, args: Arguments) -> None:
    """DELETEACL (RFC 4314 §3.2)."""
    args.sp()
    name = grammar.mailbox(args)
    identifier = _identifier(args)
    args.end()
    account = session.account
    account.controlled(name).change(account.identifier(identifier), "", NONE)


def getacl(session: ImapSession, args: Arguments) -> None:
    """GETACL (RFC 4314 §3.3)."""
    args.sp()
    name = grammar.mailbox(args)
    args.end()
    words = [session.mailbox_name(name)]
    for identifier, rights in session.account.controlled(name).acl().items():
        words += [astring(identifier.encode()), tell(rights).encode()]
    session.write(b"* ACL %b\r\n" % b" ".join(words))


def listrights(session: ImapSession, args: Arguments) -> None:
    """LISTRIGHTS (RFC 4314 §3.4): what an identifier always has, then what it may be given.

    No right is tied to another one.
    """
    args.sp()
    name = grammar.mailbox(args)
    args.sp()
    given = args.astring()  # which is what is told (§3.4)
    identifier = _prepared(given)
    args.end()
    account = session.account
    admins = session.services.mail.admins
    always = account.controlled(name).kept(account.identifier(identifier), admins)
    words = [session.mailbox_name(name), astring(given), _letters(always)]
    words += [letter.encode() for letter in ORDER if letter not in always]
    session.write(b"* LISTRIGHTS %b\r\n" % b" ".join(words))


def myrights(session: ImapSession, args: Arguments) -> None:
    """MYRIGHTS (RFC 4314 §3.5)."""
    args.sp()
    name = grammar.mailbox(args)
    args.end()
    session.write(rights_of(session, name))


def rights_of(session: ImapSession, name: str) -> bytes:
    """The MYRIGHTS response (RFC 4314 §3.8). Raises NoSuchMailbox."""
    rights = tell(session.account.controlled(name).rights())
    return b"* MYRIGHTS %b %b\r\n" % (session.mailbox_name(name), rights.encode())


def _identifier(args: Arguments) -> str:
    """identifier (RFC 4314 §7), prepared."""
    args.sp()
    return _prepared(args.astring())


def _prepared(identifier: bytes) -> str:
    """Return an identifier as it is kept; one that cannot be prepared is BAD (RFC 4314 §3)."""
    try:
        return prepare(identifier.decode())
    except ValueError:
        raise BadSyntax("This is no identifier") from None


def _modification(args: Arguments) -> tuple[str, Rights]:
    """mod-rights (RFC 4314 §7); a letter that is no right is BAD (§3.1)."""
    args.sp()
    text = args.astring().decode("latin-1")
    how = text[:1] if text[:1] in ("+", "-") else ""
    try:
        return how, parse(text[len(how) :])
    except ValueError:
        raise BadSyntax("There is no such right") from None


def _letters(rights: Rights) -> bytes:
    return "".join(letter for letter in ORDER if letter in rights).encode() or b'""'
