"""Arguments that are more than one token (RFC 3501 §9)."""

from __future__ import annotations

from pymaild._parser import ATOM, LIST_BEGIN, BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import names
from pymaild.imap._arguments import Arguments


def mailbox(args: Arguments) -> str:
    """mailbox (RFC 3501 §9): the name as a client means it, INBOX in any case."""
    return _canonical(name(args, args.astring()))


def name(args: Arguments, wire: bytes) -> str:
    """Return the name, or the pattern, that a client means (RFC 3501 §5.1.3)."""
    return names.decode(wire, args.utf8, args.quirks.raw_names)


def new_name(args: Arguments) -> bytes:
    """astring (RFC 3501 §9) of a name to be made. Raises Refused for an atom beyond ASCII."""
    unquoted = args.peek() == ATOM
    wire = args.astring()
    if unquoted and not wire.isascii():
        raise Refused(Code.CANNOT, "A name beyond ASCII must be quoted")
    return wire


def mailboxes(args: Arguments) -> list[str]:
    """one-or-more-mailbox (RFC 5465 §8): one name, or several in parentheses."""
    if args.peek() != LIST_BEGIN:
        return [mailbox(args)]
    found = []
    args.open()
    while args.item():
        found.append(mailbox(args))
    if not found:
        raise BadSyntax("Expected a mailbox")
    return found


def new_mailbox(wire: bytes, utf8: bool) -> str:
    """mailbox (RFC 3501 §9) where the name is to be made. Raises Refused."""
    return _canonical(names.decode_new(wire, utf8))


def _canonical(name: str) -> str:
    return "INBOX" if name.upper() == "INBOX" else name


def flag_list(args: Arguments) -> list[str]:
    """flag-list (RFC 3501 §9): flags in parentheses."""
    flags = []
    args.open()
    while args.item():
        flags.append(args.flag().decode("ascii"))
    return flags


def store_flags(args: Arguments) -> list[str]:
    """The flags of STORE (RFC 3501 §9, store-att-flags): a list, or one or more without one."""
    if args.peek() == LIST_BEGIN:
        return flag_list(args)
    flags = [args.flag().decode("ascii")]
    while args.more():
        args.sp()
        flags.append(args.flag().decode("ascii"))
    return flags


def names_list(args: Arguments) -> list[bytes]:
    """One or more atoms in parentheses, in upper case."""
    found = []
    args.open()
    while args.item():
        found.append(args.name())
    if not found:
        raise BadSyntax("Expected at least one item")
    return found


def patterns(args: Arguments) -> list[str]:
    """One list-mailbox, or several in parentheses (RFC 5258 §6, mbox-or-pat)."""
    if args.peek() != LIST_BEGIN:
        return [name(args, args.list_mailbox())]
    found = []
    args.open()
    while args.item():
        found.append(name(args, args.list_mailbox()))
    if not found:
        raise BadSyntax("Expected a mailbox pattern")
    return found
