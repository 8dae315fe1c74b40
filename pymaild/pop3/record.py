"""What a POP3 session is between two commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pymaild.core.session import SessionRecord


class State(StrEnum):
    """The states of RFC 1939 §3. UPDATE lasts only as long as QUIT runs and is none of them."""

    AUTHORIZATION = "authorization"
    AUTHENTICATED = "authenticated"  # proven, but the maildrop is not open and nothing replied
    TRANSACTION = "transaction"


@dataclass(slots=True)
class Pop3Record(SessionRecord):
    """A POP3 session; the maildrop's view is one snapshot number.

    ``name`` is what USER said until PASS follows. ``deleted`` and ``seen`` are ranges of message
    numbers: those marked by DELE, and those that RETR sent and that have no \\Seen flag yet.
    ``taken`` are those that RETR sent, where they are not to stay on the server. ``utf8`` is the
    mode of RFC 6856 §2.1, ``language`` one of core.texts.LANGUAGES or "" for the default.
    """

    name: str = ""
    uidvalidity: int = 0
    snapshot: int = 0
    recent: list[list[int]] = field(default_factory=list)
    deleted: list[list[int]] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)
    retrieved: int = 0
    octets: int = 0
    taken: list[list[int]] = field(default_factory=list)
    utf8: bool = False
    language: str = ""


def mark(ranges: list[list[int]], number: int) -> None:
    """Add a number that is in none of ``ranges``; most clients go from one to the next."""
    if ranges and ranges[-1][1] + 1 == number:
        ranges[-1][1] = number
    else:
        ranges.append([number, number])


def marked(ranges: list[list[int]]) -> set[int]:
    """Return the numbers of ranges."""
    return {number for low, high in ranges for number in range(low, high + 1)}
