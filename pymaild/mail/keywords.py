"""Keywords of a mailbox (RFC 9051 §2.3.2): clients' names, each a letter in names of files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.mail.flags import BITS, Flags
from pymaild.mail.reserving import reserved

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

MOST = 26  # letters a to z in a file name
LONGEST = 120  # octets of a keyword's name


def bits(mailbox: Mailbox, names: Iterable[str], create: bool) -> Flags:
    """Return the bits of flag names, less those that the user may not change.

    New keywords are made known first, or passed over without ``create``. Raises Refused (LIMIT).
    """
    system, keywords, allowed = 0, 0, mailbox.allowed()
    for name in names:
        upper = name.upper()
        if upper in BITS:
            system |= BITS[upper]
        elif not name.startswith("\\") and allowed.keywords:
            keywords |= _bit(mailbox, name, create)
    return Flags(system & allowed.system, keywords)


def _bit(mailbox: Mailbox, name: str, create: bool) -> int:
    place = known_place(mailbox.keyword_names(), name)
    if place >= 0:
        return 1 << place
    return 1 << _define(mailbox, name) if create else 0


def known_place(known: Iterable[str], name: str) -> int:
    """Return the number of a name, -1 where it is not known; case does not matter."""
    wanted = name.upper()
    return next((place for place, one in enumerate(known) if one.upper() == wanted), -1)


def _define(mailbox: Mailbox, name: str) -> int:
    """Give a name its number, in the control file first: a letter without a name says nothing."""
    if len(name.encode()) > LONGEST:
        raise Refused(Code.LIMIT, "This keyword is too long")
    with mailbox.settled():
        index = mailbox.index
        known = index.keyword_names()
        place = known_place(known, name)
        if place >= 0:
            return place
        if len(known) >= MOST:
            raise Refused(Code.LIMIT, "This mailbox has no room for another keyword")
        held = reserved(mailbox, index)
        held.keywords = [*known, name]
        held.save(mailbox.directory, mailbox.settings.fsync)
        return index.define_keyword(name)
