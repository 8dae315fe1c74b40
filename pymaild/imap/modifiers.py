"""The modifiers of FETCH and STORE (RFC 4466 §2.4, §2.5): one table for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.imap._arguments import Arguments
from pymaild.imap.partial import Partial

LARGEST_MODSEQ = (1 << 63) - 1  # RFC 7162 §7


def modseq(args: Arguments) -> int:
    """Read mod-sequence-value (RFC 7162 §7) behind a space."""
    value = modseq_or_zero(args)
    if not value and not args.quirks.zero_modseq:
        raise BadSyntax("Expected a mod-sequence above 0")
    return value


def modseq_or_zero(args: Arguments) -> int:
    """Read mod-sequence-valzer (RFC 7162 §7) behind a space."""
    args.sp()
    return args.number(LARGEST_MODSEQ)


def _partial(args: Arguments) -> Partial:
    args.sp()
    return Partial.read(args)


_Table = dict[bytes, Callable[[Arguments], Any]]

FETCH: _Table = {
    b"CHANGEDSINCE": modseq,  # RFC 7162 §3.1.4.1
    b"VANISHED": lambda args: True,  # RFC 7162 §3.2.6
    b"PARTIAL": _partial,  # RFC 9394 §3.3
}
STORE: _Table = {b"UNCHANGEDSINCE": modseq_or_zero}  # RFC 7162 §3.1.3


def read(args: Arguments, table: _Table) -> dict[bytes, Any]:
    """Read a list of modifiers, each at most once; nothing where there is none."""
    found: dict[bytes, Any] = {}
    if args.peek() != LIST_BEGIN:
        return found
    args.open()
    while args.item():
        name = args.name()
        if name in found or name not in table:
            raise BadSyntax("Unknown modifier, or one that is given twice")
        found[name] = table[name](args)
    if not found:
        raise BadSyntax("Expected a modifier")
    return found


@dataclass(frozen=True, slots=True)
class Modifiers:
    """What FETCH is limited to.

    ``since``: messages with a higher mod-sequence, None for all; ``vanished``: those that have
    gone since then are told, too; ``partial``: a range of places among the messages.
    """

    since: int | None = None
    vanished: bool = False
    partial: Partial | None = None

    @classmethod
    def read(cls, args: Arguments) -> Modifiers:
        """Read FETCH's modifiers to the end of the command."""
        if args.more():
            args.sp()
            found = read(args, FETCH)
            if not found:
                raise BadSyntax("Expected a list of modifiers")
            return cls(found.get(b"CHANGEDSINCE"), b"VANISHED" in found, found.get(b"PARTIAL"))
        return NONE


NONE = Modifiers()
