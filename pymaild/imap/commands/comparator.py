"""COMPARATOR: how texts are compared in SEARCH, SORT and THREAD (RFC 5255 §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap._arguments import Arguments
from pymaild.mime import collation

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def comparator(session: ImapSession, args: Arguments) -> None:
    """COMPARATOR (RFC 5255 §4.7): choose the active comparator, or tell which one it is."""
    asked, found = _read(args)
    if asked and not found:
        raise Refused(Code.BADCOMPARATOR, "None of these comparators is known here")
    if asked:
        session.record.comparator = found[0]
    active = collation.comparator(session.record.comparator).name
    _tell(session, active, list(dict.fromkeys(name.removeprefix("-") for name in found)))


def _read(args: Arguments) -> tuple[bool, list[str]]:
    """Return whether comparators are asked for, and those found. Raises BadSyntax."""
    asked, found = False, dict[str, None]()
    while args.more():
        args.sp()
        try:
            found.update(dict.fromkeys(collation.matching(args.astring().decode("ascii"))))
        except ValueError:
            raise BadSyntax("Expected a comparator") from None
        asked = True
    args.end()
    return asked, list(found)


def _tell(session: ImapSession, active: str, matches: list[str]) -> None:
    """RFC 5255 §4.8: what else would have fit is told with it."""
    others = f" ({' '.join(matches)})" if len(matches) > 1 else ""
    session.write(f"* COMPARATOR {active}{others}\r\n".encode())
